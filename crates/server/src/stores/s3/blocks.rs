//! The blocks of an object that are in memory, and those on their way there. Makes no requests itself.
//!
//! The number of blocks is bounded, of each object and of all objects that are open together ([`Budget`]): who finds no place at all
//! reads without one. A new block takes the place of the one that was wanted longest ago; one that is on its way keeps
//! its place. A reader that takes block after block gets the next ones fetched before it wants them; one that jumps does not, so
//! that a part of an archive costs little more than itself.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use axum::body::Bytes;

use super::error::S3Error;

/// Length of a block in bytes; the last of an object is shorter.
pub(super) const BLOCK_LEN: u64 = 4 << 20;
/// Blocks that are fetched ahead of a reader in order.
const AHEAD: u64 = 2;
/// Fewest and most blocks of an object in memory.
const COUNT_MIN: usize = 6;
const COUNT_MAX: usize = 24;
/// Blocks of all open objects of a store in memory.
const TOTAL_MAX: usize = 48;

/// Places for blocks, shared by all open objects of a store.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    free: Arc<AtomicUsize>,
}

/// A place for a block; dropping it frees it.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(TOTAL_MAX)
    }
}

impl Budget {
    /// So many places.
    pub(super) fn of(count: usize) -> Self {
        Self { free: Arc::new(AtomicUsize::new(count)) }
    }

    fn take(&self) -> Option<Place> {
        let less = |free: usize| free.checked_sub(1);
        let taken = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        taken.is_ok().then(|| Place(Arc::clone(&self.free)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Some blocks of one object.
#[derive(Debug)]
pub(super) struct Blocks {
    budget: Budget,
    slots: Vec<Slot>,
    count_max: usize,
    /// Counts wants; the larger, the later.
    now: u64,
}

#[derive(Debug)]
struct Slot {
    index: u64,
    wanted: u64,
    state: State,
    /// Where it is in memory.
    _place: Place,
}

#[derive(Debug)]
enum State {
    OnItsWay,
    Here(Bytes),
    Failed(S3Error),
}

/// What there is of a wanted block.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Its bytes.
    Here(Bytes),
    /// Nothing yet.
    OnItsWay,
    /// Nothing; it is now marked as on its way, and has to be fetched.
    Missing,
    /// All places are taken by blocks on their way: one of them will be free.
    NoRoom,
    /// Other objects have all places.
    NoPlace,
    /// It could not be had. Whoever wants it next tries again.
    Failed(S3Error),
}

impl Blocks {
    /// Room for a block and those ahead of it for as many readers as there are cores, within bounds.
    pub(super) fn new(budget: Budget) -> Self {
        let readers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { budget, slots: Vec::new(), count_max: (3 * readers).clamp(COUNT_MIN, COUNT_MAX), now: 0 }
    }

    /// What there is of a block.
    pub(super) fn want(&mut self, index: u64) -> Wanted {
        self.now += 1;
        let Some(at) = self.slots.iter().position(|slot| slot.index == index) else {
            return match self.begin(index) {
                true => Wanted::Missing,
                false if self.slots.is_empty() => Wanted::NoPlace,
                false => Wanted::NoRoom,
            };
        };
        match self.slots.get_mut(at) {
            Some(Slot { state: State::Here(bytes), wanted, .. }) => {
                *wanted = self.now;
                Wanted::Here(bytes.clone())
            }
            Some(Slot { state: State::Failed(_), .. }) => match self.slots.swap_remove(at).state {
                State::Failed(error) => Wanted::Failed(error),
                State::OnItsWay | State::Here(_) => Wanted::OnItsWay,
            },
            _ => Wanted::OnItsWay,
        }
    }

    /// The blocks to be fetched ahead of a reader of this one, of an object of so many; they are now marked as on their way. None if
    /// the block before it was not read: then nobody reads in order.
    pub(super) fn ahead(&mut self, index: u64, count: u64) -> Vec<u64> {
        let is_here = |index| self.slots.iter().any(|slot| slot.index == index && !matches!(slot.state, State::Failed(_)));
        let in_order = index.checked_sub(1).is_some_and(is_here);
        if !in_order {
            return Vec::new();
        }
        let missing: Vec<u64> = (index + 1..=index + AHEAD)
            .filter(|ahead| *ahead < count && !self.slots.iter().any(|slot| slot.index == *ahead))
            .collect();
        missing.into_iter().filter(|ahead| self.begin(*ahead)).collect()
    }

    /// A block has arrived, or cannot be had.
    pub(super) fn arrived(&mut self, index: u64, fetched: Result<Bytes, S3Error>) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.index == index) {
            slot.state = match fetched {
                Ok(bytes) => State::Here(bytes),
                Err(error) => State::Failed(error),
            };
        }
    }

    /// Marks a block as on its way; whether there is a place for it. One of its own is taken before one of the others' is waited for.
    fn begin(&mut self, index: u64) -> bool {
        let place = if self.slots.len() < self.count_max { self.budget.take() } else { None };
        if let Some(place) = place {
            self.slots.push(Slot { index, wanted: self.now, state: State::OnItsWay, _place: place });
            return true;
        }
        let oldest = self.slots.iter_mut().filter(|slot| !matches!(slot.state, State::OnItsWay)).min_by_key(|slot| slot.wanted);
        match oldest {
            Some(oldest) => {
                (oldest.index, oldest.wanted, oldest.state) = (index, self.now, State::OnItsWay);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Fault;
    use super::*;

    fn blocks(count_max: usize) -> Blocks {
        Blocks { count_max, ..Blocks::new(Budget::of(100)) }
    }

    fn bytes() -> Result<Bytes, S3Error> {
        Ok(Bytes::from_static(b"x"))
    }

    #[test]
    fn a_block_is_fetched_once_and_the_oldest_makes_room() {
        let mut blocks = blocks(2);
        assert!(matches!(blocks.want(5), Wanted::Missing));
        assert!(matches!(blocks.want(5), Wanted::OnItsWay));
        assert!(matches!(blocks.want(7), Wanted::Missing));
        assert!(matches!(blocks.want(9), Wanted::NoRoom), "both are on their way");
        for index in [5, 7] {
            blocks.arrived(index, bytes());
        }
        assert!(matches!(blocks.want(5), Wanted::Here(_)));
        assert!(matches!(blocks.want(9), Wanted::Missing));
        assert!(matches!(blocks.want(5), Wanted::Here(_)), "7 was wanted longer ago");
        assert_eq!(blocks.slots.len(), 2);
    }

    #[test]
    fn places_are_shared_and_come_back() {
        let budget = Budget::of(2);
        let [mut one, mut other] = [Blocks::new(budget.clone()), Blocks::new(budget)];
        assert!(matches!((one.want(0), one.want(1)), (Wanted::Missing, Wanted::Missing)));
        assert!(matches!((one.want(2), other.want(0)), (Wanted::NoRoom, Wanted::NoPlace)));
        one.arrived(0, bytes());
        assert!(matches!((one.want(2), other.want(0)), (Wanted::Missing, Wanted::NoPlace)), "it uses its own again");
        drop(one);
        assert!(matches!(other.want(0), Wanted::Missing));
    }

    #[test]
    fn only_readers_in_order_get_blocks_ahead() {
        let mut blocks = blocks(8);
        for index in [3, 4] {
            blocks.want(index);
            blocks.arrived(index, bytes());
        }
        assert_eq!(blocks.ahead(3, 10), [] as [u64; 0]);
        assert_eq!(blocks.ahead(4, 10), [5, 6]);
        assert_eq!(blocks.ahead(4, 10), [] as [u64; 0], "they are on their way");
        assert_eq!(blocks.ahead(5, 7), [] as [u64; 0], "there is none after 6");
        assert!(matches!(blocks.want(6), Wanted::OnItsWay));
    }

    #[test]
    fn a_failure_is_told_once_and_then_tried_again() {
        let mut blocks = blocks(2);
        blocks.want(0);
        let error =
            S3Error { operation: "read", object: "s3://b/k".to_owned(), reason: "gone".to_owned(), fault: Fault::NoObject };
        blocks.arrived(0, Err(error));
        assert!(matches!(blocks.want(0), Wanted::Failed(_)));
        assert!(matches!(blocks.want(0), Wanted::Missing));
    }
}
