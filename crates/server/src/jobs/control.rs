//! What a running job and the rest of the server share: how far it is, whether it has to stop, and whether it has ended.
//!
//! Numbers are written by the job's threads and read by anybody at any time; a reader may see them a moment apart.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::cancellation::Cancellation;

/// A running job from the outside.
#[derive(Debug)]
pub(super) struct Control {
    /// Set when somebody wants it to stop.
    pub(super) cancellation: Cancellation,
    done: AtomicU64,
    total: AtomicU64,
    /// When the operation that is counted began, on the monotonic clock, in milliseconds.
    since_ms: AtomicU64,
    ended: watch::Sender<bool>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bytes {
    /// Bytes handled.
    pub(crate) done: u64,
    /// Bytes to be handled in all; 0 until that is known.
    pub(crate) total: u64,
}

/// How fast a job is, on average since its present operation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Bytes of one second.
    pub(crate) bytes_per_second: u64,
    /// Seconds that the rest will take at this pace, rounded up.
    pub(crate) remaining_seconds: u64,
}

/// Waits for the end of a job.
#[derive(Debug)]
pub(crate) struct Ended(watch::Receiver<bool>);

impl Ended {
    /// Waits until the end of the job is noted, or will not be any more.
    pub(crate) async fn wait(mut self) {
        // An error is the end too: whoever would have told it is gone.
        let _ = self.0.wait_for(|ended| *ended).await;
    }
}

impl Bytes {
    /// The part that is done, in percent, rounded down.
    pub(crate) fn percent(self) -> u8 {
        let Self { done, total } = self;
        let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
        u8::try_from(percent).unwrap_or(100)
    }
}

impl Control {
    /// Of a job that begins now.
    pub(super) fn new() -> Self {
        let (done, total, since_ms) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { cancellation: Cancellation::new(), done, total, since_ms, ended: watch::Sender::new(false) }
    }

    /// An operation of `total` bytes begins at `now` of the monotonic clock.
    pub(super) fn start(&self, total: u64, now: Duration) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.since_ms.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// `bytes` more are done.
    pub(super) fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How far the operation is that has begun last.
    pub(super) fn bytes(&self) -> Bytes {
        Bytes { done: self.done.load(Ordering::Relaxed), total: self.total.load(Ordering::Relaxed) }
    }

    /// How fast that operation is; `None` before there is anything to tell it by.
    pub(super) fn pace(&self, now: Duration) -> Option<Pace> {
        let Bytes { done, total } = self.bytes();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let elapsed_ms = now.saturating_sub(self.since_ms.load(Ordering::Relaxed));
        if done == 0 || elapsed_ms == 0 {
            return None;
        }
        let scaled = |count: u64, by: u64, over: u64| u64::try_from(u128::from(count) * u128::from(by) / u128::from(over));
        let bytes_per_second = scaled(done, 1000, elapsed_ms).unwrap_or(u64::MAX);
        let remaining_seconds = total.saturating_sub(done).div_ceil(bytes_per_second.max(1));
        Some(Pace { bytes_per_second, remaining_seconds })
    }

    /// Tells everybody who waits that the job has ended.
    pub(super) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// Waits for that.
    pub(super) fn ended(&self) -> Ended {
        Ended(self.ended.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_rounded_down_and_never_above_the_whole() {
        for (done, total, percent) in [(0, 0, 0), (0, 10, 0), (1, 3, 33), (999, 1000, 99), (7, 7, 100), (9, 7, 100)] {
            assert_eq!(Bytes { done, total }.percent(), percent, "{done} of {total}");
        }
        assert_eq!(Bytes { done: u64::MAX - 1, total: u64::MAX }.percent(), 99);
    }

    #[test]
    fn the_pace_is_that_of_the_operation_that_began_last() {
        let control = Control::new();
        control.start(1, Duration::from_secs(5));
        control.advance(1);
        control.start(1000, Duration::from_secs(10));
        assert_eq!(control.pace(Duration::from_secs(11)), None);
        control.advance(300);
        assert_eq!(control.pace(Duration::from_secs(10)), None);
        assert_eq!(control.pace(Duration::from_secs(13)), Some(Pace { bytes_per_second: 100, remaining_seconds: 7 }));
        control.advance(699);
        assert_eq!(control.pace(Duration::from_secs(13)), Some(Pace { bytes_per_second: 333, remaining_seconds: 1 }));
    }
}
