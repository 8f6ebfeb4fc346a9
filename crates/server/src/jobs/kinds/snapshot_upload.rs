//! The job that puts an uploaded archive in place.
//!
//! It begins after the upload was received, unpacked and verified, so that no client's pace holds up the queue; what is left is the
//! commit, in its turn. What was unpacked goes with the process: after a restart there is nothing to go on with.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{JobKind, NewJob, OnRestart, Submitted};
use super::{Subject, target};
use crate::app::App;
use crate::error::Result;
use crate::usecases::restore::{Goal, Staged};

/// Submits it.
pub(crate) fn submit(app: &Arc<App>, goal: &Goal, staged: Staged) -> Result<Submitted> {
    let Subject { collection, shard } = Subject::of(&goal.scope());
    let job = NewJob {
        kind: JobKind::SnapshotUpload,
        target: target(&goal.scope()),
        request: json!({"collection": collection, "shard": shard, "bytes": staged.bytes()}),
        on_restart: OnRestart::Fail,
        waits_for_others: false,
    };
    let committer = Arc::clone(app);
    let work = Box::new(move |_: &super::super::Running| staged.commit(&committer).map(|()| Value::Bool(true)));
    app.jobs.submit(job, work)
}
