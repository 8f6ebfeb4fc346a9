//! Time as an argument, so that tests decide what time it is.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// A source of time.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall clock: for people, never for ordering or durations.
    fn now(&self) -> SystemTime;

    /// Time since some fixed instant; never goes back.
    fn monotonic(&self) -> Duration;

    /// Lets at least so much time pass by the monotonic clock. Holds up the calling thread: not for asynchronous code.
    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The operating system's clock.
#[derive(Debug)]
pub struct OsClock {
    start: std::time::Instant,
}

impl OsClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }
}

impl Default for OsClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for OsClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told to go on, or somebody sleeps.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<Duration>,
}

impl ManualClock {
    /// Starts `since_epoch` after 1970-01-01.
    pub fn new(since_epoch: Duration) -> Self {
        Self { now: Mutex::new(since_epoch) }
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        *self.lock() += by;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + *self.lock()
    }

    fn monotonic(&self) -> Duration {
        *self.lock()
    }

    /// Moves both clocks on, and returns at once.
    fn sleep(&self, time: Duration) {
        self.advance(time);
    }
}
