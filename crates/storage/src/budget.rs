//! The memory that all memtables of the process share, and the permits that keep requests inside it.
//!
//! A request takes a permit for its bytes before it enters any queue, and waits there while twice the budget is in use; its bytes
//! then move to the memtable that holds them. Over the budget, or while a request waits for what memtables hold, the background
//! worker flushes the largest memtable. Requests are let in in the order of their coming, so that a large one is not passed by small
//! ones for ever. Waiting ends with an error, rather than never, when flushing is what fails, and when the storage is closed.

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
    /// Nothing is flushed any more.
    closed: bool,
    /// The number of the next request that comes, and of the one whose turn it is.
    next: u64,
    turn: u64,
    /// Bytes of the request whose turn it is, if it has to wait.
    wanted: u64,
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

    /// Waits until those that came before are let in and `bytes` more fit into twice the budget, or nothing else is in use.
    /// Calls `waits` before each time that it sleeps.
    pub(crate) fn acquire(&self, bytes: u64, mut waits: impl FnMut()) -> Result<Permit<'_>> {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        loop {
            if waiting.turn == number {
                let used = waiting.in_flight + self.used();
                let outcome = if used == 0 || used + bytes <= 2 * self.bytes_max {
                    waiting.in_flight += bytes;
                    Some(Ok(Permit { budget: self, bytes }))
                } else if waiting.closed {
                    Some(Err(Error::Closed))
                } else {
                    waiting.stuck.as_ref().map(|reason| {
                        let reason = format!("memtables cannot be flushed: {reason}");
                        Err(Error::Poisoned { what: "the storage".into(), reason })
                    })
                };
                if let Some(outcome) = outcome {
                    waiting.turn += 1;
                    waiting.wanted = 0;
                    self.changed.notify_all();
                    return outcome;
                }
                waiting.wanted = bytes;
            }
            waits();
            // The time-out covers a flush that fails without anyone being told.
            waiting = self.changed.wait_timeout(waiting, Duration::from_millis(100)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Bytes that memtables hold.
    pub(crate) fn used(&self) -> u64 {
        self.memtables.load(Ordering::Relaxed)
    }

    /// Whether a memtable must be flushed: there are too many bytes in them, or too many for the request that waits.
    pub(crate) fn is_exceeded(&self) -> bool {
        let used = self.used();
        used > self.bytes_max || used > 0 && used + self.lock().wanted > 2 * self.bytes_max
    }

    /// Whether the memtables could take `bytes` more without a flush.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.used() + bytes <= self.bytes_max
    }

    /// A memtable has grown.
    pub(crate) fn grow(&self, bytes: u64) {
        self.memtables.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A memtable is gone, or has less in it.
    pub(crate) fn shrink(&self, bytes: u64) {
        if bytes > 0 {
            self.memtables.fetch_sub(bytes, Ordering::Relaxed);
            self.wake();
        }
    }

    /// Why memtables cannot be flushed, if they cannot.
    pub(crate) fn stuck(&self) -> Option<String> {
        self.lock().stuck.clone()
    }

    /// Says whether flushing works, and why not.
    pub(crate) fn set_stuck(&self, reason: Option<String>) {
        self.lock().stuck = reason;
        self.changed.notify_all();
    }

    /// From now on who would have to wait gets [`Error::Closed`].
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Lets those who wait look again; none of them is between its look and its sleep meanwhile.
    fn wake(&self) {
        drop(self.lock());
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
        let permit = budget.acquire(1000, || {}).unwrap();
        budget.set_stuck(Some("disk full".into()));
        assert!(budget.acquire(1, || {}).is_err(), "nothing fits beside it");
        drop(permit);
        assert!(budget.acquire(1, || {}).is_ok());
    }

    #[test]
    fn a_waiting_request_goes_on_when_a_memtable_is_gone() {
        let budget = Budget::new(10);
        budget.grow(20);
        let slept = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                budget
                    .acquire(5, || {
                        slept.fetch_add(1, Ordering::SeqCst);
                    })
                    .map(drop)
            });
            while slept.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            budget.shrink(20);
            assert!(waiting.join().unwrap().is_ok());
        });
    }

    #[test]
    fn a_request_that_fits_only_beside_less_makes_memtables_be_flushed() {
        let budget = Budget::new(10);
        budget.grow(5);
        assert!(!budget.is_exceeded());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.acquire(16, || {}).map(drop));
            while !budget.is_exceeded() {
                std::thread::yield_now();
            }
            assert_eq!(budget.lock().turn, 0, "a smaller one would have to wait behind it");
            budget.shrink(5);
            assert!(waiting.join().unwrap().is_ok());
        });
        assert!(!budget.is_exceeded());
    }

    #[test]
    fn waiting_ends_when_the_storage_is_closed() {
        let budget = Budget::new(10);
        budget.grow(20);
        std::thread::scope(|scope| {
            let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| budget.acquire(5, || {}).map(drop))).collect();
            budget.close();
            for request in waiting {
                assert!(matches!(request.join().unwrap(), Err(Error::Closed)));
            }
        });
    }
}
