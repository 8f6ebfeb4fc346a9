//! Records of the log: what a header says, and what an operation's encoding says.
//!
//! An input is a record as in a file: the header, then the body without its padding. Recovery of a whole file is the crash and damage
//! tests' business.

use icecore_storage::codec::{decode, encode};
use icecore_storage::wal::record::{HeaderDefect, RECORD_HEADER_LEN, RecordHeader};
use icecore_storage::{Crc32c, Lsn};

/// Bytes of the header that its checksum covers; the checksum follows.
const CHECKED_LEN: usize = RECORD_HEADER_LEN - 4;

/// A log record: a header and a body. Accepted if both are, whether or not they belong together.
pub fn wal_record(data: &[u8]) -> bool {
    let (header, body) = data.split_at(data.len().min(RECORD_HEADER_LEN));
    let parsed = RecordHeader::parse(header).map(|parsed| check_header(parsed, header));
    if let Ok(mut header) = <[u8; RECORD_HEADER_LEN]>::try_from(header) {
        let crc = Crc32c::of(&header[..CHECKED_LEN]);
        header[CHECKED_LEN..].copy_from_slice(&crc.0.to_le_bytes());
        match RecordHeader::parse(&header) {
            Ok(parsed) => check_header(parsed, &header),
            Err(defect) => assert!(matches!(defect, HeaderDefect::Rule(_)), "{defect}"),
        }
    }
    check_body(body) && parsed.is_ok()
}

/// A header that is accepted is the only encoding of what it says.
fn check_header(header: RecordHeader, bytes: &[u8]) {
    assert_eq!(header.encode().as_slice(), bytes, "{header:?} has another encoding");
    assert!(header.record_len() >= RECORD_HEADER_LEN + header.body_len as usize);
}

/// A body that is accepted is the only encoding of its operation. Compared as bytes, because a NaN is not equal to itself.
fn check_body(bytes: &[u8]) -> bool {
    let Ok(operation) = decode(bytes) else { return false };
    match encode(&operation) {
        Ok(encoded) => assert!(encoded == bytes, "another encoding of {operation:?}"),
        Err(error) => panic!("{operation:?} was decoded and cannot be encoded: {error}"),
    }
    let body_len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let header = RecordHeader { body_len, lsn: Lsn(1), batch_offset: 64, body_crc: Crc32c::of(bytes) };
    assert_eq!(RecordHeader::parse(&header.encode()), Ok(header));
    true
}
