//! How much memory this process takes while it does something.
//!
//! A thread looks every few milliseconds, at anonymous and shared pages: what the process takes for itself, without mapped files and
//! without the system's page cache. A peak between two looks is not seen. The allocator keeps what was freed, so a stage that needs no
//! more than an earlier one may not grow at all: the peak is told beside the growth.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::metrics::process::own_bytes;

/// Time between two looks. Each takes some tens of microseconds of one core.
const INTERVAL: Duration = Duration::from_millis(5);

/// Memory during one run, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// When it began.
    pub(super) start: u64,
    /// The most that was seen.
    pub(super) peak: u64,
}

impl Memory {
    /// How much the run has added at its worst.
    pub(super) fn growth(self) -> u64 {
        self.peak.saturating_sub(self.start)
    }
}

/// A thread that looks until it is stopped, or the value is dropped.
#[derive(Debug)]
pub(super) struct Sampler {
    start: u64,
    stop: Sender<()>,
    thread: JoinHandle<u64>,
}

impl Sampler {
    /// Begins. `None` where the system does not say, or a thread cannot be made.
    pub(super) fn start() -> Option<Self> {
        let start = own_bytes()?;
        let (stop, stopped) = mpsc::channel();
        let look = move || {
            let mut peak = start;
            loop {
                peak = peak.max(own_bytes().unwrap_or(0));
                if stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return peak.max(own_bytes().unwrap_or(0));
                }
            }
        };
        let thread = thread::Builder::new().name("memory".to_owned()).spawn(look).ok()?;
        Some(Self { start, stop, thread })
    }

    /// Ends, and says what was seen.
    pub(super) fn stop(self) -> Option<Memory> {
        let Self { start, stop, thread } = self;
        drop(stop);
        Some(Memory { start, peak: thread.join().ok()? })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_taken_is_seen() {
        const LEN: usize = 64 << 20;
        let sampler = Sampler::start().unwrap();
        // Written to, so that the pages are there.
        let bytes = std::hint::black_box(vec![1_u8; LEN]);
        let seen = sampler.stop().unwrap();
        drop(bytes);
        // Other tests of this process give memory back meanwhile.
        assert!(seen.peak >= LEN as u64 && seen.growth() > 0, "{seen:?}");
    }

    #[test]
    fn growth_is_what_was_added() {
        assert_eq!(Memory { start: 10, peak: 25 }.growth(), 15);
        assert_eq!(Memory { start: 10, peak: 10 }.growth(), 0);
    }
}
