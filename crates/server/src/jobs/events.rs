//! What happens to the jobs that front doors show, told to whoever listens at that moment.
//!
//! Nothing waits for a listener: who is slower than [`KEPT`] events misses some, and is told how many. What has been noted in the
//! database comes first, its event after that.

use tokio::sync::broadcast;

use super::control::{Bytes, Pace};
use super::model::{JobId, State};

/// Events that a listener may be behind.
const KEPT: usize = 1024;
/// Listeners at once. Each has a connection, which is in no other count if it was upgraded.
const LISTENERS_MAX: usize = 256;

/// Something that happened to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is in another state now.
    State {
        /// The job.
        job: JobId,
        /// The state.
        state: State,
        /// Why it has failed.
        error: Option<String>,
    },
    /// It has come further.
    Progress {
        /// The job.
        job: JobId,
        /// Where it is.
        state: State,
        /// How far it is.
        bytes: Bytes,
        /// How fast.
        pace: Option<Pace>,
    },
}

/// Tells events.
#[derive(Debug)]
pub(super) struct Events(broadcast::Sender<Event>);

impl Events {
    pub(super) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    /// Tells an event to those who listen, if anybody does.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.0.send(event);
    }

    /// Hears all events from now on; `None` if too many do already.
    pub(super) fn listen(&self) -> Option<broadcast::Receiver<Event>> {
        (self.0.receiver_count() < LISTENERS_MAX).then(|| self.0.subscribe())
    }
}
