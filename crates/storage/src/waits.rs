//! How long requests wait inside the engine: for each other, and for its own work.
//!
//! Three places are counted, each as a histogram of atomics that are added to and never reset. A request that need not wait reads no clock.
//! What a log's own writes and syncs take is not counted: that is what a durable write consists of.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use icecore_io::Clock;

/// Buckets of a [`WaitHistogram`].
pub const WAIT_BUCKETS: usize = 28;

/// Waits since the storage was opened. A request over several shards has one wait in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitStats {
    /// Of each write, for its collection's barrier: a snapshot that cuts, or a replacement that is published.
    pub barrier: WaitHistogram,
    /// Of each write in a shard, for the shard's log while no commit was using it: a memtable was being frozen.
    pub log: WaitHistogram,
    /// Of each write, for memory: memtables and requests had all that they may take.
    pub memory: WaitHistogram,
}

/// How many waits took how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitHistogram {
    /// Bucket `i` counts the waits of less than 2^`i` microseconds that are in no bucket before it; the last one also counts all
    /// longer ones. Requests that did not wait are in the first.
    pub buckets: [u64; WAIT_BUCKETS],
    /// All waits together.
    pub sum: Duration,
    /// The longest.
    pub max: Duration,
}

impl WaitHistogram {
    /// All requests, those that did not wait included.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// What [`WaitStats`] is read from.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    pub(crate) barrier: Histogram,
    pub(crate) log: Histogram,
    pub(crate) memory: Histogram,
}

#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; WAIT_BUCKETS],
    sum_nanos: AtomicU64,
    max_nanos: AtomicU64,
}

/// A wait of some requests together, which may turn out to be none; counted when dropped.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    histogram: &'a Histogram,
    clock: &'a dyn Clock,
    requests: u64,
    begun: Option<Duration>,
}

impl Waits {
    /// The numbers now; those of requests in between may be in some of them only.
    pub(crate) fn stats(&self) -> WaitStats {
        let Self { barrier, log, memory } = self;
        WaitStats { barrier: barrier.read(), log: log.read(), memory: memory.read() }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| AtomicU64::new(0)), sum_nanos: AtomicU64::new(0), max_nanos: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// A wait of so many `requests` that begins with the first [`Wait::begins`], if ever.
    pub(crate) fn wait<'a>(&'a self, requests: u64, clock: &'a dyn Clock) -> Wait<'a> {
        Wait { histogram: self, clock, requests, begun: None }
    }

    // Relaxed everywhere: each number stands for itself.
    fn count(&self, time: Duration, requests: u64) {
        if let Some(count) = self.buckets.get(bucket(time)) {
            count.fetch_add(requests, Ordering::Relaxed);
        }
        if !time.is_zero() {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.sum_nanos.fetch_add(nanos.saturating_mul(requests), Ordering::Relaxed);
            self.max_nanos.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    fn read(&self) -> WaitHistogram {
        WaitHistogram {
            buckets: array::from_fn(|index| self.buckets[index].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.sum_nanos.load(Ordering::Relaxed)),
            max: Duration::from_nanos(self.max_nanos.load(Ordering::Relaxed)),
        }
    }
}

/// The bucket of a wait.
fn bucket(time: Duration) -> usize {
    let bits = u128::BITS - time.as_micros().leading_zeros();
    usize::try_from(bits).unwrap_or(usize::MAX).min(WAIT_BUCKETS - 1)
}

impl Wait<'_> {
    /// From now on there is waiting, if there was none before.
    pub(crate) fn begins(&mut self) {
        self.begun.get_or_insert_with(|| self.clock.monotonic());
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let time = self.begun.map_or(Duration::ZERO, |begun| self.clock.monotonic().saturating_sub(begun));
        self.histogram.count(time, self.requests);
    }
}

#[cfg(test)]
mod tests {
    use icecore_io::ManualClock;

    use super::*;

    #[test]
    fn buckets_double_and_the_last_has_no_end() {
        let of_micros = |micros| bucket(Duration::from_micros(micros));
        assert_eq!([0, 1, 2, 3, 4, 7, 8].map(of_micros), [0, 1, 2, 2, 3, 3, 4]);
        assert_eq!(bucket(Duration::from_nanos(999)), 0);
        assert_eq!(of_micros((1 << 26) - 1), 26);
        assert_eq!([of_micros(1 << 26), bucket(Duration::MAX)], [27, 27]);
    }

    #[test]
    fn a_wait_lasts_from_its_beginning_to_its_end() {
        let (clock, histogram) = (ManualClock::new(Duration::from_secs(5)), Histogram::default());
        let mut wait = histogram.wait(2, &clock);
        wait.begins();
        clock.advance(Duration::from_micros(3));
        wait.begins();
        clock.advance(Duration::from_micros(4));
        drop(wait);
        let none = histogram.wait(1, &clock);
        clock.advance(Duration::from_secs(1));
        drop(none);

        let read = histogram.read();
        assert_eq!((read.count(), read.buckets[0], read.buckets[3]), (3, 1, 2));
        assert_eq!((read.sum, read.max), (Duration::from_micros(14), Duration::from_micros(7)));
    }
}
