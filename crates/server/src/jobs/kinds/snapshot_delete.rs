//! The job that deletes an archive. One that is done again may find that it is gone, which is what was wanted.

use std::sync::Arc;

use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{JobKind, NewJob, StoredJob, Submitted, Work};
use super::{Subject, Waiting, request, resolved, target, to_json};
use crate::app::App;
use crate::error::{Kind, Result};
use crate::usecases::fetch;

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    #[serde(flatten)]
    subject: Subject,
    name: String,
}

/// Submits it, once it is known that there is such an archive.
pub(crate) fn submit(app: &Arc<App>, scope: Scope, name: String, waiting: Waiting) -> Result<Submitted> {
    drop(fetch::open(app, &scope, &name)?);
    let scope = resolved(app, scope);
    let job = NewJob {
        kind: JobKind::SnapshotDelete,
        target: target(&scope),
        request: to_json(Request { subject: Subject::of(&scope), name: name.clone() })?,
        on_restart: waiting.on_restart(),
    };
    app.jobs.submit(job, work(app, scope, name))
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
