//! Independent pieces of work on several threads, with the outcome that one thread would have.
//!
//! Pieces are begun in their order. After a failure no later piece is begun, but all earlier ones are finished, so the failure
//! that is returned is the first in that order, whichever came first in time. The caller's thread works too, and a thread that
//! cannot be started is only one that does not help. Threads end before the call does: nothing is kept for the next.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Threads for work that computes: as many as there are cores.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
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
    fn a_panic_of_any_thread_is_the_callers() {
        let panics = |_: &u8| -> Result<(), ()> { panic!("here") };
        assert!(std::panic::catch_unwind(|| try_map(&[0; 8], 4, panics)).is_err());
    }
}
