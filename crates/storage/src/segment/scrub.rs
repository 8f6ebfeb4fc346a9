//! Reads a whole segment file again and says everything that is wrong with it.
//!
//! Reads with `pread` and never through the memory map: a device error is then an error and not the end of the process.
//! Every byte of the file is covered: frame, blocks, and the padding between sections. Sections without damage are also
//! checked for the order that lookups rely on, which only a faulty or hostile writer breaks. Nothing is repaired or
//! remembered, and texts are not decoded.
//!
//! The work comes in pieces that do not depend on each other, so that many threads can share it.

use std::ops::Range;

use icecore_io::File;

use super::blocks::{BadBlock, Blocks};
use super::order::Order;
use super::reader::read_frame;
use super::{ALIGNMENT, BLOCK_LEN, HEADER_LEN, Kind, Segment, zeros};
use crate::checksum::Crc32c;
use crate::error::{Error, Result, on};

/// Blocks that are read at once: 1 MiB.
const READ_BLOCKS: u64 = 16;
/// The most blocks of a piece whose blocks can be looked at one by one: 16 MiB.
const PIECE_BLOCKS: u64 = 256;

/// A part of the scrub of one segment.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    /// Everything that is in no section.
    Frame,
    /// Some blocks of a section whose elements may have any order.
    Blocks(&'a Blocks, Range<u64>),
    /// A section whose elements have an order, and what they count up to.
    Ordered(&'a Blocks, u64),
    /// The offsets of sparse vectors, with what they count up to, and the indices that they divide.
    Sparse(&'a Blocks, u64, &'a Blocks),
}

impl Segment {
    /// The parts of the work in the order of the file. All of them together look at every byte.
    pub(crate) fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = vec![Piece::Frame];
        for (blocks, total) in self.sections() {
            let section = blocks.section();
            match (section.kind, pieces.last_mut()) {
                // Sparse indices follow their offsets.
                (Kind::SparseIndices, Some(last)) => match *last {
                    Piece::Ordered(offsets, count) => *last = Piece::Sparse(offsets, count, blocks),
                    _ => unreachable!("the offsets of sparse vectors are in front of their indices"),
                },
                (kind, _) if Order::is_any(kind) => {
                    let starts = (0..section.block_count()).step_by(usize::try_from(PIECE_BLOCKS).unwrap_or(1));
                    pieces.extend(
                        starts.map(|start| Piece::Blocks(blocks, start..section.block_count().min(start + PIECE_BLOCKS))),
                    );
                }
                _ => pieces.push(Piece::Ordered(blocks, total)),
            }
        }
        pieces
    }

    /// Does one of the [`Segment::pieces`] on `file`, which is this segment's, and returns all problems that it finds; none if the bytes
    /// are as they were written.
    pub(crate) fn scrub_piece(&self, file: &dyn File, piece: &Piece<'_>) -> Vec<Error> {
        match piece {
            Piece::Frame => self.scrub_frame(file),
            Piece::Blocks(blocks, range) => {
                let mut problems = Vec::new();
                self.read_blocks(file, blocks, range.clone(), |block| problems.extend(block.err()));
                problems
            }
            Piece::Ordered(blocks, total) => self.scrub_ordered(file, blocks, *total, None),
            Piece::Sparse(offsets, total, indices) => {
                let mut problems = self.scrub_ordered(file, offsets, *total, None);
                let intact = problems.is_empty().then_some(*offsets);
                problems.extend(self.scrub_ordered(file, indices, 0, intact));
                problems
            }
        }
    }

    fn scrub_frame(&self, file: &dyn File) -> Vec<Error> {
        let mut problems = Vec::new();
        problems.extend(read_frame(file, &self.path, self.id, self.len).err());
        let mut end = HEADER_LEN as u64;
        for (blocks, _) in self.sections() {
            let section = blocks.section();
            problems.extend(self.scrub_padding(file, end, section.offset).err());
            end = section.offset + section.len;
        }
        problems.extend(self.scrub_padding(file, end, end.next_multiple_of(ALIGNMENT)).err());
        problems
    }

    /// Checks the blocks of one section and the order in it; `offsets` are those that divide sparse indices, if nothing is wrong with
    /// them.
    fn scrub_ordered(&self, file: &dyn File, blocks: &Blocks, total: u64, offsets: Option<&Blocks>) -> Vec<Error> {
        let section = blocks.section();
        let (mut problems, mut unreadable) = (Vec::new(), None);
        let mut starts = Starts::new(self, file, offsets, &mut unreadable).peekable();
        let mut order = Order::new(section.kind, total);
        let mut ordered = Ok(());
        self.read_blocks(file, blocks, 0..section.block_count(), |block| match block {
            Ok(block) if ordered.is_ok() => ordered = order.feed(block, &mut starts),
            Ok(_) => {}
            Err(error) => problems.push(error),
        });
        drop(starts);
        problems.extend(unreadable);
        // Nothing can be said about the order where elements are missing, or what divides them.
        if problems.is_empty() && (section.kind != Kind::SparseIndices || offsets.is_some()) {
            let ordered = ordered.and_then(|()| order.finish());
            problems.extend(ordered.err().map(|reason| self.malformed(section.offset, reason)));
        }
        problems
    }

    /// Reads blocks, many at a time, and gives each to `found`: its bytes if they are what was written.
    fn read_blocks(&self, file: &dyn File, blocks: &Blocks, range: Range<u64>, mut found: impl FnMut(Result<&[u8]>)) {
        let section = blocks.section();
        let len_at = |start: u64, count: u64| usize::try_from((count * BLOCK_LEN).min(section.len - start)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; len_at(range.start * BLOCK_LEN, READ_BLOCKS.min(range.end - range.start))];
        for first in range.clone().step_by(usize::try_from(READ_BLOCKS).unwrap_or(1)) {
            let count = READ_BLOCKS.min(range.end - first);
            let start = first * BLOCK_LEN;
            let bytes = buffer.split_at_mut(len_at(start, count)).0;
            let whole = file.read_exact_at(bytes, section.offset + start);
            for (index, bytes) in (first..).zip(bytes.chunks_mut(usize::try_from(BLOCK_LEN).unwrap_or(usize::MAX))) {
                // Where not all can be read, each is tried alone: what is readable is checked.
                let offset = section.offset + index * BLOCK_LEN;
                let read = if whole.is_ok() { Ok(()) } else { file.read_exact_at(bytes, offset) };
                found(
                    read.map_err(on("read", &self.path)).and_then(|()| self.check_block(blocks, index, bytes).map(|()| &*bytes)),
                );
            }
        }
    }

    /// Compares a block that was read with its checksum.
    pub(super) fn check_block(&self, blocks: &Blocks, index: u64, bytes: &[u8]) -> Result<()> {
        let (expected, actual) = (blocks.crc(index), Crc32c::of(bytes));
        if expected == actual {
            return Ok(());
        }
        Err(self.bad_block(BadBlock { offset: blocks.section().offset + index * BLOCK_LEN, expected, actual }))
    }

    fn read_block(&self, file: &dyn File, blocks: &Blocks, index: u64) -> Result<Vec<u8>> {
        let (section, start) = (blocks.section(), index * BLOCK_LEN);
        let block = self.read(file, section.offset + start, BLOCK_LEN.min(section.len - start))?;
        self.check_block(blocks, index, &block)?;
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
