//! The wish of somebody that one operation stops, seen by threads that look and by tasks that wait.
//!
//! Once made it is never taken back. Whether the operation still can stop is its own to decide.

use tokio::sync::watch;

/// Sees the wish. Clones see the same.
#[derive(Debug, Clone)]
pub(crate) struct Cancellation(watch::Sender<bool>);

impl Cancellation {
    /// Nobody wishes it yet.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Makes the wish. Says whether nobody had before.
    pub(crate) fn cancel(&self) -> bool {
        self.0.send_if_modified(|cancelled| !std::mem::replace(cancelled, true))
    }

    /// Whether somebody has.
    pub(crate) fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until somebody has.
    pub(crate) async fn cancelled(&self) {
        let mut receiver = self.0.subscribe();
        // The sender is in `self`, so the channel cannot be closed.
        let _ = receiver.wait_for(|cancelled| *cancelled).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_wish_counts_and_all_clones_see_it() {
        let cancellation = Cancellation::new();
        let clone = cancellation.clone();
        assert!(!clone.is_cancelled());
        assert!(cancellation.cancel() && !clone.cancel());
        assert!(clone.is_cancelled());
        clone.cancelled().await;
    }
}
