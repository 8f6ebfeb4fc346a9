//! An open segment: the file's memory map, and for each section which of its blocks are known to be undamaged.
//!
//! Open reads the header, the footer and the trailer with `pread` and checks them; no section is touched, so it takes time
//! for a table of 4 bytes per 64 KiB and for nothing else. Every access checks the blocks that it touches at their first use,
//! and what a checksum cannot know (offsets, UTF-8) each time. Dead rows are read like any other.
#![warn(clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use icecore_io::{File, Fs, Mapping};

use super::blocks::{BadBlock, Blocks};
use super::fetch::Mapped;
use super::vector_reader::Vectors;
use super::{HEADER_LEN, Header, Layout, RawFooter, RawHeader, RawTrailer, Section, TRAILER_LEN, Trailer, Violation, zeros};
use crate::checksum::Crc32c;
use crate::error::{Error, Result, on};
use crate::ids::{Lsn, PointId, SegmentId};

/// A segment that can be read, by any number of threads. Rows are numbered from 0 in the order of their ids.
#[derive(Debug)]
pub struct Segment {
    pub(super) path: PathBuf,
    pub(super) id: SegmentId,
    pub(super) len: u64,
    map: Mapping,
    pub(super) rows: u32,
    pub(super) ids_num: Blocks,
    pub(super) ids_uuid: Blocks,
    pub(super) versions: Blocks,
    /// Sorted by name.
    pub(super) vectors: Vec<Vectors>,
    pub(super) payload_offsets: Blocks,
    pub(super) payload_data: Blocks,
}

impl Segment {
    /// Opens the segment `id` at `path`, whose manifest says that it has `len` bytes.
    pub(crate) fn open(fs: &dyn Fs, path: &Path, id: SegmentId, len: u64) -> Result<Self> {
        let file = fs.open_read(path).map_err(on("open", path))?;
        let (header, layout) = read_frame(&*file, path, id, len)?;
        let map = file.map().map_err(on("map", path))?;
        if map.len() as u64 != len {
            return Err(Error::FileLength { path: path.to_owned(), expected: len, actual: map.len() as u64 });
        }
        assert!(bytemuck::try_cast_slice::<u8, u64>(map.split_at(HEADER_LEN).0).is_ok(), "a map starts at a multiple of 8");

        let mut crcs = layout.block_crcs.as_slice();
        let mut blocks = |section: Section| {
            let count = usize::try_from(section.block_count()).unwrap_or(usize::MAX);
            let (own, rest) = crcs.split_at(count);
            crcs = rest;
            Blocks::new(section, own)
        };
        // In the order of the file, in which the checksums are.
        let (ids_num, ids_uuid, versions) = (blocks(layout.ids_num), blocks(layout.ids_uuid), blocks(layout.versions));
        let vectors = layout.vectors.into_iter().map(|sections| Vectors::new(sections, &mut blocks)).collect();
        let (payload_offsets, payload_data) = (blocks(layout.payload_offsets), blocks(layout.payload_data));
        let (path, rows) = (path.to_owned(), header.rows);
        Ok(Self { path, id, len, map, rows, ids_num, ids_uuid, versions, vectors, payload_offsets, payload_data })
    }

    /// The segment's number.
    pub fn segment_id(&self) -> SegmentId {
        self.id
    }

    /// How many rows it has: at least 1.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// The id of a row.
    ///
    /// # Panics
    /// This and all that follow: if there is no such row.
    pub(crate) fn id(&self, row: u32) -> Result<PointId> {
        self.id_by(&mut Mapped, row)
    }

    /// The row of a point.
    pub(crate) fn find(&self, id: PointId) -> Result<Option<u32>> {
        let row = self.lower_bound(id)?;
        Ok((row < self.rows && self.id(row)? == id).then_some(row))
    }

    /// The first row whose id is `id` or comes after it; [`Segment::rows`] if there is none.
    pub(crate) fn lower_bound(&self, id: PointId) -> Result<u32> {
        let (mut low, mut high) = match (id, self.numbers()) {
            (PointId::Num(_), numbers) => (0, numbers),
            (PointId::Uuid(_), numbers) => (numbers, self.rows),
        };
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id(middle)? < id {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The number of the log record that made the row.
    pub(crate) fn version(&self, row: u32) -> Result<Lsn> {
        self.version_by(&mut Mapped, row)
    }

    /// The row's payload as JSON text; empty for none.
    pub(crate) fn payload(&self, row: u32) -> Result<&str> {
        let (start, end) = self.payload_range(&mut Mapped, row)?;
        self.text(row, start, self.bytes(&self.payload_data, start, end - start)?)
    }

    fn numbers(&self) -> u32 {
        // The layout has no more ids than rows.
        u32::try_from(self.ids_num.section().count).unwrap_or(self.rows)
    }

    /// Bytes of the memory map.
    pub(super) fn bytes(&self, blocks: &Blocks, start: u64, len: u64) -> Result<&[u8]> {
        blocks.get(&self.map, start, len).map_err(|bad| self.bad_block(bad))
    }

    pub(super) fn bad_block(&self, BadBlock { offset, expected, actual }: BadBlock) -> Error {
        Error::BlockChecksum { path: self.path.clone(), segment: self.id, offset, expected, actual }
    }

    pub(super) fn malformed(&self, offset: u64, reason: String) -> Error {
        Violation::rule(offset, reason).into_error(&self.path)
    }

    /// What stands in the file, in its order.
    pub(crate) fn section_table(&self) -> impl Iterator<Item = &Section> {
        self.sections().map(|(blocks, _)| blocks.section())
    }

    /// All sections in the order of the file, each with what its elements count up to (see [`Order`](super::order::Order)).
    pub(super) fn sections(&self) -> impl Iterator<Item = (&Blocks, u64)> {
        let ids = [(&self.ids_num, 0), (&self.ids_uuid, 0), (&self.versions, 0)];
        let vectors = self.vectors.iter().flat_map(Vectors::sections);
        let payloads = [(&self.payload_offsets, self.payload_data.section().len), (&self.payload_data, 0)];
        ids.into_iter().chain(vectors).chain(payloads)
    }
}

/// Reads and checks everything of a segment file except its sections and the padding between them.
pub(super) fn read_frame(file: &dyn File, path: &Path, id: SegmentId, len: u64) -> Result<(Header, Layout)> {
    let actual = file.len().map_err(on("read the length of", path))?;
    if actual != len {
        return Err(Error::FileLength { path: path.to_owned(), expected: len, actual });
    }
    let read = |offset: u64, len: u64| -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, offset).map_err(on("read", path))?;
        Ok(bytes)
    };
    let at = |base: u64| move |violation: Violation| violation.shifted(base).into_error(path);

    let Some(trailer_offset) = len.checked_sub(TRAILER_LEN as u64).filter(|offset| *offset >= HEADER_LEN as u64) else {
        return Err(at(0)(Violation::rule(0u64, format!("{len} bytes are too few for a segment"))));
    };
    let header = read(0, HEADER_LEN as u64)?;
    let header = RawHeader::parse(&header).and_then(|header| header.check(id)).map_err(at(0))?;
    let trailer = read(trailer_offset, TRAILER_LEN as u64)?;
    let trailer = RawTrailer::parse(&trailer).and_then(|trailer| trailer.check(id, len)).map_err(at(trailer_offset))?;

    // The trailer bounds the footer, and at most a page of padding is behind it.
    let Trailer { footer_offset, footer_len, footer_crc, .. } = trailer;
    let tail = read(footer_offset, trailer_offset - footer_offset)?;
    let (footer, padding) = tail.split_at(usize::try_from(footer_len).unwrap_or(usize::MAX));
    let actual = Crc32c::of(footer);
    if actual != footer_crc {
        let reason = format!("the footer has checksum {actual}, the trailer says {footer_crc}");
        return Err(at(footer_offset)(Violation::rule(0u64, reason)));
    }
    zeros(padding, 0..padding.len()).map_err(at(footer_offset + footer_len))?;
    let layout = RawFooter::parse(footer).and_then(|footer| footer.check(&header, footer_offset)).map_err(at(footer_offset))?;
    Ok((header, layout))
}
