//! Decompressed frames that somebody reads, or has just read.
//!
//! A frame that several readers want at once is decompressed by the first of them; the others wait. It is kept as long as any of
//! them is at it, and a little longer: members end and begin in the same frame.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use crate::Error;

/// Frames that are kept although nobody reads them.
const RECENT_COUNT: usize = 2;

/// The place of one frame.
#[derive(Debug, Default)]
pub(super) struct Slot {
    bytes: OnceLock<Vec<u8>>,
    /// Held while the frame is decompressed.
    filling: Mutex<()>,
}

impl Slot {
    /// Fills it, unless somebody has done so. After an error the next one tries again.
    pub(super) fn fill(&self, load: impl FnOnce() -> Result<Vec<u8>, Error>) -> Result<(), Error> {
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bytes.get().is_none() {
            let bytes = load()?;
            self.bytes.get_or_init(|| bytes);
        }
        Ok(())
    }

    /// The contents of the frame; nothing before it is filled.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get().map_or(&[], Vec::as_slice)
    }
}

/// The slots of one file.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    used: HashMap<usize, Weak<Slot>>,
    recent: VecDeque<Arc<Slot>>,
}

impl Cache {
    /// The slot of a frame, perhaps filled.
    pub(super) fn slot(&self, index: usize) -> Arc<Slot> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = &mut *guard;
        let slot = slots.used.get(&index).and_then(Weak::upgrade).unwrap_or_default();
        slots.recent.retain(|recent| !Arc::ptr_eq(recent, &slot));
        slots.recent.push_front(Arc::clone(&slot));
        slots.recent.truncate(RECENT_COUNT);
        slots.used.insert(index, Arc::downgrade(&slot));
        slots.used.retain(|_, slot| slot.strong_count() > 0);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_loaded_once_while_it_is_used_or_recent() {
        let cache = Cache::default();
        let loads = std::cell::Cell::new(0);
        let get = |index: usize| {
            let slot = cache.slot(index);
            let load = || {
                loads.set(loads.get() + 1);
                Ok(vec![u8::try_from(index).unwrap()])
            };
            slot.fill(load).unwrap();
            assert_eq!(slot.bytes(), [u8::try_from(index).unwrap()]);
            slot
        };
        let used = get(0);
        (1..=5).for_each(|index| drop(get(index)));
        assert_eq!(loads.get(), 6);
        for index in [0, 5, 0, 5] {
            drop(get(index));
        }
        assert_eq!(loads.get(), 6);
        drop(used);
        (1..=5).for_each(|index| drop(get(index)));
        drop(get(0));
        assert_eq!(loads.get(), 6 + 5 + 1, "nobody has used it for long");
        assert_eq!(cache.0.lock().unwrap().used.len(), RECENT_COUNT);
    }

    #[test]
    fn a_failed_load_is_tried_again() {
        let slot = Slot::default();
        assert!(slot.fill(|| Err(Error::Cancelled)).is_err());
        assert!(slot.bytes().is_empty());
        slot.fill(|| Ok(vec![1])).unwrap();
        slot.fill(|| Err(Error::Cancelled)).unwrap();
        assert_eq!(slot.bytes(), [1]);
    }
}
