//! The job that restores a collection or a shard from where an archive is.
//!
//! Its checkpoint is the directories of the shards right before the commit. Each restore makes directories of its own, so if the next
//! process finds others before anybody else could change them, the job had committed: to restore once more would lose what was
//! written since.

use std::sync::Arc;

use icecore_archive::{Progress, Sha256Digest};
use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::super::{JobKind, NewJob, OnRestart, Running, StoredJob, Submitted, Work};
use super::{Subject, Waiting, request, target, to_json};
use crate::app::App;
use crate::error::Result;
use crate::metrics::Kind;
use crate::stores::Store;
use crate::usecases::location::Location;
use crate::usecases::recover::{self, Recovery};
use crate::usecases::restore::{Goal, Staged};

/// What the database keeps of it: nothing that is secret.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    #[serde(flatten)]
    subject: Subject,
    location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

/// Submits it. A recovery with secrets is not done again after a restart, because they are kept nowhere.
pub(crate) fn submit(app: &Arc<App>, recovery: Recovery, waiting: Waiting) -> Result<Submitted> {
    let record = Request {
        subject: Subject::of(&recovery.goal.scope()),
        location: recovery.location.redacted(),
        checksum: recovery.checksum.map(|digest| digest.to_string()),
    };
    let on_restart = if recovery.has_secrets() { OnRestart::Fail } else { waiting.on_restart() };
    let job = NewJob {
        kind: JobKind::SnapshotRecover,
        target: target(&recovery.goal.scope()),
        request: to_json(record)?,
        on_restart,
        waits_for_others: matches!(recovery.location, Location::Remote(_) | Location::Object(_)),
    };
    app.jobs.submit(job, work(app, recovery, false))
}

pub(super) fn rebuild(app: &Arc<App>, job: &StoredJob) -> Option<Work> {
    let Request { subject, location, checksum } = request(job)?;
    let goal = match subject.scope() {
        Scope::Storage => Goal::Storage,
        Scope::Collection(collection) => Goal::Collection(collection),
        Scope::Shard { collection, shard } => Goal::Shard { collection, shard },
    };
    let checksum = match checksum {
        Some(digest) => Some(digest.parse::<Sha256Digest>().ok()?),
        None => None,
    };
    // Checked again: the configuration may be another by now.
    let location = match Url::parse(&location) {
        Ok(url) => crate::usecases::location::of_collection(&url, recover::reach(app)).ok()?,
        Err(_) => Location::Stored(location.parse().ok()?),
    };
    let committed = job.checkpoint.as_ref().is_some_and(|noted| *noted != directories(app, &goal));
    Some(work(app, Recovery { goal, location, checksum, api_key: None }, committed))
}

/// `committed` tells whether a former run has done everything but to say so.
fn work(app: &Arc<App>, recovery: Recovery, committed: bool) -> Work {
    let app = Arc::clone(app);
    Box::new(move |running| {
        if committed {
            return Ok(Value::Bool(true));
        }
        restored(&app, app.store.as_ref(), &recovery, running, |_| directories(&app, &recovery.goal))
    })
}

/// Restores: stages, notes what `before` makes of it as the checkpoint, and commits. A cancellation that comes before the note leaves
/// everything as it was; one that comes later is too late.
pub(super) fn restored(
    app: &App,
    store: &dyn Store,
    recovery: &Recovery,
    running: &Running,
    before: impl FnOnce(&Staged) -> Value,
) -> Result<Value> {
    let counted = app.metrics.snapshot(Kind::Recover, &recovery.goal.place());
    let staged = recover::stage(app, store, recovery, running, running.cancellation())?;
    let bytes = committed(app, staged, running, before)?;
    counted.finish(bytes);
    Ok(Value::Bool(true))
}

/// The second half of [`restored`]. Says how many bytes of data were restored.
pub(super) fn committed(app: &App, staged: Staged, running: &Running, before: impl FnOnce(&Staged) -> Value) -> Result<u64> {
    let bytes = staged.bytes();
    if running.advance(0).is_break() {
        return Err(icecore_archive::Error::Cancelled.into());
    }
    // Only now: while the archive arrived, somebody may have made or deleted the collection.
    running.set_checkpoint(&before(&staged))?;
    staged.commit(app)?;
    Ok(bytes)
}

fn directories(app: &App, goal: &Goal) -> Value {
    let Subject { collection, shard } = Subject::of(&goal.scope());
    json!(recover::directories(app, &collection.unwrap_or_default(), shard))
}
