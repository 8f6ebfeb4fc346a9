//! The memory that all memtables of the process share, and the permits that keep requests inside it.
//!
//! A request takes a permit for its bytes before it enters any queue, and waits there while twice the budget is in use; its bytes
//! then move to the memtable that holds them. Over the budget the background worker flushes the largest memtable. Waiting ends
//! with an error, rather than never, when flushing is what fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// The shared account.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: u64,
    memtables: AtomicU64,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Bytes of requests that are queued or being applied.
    in_flight: u64,
    /// Why memtables cannot be flushed, if they cannot.
    stuck: Option<String>,
}

/// A request's share; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, memtables: AtomicU64::new(0), waiting: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits until `bytes` more fit into twice the budget, or nothing else is in use.
    pub(crate) fn acquire(&self, bytes: u64) -> Result<Permit<'_>> {
        let mut waiting = self.lock();
        loop {
            let used = waiting.in_flight + self.used();
            if used == 0 || used + bytes <= 2 * self.bytes_max {
                waiting.in_flight += bytes;
                return Ok(Permit { budget: self, bytes });
            }
            if let Some(reason) = &waiting.stuck {
                return Err(Error::Poisoned {
                    what: "the storage".into(),
                    reason: format!("memtables cannot be flushed: {reason}"),
                });
            }
            // The time-out covers a flush that fails without anyone being told.
            waiting = self.changed.wait_timeout(waiting, Duration::from_millis(100)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Bytes that memtables hold.
    pub(crate) fn used(&self) -> u64 {
        self.memtables.load(Ordering::Relaxed)
    }

    /// Whether a memtable must be flushed.
    pub(crate) fn is_exceeded(&self) -> bool {
        !self.has_room(0)
    }

    /// Whether the memtables could take `bytes` more without a flush.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.used() + bytes <= self.bytes_max
    }

    /// A memtable has grown.
    pub(crate) fn grow(&self, bytes: u64) {
        self.memtables.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A memtable is gone.
    pub(crate) fn shrink(&self, bytes: u64) {
        self.memtables.fetch_sub(bytes, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Says whether flushing works, and why not.
    pub(crate) fn set_stuck(&self, reason: Option<String>) {
        self.lock().stuck = reason;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.budget.lock().in_flight -= self.bytes;
        self.budget.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_larger_than_everything_goes_alone() {
        let budget = Budget::new(10);
        let permit = budget.acquire(1000).unwrap();
        budget.set_stuck(Some("disk full".into()));
        assert!(budget.acquire(1).is_err(), "nothing fits beside it");
        drop(permit);
        assert!(budget.acquire(1).is_ok());
    }

    #[test]
    fn a_waiting_request_goes_on_when_a_memtable_is_gone() {
        let budget = Budget::new(10);
        budget.grow(20);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.acquire(5).map(drop));
            budget.shrink(20);
            assert!(waiting.join().unwrap().is_ok());
        });
    }
}
