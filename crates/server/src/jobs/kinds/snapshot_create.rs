//! The job that makes an archive.
//!
//! Its checkpoint is the name that the archive gets. A job that is done again first looks whether the archive of that name is
//! there: then it had ended, and only nobody knew.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icecore_archive::Compression;
use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{JobKind, NewJob, Running, StoredJob, Submitted, Work};
use super::{Subject, Waiting, request, resolved, target, to_json};
use crate::app::App;
use crate::error::Result;
use crate::stores::{ArchiveInfo, Store};
use crate::usecases::naming::Place;
use crate::usecases::{create, fetch};

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    #[serde(flatten)]
    subject: Subject,
    /// The level of zstd, if the archive is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    zstd_level: Option<i32>,
}

/// The result of the job.
#[derive(Debug, Serialize, Deserialize)]
struct Created {
    name: String,
    /// Seconds since 1970-01-01T00:00:00Z.
    created_at: u64,
    /// In bytes.
    size: u64,
    sha256: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    name: String,
}

/// Submits it, once it is known that there is something to archive. With a level of zstd the archive is compressed.
pub(crate) fn submit(app: &Arc<App>, scope: Scope, zstd_level: Option<i32>, waiting: Waiting) -> Result<Submitted> {
    fetch::place(app, &scope)?;
    let compression = compression(zstd_level)?;
    let scope = resolved(app, scope);
    let job = NewJob {
        kind: JobKind::SnapshotCreate,
        target: target(&scope),
        request: to_json(Request { subject: Subject::of(&scope), zstd_level })?,
        on_restart: waiting.on_restart(),
        waits_for_others: false,
    };
    app.jobs.submit(job, work(app, scope, compression))
}

pub(super) fn rebuild(app: &Arc<App>, job: &StoredJob) -> Option<Work> {
    let Request { subject, zstd_level } = request(job)?;
    Some(work(app, subject.scope(), compression(zstd_level).ok()?))
}

/// The archive that a completed job has made.
pub(crate) fn archive(result: Value) -> Option<ArchiveInfo> {
    let created: Created = serde_json::from_value(result).ok()?;
    Some(ArchiveInfo {
        name: created.name.parse().ok()?,
        created: UNIX_EPOCH + Duration::from_secs(created.created_at),
        size: created.size,
        sha256: created.sha256.and_then(|digest| digest.parse().ok()),
    })
}

/// On all cores.
pub(super) fn compression(zstd_level: Option<i32>) -> Result<Option<Compression>> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Ok(zstd_level.map(|level| Compression::new(level, threads)).transpose()?)
}

fn work(app: &Arc<App>, scope: Scope, compression: Option<Compression>) -> Work {
    let app = Arc::clone(app);
    Box::new(move |running| made(&app, app.store.as_ref(), &scope, compression, running))
}

/// Makes the archive in `store`, unless a former run has. The scope's collection is given by its own name.
pub(super) fn made(
    app: &App,
    store: &dyn Store,
    scope: &Scope,
    compression: Option<Compression>,
    running: &Running,
) -> Result<Value> {
    if let Some(done) = made_before(store, scope, running) {
        return to_json(created(&done));
    }
    let info = create::create_in(app, store, scope, compression, running, |name| {
        running.set_checkpoint(&to_json(Checkpoint { name: name.to_string() })?)
    })?;
    to_json(created(&info))
}

/// The archive that a former run has finished.
fn made_before(store: &dyn Store, scope: &Scope, running: &Running) -> Option<ArchiveInfo> {
    let name = noted(&running.checkpoint()?)?;
    store.open(&Place::of(scope.clone()), &name.parse().ok()?).ok().map(|archive| archive.info)
}

/// The name of the archive that a checkpoint speaks of.
pub(super) fn noted(checkpoint: &Value) -> Option<String> {
    Checkpoint::deserialize(checkpoint).ok().map(|checkpoint| checkpoint.name)
}

fn created(info: &ArchiveInfo) -> Created {
    Created {
        name: info.name.to_string(),
        created_at: info.created.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        size: info.size,
        sha256: info.sha256.map(|digest| digest.to_string()),
    }
}
