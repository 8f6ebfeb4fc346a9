//! The name and the header of a log file.
//!
//! The header is synced before the first record is written. So a file of at most [`HEADER_LEN`] bytes may have a torn header (the
//! process ended while it was created, and nothing is lost), but in a longer one a bad header is damage. Which of the two it is
//! is decided in recovery, not here.

use std::array;

use crate::checksum::Crc32c;
use crate::ids::Lsn;
use crate::wal::record::HeaderDefect;

/// The first bytes of every log file.
pub const MAGIC: [u8; MAGIC_SIZE] = *b"ICEWAL\x00\x01";
/// The version of the layout of header and records.
pub const FORMAT_VERSION: u32 = 1;
/// The largest first LSN. No file holds as many records as there are numbers above it, so that LSNs never overflow.
pub const FIRST_LSN_MAX: Lsn = Lsn(1 << 63);

const MAGIC_OFFSET: usize = 0;
const MAGIC_SIZE: usize = 8;
const VERSION_OFFSET: usize = MAGIC_OFFSET + MAGIC_SIZE;
const VERSION_SIZE: usize = 4;
const RESERVED_A_OFFSET: usize = VERSION_OFFSET + VERSION_SIZE;
const RESERVED_A_SIZE: usize = 4;
const FIRST_LSN_OFFSET: usize = RESERVED_A_OFFSET + RESERVED_A_SIZE;
const FIRST_LSN_SIZE: usize = 8;
const RESERVED_B_OFFSET: usize = FIRST_LSN_OFFSET + FIRST_LSN_SIZE;
const RESERVED_B_SIZE: usize = 36;
const HEADER_CRC_OFFSET: usize = RESERVED_B_OFFSET + RESERVED_B_SIZE;
const HEADER_CRC_SIZE: usize = 4;

/// Bytes of the header; the first record begins here.
pub const HEADER_LEN: usize = HEADER_CRC_OFFSET + HEADER_CRC_SIZE;
const _: () = assert!(HEADER_LEN == 64);

const NAME_SUFFIX: &str = ".wal";

/// The header of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// The LSN of the first record, present or still to come; the same as in the file's name.
    pub first_lsn: Lsn,
}

impl FileHeader {
    /// The bytes on the disk.
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[MAGIC_OFFSET..][..MAGIC_SIZE].copy_from_slice(&MAGIC);
        bytes[VERSION_OFFSET..][..VERSION_SIZE].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[FIRST_LSN_OFFSET..][..FIRST_LSN_SIZE].copy_from_slice(&self.first_lsn.0.to_le_bytes());
        let crc = Crc32c::of(&bytes[..HEADER_CRC_OFFSET]);
        bytes[HEADER_CRC_OFFSET..].copy_from_slice(&crc.0.to_le_bytes());
        bytes
    }

    /// Reads the header at the beginning of `bytes` and checks every rule that it can be checked against alone. The checksum
    /// comes first: a [`HeaderDefect::Version`] or [`HeaderDefect::Rule`] is what somebody wrote, not damage.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderDefect> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(HeaderDefect::Short { needed: HEADER_LEN, actual: bytes.len() });
        };
        let u32_at = |offset: usize| u32::from_le_bytes(array::from_fn(|byte| bytes[offset + byte]));
        let zero = |offset: usize, size: usize| bytes[offset..][..size].iter().all(|&byte| byte == 0);

        let (expected, actual) = (Crc32c(u32_at(HEADER_CRC_OFFSET)), Crc32c::of(&bytes[..HEADER_CRC_OFFSET]));
        if expected != actual {
            return Err(HeaderDefect::Checksum { expected, actual });
        }
        if bytes[MAGIC_OFFSET..][..MAGIC_SIZE] != MAGIC {
            return Err(HeaderDefect::Rule("it does not begin as a log file does"));
        }
        let version = u32_at(VERSION_OFFSET);
        if version != FORMAT_VERSION {
            return Err(HeaderDefect::Version { known: FORMAT_VERSION, actual: version });
        }
        if !zero(RESERVED_A_OFFSET, RESERVED_A_SIZE) || !zero(RESERVED_B_OFFSET, RESERVED_B_SIZE) {
            return Err(HeaderDefect::Rule("reserved bytes of the file header are not zero"));
        }
        let first_lsn = Lsn(u64::from_le_bytes(array::from_fn(|byte| bytes[FIRST_LSN_OFFSET + byte])));
        if !is_first_lsn(first_lsn) {
            return Err(HeaderDefect::Rule("the first LSN is 0 or too large"));
        }
        Ok(Self { first_lsn })
    }
}

/// Whether a file can begin with this LSN: 0 is "before any record".
pub(crate) fn is_first_lsn(lsn: Lsn) -> bool {
    Lsn(1) <= lsn && lsn <= FIRST_LSN_MAX
}

/// The name of the file that begins with `first_lsn`.
pub(crate) fn file_name(first_lsn: Lsn) -> String {
    format!("{first_lsn}{NAME_SUFFIX}")
}

/// The first LSN that a name says; `None` for any name that [`file_name`] does not make.
pub(crate) fn parse_file_name(name: &str) -> Option<Lsn> {
    name.strip_suffix(NAME_SUFFIX)?.parse().ok().filter(|&lsn| is_first_lsn(lsn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_never_changes() {
        let mut expected = Vec::new();
        expected.extend(b"ICEWAL\x00\x01");
        expected.extend([1, 0, 0, 0]); // version
        expected.extend([0; 4]);
        expected.extend([0x15, 0xcd, 0x5b, 0x07, 0, 0, 0, 0]); // first LSN 123456789
        expected.extend([0; 36]);
        expected.extend([0x12, 0x4e, 0x78, 0xd5]); // checksum, computed by another program
        let header = FileHeader { first_lsn: Lsn(123_456_789) };
        assert_eq!(header.encode().as_slice(), expected);
        assert_eq!(FileHeader::parse(&expected), Ok(header));
    }

    #[test]
    fn every_flipped_bit_and_every_prefix_is_refused() {
        let bytes = FileHeader { first_lsn: Lsn(1) }.encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(FileHeader::parse(&bytes), Err(HeaderDefect::Checksum { .. })), "bit {bit}");
        }
        for len in 0..HEADER_LEN {
            assert_eq!(FileHeader::parse(&bytes[..len]), Err(HeaderDefect::Short { needed: HEADER_LEN, actual: len }));
        }
    }

    #[test]
    fn rules_are_checked_behind_an_intact_checksum() {
        let sealed = |offset: usize, byte: u8| {
            let mut bytes = FileHeader { first_lsn: Lsn(1) }.encode();
            bytes[offset] = byte;
            let crc = Crc32c::of(&bytes[..HEADER_CRC_OFFSET]);
            bytes[HEADER_CRC_OFFSET..].copy_from_slice(&crc.0.to_le_bytes());
            FileHeader::parse(&bytes)
        };
        assert!(matches!(sealed(0, b'X'), Err(HeaderDefect::Rule(_))));
        assert_eq!(sealed(VERSION_OFFSET, 2), Err(HeaderDefect::Version { known: 1, actual: 2 }));
        for offset in (RESERVED_A_OFFSET..FIRST_LSN_OFFSET).chain(RESERVED_B_OFFSET..HEADER_CRC_OFFSET) {
            assert!(matches!(sealed(offset, 1), Err(HeaderDefect::Rule(_))), "reserved byte {offset}");
        }
        assert!(matches!(sealed(FIRST_LSN_OFFSET, 0), Err(HeaderDefect::Rule(_))), "LSN 0");
        assert!(matches!(sealed(FIRST_LSN_OFFSET + 7, 0xff), Err(HeaderDefect::Rule(_))), "LSN beyond the largest");
    }

    #[test]
    fn names_round_trip_and_nothing_else_is_accepted() {
        assert_eq!(file_name(Lsn(7)), "00000000000000000007.wal");
        assert_eq!(parse_file_name("00000000000000000007.wal"), Some(Lsn(7)));
        for wrong in ["7.wal", "00000000000000000007", "00000000000000000000.wal", "18446744073709551615.wal", ".wal", "x"] {
            assert_eq!(parse_file_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_description_has_the_same_table() {
        let fields = [
            (MAGIC_OFFSET, "MAGIC"),
            (VERSION_OFFSET, "VERSION"),
            (RESERVED_A_OFFSET, "RESERVED_A"),
            (FIRST_LSN_OFFSET, "FIRST_LSN"),
            (RESERVED_B_OFFSET, "RESERVED_B"),
            (HEADER_CRC_OFFSET, "HEADER_CRC"),
        ];
        crate::format_doc::check("### Log file header", HEADER_LEN, &fields);
        crate::format_doc::check_constant("HEADER_LEN", HEADER_LEN);
    }
}
