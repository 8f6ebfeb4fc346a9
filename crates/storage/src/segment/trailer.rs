//! The last 64 bytes of a segment: where the footer is.
//!
//! Its checksum, and its length of the file, show a file that was cut or grew. The footer's own checksum stands here, so
//! that the footer can be written in one piece before it.
#![warn(clippy::indexing_slicing)]

use super::fields::{CRC_SIZE, Sealed, VERSION_OFFSET, VERSION_SIZE, put, u32_at, u64_at, zeros};
use super::{ALIGNMENT, FORMAT_VERSION, HEADER_LEN, PAGE_LEN, Violation};
use crate::checksum::Crc32c;
use crate::ids::SegmentId;

/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 64;

/// The first bytes of the trailer.
pub(crate) const TRAILER_MAGIC: [u8; 8] = *b"ICESEGT\n";

/// The most bytes that a footer may have: enough for the checksums of a tebibyte. Bounds what a reader allocates.
pub const FOOTER_LEN_MAX: u64 = 64 * 1024 * 1024;

/// Offset of the footer's checksum.
pub(crate) const FOOTER_CRC_OFFSET: usize = VERSION_OFFSET + VERSION_SIZE;
/// Offset of the segment id.
pub(crate) const SEGMENT_ID_OFFSET: usize = FOOTER_CRC_OFFSET + CRC_SIZE;
const SEGMENT_ID_SIZE: usize = 8;
/// Offset of the length of the file.
pub(crate) const FILE_LEN_OFFSET: usize = SEGMENT_ID_OFFSET + SEGMENT_ID_SIZE;
const FILE_LEN_SIZE: usize = 8;
/// Offset of the place of the footer.
pub(crate) const FOOTER_OFFSET_OFFSET: usize = FILE_LEN_OFFSET + FILE_LEN_SIZE;
const FOOTER_OFFSET_SIZE: usize = 8;
/// Offset of the length of the footer.
pub(crate) const FOOTER_LEN_OFFSET: usize = FOOTER_OFFSET_OFFSET + FOOTER_OFFSET_SIZE;
const FOOTER_LEN_SIZE: usize = 8;
/// Offset of the reserved bytes.
pub(crate) const RESERVED_OFFSET: usize = FOOTER_LEN_OFFSET + FOOTER_LEN_SIZE;
/// Offset of the trailer's checksum.
pub(crate) const TRAILER_CRC_OFFSET: usize = TRAILER_LEN - CRC_SIZE;

const _: () = assert!(RESERVED_OFFSET == 48);

const SEALED: Sealed = Sealed { name: "segment trailer", magic: TRAILER_MAGIC, version: FORMAT_VERSION, len: TRAILER_LEN };

/// A trailer as read: undamaged, but its values are not yet compared with anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawTrailer {
    footer_crc: Crc32c,
    segment: u64,
    file_len: u64,
    footer_offset: u64,
    footer_len: u64,
}

/// A trailer whose footer lies inside the file and can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// The segment.
    pub segment: SegmentId,
    /// Bytes of the file.
    pub file_len: u64,
    /// Where the footer starts.
    pub footer_offset: u64,
    /// Bytes of the footer, at most [`FOOTER_LEN_MAX`].
    pub footer_len: u64,
    /// The checksum of the footer.
    pub footer_crc: Crc32c,
}

impl RawTrailer {
    /// Reads the [`TRAILER_LEN`] bytes of a trailer; checks magic, version, checksum and reserved bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        SEALED.open(bytes)?;
        zeros(bytes, RESERVED_OFFSET..TRAILER_CRC_OFFSET)?;
        Ok(Self {
            footer_crc: Crc32c(u32_at(bytes, FOOTER_CRC_OFFSET)?),
            segment: u64_at(bytes, SEGMENT_ID_OFFSET)?,
            file_len: u64_at(bytes, FILE_LEN_OFFSET)?,
            footer_offset: u64_at(bytes, FOOTER_OFFSET_OFFSET)?,
            footer_len: u64_at(bytes, FOOTER_LEN_OFFSET)?,
        })
    }

    /// Compares it with the file that it ends. The length of the file must follow from the footer's place and length.
    pub fn check(self, segment: SegmentId, file_len: u64) -> Result<Trailer, Violation> {
        let Self { footer_crc, footer_offset, footer_len, .. } = self;
        if self.segment != segment.0 {
            let reason = format!("the trailer is that of segment {}, not of {segment}", SegmentId(self.segment));
            return Err(Violation::rule(SEGMENT_ID_OFFSET, reason));
        }
        if self.file_len != file_len {
            let reason = format!("the file has {file_len} bytes, its trailer says {}", self.file_len);
            return Err(Violation::rule(FILE_LEN_OFFSET, reason));
        }
        if footer_len > FOOTER_LEN_MAX {
            let reason = format!("a footer of {footer_len} bytes, more than the {FOOTER_LEN_MAX} that are allowed");
            return Err(Violation::rule(FOOTER_LEN_OFFSET, reason));
        }
        let follows = Trailer::file_len_for(footer_offset, footer_len);
        if footer_offset < HEADER_LEN as u64 || footer_offset % ALIGNMENT != 0 || follows != Some(file_len) {
            let reason = format!("a footer of {footer_len} bytes at {footer_offset} does not fit a file of {file_len} bytes");
            return Err(Violation::rule(FOOTER_OFFSET_OFFSET, reason));
        }
        Ok(Trailer { segment, file_len, footer_offset, footer_len, footer_crc })
    }
}

impl Trailer {
    /// The length of a file whose footer is there: the trailer follows, at the end of a page.
    pub(crate) fn file_len_for(footer_offset: u64, footer_len: u64) -> Option<u64> {
        footer_offset.checked_add(footer_len)?.checked_add(TRAILER_LEN as u64)?.checked_next_multiple_of(PAGE_LEN)
    }

    /// The trailer as it stands in the file.
    pub(crate) fn encode(self) -> Vec<u8> {
        SEALED.build(|bytes| {
            put(bytes, FOOTER_CRC_OFFSET, &self.footer_crc.0.to_le_bytes());
            put(bytes, SEGMENT_ID_OFFSET, &self.segment.0.to_le_bytes());
            put(bytes, FILE_LEN_OFFSET, &self.file_len.to_le_bytes());
            put(bytes, FOOTER_OFFSET_OFFSET, &self.footer_offset.to_le_bytes());
            put(bytes, FOOTER_LEN_OFFSET, &self.footer_len.to_le_bytes());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailer() -> Trailer {
        let (file_len, footer_offset, footer_len) = (12288, 8192, 500);
        Trailer { segment: SegmentId(7), file_len, footer_offset, footer_len, footer_crc: Crc32c(0x0102_0304) }
    }

    #[test]
    fn the_encoding_never_changes() {
        let mut expected = b"ICESEGT\n".to_vec();
        expected.extend([1, 0, 0, 0, 4, 3, 2, 1]);
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0x30, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0x20, 0, 0, 0, 0, 0, 0]);
        expected.extend([0xf4, 1, 0, 0, 0, 0, 0, 0]);
        expected.resize(60, 0);
        expected.extend(Crc32c::of(&expected).0.to_le_bytes());
        assert_eq!(trailer().encode(), expected);
        assert_eq!(RawTrailer::parse(&expected).unwrap().check(SegmentId(7), 12288), Ok(trailer()));
    }

    #[test]
    fn wrong_values_are_refused() {
        let check = |trailer: Trailer| RawTrailer::parse(&trailer.encode()).unwrap().check(SegmentId(7), 12288);
        assert!(check(trailer()).is_ok());
        assert!(check(Trailer { segment: SegmentId(8), ..trailer() }).is_err());
        assert!(check(Trailer { file_len: 16384, ..trailer() }).is_err());
        assert!(check(Trailer { footer_len: FOOTER_LEN_MAX + 1, ..trailer() }).is_err());
        assert!(check(Trailer { footer_len: 4096 - 63, ..trailer() }).is_err());
        for footer_offset in [0, 64, 8193, 12288, u64::MAX, u64::MAX - 63] {
            assert!(check(Trailer { footer_offset, ..trailer() }).is_err(), "{footer_offset}");
        }
    }
}
