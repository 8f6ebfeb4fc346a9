//! The blocks of a section: each has a CRC32C that is compared at the block's first use.
//!
//! No byte of a block is handed out before its checksum was right once. What is right is remembered in one bit a block; what
//! is wrong is not remembered, so every use of a damaged block is an error. Damage that comes after the first use is the
//! scrub's to find.
#![warn(clippy::indexing_slicing)]

use std::sync::atomic::{AtomicU64, Ordering};

use super::Section;
use crate::checksum::Crc32c;

/// Bytes of a block; the last one of a section may be shorter. A multiple of every fixed element length except a vector's.
pub const BLOCK_LEN: u64 = 64 * 1024;

/// A block that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadBlock {
    /// Where the block starts in the file.
    pub(crate) offset: u64,
    pub(crate) expected: Crc32c,
    pub(crate) actual: Crc32c,
}

/// A section in the file's memory map, with the state of its blocks.
#[derive(Debug)]
pub(crate) struct Blocks {
    section: Section,
    crcs: Box<[u32]>,
    /// Bit `i % 64` of word `i / 64` is set once block `i` was found undamaged.
    verified: Box<[AtomicU64]>,
}

impl Blocks {
    /// The state of a section after open: nothing verified. `crcs` has one for each block of the section.
    pub(crate) fn new(section: Section, crcs: &[u32]) -> Self {
        assert_eq!(crcs.len() as u64, section.block_count(), "checksums of {section:?}");
        let verified = (0..crcs.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { section, crcs: crcs.into(), verified }
    }

    pub(crate) fn section(&self) -> &Section {
        &self.section
    }

    /// What the checksum of a block must be.
    pub(crate) fn crc(&self, block: u64) -> Crc32c {
        let crc = usize::try_from(block).ok().and_then(|block| self.crcs.get(block));
        let Some(crc) = crc else { unreachable!("block {block} of {} blocks", self.crcs.len()) };
        Crc32c(*crc)
    }

    /// `len` bytes at `start` of the section, all of their blocks verified. `file` is the whole file.
    ///
    /// # Panics
    /// If the range is not inside the section, or the section not inside the file; both are for the caller to know.
    pub(crate) fn get<'a>(&self, file: &'a [u8], start: u64, len: u64) -> Result<&'a [u8], BadBlock> {
        let end = start + len;
        assert!(end <= self.section.len, "bytes {start}..{end} of a section of {} bytes", self.section.len);
        if len > 0 {
            for block in start / BLOCK_LEN..end.div_ceil(BLOCK_LEN) {
                self.verify(file, block)?;
            }
        }
        Ok(slice(file, self.section.offset + start, len))
    }

    fn verify(&self, file: &[u8], block: u64) -> Result<(), BadBlock> {
        let bit = 1 << (block % 64);
        let Some(word) = self.verified.get((block / 64) as usize) else { unreachable!("block {block} of {:?}", self.section) };
        // Relaxed: the bit says something about bytes that never change and were visible to every thread since the map was
        // made, so nothing has to become visible together with it.
        if word.load(Ordering::Relaxed) & bit != 0 {
            return Ok(());
        }
        let start = block * BLOCK_LEN;
        let offset = self.section.offset + start;
        let expected = self.crc(block);
        let actual = Crc32c::of(slice(file, offset, BLOCK_LEN.min(self.section.len - start)));
        if actual != expected {
            return Err(BadBlock { offset, expected, actual });
        }
        word.fetch_or(bit, Ordering::Relaxed);
        Ok(())
    }
}

/// Part of the file's bytes.
#[expect(clippy::cast_possible_truncation, reason = "both are at most the length of a slice, as the assertion says")]
fn slice(file: &[u8], offset: u64, len: u64) -> &[u8] {
    assert!(offset + len <= file.len() as u64, "bytes {offset}..{} of a file of {}", offset + len, file.len());
    file.split_at(offset as usize).1.split_at(len as usize).0
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn only_the_blocks_of_the_range_are_checked_and_damage_is_not_remembered() {
        let mut file = vec![7u8; 4096 + 3 * 65536 - 1];
        let (offset, len) = (4096, 3 * 65536 - 1);
        let crcs: Vec<u32> = file[4096..].chunks(65536).map(|block| Crc32c::of(block).0).collect();
        let section = Section { kind: Kind::PayloadData, name: String::new(), dim: 0, offset, len, count: len };
        let blocks = Blocks::new(section, &crcs);

        file[4096 + 65536] ^= 1;
        assert_eq!(blocks.get(&file, 0, 65536), Ok(&file[4096..4096 + 65536]));
        assert_eq!(blocks.get(&file, 65536, 0), Ok(&[][..]), "an empty range has no block");
        assert_eq!(blocks.get(&file, 2 * 65536, 65535), Ok(&file[4096 + 2 * 65536..]));
        let actual = Crc32c::of(&file[4096 + 65536..][..65536]);
        let bad = BadBlock { offset: 4096 + 65536, expected: Crc32c(crcs[1]), actual };
        for (start, len) in [(65535, 2), (65536, 1), (2 * 65536 - 1, 2), (0, 3 * 65536 - 1)] {
            assert_eq!(blocks.get(&file, start, len), Err(bad), "{len} bytes at {start}");
        }

        file[4096 + 65536] ^= 1;
        assert!(blocks.get(&file, 65536, 1).is_ok(), "a block that reads well again is good");
    }
}
