//! The first page of a segment: which segment this is, and how many rows it has.
//!
//! Known before the first section is written, so a segment is written in one pass. It says nothing about sections: their
//! table is in the footer.
#![warn(clippy::indexing_slicing)]

use super::fields::{CRC_SIZE, Sealed, VERSION_OFFSET, VERSION_SIZE, put, u32_at, u64_at, zeros};
use super::{FORMAT_VERSION, PAGE_LEN, ROWS_MAX, Violation};
use crate::ids::SegmentId;

/// Bytes of the header: one page.
pub const HEADER_LEN: usize = 4096;

/// The first bytes of the file. The line feed shows a transfer in text mode.
pub(crate) const HEADER_MAGIC: [u8; 8] = *b"ICESEGM\n";

/// Offset of the row count.
pub(crate) const ROW_COUNT_OFFSET: usize = VERSION_OFFSET + VERSION_SIZE;
const ROW_COUNT_SIZE: usize = 4;
/// Offset of the segment id.
pub(crate) const SEGMENT_ID_OFFSET: usize = ROW_COUNT_OFFSET + ROW_COUNT_SIZE;
const SEGMENT_ID_SIZE: usize = 8;
/// Offset of the reserved bytes.
pub(crate) const RESERVED_OFFSET: usize = SEGMENT_ID_OFFSET + SEGMENT_ID_SIZE;
/// Offset of the checksum.
pub(crate) const HEADER_CRC_OFFSET: usize = HEADER_LEN - CRC_SIZE;

const _: () = assert!(HEADER_LEN as u64 == PAGE_LEN);
const _: () = assert!(RESERVED_OFFSET == 24);

const SEALED: Sealed = Sealed { name: "segment header", magic: HEADER_MAGIC, version: FORMAT_VERSION, len: HEADER_LEN };

/// A header as read: undamaged, but its values are not yet compared with anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawHeader {
    segment: u64,
    rows: u32,
}

/// A header that belongs to the segment asked for and has possible values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The segment.
    pub segment: SegmentId,
    /// How many rows it has: 1 to [`ROWS_MAX`].
    pub rows: u32,
}

impl RawHeader {
    /// Reads the [`HEADER_LEN`] bytes of a header; checks magic, version, checksum and reserved bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        SEALED.open(bytes)?;
        zeros(bytes, RESERVED_OFFSET..HEADER_CRC_OFFSET)?;
        Ok(Self { segment: u64_at(bytes, SEGMENT_ID_OFFSET)?, rows: u32_at(bytes, ROW_COUNT_OFFSET)? })
    }

    /// Compares it with the segment that the file should be.
    pub fn check(self, segment: SegmentId) -> Result<Header, Violation> {
        if self.segment != segment.0 {
            let reason = format!("the header is that of segment {}, not of {segment}", SegmentId(self.segment));
            return Err(Violation::rule(SEGMENT_ID_OFFSET, reason));
        }
        if self.rows == 0 || self.rows > ROWS_MAX {
            return Err(Violation::rule(ROW_COUNT_OFFSET, format!("{} rows, not 1 to {ROWS_MAX}", self.rows)));
        }
        Ok(Header { segment, rows: self.rows })
    }
}

impl Header {
    /// The header as it stands in the file.
    pub(crate) fn encode(self) -> Vec<u8> {
        SEALED.build(|bytes| {
            put(bytes, ROW_COUNT_OFFSET, &self.rows.to_le_bytes());
            put(bytes, SEGMENT_ID_OFFSET, &self.segment.0.to_le_bytes());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Crc32c;

    #[test]
    fn the_encoding_never_changes() {
        let header = Header { segment: SegmentId(0x0102_0304_0506_0708), rows: 0x0a0b_0c0d };
        let mut expected = b"ICESEGM\n".to_vec();
        expected.extend([1, 0, 0, 0]);
        expected.extend([0x0d, 0x0c, 0x0b, 0x0a]);
        expected.extend([8, 7, 6, 5, 4, 3, 2, 1]);
        expected.resize(4092, 0);
        expected.extend(Crc32c::of(&expected).0.to_le_bytes());
        assert_eq!(header.encode(), expected);
        assert_eq!(expected[4092..], [235, 141, 203, 157]);
        assert_eq!(RawHeader::parse(&expected).unwrap().check(header.segment), Ok(header));
    }

    #[test]
    fn wrong_values_are_refused() {
        let parse = |segment, rows| RawHeader::parse(&Header { segment: SegmentId(segment), rows }.encode()).unwrap();
        assert!(parse(1, 1).check(SegmentId(1)).is_ok());
        assert!(parse(1, ROWS_MAX).check(SegmentId(1)).is_ok());
        assert!(parse(2, 1).check(SegmentId(1)).is_err());
        assert!(parse(1, 0).check(SegmentId(1)).is_err());
        assert!(parse(1, u32::MAX).check(SegmentId(1)).is_err());
        let reserved = SEALED.build(|bytes| put(bytes, 100, &[1]));
        assert_eq!(RawHeader::parse(&reserved), Err(Violation::rule(100u64, "a byte that must be zero is not")));
    }
}
