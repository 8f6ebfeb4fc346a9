//! Writes a segment in one pass over the file, asking for the rows once per section.
//!
//! The lengths of all sections are asked for before their bytes, so nothing is written twice and equal rows make equal
//! files. Memory is one buffer and the block checksums. The file counts only once a manifest names it: until then a crash
//! leaves a file that nobody reads, so it is written under its own name and not published; the caller syncs the directory.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use icecore_io::Fs;

use super::footer;
use super::sink::Sink;
use super::{ALIGNMENT, FOOTER_LEN_MAX, HEADER_LEN, Header, Kind, ROWS_MAX, Section, TRAILER_LEN, Trailer, VectorSpec};
use crate::checksum::{Crc32c, FileDigest};
use crate::error::{Error, Result, on};
use crate::ids::{Lsn, PointId, SegmentId};
use crate::vector::VectorRef;

/// What a writer asks for the rows of a new segment. It goes through them from the first to the last several times, and must
/// get the same answers each time. Rows may be read from files as they are asked for.
pub(crate) trait Rows {
    /// How many there are: 1 to [`ROWS_MAX`].
    fn len(&self) -> usize;

    /// The id of a row; strictly ascending.
    fn id(&mut self, row: usize) -> Result<PointId>;

    /// The number of the log record that made the row.
    fn version(&mut self, row: usize) -> Result<Lsn>;

    /// The row's vector of this name, if it has one; of the name's kind, with values of its datatype.
    fn vector<'a>(&'a mut self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>>;

    /// The row's payload as JSON text; empty for none.
    fn payload<'a>(&'a mut self, row: usize) -> Result<Cow<'a, str>>;

    /// Whether the row has a vector of this name. Worth its own answer where that needs no look at the vector.
    fn has_vector(&mut self, row: usize, name: &str) -> Result<bool> {
        Ok(self.vector(row, name)?.is_some())
    }

    /// How many numbers the row's vector of this name has, if it has one. Worth its own answer where that needs no look at the vector.
    fn component_count(&mut self, row: usize, name: &str) -> Result<Option<u64>> {
        Ok(self.vector(row, name)?.map(|vector| vector.component_count()))
    }

    /// Bytes of the row's payload. Worth its own answer where that needs no look at the payload.
    fn payload_len(&mut self, row: usize) -> Result<u64> {
        Ok(self.payload(row)?.len() as u64)
    }
}

/// Writes the segment `id` to `path`, which must not exist, and makes its contents durable; the directory is for the caller
/// to sync. `vectors` is sorted by name. On an error the file is removed.
///
/// # Panics
/// If `rows` or `vectors` break what their types ask for.
pub(crate) fn write_segment(
    fs: &dyn Fs,
    path: &Path,
    id: SegmentId,
    vectors: &[VectorSpec],
    rows: &mut dyn Rows,
) -> Result<FileDigest> {
    assert!(vectors.is_sorted_by(|a, b| a.name < b.name), "vector names are sorted: {vectors:?}");
    let header = Header { segment: id, rows: row_count(rows) };
    let numbers = count_numbers(rows)?;
    let file = fs.create_new(path).map_err(on("create", path))?;
    let mut writer = Writer { sink: Sink::new(file, path), sections: Vec::new(), crcs: Vec::new() };
    let written = match writer.sections(header, numbers, vectors, rows) {
        Ok(()) => writer.finish(path, id),
        Err(error) => Err(error),
    };
    if written.is_err() {
        // The error that is returned is the one to know. A file that stays is one that no manifest names, deleted at start.
        let _ = fs.remove_file(path);
    }
    written
}

fn row_count(rows: &dyn Rows) -> u32 {
    match u32::try_from(rows.len()) {
        Ok(count @ 1..=ROWS_MAX) => count,
        _ => panic!("a segment of {} rows, it can have 1 to {ROWS_MAX}", rows.len()),
    }
}

/// How many ids are numbers; all of them come before the others.
fn count_numbers(rows: &mut dyn Rows) -> Result<usize> {
    let mut numbers = 0;
    let mut before = None;
    for row in 0..rows.len() {
        let id = rows.id(row)?;
        assert!(before < Some(id), "row {row} has id {id}, which does not come after the one before");
        before = Some(id);
        numbers += usize::from(matches!(id, PointId::Num(_)));
    }
    Ok(numbers)
}

pub(super) struct Writer {
    sink: Sink,
    sections: Vec<Section>,
    crcs: Vec<u32>,
}

impl Writer {
    fn sections(&mut self, header: Header, numbers: usize, vectors: &[VectorSpec], rows: &mut dyn Rows) -> Result<()> {
        self.sink.write(&header.encode())?;
        self.ids(numbers, rows)?;
        self.section(Kind::Versions, "", 0, rows.len() as u64, |section| {
            (0..rows.len()).try_for_each(|row| section.write(&rows.version(row)?.0.to_le_bytes()))
        })?;
        vectors.iter().try_for_each(|spec| self.vectors(spec, rows))?;
        self.payloads(rows)
    }

    fn ids(&mut self, numbers: usize, rows: &mut dyn Rows) -> Result<()> {
        let count = rows.len();
        self.section(Kind::IdsNum, "", 0, numbers as u64, |section| {
            (0..numbers).try_for_each(|row| match rows.id(row)? {
                PointId::Num(number) => section.write(&number.to_le_bytes()),
                PointId::Uuid(_) => Ok(()),
            })
        })?;
        self.section(Kind::IdsUuid, "", 0, (count - numbers) as u64, |section| {
            (numbers..count).try_for_each(|row| match rows.id(row)? {
                PointId::Num(_) => Ok(()),
                PointId::Uuid(bytes) => section.write(&bytes),
            })
        })
    }

    fn payloads(&mut self, rows: &mut dyn Rows) -> Result<()> {
        let mut end = 0u64;
        self.section(Kind::PayloadOffsets, "", 0, rows.len() as u64 + 1, |section| {
            section.write(&end.to_le_bytes())?;
            (0..rows.len()).try_for_each(|row| {
                end += rows.payload_len(row)?;
                section.write(&end.to_le_bytes())
            })
        })?;
        self.section(Kind::PayloadData, "", 0, end, |section| {
            (0..rows.len()).try_for_each(|row| section.write(rows.payload(row)?.as_bytes()))
        })
    }

    /// Writes one section at the place that follows from those before it.
    pub(super) fn section(
        &mut self,
        kind: Kind,
        name: &str,
        dim: u32,
        count: u64,
        fill: impl FnOnce(&mut SectionSink<'_>) -> Result<()>,
    ) -> Result<()> {
        let len = count * kind.element_len(dim);
        let Some(offset) = Section::place(self.end(), len) else { unreachable!("a file of 2^64 bytes") };
        self.sink.pad_to(offset)?;
        fill(&mut SectionSink { sink: &mut self.sink, crcs: &mut self.crcs })?;
        self.sink.end_section(&mut self.crcs);
        let written = self.sink.position() - offset;
        assert_eq!(written, len, "bytes of section {kind:?} {name:?}: the rows gave other answers than before");
        self.sections.push(Section { kind, name: name.to_owned(), dim, offset, len, count });
        Ok(())
    }

    fn end(&self) -> u64 {
        self.sections.last().map_or(HEADER_LEN as u64, |section| section.offset + section.len)
    }

    /// Writes footer and trailer and syncs the file.
    fn finish(mut self, path: &Path, segment: SegmentId) -> Result<FileDigest> {
        let footer = footer::encode(&self.sections, &self.crcs);
        let (footer_offset, footer_len) = (self.end().next_multiple_of(ALIGNMENT), footer.len() as u64);
        let Some(file_len) = Trailer::file_len_for(footer_offset, footer_len).filter(|_| footer_len <= FOOTER_LEN_MAX) else {
            // No reader would take it.
            let source = io::Error::from(io::ErrorKind::FileTooLarge);
            return Err(Error::Io { operation: "write the footer of", path: path.to_owned(), source });
        };
        self.sink.pad_to(footer_offset)?;
        self.sink.write(&footer)?;
        self.sink.pad_to(file_len - TRAILER_LEN as u64)?;
        let footer_crc = Crc32c::of(&footer);
        self.sink.write(&Trailer { segment, file_len, footer_offset, footer_len, footer_crc }.encode())?;
        let digest = self.sink.finish()?;
        assert_eq!(digest.len, file_len, "length of the segment");
        Ok(digest)
    }
}

/// Where the bytes of one section go.
pub(super) struct SectionSink<'a> {
    sink: &'a mut Sink,
    crcs: &'a mut Vec<u32>,
}

impl SectionSink<'_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_section(bytes, self.crcs)
    }
}
