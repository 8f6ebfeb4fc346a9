//! The progress of one operation as a part of a larger one.
//!
//! The part counts for a fixed number of bytes of the whole, whatever it counts itself: an operation may read bytes twice, or the
//! bytes of what is compressed. It does not say when the whole begins.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use icecore_archive::Progress;

/// A part that counts for `len` bytes.
pub(crate) struct Share<'a> {
    whole: &'a dyn Progress,
    len: u64,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: u64,
    done: u64,
    /// What the whole has been told.
    told: u64,
}

impl<'a> Share<'a> {
    pub(crate) fn new(whole: &'a dyn Progress, len: u64) -> Self {
        Self { whole, len, counts: Mutex::default() }
    }
}

impl Progress for Share<'_> {
    fn start(&self, total: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        (counts.total, counts.done) = (total, 0);
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        let more = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.done = counts.done.saturating_add(bytes).min(counts.total);
            let scaled = u128::from(self.len) * u128::from(counts.done) / u128::from(counts.total.max(1));
            let more = u64::try_from(scaled).unwrap_or(self.len).saturating_sub(counts.told);
            counts.told += more;
            more
        };
        self.whole.advance(more)
    }
}

#[cfg(test)]
mod tests {
    use icecore_archive::ProgressHandle;

    use super::*;

    #[test]
    fn parts_add_up_to_the_whole_whatever_they_count() {
        let whole = ProgressHandle::default();
        whole.start(110);
        for (len, total, steps) in [(10, 1000, 7), (100, 3, 3), (0, 5, 5)] {
            let share = Share::new(&whole, len);
            share.start(total);
            for _ in 0..steps {
                assert!(share.advance(total.div_ceil(steps)).is_continue());
            }
        }
        assert_eq!((whole.done(), whole.total()), (110, 110));
        whole.cancel();
        assert!(Share::new(&whole, 1).advance(1).is_break());
    }
}
