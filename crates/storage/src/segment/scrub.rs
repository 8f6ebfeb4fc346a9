//! Reads a whole segment file again and says everything that is wrong with it.
//!
//! Reads with `pread` and never through the memory map: a device error is then an error and not the end of the process.
//! Every byte of the file is covered: frame, blocks, and the padding between sections. Sections without damage are also
//! checked for the order that lookups rely on, which only a faulty or hostile writer breaks. Nothing is repaired or
//! remembered, and texts are not decoded.

use icecore_io::File;

use super::blocks::{BadBlock, Blocks};
use super::order::Order;
use super::reader::read_frame;
use super::{ALIGNMENT, BLOCK_LEN, HEADER_LEN, Kind, Segment, zeros};
use crate::checksum::Crc32c;
use crate::error::{Error, Result, on};

impl Segment {
    /// Checks every byte of `file`, which is this segment's, and returns all problems; none if the file is as it was written.
    pub(crate) fn scrub(&self, file: &dyn File) -> Vec<Error> {
        let mut problems = Vec::new();
        problems.extend(read_frame(file, &self.path, self.id, self.len).err());
        let mut end = HEADER_LEN as u64;
        // The section before, if nothing is wrong with it.
        let mut before = None;
        for (blocks, total) in self.sections() {
            let section = blocks.section();
            problems.extend(self.scrub_padding(file, end, section.offset).err());
            end = section.offset + section.len;
            let found = self.scrub_section(file, blocks, total, before);
            before = found.is_empty().then_some(blocks);
            problems.extend(found);
        }
        problems.extend(self.scrub_padding(file, end, end.next_multiple_of(ALIGNMENT)).err());
        problems
    }

    /// Checks one section; `before` is the section before it, if nothing is wrong with that.
    fn scrub_section(&self, file: &dyn File, blocks: &Blocks, total: u64, before: Option<&Blocks>) -> Vec<Error> {
        let section = blocks.section();
        // Sparse indices follow their offsets.
        let offsets = before.filter(|before| before.section().kind == Kind::SparseOffsets);
        let (mut problems, mut unreadable) = (Vec::new(), None);
        let mut starts = Starts::new(self, file, offsets, &mut unreadable).peekable();
        let mut order = Order::new(section.kind, total);
        let mut ordered = Ok(());
        for index in 0..section.block_count() {
            match self.read_block(file, blocks, index) {
                Ok(block) => ordered = ordered.and_then(|()| order.feed(&block, &mut starts)),
                Err(error) => problems.push(error),
            }
        }
        drop(starts);
        problems.extend(unreadable);
        // Nothing can be said about the order where elements are missing, or what divides them.
        if problems.is_empty() && (section.kind != Kind::SparseIndices || offsets.is_some()) {
            let ordered = ordered.and_then(|()| order.finish());
            problems.extend(ordered.err().map(|reason| self.malformed(section.offset, reason)));
        }
        problems
    }

    fn read_block(&self, file: &dyn File, blocks: &Blocks, index: u64) -> Result<Vec<u8>> {
        let (section, start) = (blocks.section(), index * BLOCK_LEN);
        let offset = section.offset + start;
        let block = self.read(file, offset, BLOCK_LEN.min(section.len - start))?;
        let (expected, actual) = (blocks.crc(index), Crc32c::of(&block));
        if expected != actual {
            return Err(self.bad_block(BadBlock { offset, expected, actual }));
        }
        Ok(block)
    }

    fn scrub_padding(&self, file: &dyn File, start: u64, end: u64) -> Result<()> {
        let bytes = self.read(file, start, end - start)?;
        zeros(&bytes, 0..bytes.len()).map_err(|violation| violation.shifted(start).into_error(&self.path))
    }

    fn read(&self, file: &dyn File, offset: u64, len: u64) -> Result<Vec<u8>> {
        // A block or less than a page.
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, offset).map_err(on("read", &self.path))?;
        Ok(bytes)
    }
}

/// The numbers of a section of offsets, read a block at a time. Ends early where a block cannot be read (any more).
struct Starts<'a> {
    segment: &'a Segment,
    file: &'a dyn File,
    offsets: Option<&'a Blocks>,
    next_block: u64,
    numbers: std::vec::IntoIter<u64>,
    unreadable: &'a mut Option<Error>,
}

impl<'a> Starts<'a> {
    fn new(segment: &'a Segment, file: &'a dyn File, offsets: Option<&'a Blocks>, unreadable: &'a mut Option<Error>) -> Self {
        Self { segment, file, offsets, next_block: 0, numbers: Vec::new().into_iter(), unreadable }
    }
}

impl Iterator for Starts<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if let Some(number) = self.numbers.next() {
            return Some(number);
        }
        let offsets = self.offsets.filter(|offsets| self.next_block < offsets.section().block_count())?;
        match self.segment.read_block(self.file, offsets, self.next_block) {
            Ok(block) => {
                let (numbers, _) = block.as_chunks();
                self.numbers = numbers.iter().copied().map(u64::from_le_bytes).collect::<Vec<u64>>().into_iter();
                self.next_block += 1;
                self.numbers.next()
            }
            Err(error) => {
                *self.unreadable = Some(error);
                self.offsets = None;
                None
            }
        }
    }
}
