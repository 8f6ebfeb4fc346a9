//! How far a long operation is, and the way to stop it.
//!
//! Every operation on bulk data calls [`Progress::advance`] after each buffer (at most 1 MiB) and stops with
//! [`Error::Cancelled`](crate::Error::Cancelled) at the first `Break`. Nothing here measures time: an implementation that
//! limits the rate waits inside `advance`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Error;

/// Receives the progress of one operation. Called from several threads at once.
pub trait Progress: Sync {
    /// The operation is about to handle `total` bytes.
    fn start(&self, total: u64);

    /// `bytes` more are done. `Break` asks the operation to stop, undo what it did and fail.
    fn advance(&self, bytes: u64) -> ControlFlow<()>;
}

/// Nobody watches, and nobody can cancel.
impl Progress for () {
    fn start(&self, _total: u64) {}

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Counters and a cancel flag, shared by all clones.
#[derive(Debug, Clone, Default)]
pub struct ProgressHandle(Arc<State>);

#[derive(Debug, Default)]
struct State {
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl ProgressHandle {
    /// A handle that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes done.
    pub fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// Bytes that the operation will handle in all; 0 before it has started.
    pub fn total(&self) -> u64 {
        self.0.total.load(Ordering::Relaxed)
    }

    /// Asks the operation to stop at its next buffer.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Progress for ProgressHandle {
    fn start(&self, total: u64) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.total.store(total, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
        match self.0.cancelled.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

/// [`Progress::advance`] as a `Result`, for `?`.
pub(crate) fn advance(progress: &dyn Progress, bytes: u64) -> Result<(), Error> {
    match progress.advance(bytes) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Cancelled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_counts_and_cancels_the_same_operation() {
        let handle = ProgressHandle::new();
        handle.start(10);
        assert!(handle.advance(4).is_continue());
        let clone = handle.clone();
        clone.cancel();
        assert!(handle.advance(6).is_break());
        assert_eq!((clone.done(), clone.total()), (10, 10));
    }
}
