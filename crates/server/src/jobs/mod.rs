//! Jobs: work that goes on without the request that asked for it, and is not forgotten when the process ends.
//!
//! A job is in the database before [`Jobs::submit`] returns. A fixed number of threads runs them ([`runner`]), those of one target
//! one after another ([`schedule`]). After a restart each job that was not done is done again or has failed with a reason
//! ([`resume`]): a job that is to be done again must bear being done twice, for which it has its checkpoint. What a job does
//! is in [`kinds`]; for the queue it is a closure, made anew from the stored request after a restart.
//!
//! Everything but [`Submitted::outcome`] blocks, on the disk at least.

mod error;
pub(crate) mod kinds;
mod model;
mod queue;
mod resume;
mod runner;
mod running;
mod schedule;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icecore_io::Clock;
use serde_json::Value;
use tokio::sync::oneshot;

pub(crate) use error::JobsError;
use model::Ended;
pub(crate) use model::{JobId, JobKind, NewJob, OnRestart, StoredJob, Work};
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
}

/// A job that will be done even if this is dropped.
#[derive(Debug)]
pub(crate) struct Submitted {
    id: JobId,
    outcome: oneshot::Receiver<Result<Value>>,
}

impl Submitted {
    /// The job's name.
    #[cfg_attr(not(test), expect(dead_code, reason = "no front door shows it yet"))]
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
        Ok(Self { shared, former: Mutex::new(Some(former)), threads: Mutex::new(Vec::new()) })
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
        Ok(())
    }

    /// Adds a job, which is durable when this returns. While the server ends it only waits for the next process.
    ///
    /// An error means that this process does not do it.
    pub(crate) fn submit(&self, new: NewJob, work: Work) -> Result<Submitted> {
        let (sequence, id) = self.shared.queue.insert(&new, self.shared.now())?;
        let NewJob { kind, target, on_restart, waits_for_others, .. } = new;
        let (waiter, outcome) = oneshot::channel();
        let waiter = Some(waiter);
        let job = Waiting { id, kind, target, on_restart, waits_for_others, attempts: 0, checkpoint: None, work, waiter };
        let mut schedule = self.shared.schedule();
        if !schedule.halted {
            schedule.add(sequence, job);
            drop(schedule);
            self.shared.wake_one();
        }
        Ok(Submitted { id, outcome })
    }

    /// Takes back a job that waits, or asks one that runs to stop at its next step, which it may reach too late. Returns false if
    /// there is none of this name that is not done.
    #[cfg_attr(not(test), expect(dead_code, reason = "no front door offers it yet"))]
    pub(crate) fn cancel(&self, id: JobId) -> Result<bool> {
        let found = self.shared.schedule().cancel(id);
        match found {
            Cancelled::Unknown => Ok(false),
            Cancelled::Running => Ok(true),
            Cancelled::Waiting(sequence, job) => {
                let error = JobsError::Cancelled { id };
                let end = End::not_run(Ended::Cancelled, error.to_string());
                let noted = self.shared.queue.finish(sequence, &end, self.shared.now());
                if let Some(waiter) = job.waiter {
                    // Whoever dropped the other end does not wait.
                    let _ = waiter.send(Err(error.into()));
                }
                Ok(noted.map(|()| true)?)
            }
        }
    }

    /// Lets no job begin any more. Whoever waits for one that has not begun is told so.
    pub(crate) fn halt(&self) {
        self.shared.halt();
    }

    /// Halts and waits until what runs has ended, but not for longer than `within`: after that it is as if the process had crashed.
    /// Jobs that ask their [`Running`] are stopped once the end of the server is forced.
    pub(crate) fn stop(&self, within: Duration) {
        self.halt();
        match self.shared.wait_for_threads(within) {
            0 => {
                let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
                for thread in threads {
                    // A panic of the thread has been logged, and there is nothing left to do about it.
                    let _ = thread.join();
                }
            }
            count => {
                self.shared.abandon();
                tracing::warn!("{count} jobs did not stop in time and are taken up at the next start");
            }
        }
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
