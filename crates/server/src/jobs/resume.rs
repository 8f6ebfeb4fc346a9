//! What becomes of the jobs that a former process has left: done again in their old order, or failed with the reason.
//!
//! A job that was running when its process died may be the reason of the death, so it is given up when that has happened
//! [`INTERRUPTIONS_MAX`] times. An orderly end does not count. Kinds that this version does not know are left for one that does.

use super::model::{Ended, OnRestart, StoredJob, Work};
use super::queue::{End, Fate, Sequence, Unfinished};
use super::runner::Shared;
use super::schedule::Waiting;
use crate::error::Result;

/// How often a job may be running when its process dies.
const INTERRUPTIONS_MAX: u32 = 3;
/// The reason for jobs that are not done again.
pub(super) const STOPPED_RUNNING: &str = "the server was stopped while the job ran; ask again";
const STOPPED_WAITING: &str = "the server was stopped while the job waited; ask again";
const NOT_REBUILT: &str = "the server was stopped before the job was done, and what it is about is not there any more; ask again";

/// Queues or fails the jobs up to `last` that have no end; `rebuild` makes their work anew.
pub(super) fn resume(shared: &Shared, last: Sequence, rebuild: impl Fn(&StoredJob) -> Option<Work>) -> Result<()> {
    let left = shared.queue.unfinished(last)?;
    if !left.unknown.is_empty() {
        let kinds: Vec<String> = left.unknown.iter().map(|(kind, count)| format!("{count} of kind {kind:?}")).collect();
        tracing::warn!("jobs of another version are left alone: {}", kinds.join(", "));
    }
    let (mut fates, mut again) = (Vec::new(), Vec::new());
    for unfinished in left.known {
        let (sequence, interrupted) = (unfinished.sequence, unfinished.interrupted);
        match decide(&unfinished, &rebuild) {
            Ok(work) => {
                fates.push((sequence, Fate::Again { interrupted }));
                again.push((sequence, waiting(unfinished, work)));
            }
            Err(reason) => {
                let StoredJob { id, kind, target, .. } = &unfinished.job;
                tracing::warn!("job {id} ({kind} of {target}) is not done: {reason}");
                fates.push((sequence, Fate::Ended(End::not_run(Ended::Failed, reason))));
            }
        }
    }
    shared.queue.settle(&fates, shared.now())?;
    if !again.is_empty() {
        tracing::info!("{} jobs that a former process has left are done now", again.len());
    }
    for (sequence, job) in again {
        shared.schedule().add(sequence, job);
        shared.wake_one();
    }
    Ok(())
}

/// The work of a job that is done again, or why it is not.
fn decide(unfinished: &Unfinished, rebuild: impl Fn(&StoredJob) -> Option<Work>) -> Result<Work, String> {
    let Unfinished { job, on_restart, interrupted, interruptions, .. } = unfinished;
    let interruptions = interruptions.saturating_add(u32::from(*interrupted));
    match (on_restart, interrupted) {
        (OnRestart::Fail, true) => Err(STOPPED_RUNNING.to_owned()),
        (OnRestart::Fail, false) => Err(STOPPED_WAITING.to_owned()),
        (OnRestart::Again, _) if interruptions >= INTERRUPTIONS_MAX => Err(format!("was interrupted {interruptions} times")),
        (OnRestart::Again, _) => rebuild(job).ok_or_else(|| NOT_REBUILT.to_owned()),
    }
}

fn waiting(unfinished: Unfinished, work: Work) -> Waiting {
    let Unfinished { job: StoredJob { id, kind, target, attempts, checkpoint, .. }, on_restart, .. } = unfinished;
    let waits_for_others = kind.may_wait_for_others();
    Waiting { id, kind, target, on_restart, waits_for_others, attempts, checkpoint, work, waiter: None }
}
