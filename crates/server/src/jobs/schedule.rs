//! Which job is next: the oldest one whose target has no running job.
//!
//! So jobs of one target run one after another in the order of submission, and however many of them wait, they hold back no job of
//! another target. Jobs that may wait for other servers never have all threads: however slow those servers are, what needs only
//! this machine goes on. This is the memory's side of the queue: it knows nothing of threads or the database and does no I/O, so that its
//! lock is held for moments only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::oneshot;

use super::control::{Control, Ended};
use super::model::{JobId, JobKind, OnRestart, Work};
use super::queue::Sequence;
use crate::error::Result;

/// A job that waits.
pub(super) struct Waiting {
    pub(super) id: JobId,
    pub(super) kind: JobKind,
    pub(super) target: String,
    pub(super) on_restart: OnRestart,
    /// Whether it takes as long as another server likes.
    pub(super) waits_for_others: bool,
    /// How often it has begun.
    pub(super) attempts: u32,
    /// What its last run has noted.
    pub(super) checkpoint: Option<Value>,
    pub(super) work: Work,
    /// Who wants to hear of its end.
    pub(super) waiter: Option<oneshot::Sender<Result<Value>>>,
}

/// A job that has been taken to be run.
pub(super) struct Claimed {
    pub(super) sequence: Sequence,
    pub(super) job: Waiting,
    /// What others see of it.
    pub(super) control: Arc<Control>,
}

/// The jobs that wait and those that run.
pub(super) struct Schedule {
    /// How many jobs may run at once that wait for other servers.
    others_max: usize,
    waiting: BTreeMap<Sequence, Waiting>,
    /// What runs, by target.
    running: HashMap<String, Running>,
    /// Nothing begins any more.
    pub(super) halted: bool,
    /// The process ends before what still runs: no end of it counts any more.
    pub(super) abandoned: bool,
    /// Threads that have not ended.
    pub(super) threads: usize,
}

/// A job that runs.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) sequence: Sequence,
    pub(super) id: JobId,
    pub(super) kind: JobKind,
    waits_for_others: bool,
    pub(super) control: Arc<Control>,
}

/// What was found when a job was to be cancelled.
pub(super) enum Cancelled {
    /// It waited, and is out of the queue.
    Waiting(Sequence, Waiting),
    /// It runs, and will see it.
    Running {
        /// Whether nobody had cancelled it before.
        first: bool,
        /// Its end, which may be another one.
        ended: Ended,
    },
    /// There is none, or none any more.
    Unknown,
}

impl Schedule {
    /// Nothing waits, and there will be so many threads. A single one has to do everything.
    pub(super) fn new(threads: usize) -> Self {
        let others_max = threads.saturating_sub(1).max(1);
        let (waiting, running) = (BTreeMap::new(), HashMap::new());
        Self { others_max, waiting, running, halted: false, abandoned: false, threads: 0 }
    }

    /// Adds a job at its place, which need not be the last one.
    pub(super) fn add(&mut self, sequence: Sequence, job: Waiting) {
        self.waiting.insert(sequence, job);
    }

    /// The next job, if one can begin now.
    pub(super) fn next(&self) -> Option<Sequence> {
        let others = self.running.values().filter(|job| job.waits_for_others).count();
        let can_begin =
            |job: &Waiting| !self.running.contains_key(&job.target) && (others < self.others_max || !job.waits_for_others);
        self.waiting.iter().find(|(_, job)| can_begin(job)).map(|(sequence, _)| *sequence)
    }

    /// Takes a job that [`Schedule::next`] has found; its target is busy until [`Schedule::release`].
    pub(super) fn claim(&mut self, sequence: Sequence) -> Option<Claimed> {
        let job = self.waiting.remove(&sequence)?;
        let control = Arc::new(Control::new());
        let Waiting { id, kind, waits_for_others, .. } = job;
        let running = Running { sequence, id, kind, waits_for_others, control: Arc::clone(&control) };
        let before = self.running.insert(job.target.clone(), running);
        assert!(before.is_none(), "two jobs of target {} at once", job.target);
        Some(Claimed { sequence, job, control })
    }

    /// Lets the next job of the target begin, and perhaps another one that waited for a thread.
    pub(super) fn release(&mut self, target: &str) {
        self.running.remove(target);
    }

    /// Takes a job out of those that wait, or tells a running one.
    pub(super) fn cancel(&mut self, id: JobId) -> Cancelled {
        // One that waits again may still be among those that run, if its last run has only just ended.
        let found = self.waiting.iter().find(|(_, job)| job.id == id).map(|(sequence, _)| *sequence);
        if let Some((sequence, job)) = found.and_then(|sequence| Some((sequence, self.waiting.remove(&sequence)?))) {
            return Cancelled::Waiting(sequence, job);
        }
        match self.running.values().find(|running| running.id == id) {
            Some(Running { control, .. }) => Cancelled::Running { first: control.cancellation.cancel(), ended: control.ended() },
            None => Cancelled::Unknown,
        }
    }

    /// What runs.
    pub(super) fn running(&self) -> Vec<Running> {
        self.running.values().cloned().collect()
    }

    /// Lets nothing begin any more. Returns what waits, to be dropped where nobody waits for the lock.
    pub(super) fn halt(&mut self) -> BTreeMap<Sequence, Waiting> {
        self.halted = true;
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(jobs: &[(i64, &str)]) -> Schedule {
        let mut schedule = Schedule::new(4);
        for (number, target) in jobs {
            add(&mut schedule, false, *number, target);
        }
        schedule
    }

    fn add(schedule: &mut Schedule, waits_for_others: bool, number: i64, target: &str) {
        let job = Waiting {
            id: JobId(uuid::Uuid::from_u128(number.unsigned_abs().into())),
            kind: JobKind::SnapshotRecover,
            waits_for_others,
            target: target.to_owned(),
            on_restart: OnRestart::Again,
            attempts: 0,
            checkpoint: None,
            work: Box::new(|_| Ok(Value::Null)),
            waiter: None,
        };
        schedule.add(Sequence::of(number), job);
    }

    fn begin(schedule: &mut Schedule) -> Option<i64> {
        let next = schedule.next()?;
        let claimed = schedule.claim(next).unwrap();
        assert_eq!(claimed.sequence, next);
        claimed.job.id.0.as_u128().try_into().ok()
    }

    #[test]
    fn a_target_has_one_running_job_and_the_oldest_comes_first() {
        // As if submissions had met: the places count, not the order of arrival.
        let mut schedule = schedule(&[(3, "b"), (1, "a"), (2, "a"), (4, "b")]);
        assert_eq!(begin(&mut schedule), Some(1));
        assert_eq!(begin(&mut schedule), Some(3));
        assert_eq!(begin(&mut schedule), None);
        schedule.release("b");
        assert_eq!(begin(&mut schedule), Some(4));
        schedule.release("a");
        assert_eq!(begin(&mut schedule), Some(2));
        schedule.release("a");
        assert_eq!(begin(&mut schedule), None);
    }

    #[test]
    fn many_jobs_of_a_busy_target_hold_nothing_back() {
        let mut jobs: Vec<(i64, &str)> = (1..=50).map(|number| (number, "a")).collect();
        jobs.push((51, "b"));
        let mut schedule = schedule(&jobs);
        assert_eq!((begin(&mut schedule), begin(&mut schedule), begin(&mut schedule)), (Some(1), Some(51), None));
    }

    /// Four servers that had stopped in the middle of an archive once held all threads, and nobody could archive anything until they
    /// were given up.
    #[test]
    fn jobs_that_wait_for_other_servers_leave_a_thread_to_the_others() {
        let mut schedule = Schedule::new(3);
        for (number, target) in [(1, "a"), (2, "b"), (3, "c")] {
            add(&mut schedule, true, number, target);
        }
        add(&mut schedule, false, 4, "d");
        add(&mut schedule, false, 5, "a");
        assert_eq!((begin(&mut schedule), begin(&mut schedule)), (Some(1), Some(2)));
        assert_eq!((begin(&mut schedule), begin(&mut schedule)), (Some(4), None));
        schedule.release("a");
        assert_eq!((begin(&mut schedule), begin(&mut schedule), begin(&mut schedule)), (Some(3), Some(5), None));

        let mut alone = Schedule::new(1);
        add(&mut alone, true, 1, "a");
        assert_eq!(begin(&mut alone), Some(1));
    }

    #[test]
    fn a_job_is_cancelled_wherever_it_is() {
        let id = |number| JobId(uuid::Uuid::from_u128(number));
        let mut schedule = schedule(&[(1, "a"), (2, "a")]);
        let first = schedule.next().and_then(|next| schedule.claim(next)).unwrap();
        assert!(matches!(schedule.cancel(id(1)), Cancelled::Running { first: true, .. }));
        assert!(first.control.cancellation.is_cancelled());
        assert!(matches!(schedule.cancel(id(1)), Cancelled::Running { first: false, .. }));
        assert!(matches!(schedule.cancel(id(2)), Cancelled::Waiting(sequence, _) if sequence == Sequence::of(2)));
        assert!(matches!(schedule.cancel(id(2)), Cancelled::Unknown));
        schedule.release("a");
        assert_eq!(schedule.next(), None);
    }
}
