//! Independent pieces of work on several threads, with the outcome that one thread would have.
//!
//! Pieces are begun in their order. After a failure no later piece is begun, but all earlier ones are finished, so the failure
//! that is returned is the first in that order, whichever came first in time. The caller's thread works too, and a thread that
//! cannot be started is only one that does not help. Threads end before the call does: nothing is kept for the next.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Pieces that end with syncs are worked on in at least so many threads, because most of their time they wait for the disk.
const SYNCING_THREADS: usize = 8;

/// The most threads that all callers of one [`Helpers`] have beside themselves.
const HELPERS_MAX: usize = 32;

/// Threads that wait for the disk so that others need not wait one after the other. Their number is bounded for all callers
/// together; who gets none does its work alone.
#[derive(Debug, Default)]
pub(crate) struct Helpers {
    busy: AtomicUsize,
}

/// Helpers that are taken; given back when dropped.
struct Taken<'a> {
    helpers: &'a Helpers,
    count: usize,
}

impl Helpers {
    /// What `work` makes of each item, all of them, in their order; at most `threads` are worked on at once, and none but the first
    /// has a thread of its own for sure.
    pub(crate) fn map<T: Sync, R: Send>(&self, items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        let taken = self.take(threads.min(items.len()).saturating_sub(1));
        let Ok(results) = try_map(items, 1 + taken.count, |item| Ok::<_, Infallible>(work(item)));
        results
    }

    fn take(&self, wanted: usize) -> Taken<'_> {
        let mut count = 0;
        if wanted > 0 {
            // Relaxed: the number guards nothing.
            let busy = self.busy.fetch_add(wanted, Ordering::Relaxed);
            count = wanted.min(HELPERS_MAX.saturating_sub(busy));
            self.busy.fetch_sub(wanted - count, Ordering::Relaxed);
        }
        Taken { helpers: self, count }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.helpers.busy.fetch_sub(self.count, Ordering::Relaxed);
        }
    }
}

/// Threads for work that computes: as many as there are cores.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Threads for work that ends with syncs.
pub(crate) fn syncing() -> usize {
    cores().max(SYNCING_THREADS)
}

/// What `work` makes of each item, in the order of the items; at most `threads` are worked on at once.
pub(crate) fn try_map<T: Sync, R: Send, E: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.iter().map(work).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    // Relaxed: the numbers only share out the items; what was made of them passes through the joins.
    let worker = || {
        let mut outcomes = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index).filter(|_| index < failed.load(Ordering::Relaxed)) else {
                return outcomes;
            };
            let outcome = work(item);
            if outcome.is_err() {
                failed.fetch_min(index, Ordering::Relaxed);
            }
            outcomes.push((index, outcome));
        }
    };
    let mut outcomes = thread::scope(|scope| {
        let helper = || thread::Builder::new().name("icecore-work".into()).spawn_scoped(scope, worker);
        let helpers: Vec<_> = (1..threads).map_while(|_| helper().ok()).collect();
        let mut outcomes = worker();
        for helper in helpers {
            outcomes.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        outcomes
    });
    outcomes.sort_unstable_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [0, 1, 4, 2000] {
            let doubled = try_map(&items, threads, |item| Ok::<_, ()>(2 * item)).unwrap();
            assert!(doubled.iter().enumerate().all(|(index, doubled)| *doubled == 2 * index), "{threads} threads");
        }
        assert_eq!(try_map(&[], 4, |item: &u8| Ok::<_, ()>(*item)), Ok(Vec::new()));
    }

    #[test]
    fn as_many_items_as_threads_are_worked_on_at_once() {
        let together = Barrier::new(3);
        try_map(&[(); 3], 3, |()| Ok::<_, ()>(together.wait().is_leader())).unwrap();
    }

    /// The item that fails last in time is the first in order, and nothing is begun behind a failure that is known.
    #[test]
    fn the_first_failure_in_order_is_returned() {
        let (second_failed, begun) = (Barrier::new(2), AtomicUsize::new(0));
        let fail = |item: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item < 2 {
                second_failed.wait();
            }
            Err::<(), usize>(*item)
        };
        let items: Vec<usize> = (0..100).collect();
        assert_eq!(try_map(&items, 2, fail), Err(0));
        // Each thread stops after a failure of its own.
        assert_eq!(begun.into_inner(), 2);
    }

    #[test]
    fn helpers_are_bounded_and_given_back() {
        let helpers = Helpers::default();
        let most = helpers.take(HELPERS_MAX - 1);
        let (one, none) = (helpers.take(5), helpers.take(5));
        assert_eq!((most.count, one.count, none.count), (HELPERS_MAX - 1, 1, 0));
        assert_eq!(helpers.map(&[1, 2, 3], 3, |item| item + 1), [2, 3, 4], "without any");
        drop((most, one, none));
        assert_eq!(helpers.busy.into_inner(), 0);
    }

    #[test]
    fn a_panic_of_any_thread_is_the_callers() {
        let panics = |_: &u8| -> Result<(), ()> { panic!("here") };
        assert!(std::panic::catch_unwind(|| try_map(&[0; 8], 4, panics)).is_err());
    }
}
