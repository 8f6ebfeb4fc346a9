//! Segments: immutable files of points, sorted by id, that are memory-mapped and used in place.
//!
//! A file is `header · sections · footer · trailer`, little-endian, a multiple of 4096 bytes long (FORMAT.md, "Segment").
//! What keeps it correct: the header, the footer and the trailer carry checksums that are checked at open; the place of
//! every section follows from the sections before it and is compared, so nothing can overlap or leave a gap; each block of a
//! section is checked at its first use, so damage is an error and never data. Which rows are dead is not known here
//! (`tombstones`), nor which segments are live (the manifest).

mod blocks;
mod fetch;
mod fields;
mod footer;
mod header;
mod layout;
mod order;
mod reader;
mod row_reader;
mod scrub;
mod section;
mod sink;
mod spec;
mod trailer;
mod vector_layout;
mod vector_reader;
mod vector_writer;
mod violation;
mod windows;
mod writer;

#[cfg(test)]
mod tests;

pub use blocks::BLOCK_LEN;
pub(crate) use fields::{CRC_SIZE, Sealed, VERSION_OFFSET, VERSION_SIZE, put, u32_at, u64_at, zeros};
pub use footer::{RawFooter, RawSection};
pub use header::{HEADER_LEN, Header, RawHeader};
pub use layout::Layout;
pub use reader::Segment;
pub(crate) use row_reader::RowReader;
pub(crate) use scrub::Piece;
pub use section::{Kind, Section};
pub use spec::VectorKind;
pub(crate) use spec::VectorSpec;
pub use trailer::{FOOTER_LEN_MAX, RawTrailer, TRAILER_LEN, Trailer};
pub use vector_layout::{ValueSections, VectorSections};
pub use violation::Violation;
pub(crate) use writer::{Rows, write_segment};

#[cfg(not(target_endian = "little"))]
compile_error!("segments hold little-endian numbers that are used in place; this target would have to convert them");

/// The version of the segment format that is written, and the newest that is read.
pub const FORMAT_VERSION: u32 = 1;

/// A file's length, and the start of each section of this length or more, is a multiple of this: a page of memory.
pub const PAGE_LEN: u64 = 4096;

/// The start of each shorter section, and of the footer, is a multiple of this: a cache line, enough for every element type.
pub const ALIGNMENT: u64 = 64;

/// The most rows that a segment can have; one less than what `VECTOR_ROWS` uses to say that a row has no vector.
pub const ROWS_MAX: u32 = u32::MAX - 1;
