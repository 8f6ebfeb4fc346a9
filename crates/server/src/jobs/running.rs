//! A job as its own work sees it: how far it is, whether it has to stop, and what it leaves for its next run.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use icecore_archive::Progress;
use serde_json::Value;

use super::queue::Sequence;
use super::runner::Shared;
use crate::error::Result;

/// A job that runs. As a [`Progress`] it counts the bytes, and breaks off once the job is cancelled or the server has to end.
pub(crate) struct Running {
    shared: Arc<Shared>,
    sequence: Sequence,
    attempt: u32,
    checkpoint: Mutex<Option<Value>>,
    cancelled: Arc<AtomicBool>,
    done: AtomicU64,
    total: AtomicU64,
}

impl Running {
    pub(super) fn new(
        shared: Arc<Shared>,
        sequence: Sequence,
        attempt: u32,
        checkpoint: Option<Value>,
        cancelled: Arc<AtomicBool>,
    ) -> Self {
        let (done, total) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { shared, sequence, attempt, checkpoint: Mutex::new(checkpoint), cancelled, done, total }
    }

    /// Which run of the job this is, from 1. Runs that the server's end has stopped count.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What this run or an earlier one has noted last.
    pub(crate) fn checkpoint(&self) -> Option<Value> {
        self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what the next run has to know, if there is one; durable when it returns. To be called before a step that must not be
    /// done twice, which is not to be done if this fails.
    pub(crate) fn set_checkpoint(&self, checkpoint: &Value) -> Result<()> {
        self.shared.queue.checkpoint(self.sequence, checkpoint)?;
        *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint.clone());
        Ok(())
    }

    /// Whether somebody has cancelled the job.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Bytes done and bytes in all, of the operation that the work has begun last.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

impl Progress for Running {
    fn start(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        match self.is_cancelled() {
            true => ControlFlow::Break(()),
            false => self.shared.shutdown.check(),
        }
    }
}
