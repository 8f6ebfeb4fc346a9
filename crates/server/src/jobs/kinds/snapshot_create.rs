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
    #[serde(flatten)]
    options: Options,
}

/// How the archive is made.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Options {
    /// The level of zstd, if it is compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) zstd_level: Option<i32>,
    /// Whether it is written even if it could share the bytes of an equal one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) full: bool,
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
    /// Whether it shares the bytes of an equal one.
    #[serde(default)]
    shared: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint {
    name: String,
}

/// Submits it, once it is known that there is something to archive.
pub(crate) fn submit(app: &Arc<App>, scope: Scope, options: Options, waiting: Waiting) -> Result<Submitted> {
    fetch::place(app, &scope)?;
    let checked = checked(options)?;
    let scope = resolved(app, scope);
    let job = NewJob {
        kind: JobKind::SnapshotCreate,
        target: target(&scope),
        request: to_json(Request { subject: Subject::of(&scope), options })?,
        on_restart: waiting.on_restart(),
        waits_for_others: false,
    };
    app.jobs.submit(job, work(app, scope, checked))
}

pub(super) fn rebuild(app: &Arc<App>, job: &StoredJob) -> Option<Work> {
    let Request { subject, options } = request(job)?;
    Some(work(app, subject.scope(), checked(options).ok()?))
}

/// The archive that a completed job has made.
pub(crate) fn archive(result: Value) -> Option<ArchiveInfo> {
    let created: Created = serde_json::from_value(result).ok()?;
    Some(ArchiveInfo {
        name: created.name.parse().ok()?,
        created: UNIX_EPOCH + Duration::from_secs(created.created_at),
        size: created.size,
        sha256: created.sha256.and_then(|digest| digest.parse().ok()),
        shared: created.shared,
    })
}

/// Compresses on all cores.
pub(super) fn checked(options: Options) -> Result<create::Options> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let compression = options.zstd_level.map(|level| Compression::new(level, threads)).transpose()?;
    Ok(create::Options { compression, full: options.full })
}

fn work(app: &Arc<App>, scope: Scope, options: create::Options) -> Work {
    let app = Arc::clone(app);
    Box::new(move |running| made(&app, &app.store, &scope, options, running))
}

/// Makes the archive in `store`, unless a former run has. The scope's collection is given by its own name.
pub(super) fn made(
    app: &App,
    store: &Arc<dyn Store>,
    scope: &Scope,
    options: create::Options,
    running: &Running,
) -> Result<Value> {
    if let Some(done) = made_before(store.as_ref(), scope, running) {
        return to_json(created(&done));
    }
    let info = create::create_in(app, store, scope, options, running, |name| {
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
        shared: info.shared,
    }
}
