//! Memory for writes past the page cache.

use std::fmt;
use std::io;

use memmap2::{Advice, MmapMut};

/// Where writes past the page cache have to begin and to end, in bytes. The disk decides, and its sectors have at most 4 KiB.
pub const DIRECT_ALIGNMENT: usize = 4096;

/// Length of a large page, and of a [`Block`]. Where large pages have another length the memory is in small ones, or partly so.
const BLOCK_LEN: usize = 2 << 20;

/// Two MiB, all zeros at first, in one large page if the system has one. A disk is given a piece for every page that does not follow the
/// one before, and takes few large pieces sooner than many small ones.
pub struct Block {
    map: MmapMut,
    start: usize,
}

impl Block {
    /// Its length in bytes, a multiple of [`DIRECT_ALIGNMENT`], as is where it begins.
    pub const LEN: usize = BLOCK_LEN;

    /// Takes address space; memory is taken when it is written.
    pub fn new() -> io::Result<Self> {
        let map = MmapMut::map_anon(2 * BLOCK_LEN)?;
        let start = map.as_ptr().align_offset(BLOCK_LEN);
        // What refuses it has no large pages.
        let _ = map.advise_range(Advice::HugePage, start, BLOCK_LEN);
        Ok(Self { map, start })
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        self.map.get(self.start..self.start + BLOCK_LEN).unwrap_or_default()
    }

    /// All of it.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.map.get_mut(self.start..self.start + BLOCK_LEN).unwrap_or_default()
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Block").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_aligned_whole_and_zero() {
        let mut block = Block::new().unwrap();
        assert!(block.bytes().len() == Block::LEN && block.bytes().iter().all(|byte| *byte == 0));
        assert!(block.bytes().as_ptr().addr().is_multiple_of(DIRECT_ALIGNMENT) && Block::LEN.is_multiple_of(DIRECT_ALIGNMENT));
        block.bytes_mut()[Block::LEN - 1] = 7;
        assert_eq!(block.bytes().last(), Some(&7));
    }
}
