//! The job that deletes an archive. One that is done again may find that it is gone, which is what was wanted.
//!
//! A full disk has no space for a note of the job either, and deleting is what makes some: then it is done at once.

use std::sync::Arc;

use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{JobKind, NewJob, StoredJob, Work};
use super::{Subject, Waiting, request, resolved, target, to_json};
use crate::app::App;
use crate::error::{AppError, Kind, Result, one_line};
use crate::usecases::fetch;

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    #[serde(flatten)]
    subject: Subject,
    name: String,
}

/// Submits it for a caller who does not wait, once it is known that there is such an archive. Where the queue cannot take it, the
/// archive is deleted before this returns.
pub(crate) fn submit(app: &Arc<App>, scope: Scope, name: String) -> Result<()> {
    drop(fetch::open(app, &scope, &name)?);
    let scope = resolved(app, scope);
    let job = NewJob {
        kind: JobKind::SnapshotDelete,
        target: target(&scope),
        request: to_json(Request { subject: Subject::of(&scope), name: name.clone() })?,
        on_restart: Waiting::Nobody.on_restart(),
        waits_for_others: false,
    };
    match app.jobs.submit(job, work(app, scope.clone(), name.clone())) {
        Err(error @ AppError::Jobs(_)) => {
            tracing::warn!("the snapshot {name:?} is deleted at once, because the job cannot be queued: {}", one_line(&error));
            fetch::delete(app, &scope, &name)
        }
        // It is done even though nobody waits for it.
        submitted => submitted.map(drop),
    }
}

pub(super) fn rebuild(app: &Arc<App>, job: &StoredJob) -> Option<Work> {
    request(job).map(|found: Request| work(app, found.subject.scope(), found.name))
}

fn work(app: &Arc<App>, scope: Scope, name: String) -> Work {
    let app = Arc::clone(app);
    Box::new(move |running| match fetch::delete(&app, &scope, &name) {
        Err(error) if error.kind() == Kind::NotFound && running.attempt() > 1 => Ok(Value::Bool(true)),
        deleted => deleted.map(|()| Value::Bool(true)),
    })
}
