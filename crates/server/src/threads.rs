//! Threads for work whose pace a client sets.
//!
//! The runtime's blocking threads are few and every request needs one, so nothing that waits for a client may hold on to them. How
//! many threads there can be is bounded by the number of connections.

use std::thread;

use tokio::sync::oneshot;

/// Runs `work` on a thread of its own. The receiver fails if the thread cannot be made, or panics.
pub(crate) fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
    let (sender, receiver) = oneshot::channel();
    // Whoever does not wait any more is not told.
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || drop(sender.send(work())));
    if let Err(error) = thread {
        tracing::error!("cannot start the thread {name:?}: {error}");
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_arrives_and_a_panic_does_not() {
        assert_eq!(spawn("test", || 7).blocking_recv(), Ok(7));
        assert!(spawn("test", || panic!("on purpose")).blocking_recv().is_err());
    }
}
