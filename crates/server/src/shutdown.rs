//! The end of the server: a signal asks for it, the front doors drain, and what still runs after that is told to stop.
//!
//! What goes on after its request was answered counts as a request that has begun, as long as somebody holds its [`Begun`].
//!
//! The two steps are two flags: `requested` when the signal comes, `forced` when the time for draining is over. A second signal
//! ends the process at once, which is safe at any instant: whatever is on the disk then is what a crash leaves.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use icecore_archive::Progress;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How long requests that have begun may go on after the signal.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(10);

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Requested,
    Forced,
}

/// Sees the end coming. Clones see the same.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    phase: watch::Sender<Phase>,
    begun: watch::Sender<usize>,
}

/// Work that the end waits for, within the time for draining, until this is dropped.
#[derive(Debug)]
pub(crate) struct Begun {
    count: watch::Sender<usize>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Shutdown {
    /// An end that has not been asked for.
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Running), begun: watch::Sender::new(0) }
    }

    /// Asks for the end at the first SIGINT or SIGTERM from now on. Must be called inside a runtime.
    pub(crate) fn listen(&self) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            either(&mut interrupt, &mut terminate).await;
            tracing::info!("shutting down; a second signal ends the process at once");
            shutdown.raise(Phase::Requested);
            either(&mut interrupt, &mut terminate).await;
            tracing::warn!("ended by a second signal");
            std::process::exit(130);
        });
        Ok(())
    }

    /// Waits until the end is asked for.
    pub(crate) async fn requested(&self) {
        self.reached(Phase::Requested).await;
    }

    /// Waits until the end was asked for and the time for draining is over; then whatever asks [`Shutdown::check`] is stopped.
    pub(crate) async fn drained(&self) {
        self.requested().await;
        tokio::time::sleep(DRAIN_TIME).await;
        self.force();
    }

    /// Waits until what still runs is told to stop.
    pub(crate) async fn forced(&self) {
        self.reached(Phase::Forced).await;
    }

    /// Notes that work has begun that goes on after its request was answered.
    pub(crate) fn begin(&self) -> Begun {
        self.begun.send_modify(|count| *count += 1);
        Begun { count: self.begun.clone() }
    }

    /// Waits until no work is noted any more.
    pub(crate) async fn idle(&self) {
        let mut receiver = self.begun.subscribe();
        // The sender is in `self`, so the channel cannot be closed.
        let _ = receiver.wait_for(|count| *count == 0).await;
    }

    /// Stops whatever asks [`Shutdown::check`].
    pub(crate) fn force(&self) {
        self.raise(Phase::Forced);
    }

    /// Whether the end was asked for.
    pub(crate) fn is_requested(&self) -> bool {
        *self.phase.borrow() >= Phase::Requested
    }

    /// `Break` once long operations have to stop.
    pub(crate) fn check(&self) -> ControlFlow<()> {
        match *self.phase.borrow() {
            Phase::Running | Phase::Requested => ControlFlow::Continue(()),
            Phase::Forced => ControlFlow::Break(()),
        }
    }

    fn raise(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let raised = *phase < to;
            *phase = to.max(*phase);
            raised
        });
    }

    async fn reached(&self, phase: Phase) {
        let mut receiver = self.phase.subscribe();
        // The sender is in `self`, so the channel cannot be closed.
        let _ = receiver.wait_for(|now| *now >= phase).await;
    }
}

/// Nobody watches, and the operation ends when the server has to.
impl Progress for Shutdown {
    fn start(&self, _total: u64) {}

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        self.check()
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_runs_is_stopped_only_after_the_drain_time() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_requested());
        shutdown.raise(Phase::Requested);
        shutdown.requested().await;
        assert!(shutdown.is_requested() && shutdown.check().is_continue());
        shutdown.drained().await;
        assert!(shutdown.check().is_break());
        // Going back is impossible.
        shutdown.raise(Phase::Requested);
        assert!(shutdown.check().is_break());
    }

    #[tokio::test]
    async fn it_is_idle_once_all_that_has_begun_is_done() {
        let shutdown = Shutdown::new();
        shutdown.idle().await;
        let (first, second) = (shutdown.begin(), shutdown.clone().begin());
        drop(first);
        tokio::select! {
            biased;
            () = shutdown.idle() => panic!("one is left"),
            () = std::future::ready(()) => {}
        }
        drop(second);
        shutdown.idle().await;
    }
}
