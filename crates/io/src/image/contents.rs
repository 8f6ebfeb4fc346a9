//! What a crash may leave of one file's bytes.
//!
//! The durable bytes are those of the last sync; every change since is pending, and a loss of power keeps any part of it: a whole
//! write, its beginning up to a sector, any of its sectors, or nothing.

use std::sync::Arc;

use crate::Rng;
use crate::mem::{FILE_MODE, overwrite};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// A change of a file's bytes or length.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { start: usize, data: Arc<[u8]> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { start, data } => overwrite(bytes, *start, data),
            Self::SetLen(len) => bytes.resize(*len, 0),
        }
    }

    /// Applies some part of the change, which may be all or nothing of it.
    fn apply_torn(&self, bytes: &mut Vec<u8>, rng: &mut Rng) {
        let Self::Write { start, data } = self else {
            return self.apply(bytes);
        };
        match rng.below(4) {
            0 => {
                // The beginning, up to a sector's boundary in the file.
                let sectors = (start % SECTOR + data.len()).div_ceil(SECTOR);
                let end = below(rng, sectors + 1) * SECTOR;
                let kept = end.saturating_sub(start % SECTOR).min(data.len());
                if kept > 0 {
                    overwrite(bytes, *start, data.split_at(kept).0);
                }
            }
            1 => {
                // The length, and any of the sectors: the others keep the old bytes, or zeros where there were none.
                let end = start + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                let mut rest = &**data;
                let mut at = *start;
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if rng.chance(50) {
                        overwrite(bytes, at, piece);
                    }
                    at += piece.len();
                    rest = after;
                }
            }
            _ => self.apply(bytes),
        }
    }
}

/// A random number below `bound`.
pub(super) fn below(rng: &mut Rng, bound: usize) -> usize {
    // The result is below a bound that was a `usize`, so neither conversion can fail.
    usize::try_from(rng.below(bound as u64)).unwrap_or(0)
}

/// A file at some point of a record.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) live: Arc<Vec<u8>>,
    pub(super) durable: Arc<Vec<u8>>,
    pub(super) mode: u32,
    pub(super) durable_mode: u32,
    pending: Vec<Change>,
}

impl Contents {
    /// A new file, of which nothing is durable.
    pub(super) fn new() -> Self {
        Self { live: Arc::default(), durable: Arc::default(), mode: FILE_MODE, durable_mode: FILE_MODE, pending: Vec::new() }
    }

    /// A file that was there and durable before the record began.
    pub(super) fn durable(bytes: &Arc<Vec<u8>>, mode: u32) -> Self {
        Self { live: Arc::clone(bytes), durable: Arc::clone(bytes), mode, durable_mode: mode, pending: Vec::new() }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(Arc::make_mut(&mut self.live));
        self.pending.push(change);
    }

    /// Brings the durable bytes up to date by applying what is pending, rather than by sharing the live ones: sharing would make
    /// the next write copy the whole file.
    pub(super) fn sync(&mut self) {
        if !self.pending.is_empty() {
            let durable = Arc::make_mut(&mut self.durable);
            for change in self.pending.drain(..) {
                change.apply(durable);
            }
        }
        self.durable_mode = self.mode;
    }

    /// The bytes and the mode after a loss of power that keeps about `percent` of the pending changes, each whole or torn.
    pub(super) fn after_power_loss(&self, percent: u64, rng: &mut Rng) -> (Arc<Vec<u8>>, u32) {
        let mode = if rng.chance(percent) { self.mode } else { self.durable_mode };
        if self.pending.is_empty() {
            return (Arc::clone(&self.durable), mode);
        }
        let mut bytes = Vec::clone(&self.durable);
        for change in &self.pending {
            if rng.chance(percent) {
                change.apply_torn(&mut bytes, rng);
            }
        }
        (Arc::new(bytes), mode)
    }

    /// The bytes after a kill in the middle of a write, of which the first `written` bytes were done.
    pub(super) fn after_torn_write(&self, start: usize, data: &[u8], written: usize) -> Arc<Vec<u8>> {
        let mut bytes = Vec::clone(&self.live);
        overwrite(&mut bytes, start, data.split_at(written.min(data.len())).0);
        Arc::new(bytes)
    }
}
