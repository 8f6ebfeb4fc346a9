//! Tells a torn tail from damage.
//!
//! A batch is written only after everything before it was synced, and each header names the offset where its batch begins. So
//! one intact header whose batch begins *behind* an invalid record proves that the invalid one was durable: damage. Without such a
//! header nothing behind the invalid bytes was acknowledged as durable *after* them, and they are the torn end of the last batch.
//! The header is proof enough; the body behind it may itself be torn.
//!
//! Not found is damage in the last batch, which looks exactly as a torn one does. Bytes inside a body that look like a header are
//! no proof where the boundaries of records are known. Where they are not (a damaged header), a forged one, with the right
//! checksum, offsets and LSN, would be believed: the log is then refused, which loses nothing, rather than cut, which might.

use std::io;

use crate::ids::Lsn;
use crate::wal::reader::Invalid;
use crate::wal::record::{ALIGNMENT, RECORD_HEADER_LEN, RecordHeader, may_be_header};
use crate::wal::window::Window;

/// The offset of a header that proves that the batch of the invalid record was synced; `None` if the record is a torn tail.
///
/// Reads the rest of the file once, and at worst computes the checksum of a header at every eighth byte of it.
pub(crate) fn later_batch(window: &mut Window, invalid: &Invalid) -> io::Result<Option<u64>> {
    let mut offset = invalid.offset + ALIGNMENT as u64;
    // As long as headers are intact and follow each other, the boundaries of records are known.
    if let Some(mut end) = invalid.end {
        let mut lsn = invalid.lsn;
        while let Ok(header) = RecordHeader::parse(window.at(end, RECORD_HEADER_LEN)?)
            && lsn.0.checked_add(1) == Some(header.lsn.0)
        {
            if is_proof(header, end, invalid) {
                return Ok(Some(end));
            }
            lsn = header.lsn;
            end += header.record_len() as u64;
        }
        offset = end;
    }
    while offset < window.file_len() {
        let bytes = window.at(offset, RECORD_HEADER_LEN)?;
        if may_be_header(bytes)
            && let Ok(header) = RecordHeader::parse(bytes)
            && is_proof(header, offset, invalid)
        {
            return Ok(Some(offset));
        }
        offset += ALIGNMENT as u64;
    }
    Ok(None)
}

/// Whether a header at `offset` can stand there and belongs to a later batch than the invalid record.
fn is_proof(header: RecordHeader, offset: u64, invalid: &Invalid) -> bool {
    // No record is shorter than a header, which bounds how many there are between the two.
    let between = (offset - invalid.offset) / RECORD_HEADER_LEN as u64;
    let Lsn(after) = invalid.lsn;
    let lsn_is_possible = header.lsn.0 > after && header.lsn.0 - after <= between;
    lsn_is_possible && invalid.offset < header.batch_offset && header.batch_offset <= offset
}
