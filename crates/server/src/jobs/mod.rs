//! Jobs: work that goes on without the request that asked for it, and is not forgotten when the process ends.
//!
//! A job is in the database before [`Jobs::submit`] returns. A fixed number of threads runs them ([`runner`]), those of one target
//! one after another ([`schedule`]). After a restart each job that was not done is done again or has failed with a reason
//! ([`resume`]): a job that is to be done again must bear being done twice, for which it has its checkpoint. What a job does
//! is in [`kinds`]; for the queue it is a closure, made anew from the stored request after a restart.
//!
//! Everything but [`Submitted::outcome`] blocks, on the disk at least.

mod control;
mod error;
mod events;
pub(crate) mod kinds;
mod model;
mod pulse;
mod queue;
mod resume;
mod runner;
mod running;
mod schedule;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icecore_io::Clock;
use serde_json::Value;
use tokio::sync::{broadcast, oneshot};

#[cfg(test)]
pub(crate) use control::Pace;
pub(crate) use control::{Bytes, Ended as JobEnd};
pub(crate) use error::JobsError;
pub(crate) use events::Event;
use model::Ended;
pub(crate) use model::{Description, Filter, JobId, JobKind, NewJob, OnRestart, State, StoredJob, Work};
use queue::{End, Queue, Sequence};
use runner::Shared;
pub(crate) use running::Running;
use schedule::{Cancelled, Waiting};

use crate::error::Result;
use crate::shutdown::Shutdown;

/// The database's name in the directory of the storage, whose lock keeps other processes off it.
pub(crate) const FILE: &str = "control.db";

/// How many jobs run, and how long they are remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Jobs that run at once.
    pub(crate) concurrency: usize,
    /// How long a finished job is remembered.
    pub(crate) keep: Duration,
}

/// A time as the database has it: milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Millis(i64);

impl Millis {
    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The queue.
pub(crate) struct Jobs {
    shared: Arc<Shared>,
    /// The last job of former processes, until they are resumed.
    former: Mutex<Option<Sequence>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Shared while a job is in the database and not yet in the schedule: whoever takes it alone finds no job in between.
    entering: RwLock<()>,
}

/// What was found when a job was to be cancelled.
#[derive(Debug)]
pub(crate) enum Cancel {
    /// It waited, and has ended as cancelled.
    Done,
    /// It runs, and stops at its next step, which it may reach too late.
    Asked {
        /// Whether nobody had asked before.
        first: bool,
        /// Its end.
        end: JobEnd,
    },
    /// There is none of this name that is not done.
    Unknown,
}

/// What was found when a job was to be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It waits.
    Done,
    /// There is none of this name that has failed or was cancelled.
    Unknown,
    /// What it needs is not there any more.
    Impossible,
}

/// A job that will be done even if this is dropped.
#[derive(Debug)]
pub(crate) struct Submitted {
    id: JobId,
    outcome: oneshot::Receiver<Result<Value>>,
}

impl Submitted {
    /// The job's name.
    pub(crate) fn id(&self) -> JobId {
        self.id
    }

    /// Waits for the end of the job: what its work has returned. [`JobsError::Stopped`] if it does not end in this process, which
    /// says nothing of whether the next one does it.
    pub(crate) async fn outcome(self) -> Result<Value> {
        let Self { id, outcome } = self;
        outcome.await.unwrap_or_else(|_gone| Err(JobsError::Stopped { id }.into()))
    }
}

impl Jobs {
    /// Opens the queue in the database `path`, which is made if there is none; without a path, in memory. Nothing runs yet.
    ///
    /// Errors: a database that is damaged, another program's, or of a later version; it is not changed then.
    pub(crate) fn open(path: Option<&Path>, clock: Arc<dyn Clock>, shutdown: Shutdown, options: Options) -> Result<Self> {
        let queue = Queue::open(path)?;
        let former = queue.last()?;
        let shared = Arc::new(Shared::new(queue, clock, shutdown, options));
        shared.prune();
        Ok(Self { shared, former: Mutex::new(Some(former)), threads: Mutex::new(Vec::new()), entering: RwLock::new(()) })
    }

    /// The number of this node, from 1 to 2^53: made at random with the database and the same ever after.
    pub(crate) fn peer_id(&self) -> u64 {
        self.shared.queue.peer_id()
    }

    /// Takes up what former processes have left, in the old order; `rebuild` makes the work of a job anew, or returns `None` if that
    /// is impossible. To be called once, before [`Jobs::start`], or newer jobs may be done before older ones of their target.
    pub(crate) fn resume(&self, rebuild: impl Fn(&StoredJob) -> Option<Work>) -> Result<()> {
        let former = self.former.lock().unwrap_or_else(PoisonError::into_inner).take();
        former.map_or(Ok(()), |last| resume::resume(&self.shared, last, rebuild))
    }

    /// Starts the threads, which run what waits until [`Jobs::halt`] or the end of the server.
    pub(crate) fn start(&self) -> Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for number in 1..=self.shared.options.concurrency {
            threads.push(self.shared.spawn(number)?);
        }
        threads.push(pulse::spawn(&self.shared)?);
        Ok(())
    }

    /// Adds a job, which is durable when this returns. While the server ends it only waits for the next process.
    ///
    /// An error means that this process does not do it.
    pub(crate) fn submit(&self, new: NewJob, work: Work) -> Result<Submitted> {
        let _entering = self.entering.read().unwrap_or_else(PoisonError::into_inner);
        let (sequence, id) = self.shared.queue.insert(&new, self.shared.now())?;
        self.shared.tell(id, new.kind, State::Pending, None);
        let NewJob { kind, target, on_restart, waits_for_others, .. } = new;
        let (waiter, outcome) = oneshot::channel();
        let waiter = Some(waiter);
        let job = Waiting { id, kind, target, on_restart, waits_for_others, attempts: 0, checkpoint: None, work, waiter };
        self.enter(sequence, job);
        Ok(Submitted { id, outcome })
    }

    /// Lets a job be run. While the server ends it only waits for the next process.
    fn enter(&self, sequence: Sequence, job: Waiting) {
        let mut schedule = self.shared.schedule();
        if !schedule.halted {
            schedule.add(sequence, job);
            drop(schedule);
            self.shared.wake_one();
        }
    }

    /// Takes back a job that waits, or asks one that runs to stop. An error means that it is as it was, and is done if not by this
    /// process then by the next.
    pub(crate) fn cancel(&self, id: JobId) -> Result<Cancel> {
        let found = {
            let _alone = self.entering.write().unwrap_or_else(PoisonError::into_inner);
            self.shared.schedule().cancel(id)
        };
        match found {
            Cancelled::Unknown => Ok(Cancel::Unknown),
            Cancelled::Running { first, ended } => Ok(Cancel::Asked { first, end: ended }),
            Cancelled::Waiting(sequence, job) => {
                let error = JobsError::Cancelled { id };
                let end = End::not_run(Ended::Cancelled, error.to_string());
                let noted = self.shared.queue.finish(sequence, &end, self.shared.now());
                if let Some(waiter) = job.waiter {
                    // Whoever dropped the other end does not wait.
                    let _ = waiter.send(Err(error.into()));
                }
                noted?;
                self.shared.tell(id, job.kind, State::Cancelled, None);
                Ok(Cancel::Done)
            }
        }
    }

    /// Lets a job that has failed or was cancelled be done once more, under its old name and as if it had not run; `rebuild` makes
    /// its work anew, or returns `None` if that is impossible.
    pub(crate) fn retry(&self, id: JobId, rebuild: impl FnOnce(&StoredJob) -> Option<Work>) -> Result<Retry> {
        let Some(found) = self.shared.queue.ended(id)? else { return Ok(Retry::Unknown) };
        let Some(work) = rebuild(&found.job) else { return Ok(Retry::Impossible) };
        let _entering = self.entering.read().unwrap_or_else(PoisonError::into_inner);
        // Of several who ask at once one gets it.
        if !self.shared.queue.retry(found.sequence)? {
            return Ok(Retry::Unknown);
        }
        let StoredJob { id, kind, target, attempts, checkpoint, .. } = found.job;
        self.shared.tell(id, kind, State::Pending, None);
        let (on_restart, waits_for_others) = (found.on_restart, kind.may_wait_for_others());
        let job = Waiting { id, kind, target, on_restart, waits_for_others, attempts, checkpoint, work, waiter: None };
        self.enter(found.sequence, job);
        Ok(Retry::Done)
    }

    /// The job of this name as it is now.
    pub(crate) fn describe(&self, id: JobId) -> Result<Option<Description>> {
        Ok(self.shared.queue.describe(id)?.map(|found| self.now(found)))
    }

    /// The shown jobs that `filter` lets through, the newest first, from the one at `offset` on; and how many there are in all.
    pub(crate) fn list(&self, filter: Filter, offset: u64, limit: u32) -> Result<(Vec<Description>, u64)> {
        let (found, total) = self.shared.queue.list(filter, offset, limit)?;
        Ok((found.into_iter().map(|found| self.now(found)).collect(), total))
    }

    /// What happens to shown jobs from now on; `None` if too many listen already.
    pub(crate) fn listen(&self) -> Option<broadcast::Receiver<Event>> {
        self.shared.events.listen()
    }

    /// A description with the numbers of the moment instead of those that were noted last.
    fn now(&self, (sequence, mut description): (Sequence, Description)) -> Description {
        if description.state == State::Running
            && let Some(running) = self.shared.schedule().running().into_iter().find(|running| running.sequence == sequence)
        {
            description.bytes = running.control.bytes();
            description.pace = running.control.pace(self.shared.clock.monotonic());
        }
        description
    }

    /// Lets no job begin any more. Whoever waits for one that has not begun is told so.
    pub(crate) fn halt(&self) {
        self.shared.halt();
    }

    /// Halts and waits until what runs has ended, but not for longer than `within`: after that it is as if the process had crashed.
    /// Jobs that ask their [`Running`] are stopped once the end of the server is forced. Returns whether all have ended.
    pub(crate) fn stop(&self, within: Duration) -> bool {
        self.halt();
        match self.shared.wait_for_threads(within) {
            0 => {
                let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
                for thread in threads {
                    // A panic of the thread has been logged, and there is nothing left to do about it.
                    let _ = thread.join();
                }
                true
            }
            count => {
                self.shared.abandon();
                tracing::warn!("{count} jobs did not stop in time and are taken up at the next start");
                false
            }
        }
    }

    /// Closes the database, whoever still holds this: it is one file then, which can be copied. What asks it later is told that the
    /// server is stopping.
    pub(crate) fn close(&self) -> Result<()> {
        Ok(self.shared.queue.close()?)
    }
}

impl Drop for Jobs {
    /// Like a crash of what still runs; the threads end when it does.
    fn drop(&mut self) {
        self.shared.abandon();
        self.shared.halt();
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Jobs").field("options", &self.shared.options).finish_non_exhaustive()
    }
}
