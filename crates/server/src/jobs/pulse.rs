//! Tells and notes from time to time how far the running jobs are.
//!
//! It looks at numbers that the jobs keep anyway, so that no job waits for it. What is noted in the database is for whoever reads it
//! after the process has died; who asks this process gets the numbers of the moment.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::JobsError;
use super::control::Bytes;
use super::events::Event;
use super::model::State;
use super::queue::Sequence;
use super::runner::Shared;
use crate::error::one_line;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// Looks between two notes.
const NOTE_EVERY: u32 = 4;

/// What was told and noted of the jobs that still run.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    told: HashMap<Sequence, Bytes>,
    noted: HashMap<Sequence, Bytes>,
    looks: u32,
}

impl Pulse {
    /// Looks once.
    pub(super) fn beat(&mut self, shared: &Shared) {
        let now = shared.clock.monotonic();
        let running = shared.schedule().running();
        let mut current = HashMap::new();
        for job in &running {
            let bytes = job.control.bytes();
            current.insert(job.sequence, bytes);
            if job.kind.is_managed() && self.told.get(&job.sequence).copied().unwrap_or_default() != bytes {
                shared.events.tell(Event::Progress { job: job.id, state: State::Running, bytes, pace: job.control.pace(now) });
            }
        }
        self.looks += 1;
        if self.looks.is_multiple_of(NOTE_EVERY) {
            self.note(shared, &current);
        }
        self.told = current;
    }

    /// Notes what has changed. A failure is no reason to stop any job.
    fn note(&mut self, shared: &Shared, current: &HashMap<Sequence, Bytes>) {
        let is_new = |(job, bytes): &(&Sequence, &Bytes)| self.noted.get(job).copied().unwrap_or_default() != **bytes;
        let changed: Vec<(Sequence, Bytes)> = current.iter().filter(is_new).map(|(job, bytes)| (*job, *bytes)).collect();
        if changed.is_empty() {
            return;
        }
        match shared.queue.progress(&changed) {
            Ok(()) => self.noted = current.clone(),
            Err(error) => tracing::warn!("the progress of jobs is not noted: {}", one_line(&error)),
        }
    }
}

/// Starts the thread that looks until nothing begins any more.
pub(super) fn spawn(shared: &Arc<Shared>) -> Result<std::thread::JoinHandle<()>, JobsError> {
    let shared = Arc::clone(shared);
    let body = move || {
        let mut pulse = Pulse::default();
        while !shared.wait_for_halt(INTERVAL) {
            pulse.beat(&shared);
        }
    };
    std::thread::Builder::new().name("icecore-jobs".to_owned()).spawn(body).map_err(|source| JobsError::Thread { source })
}
