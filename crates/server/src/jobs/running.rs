//! A job as its own work sees it: how far it is, whether it has to stop, and what it leaves for its next run.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use icecore_archive::Progress;
use serde_json::Value;

use super::control::{Bytes, Control};
use super::queue::Sequence;
use super::runner::Shared;
use crate::cancellation::Cancellation;
use crate::error::Result;

/// A job that runs. As a [`Progress`] it counts the bytes, and breaks off once the job is cancelled or the server has to end.
pub(crate) struct Running {
    shared: Arc<Shared>,
    sequence: Sequence,
    attempt: u32,
    checkpoint: Mutex<Option<Value>>,
    control: Arc<Control>,
}

impl Running {
    pub(super) fn new(
        shared: Arc<Shared>,
        sequence: Sequence,
        attempt: u32,
        checkpoint: Option<Value>,
        control: Arc<Control>,
    ) -> Self {
        Self { shared, sequence, attempt, checkpoint: Mutex::new(checkpoint), control }
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

    /// The wish that the job stops, for work that waits where no [`Progress`] is asked.
    pub(crate) fn cancellation(&self) -> &Cancellation {
        &self.control.cancellation
    }

    /// Whether somebody has cancelled the job.
    pub(super) fn is_cancelled(&self) -> bool {
        self.control.cancellation.is_cancelled()
    }

    /// How far the operation is that the work has begun last.
    pub(super) fn bytes(&self) -> Bytes {
        self.control.bytes()
    }
}

impl Progress for Running {
    fn start(&self, total: u64) {
        self.control.start(total, self.shared.clock.monotonic());
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        self.control.advance(bytes);
        match self.is_cancelled() {
            true => ControlFlow::Break(()),
            false => self.shared.shutdown.check(),
        }
    }
}
