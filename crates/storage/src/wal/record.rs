//! One record: a header of 32 bytes, the body, and zeros up to a multiple of 8.
//!
//! Both parts have a checksum of their own, so that a header can be believed, and its length followed, even if its body is torn.
//! A header that passes its checksum and breaks a rule was written so: no crash makes one. Whether a record fits its place in a
//! file (LSN, batch) is checked by the reader, not here.

use std::array;

use crate::checksum::Crc32c;
use crate::codec::BODY_LEN_MAX;
use crate::ids::Lsn;
use crate::wal::file;

/// A record that holds an encoded operation; the only type there is.
pub const TYPE_OPERATION: u8 = 1;
/// Records begin at multiples of this many bytes.
pub const ALIGNMENT: usize = 8;

const LEN_OFFSET: usize = 0;
const LEN_SIZE: usize = 4;
const TYPE_OFFSET: usize = LEN_OFFSET + LEN_SIZE;
const TYPE_SIZE: usize = 1;
const RESERVED_OFFSET: usize = TYPE_OFFSET + TYPE_SIZE;
const RESERVED_SIZE: usize = 3;
const LSN_OFFSET: usize = RESERVED_OFFSET + RESERVED_SIZE;
const LSN_SIZE: usize = 8;
const BATCH_OFFSET_OFFSET: usize = LSN_OFFSET + LSN_SIZE;
const BATCH_OFFSET_SIZE: usize = 8;
const BODY_CRC_OFFSET: usize = BATCH_OFFSET_OFFSET + BATCH_OFFSET_SIZE;
const BODY_CRC_SIZE: usize = 4;
const HEADER_CRC_OFFSET: usize = BODY_CRC_OFFSET + BODY_CRC_SIZE;
const HEADER_CRC_SIZE: usize = 4;

/// Bytes of a record's header.
pub const RECORD_HEADER_LEN: usize = HEADER_CRC_OFFSET + HEADER_CRC_SIZE;
const _: () = assert!(RECORD_HEADER_LEN == 32);
const _: () = assert!(RECORD_HEADER_LEN.is_multiple_of(ALIGNMENT) && file::HEADER_LEN.is_multiple_of(ALIGNMENT));
// The length of a whole record, header and padding included, fits a u32 and so a usize.
const _: () = assert!(BODY_LEN_MAX < u32::MAX as usize - RECORD_HEADER_LEN - ALIGNMENT);

/// What is wrong with the header of a log file or of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderDefect {
    /// Fewer bytes than a header has.
    #[error("a header needs {needed} bytes, {actual} are there")]
    Short {
        /// Bytes of such a header.
        needed: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// The bytes are not what was written.
    #[error("the header has checksum {actual}, it says {expected}")]
    Checksum {
        /// What stands in the header.
        expected: Crc32c,
        /// What its bytes have.
        actual: Crc32c,
    },
    /// Intact, and of another version.
    #[error("format version {actual}, this program knows {known}")]
    Version {
        /// The version this program knows.
        known: u32,
        /// The version in the header.
        actual: u32,
    },
    /// Intact, and against a rule of the format.
    #[error("{0}")]
    Rule(&'static str),
}

/// The header of a record, all of whose own rules have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader {
    /// Bytes of the body, without padding; at most [`BODY_LEN_MAX`].
    pub body_len: u32,
    /// The record's number.
    pub lsn: Lsn,
    /// The offset in the file at which the first record of this record's batch begins.
    pub batch_offset: u64,
    /// Checksum of the body and the padding behind it.
    pub body_crc: Crc32c,
}

impl RecordHeader {
    /// The bytes on the disk.
    pub fn encode(self) -> [u8; RECORD_HEADER_LEN] {
        let mut bytes = [0; RECORD_HEADER_LEN];
        bytes[LEN_OFFSET..][..LEN_SIZE].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[TYPE_OFFSET] = TYPE_OPERATION;
        bytes[LSN_OFFSET..][..LSN_SIZE].copy_from_slice(&self.lsn.0.to_le_bytes());
        bytes[BATCH_OFFSET_OFFSET..][..BATCH_OFFSET_SIZE].copy_from_slice(&self.batch_offset.to_le_bytes());
        bytes[BODY_CRC_OFFSET..][..BODY_CRC_SIZE].copy_from_slice(&self.body_crc.0.to_le_bytes());
        let crc = Crc32c::of(&bytes[..HEADER_CRC_OFFSET]);
        bytes[HEADER_CRC_OFFSET..].copy_from_slice(&crc.0.to_le_bytes());
        bytes
    }

    /// Reads the header at the beginning of `bytes`. The checksum comes first: a [`HeaderDefect::Rule`] is what somebody wrote,
    /// not damage.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderDefect> {
        let Some(bytes) = bytes.first_chunk::<RECORD_HEADER_LEN>() else {
            return Err(HeaderDefect::Short { needed: RECORD_HEADER_LEN, actual: bytes.len() });
        };
        let u32_at = |offset: usize| u32::from_le_bytes(array::from_fn(|byte| bytes[offset + byte]));
        let u64_at = |offset: usize| u64::from_le_bytes(array::from_fn(|byte| bytes[offset + byte]));

        let (expected, actual) = (Crc32c(u32_at(HEADER_CRC_OFFSET)), Crc32c::of(&bytes[..HEADER_CRC_OFFSET]));
        if expected != actual {
            return Err(HeaderDefect::Checksum { expected, actual });
        }
        if bytes[TYPE_OFFSET] != TYPE_OPERATION {
            return Err(HeaderDefect::Rule("the type of a record is not known"));
        }
        if bytes[RESERVED_OFFSET..][..RESERVED_SIZE] != [0; RESERVED_SIZE] {
            return Err(HeaderDefect::Rule("reserved bytes of a record's header are not zero"));
        }
        let body_len = u32_at(LEN_OFFSET);
        if body_len as usize > BODY_LEN_MAX {
            return Err(HeaderDefect::Rule("a body is longer than one may be"));
        }
        let batch_offset = u64_at(BATCH_OFFSET_OFFSET);
        if batch_offset < file::HEADER_LEN as u64 || !batch_offset.is_multiple_of(ALIGNMENT as u64) {
            return Err(HeaderDefect::Rule("a batch begins where no record can"));
        }
        Ok(Self { body_len, lsn: Lsn(u64_at(LSN_OFFSET)), batch_offset, body_crc: Crc32c(u32_at(BODY_CRC_OFFSET)) })
    }

    /// Bytes of the whole record: header, body and padding.
    pub fn record_len(self) -> usize {
        RECORD_HEADER_LEN + (self.body_len as usize).next_multiple_of(ALIGNMENT)
    }
}

/// Whether `bytes` have the type and the reserved bytes of a header: cheap, for a scan to ask before [`RecordHeader::parse`].
pub(crate) fn may_be_header(bytes: &[u8]) -> bool {
    bytes.get(TYPE_OFFSET..LSN_OFFSET).is_some_and(|bytes| bytes == [TYPE_OPERATION, 0, 0, 0])
}

/// The checksum that belongs in the header in front of `body`: of the body and its padding. The caller computes it before the
/// record is queued, so that the thread that writes does not.
pub(crate) fn body_crc(body: &[u8]) -> Crc32c {
    Crc32c::of(body).append(padding(body.len()))
}

/// The zeros behind a body of `body_len` bytes.
pub(crate) fn padding(body_len: usize) -> &'static [u8] {
    &[0; ALIGNMENT][..body_len.next_multiple_of(ALIGNMENT) - body_len]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: RecordHeader =
        RecordHeader { body_len: 5, lsn: Lsn(0x0102_0304), batch_offset: 64, body_crc: Crc32c(0xaabb_ccdd) };

    #[test]
    fn the_header_never_changes() {
        let mut expected = Vec::new();
        expected.extend([5, 0, 0, 0]); // length of the body
        expected.extend([1, 0, 0, 0]); // type, reserved
        expected.extend([4, 3, 2, 1, 0, 0, 0, 0]); // LSN
        expected.extend([64, 0, 0, 0, 0, 0, 0, 0]); // batch offset
        expected.extend([0xdd, 0xcc, 0xbb, 0xaa]); // checksum of the body
        expected.extend([0x40, 0x26, 0x79, 0x2b]); // checksum, computed by another program
        assert_eq!(HEADER.encode().as_slice(), expected);
        assert_eq!(RecordHeader::parse(&expected), Ok(HEADER));
        assert_eq!(HEADER.record_len(), 40);
    }

    #[test]
    fn the_body_checksum_covers_the_padding() {
        assert_eq!(body_crc(b"12345"), Crc32c::of(b"12345\0\0\0"));
        assert_eq!(body_crc(b"12345678"), Crc32c::of(b"12345678"));
        assert_eq!(body_crc(b""), Crc32c(0));
    }

    #[test]
    fn every_flipped_bit_and_every_prefix_is_refused() {
        for bit in 0..RECORD_HEADER_LEN * 8 {
            let mut bytes = HEADER.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(RecordHeader::parse(&bytes), Err(HeaderDefect::Checksum { .. })), "bit {bit}");
        }
        for len in 0..RECORD_HEADER_LEN {
            assert!(matches!(RecordHeader::parse(&HEADER.encode()[..len]), Err(HeaderDefect::Short { .. })), "{len} bytes");
        }
        assert!(matches!(RecordHeader::parse(&[0; RECORD_HEADER_LEN]), Err(HeaderDefect::Checksum { .. })), "zeros");
    }

    #[test]
    fn rules_are_checked_behind_an_intact_checksum() {
        let sealed = |offset: usize, byte: u8| {
            let mut bytes = HEADER.encode();
            bytes[offset] = byte;
            let crc = Crc32c::of(&bytes[..HEADER_CRC_OFFSET]);
            bytes[HEADER_CRC_OFFSET..].copy_from_slice(&crc.0.to_le_bytes());
            RecordHeader::parse(&bytes)
        };
        assert!(sealed(LEN_OFFSET, 6).is_ok());
        for (offset, byte) in
            [(TYPE_OFFSET, 0), (TYPE_OFFSET, 2), (LEN_OFFSET + 3, 0x80), (BATCH_OFFSET_OFFSET, 56), (BATCH_OFFSET_OFFSET, 65)]
        {
            assert!(matches!(sealed(offset, byte), Err(HeaderDefect::Rule(_))), "byte {byte} at {offset}");
        }
        for offset in RESERVED_OFFSET..LSN_OFFSET {
            assert!(matches!(sealed(offset, 1), Err(HeaderDefect::Rule(_))), "reserved byte {offset}");
        }
    }

    #[test]
    fn the_description_has_the_same_table() {
        let fields = [
            (LEN_OFFSET, "LEN"),
            (TYPE_OFFSET, "TYPE"),
            (RESERVED_OFFSET, "RESERVED"),
            (LSN_OFFSET, "LSN"),
            (BATCH_OFFSET_OFFSET, "BATCH_OFFSET"),
            (BODY_CRC_OFFSET, "BODY_CRC"),
            (HEADER_CRC_OFFSET, "HEADER_CRC"),
        ];
        crate::format_doc::check("### Log record", RECORD_HEADER_LEN, &fields);
        crate::format_doc::check_constant("RECORD_HEADER_LEN", RECORD_HEADER_LEN);
    }
}
