//! Where the bytes of sections come from (the memory map, or reads of the file), and what of a row is found the same way in both.
//!
//! Whoever fetches has compared every block that it hands out with its checksum. What a checksum cannot know is checked here, at
//! each access: that offsets do not descend and lie inside their section, that a text is UTF-8.
#![warn(clippy::indexing_slicing)]

use std::ops::Range;

use super::blocks::Blocks;
use super::{Segment, u64_at};
use crate::error::Result;
use crate::ids::{Lsn, PointId};

/// A way to the bytes of sections.
pub(super) trait Fetch {
    /// `len` bytes at `start` of a section of `segment`, all of their blocks verified; at a multiple of 8 in memory if they are in
    /// the section.
    ///
    /// # Panics
    /// If the range is not inside the section.
    fn fetch<'a>(&'a mut self, segment: &'a Segment, blocks: &Blocks, start: u64, len: u64) -> Result<&'a [u8]>;
}

/// The memory map of the segment: for readers that answer requests, which come back to the same bytes.
#[derive(Debug)]
pub(super) struct Mapped;

impl Fetch for Mapped {
    fn fetch<'a>(&'a mut self, segment: &'a Segment, blocks: &Blocks, start: u64, len: u64) -> Result<&'a [u8]> {
        segment.bytes(blocks, start, len)
    }
}

impl Segment {
    pub(super) fn id_by(&self, fetch: &mut impl Fetch, row: u32) -> Result<PointId> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let (row, numbers) = (u64::from(row), self.ids_num.section().count);
        match row.checked_sub(numbers) {
            None => self.element(fetch, &self.ids_num, row).map(|bytes| PointId::Num(u64::from_le_bytes(bytes))),
            Some(row) => self.element(fetch, &self.ids_uuid, row).map(PointId::Uuid),
        }
    }

    pub(super) fn version_by(&self, fetch: &mut impl Fetch, row: u32) -> Result<Lsn> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        self.element(fetch, &self.versions, row.into()).map(|bytes| Lsn(u64::from_le_bytes(bytes)))
    }

    /// Where the row's payload is in the payload data.
    pub(super) fn payload_range(&self, fetch: &mut impl Fetch, row: u32) -> Result<(u64, u64)> {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let data = self.payload_data.section().len;
        let range = self.range(fetch, &self.payload_offsets, row.into(), data, || format!("the payload of row {row}"))?;
        Ok((range.start, range.end))
    }

    /// The row's payload, which begins at `start` of the payload data.
    pub(super) fn text<'a>(&self, row: u32, start: u64, bytes: &'a [u8]) -> Result<&'a str> {
        str::from_utf8(bytes).map_err(|error| {
            let offset = self.payload_data.section().offset + start + error.valid_up_to() as u64;
            self.malformed(offset, format!("the payload of row {row} is not UTF-8"))
        })
    }

    /// Where the thing `index` of a section of offsets starts and ends, none behind `count`. `what` names it.
    pub(super) fn range(
        &self,
        fetch: &mut impl Fetch,
        offsets: &Blocks,
        index: u64,
        count: u64,
        what: impl FnOnce() -> String,
    ) -> Result<Range<u64>> {
        let bytes = fetch.fetch(self, offsets, 8 * index, 16)?;
        let field = |offset| u64_at(bytes, offset).map_err(|violation| violation.into_error(&self.path));
        let (start, end) = (field(0)?, field(8)?);
        if start > end || end > count {
            let offset = offsets.section().offset + 8 * index;
            return Err(self.malformed(offset, format!("{} is {start}..{end} of {count}", what())));
        }
        Ok(start..end)
    }

    /// Element `index` of a section of `N`-byte elements.
    pub(super) fn element<const N: usize>(&self, fetch: &mut impl Fetch, blocks: &Blocks, index: u64) -> Result<[u8; N]> {
        let bytes = fetch.fetch(self, blocks, index * N as u64, N as u64)?;
        let Some(element) = bytes.first_chunk() else { unreachable!("{N} bytes were asked for") };
        Ok(*element)
    }
}
