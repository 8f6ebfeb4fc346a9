//! Reads sections of a segment file with `pread`, some blocks at a time, each compared with its checksum before any of it is handed out.
//!
//! For whoever goes through sections from their start to their end: each section that is read gets a window, and what lies behind a
//! window's end is read into it next. Going back is possible, and costs reading again. Memory is bounded by the windows, not by the
//! sections; an element that is longer than a window is held as a whole.

use std::ops::Range;
use std::sync::Arc;

use icecore_io::File;

use super::blocks::Blocks;
use super::fetch::Fetch;
use super::{BLOCK_LEN, Segment};
use crate::error::{Result, on};

/// Sections that are gone through side by side: ids, which rows have a vector, where it starts, its indices, its values.
const WINDOW_COUNT: usize = 5;
/// More would not be faster: 256 KiB stay in a core's cache while they are compared and copied.
const WINDOW_BLOCKS_MAX: u64 = 4;

/// The windows of one file.
#[derive(Debug)]
pub(super) struct Windows {
    file: Arc<dyn File>,
    /// Blocks that a window has unless an element needs more.
    blocks: u64,
    windows: Vec<Window>,
    /// Counts the uses of windows.
    uses: u64,
}

/// Some blocks of one section, in whole words so that elements are aligned as they are in the file.
#[derive(Debug, Default)]
struct Window {
    /// Where the section starts in the file.
    section: u64,
    /// The blocks that are held, all of them verified.
    held: Range<u64>,
    words: Vec<u64>,
    last_use: u64,
}

impl Windows {
    /// For `file`, with about `bytes_max` bytes of memory.
    pub(super) fn new(file: Arc<dyn File>, bytes_max: u64) -> Self {
        let blocks = (bytes_max / WINDOW_COUNT as u64 / BLOCK_LEN).clamp(1, WINDOW_BLOCKS_MAX);
        Self { file, blocks, windows: Vec::new(), uses: 0 }
    }

    /// Gives back what a long element took, because others take their turn.
    pub(super) fn trim(&mut self) {
        // An element may lie across the end of a window of one block.
        let kept_len = self.blocks.max(2) * BLOCK_LEN;
        self.windows.retain(|window| window.words.capacity() as u64 * 8 <= kept_len);
    }

    /// Bytes of memory that all windows take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> u64 {
        self.windows.iter().map(|window| window.words.capacity() as u64 * 8).sum()
    }

    /// Has the bytes in a window, and says in which.
    fn hold(&mut self, segment: &Segment, blocks: &Blocks, start: u64, len: u64) -> Result<usize> {
        let section = blocks.section();
        assert!(start + len <= section.len, "bytes {start}..{} of a section of {} bytes", start + len, section.len);
        let wanted = start / BLOCK_LEN..(start + len).div_ceil(BLOCK_LEN);
        let index = self.window_of(section.offset);
        let window = &mut self.windows[index];
        self.uses += 1;
        window.last_use = self.uses;
        if !(window.held.start <= wanted.start && wanted.end <= window.held.end) {
            window.read(&*self.file, segment, blocks, wanted, self.blocks)?;
        }
        Ok(index)
    }

    /// The window of the section at `offset`; the one that was not used for longest becomes it.
    fn window_of(&mut self, offset: u64) -> usize {
        if let Some(index) = self.windows.iter().position(|window| window.section == offset) {
            return index;
        }
        if self.windows.len() < WINDOW_COUNT {
            self.windows.push(Window::default());
        }
        let oldest = self.windows.iter().enumerate().min_by_key(|(_, window)| window.last_use);
        let Some((index, _)) = oldest else { unreachable!("there is a window at least") };
        self.windows[index].section = offset;
        self.windows[index].held = 0..0;
        index
    }

    /// What one window holds.
    fn get(&self, index: usize, start: u64, len: u64) -> &[u8] {
        let window = &self.windows[index];
        let offset = in_memory(start - window.held.start * BLOCK_LEN);
        &bytemuck::cast_slice(&window.words)[offset..offset + in_memory(len)]
    }

    /// As [`Fetch::fetch`], for ranges of two sections, each with its start and its length.
    pub(super) fn fetch_both<'a>(
        &'a mut self,
        segment: &Segment,
        one: (&Blocks, (u64, u64)),
        other: (&Blocks, (u64, u64)),
    ) -> Result<(&'a [u8], &'a [u8])> {
        let mut held = [None; 2];
        for (held, (blocks, (start, len))) in held.iter_mut().zip([one, other]) {
            if len > 0 {
                *held = Some((self.hold(segment, blocks, start, len)?, start, len));
            }
        }
        let [one, other] = held.map(|held| held.map_or(nothing(), |(index, start, len)| self.get(index, start, len)));
        Ok((one, other))
    }
}

impl Fetch for Windows {
    fn fetch<'a>(&'a mut self, segment: &'a Segment, blocks: &Blocks, start: u64, len: u64) -> Result<&'a [u8]> {
        if len == 0 {
            return Ok(nothing());
        }
        let index = self.hold(segment, blocks, start, len)?;
        Ok(self.get(index, start, len))
    }
}

impl Window {
    /// Reads the blocks that are wanted, `count` of them if there are so many; what is held of them already is not read again.
    fn read(&mut self, file: &dyn File, segment: &Segment, blocks: &Blocks, wanted: Range<u64>, count: u64) -> Result<()> {
        let section = blocks.section();
        let end = wanted.end.max(section.block_count().min(wanted.start + count));
        // Nothing is held until all of it is known to be good.
        let held = std::mem::take(&mut self.held);
        let first_new = if held.contains(&wanted.start) { held.end } else { wanted.start };
        // Where a block starts, counted from the first wanted one; behind the last is the end of the section.
        let at = |block: u64| in_memory((block * BLOCK_LEN).min(section.len) - wanted.start * BLOCK_LEN);
        if first_new > wanted.start {
            let kept = in_memory((wanted.start - held.start) * BLOCK_LEN);
            bytemuck::cast_slice_mut::<u64, u8>(&mut self.words).copy_within(kept..kept + at(first_new), 0);
        }
        let word_count = at(end).div_ceil(8);
        self.words.reserve_exact(word_count.saturating_sub(self.words.len()));
        self.words.resize(word_count, 0);
        let new = &mut bytemuck::cast_slice_mut::<u64, u8>(&mut self.words)[at(first_new)..at(end)];
        file.read_exact_at(new, section.offset + first_new * BLOCK_LEN).map_err(on("read", &segment.path))?;
        for (index, block) in (first_new..end).zip(new.chunks(in_memory(BLOCK_LEN))) {
            segment.check_block(blocks, index, block)?;
        }
        self.held = wanted.start..end;
        Ok(())
    }
}

/// No bytes, aligned as all that is handed out.
fn nothing() -> &'static [u8] {
    bytemuck::cast_slice::<u64, u8>(&[])
}

/// A length that fits into memory, because a buffer of it is made or was.
fn in_memory(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
