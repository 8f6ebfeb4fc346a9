//! The threads that run jobs, and what becomes of a job when its work returns.
//!
//! The end of a job is durable before anybody is told of it. Where the database cannot take note of a beginning or an end, the job
//! is still done and its waiter told: the next process finds it unfinished and looks again. No I/O is done under the schedule's
//! lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use icecore_io::Clock;
use serde_json::Value;

use super::control::Control;
use super::events::{Event, Events};
use super::model::{Ended, JobId, JobKind, OnRestart, State};
use super::queue::{End, Queue};
use super::schedule::{Claimed, Schedule, Waiting};
use super::{JobsError, Millis, Options, Running};
use crate::error::{AppError, Kind, Result, one_line};
use crate::shutdown::{Begun, Shutdown};
use crate::told::told;

/// Finished jobs that are kept at most, however young.
const FINISHED_MAX: u32 = 10_000;
/// Old jobs are forgotten after so many ends, not at each.
const PRUNE_INTERVAL: u32 = 256;

/// What all threads share.
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: Shutdown,
    pub(super) options: Options,
    /// Tells what happens to jobs.
    pub(super) events: Events,
    schedule: Mutex<Schedule>,
    /// A job can begin, nothing begins any more, or a thread has ended.
    changed: Condvar,
    /// Nothing begins any more. Apart from the other, so that what is told to one thread is told to one that runs jobs.
    halted: Condvar,
    /// Ends since old jobs were forgotten last.
    ended: AtomicU32,
}

/// What is to be noted of a job whose work has returned.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// It has ended.
    Ended(End),
    /// The next process does it again.
    PutBack,
}

impl Shared {
    pub(super) fn new(queue: Queue, clock: Arc<dyn Clock>, shutdown: Shutdown, options: Options) -> Self {
        let (schedule, changed) = (Mutex::new(Schedule::new(options.concurrency)), Condvar::new());
        Self {
            queue,
            clock,
            shutdown,
            options,
            events: Events::new(),
            schedule,
            changed,
            halted: Condvar::new(),
            ended: AtomicU32::new(0),
        }
    }

    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        // Nothing in it is ever half done, so a panic elsewhere is no reason not to go on.
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Millis {
        Millis::of(self.clock.now())
    }

    /// Lets a thread look for work.
    pub(super) fn wake_one(&self) {
        self.changed.notify_one();
    }

    /// Forgets old jobs. They take space and do no harm, so a failure is only logged.
    pub(super) fn prune(&self) {
        let oldest = Millis::of(self.clock.now().checked_sub(self.options.keep).unwrap_or(std::time::UNIX_EPOCH));
        match self.queue.prune(oldest, FINISHED_MAX) {
            Ok(0) => {}
            Ok(count) => tracing::debug!("forgot {count} old jobs"),
            Err(error) => tracing::warn!("cannot forget old jobs: {}", one_line(&error)),
        }
    }

    /// Lets nothing begin any more, and tells those who wait for what has not begun.
    pub(super) fn halt(&self) {
        let dropped = self.schedule().halt();
        self.changed.notify_all();
        self.halted.notify_all();
        drop(dropped);
    }

    /// Waits until nothing begins any more, but not for longer than `within`. Says whether that is so.
    pub(super) fn wait_for_halt(&self, within: Duration) -> bool {
        let waited = self.halted.wait_timeout_while(self.schedule(), within, |schedule| !schedule.halted);
        let (schedule, _) = waited.unwrap_or_else(PoisonError::into_inner);
        schedule.halted
    }

    /// Tells that a job is in another state, if it is one that is shown.
    pub(super) fn tell(&self, job: JobId, kind: JobKind, state: State, error: Option<String>) {
        if kind.is_managed() {
            self.events.tell(Event::State { job, state, error });
        }
    }

    /// From now on the end of a job that still runs is not noted: the next process takes it as interrupted.
    pub(super) fn abandon(&self) {
        self.schedule().abandoned = true;
    }

    /// Starts a thread that runs jobs until nothing begins any more.
    pub(super) fn spawn(self: &Arc<Self>, number: usize) -> Result<JoinHandle<()>, JobsError> {
        self.schedule().threads += 1;
        let shared = Arc::clone(self);
        let ending = Ending(Arc::clone(self));
        let body = move || {
            let _ending = ending;
            while let Some((claimed, _begun)) = shared.claim() {
                shared.run(claimed);
            }
        };
        std::thread::Builder::new()
            .name(format!("icecore-job-{number}"))
            .spawn(body)
            .map_err(|source| JobsError::Thread { source })
    }

    /// Waits until all threads have ended, but not for longer than `within`. Returns how many have not.
    pub(super) fn wait_for_threads(&self, within: Duration) -> usize {
        let waited = self.changed.wait_timeout_while(self.schedule(), within, |schedule| schedule.threads > 0);
        let (schedule, _) = waited.unwrap_or_else(PoisonError::into_inner);
        schedule.threads
    }

    /// Waits for a job that can begin; `None` when nothing begins any more.
    fn claim(&self) -> Option<(Claimed, Begun)> {
        let mut schedule = self.schedule();
        loop {
            if schedule.halted {
                return None;
            }
            if let Some(next) = schedule.next() {
                // In this order whoever drains either sees the job or has kept it from beginning.
                let begun = self.shutdown.begin();
                if self.shutdown.is_requested() {
                    return None;
                }
                return schedule.claim(next).map(|claimed| (claimed, begun));
            }
            schedule = self.changed.wait(schedule).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells how a job has ended, and how far it was.
    fn tell_end(&self, job: JobId, kind: JobKind, end: End) {
        let state = end.state.into();
        if kind.is_managed() {
            self.events.tell(Event::Progress { job, state, bytes: end.bytes, pace: None });
        }
        let error = end.error.filter(|_| end.state == Ended::Failed);
        self.tell(job, kind, state, error);
    }

    fn run(self: &Arc<Self>, claimed: Claimed) {
        let Claimed { sequence, job, control } = claimed;
        let _ended = TellEnd(Arc::clone(&control));
        let Waiting { id, kind, target, on_restart, attempts, checkpoint, work, waiter, .. } = job;
        let attempt = self.queue.start(sequence, self.now()).unwrap_or_else(|error| {
            tracing::error!("job {id} begins without a note of it: {}", one_line(&error));
            attempts.saturating_add(1)
        });
        self.tell(id, kind, State::Running, None);
        let running = Running::new(Arc::clone(self), sequence, attempt, checkpoint, control);
        // What a panic leaves behind is the work's own; here only the counters are looked at again.
        let outcome =
            catch_unwind(AssertUnwindSafe(|| work(&running))).unwrap_or_else(|_panic| Err(JobsError::Panicked { id }.into()));
        // An outcome that nobody will hear of or note is that of a crash.
        if self.schedule().abandoned {
            return;
        }
        let verdict = verdict(kind, &outcome, &running, self.shutdown.check().is_break(), on_restart);
        let noted = match &verdict {
            Verdict::Ended(end) => self.queue.finish(sequence, end, self.now()),
            Verdict::PutBack => self.queue.put_back(sequence),
        };
        match (noted, verdict) {
            (Err(error), _) => tracing::error!("job {id} has ended without a note of it: {}", one_line(&error)),
            (Ok(()), Verdict::Ended(end)) => self.tell_end(id, kind, end),
            (Ok(()), Verdict::PutBack) => {}
        }
        self.schedule().release(&target);
        // This thread takes one of the jobs that can begin now, and there may be two.
        self.wake_one();
        let unheard = match waiter {
            Some(waiter) => waiter.send(outcome).err(),
            None => Some(outcome),
        };
        if let Some(Err(error)) = unheard {
            log_failure(id, kind, &target, &error);
        }
        if self.ended.fetch_add(1, Ordering::Relaxed) % PRUNE_INTERVAL == PRUNE_INTERVAL - 1 {
            self.prune();
        }
    }
}

/// Tells whoever waits for the end of a job that it has come, in whatever way.
struct TellEnd(Arc<Control>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Counts a thread until it ends in whatever way, or has never begun.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.schedule().threads -= 1;
        self.0.changed.notify_all();
    }
}

fn log_failure(id: JobId, kind: JobKind, target: &str, error: &AppError) {
    let reason = one_line(error);
    match error.kind() {
        Kind::Cancelled => tracing::info!("job {id} ({kind} of {target}) was stopped: {reason}"),
        _ => tracing::error!("job {id} ({kind} of {target}) failed: {reason}"),
    }
}

/// `forced` tells whether the server's end stops what runs.
fn verdict(kind: JobKind, outcome: &Result<Value>, running: &Running, forced: bool, on_restart: OnRestart) -> Verdict {
    let bytes = running.bytes();
    let ended = |state, error, result| Verdict::Ended(End { state, error, result, bytes });
    // What clients are shown says nothing of this machine; the rest of it is in the log.
    let reason = |error: &AppError| if kind.is_managed() { told(error) } else { one_line(error) };
    match outcome {
        Ok(result) => ended(Ended::Completed, None, Some(result.clone())),
        Err(error) if error.kind() != Kind::Cancelled => ended(Ended::Failed, Some(reason(error)), None),
        Err(error) if running.is_cancelled() || !forced => ended(Ended::Cancelled, Some(reason(error)), None),
        Err(_) => match on_restart {
            OnRestart::Again => Verdict::PutBack,
            OnRestart::Fail => ended(Ended::Failed, Some(super::resume::STOPPED_RUNNING.to_owned()), None),
        },
    }
}
