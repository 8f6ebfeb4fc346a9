//! Reads a log file record by record, up to its end or to the first bytes that are not the next record.
//!
//! A record is yielded only if both checksums, its LSN and its batch are right, and it is whole. What an invalid one means, a torn
//! tail or damage, is decided by [`crate::wal::tail`]; decoding the body is the caller's.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::File;

use crate::checksum::{Crc32c, Hasher};
use crate::error::{Error, Result, on};
use crate::ids::Lsn;
use crate::wal::file::{FileHeader, HEADER_LEN};
use crate::wal::record::{HeaderDefect, RECORD_HEADER_LEN, RecordHeader};
use crate::wal::window::Window;
use crate::wal::writer::WalMark;

/// A log file being read.
#[derive(Debug)]
pub(crate) struct WalReader {
    path: PathBuf,
    window: Window,
    /// Where the next record begins.
    offset: u64,
    /// Where the batch of the record before begins.
    batch_offset: u64,
    /// The LSN that the next record must have. Never overflows: see [`crate::wal::file::FIRST_LSN_MAX`].
    next_lsn: Lsn,
    /// Of all bytes before `offset`.
    hasher: Hasher,
}

/// A valid record.
#[derive(Debug)]
pub(crate) struct WalRecord<'a> {
    /// Its number.
    pub(crate) lsn: Lsn,
    /// Where its header begins.
    pub(crate) offset: u64,
    /// Its body, without padding.
    pub(crate) body: &'a [u8],
}

/// What [`WalReader::next`] found.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// The next record.
    Record(WalRecord<'a>),
    /// The file ends behind the last record, or has nothing but zeros there.
    End,
    /// Bytes that are not the next record. The reader stays where it is.
    Invalid(Invalid),
}

/// Bytes that are not the record that should be there.
#[derive(Debug)]
pub(crate) struct Invalid {
    /// Where they begin.
    pub(crate) offset: u64,
    /// The LSN of the record that should be there.
    pub(crate) lsn: Lsn,
    /// Where the record ends, if its header is intact and fits the place.
    pub(crate) end: Option<u64>,
    /// What is wrong.
    pub(crate) defect: Defect,
}

/// What is wrong with an [`Invalid`] record.
#[derive(Debug)]
pub(crate) enum Defect {
    /// A header or a body is not what was written.
    Checksum { expected: Crc32c, actual: Crc32c },
    /// The file ends inside the record.
    Cut { needed: u64, present: u64 },
    /// The record has another LSN than the place asks for.
    Lsn { expected: Lsn, actual: Lsn },
    /// The record begins no batch and names another one than the record before it.
    Batch { expected: u64, actual: u64 },
}

impl WalReader {
    /// Begins at the first record of the file at `path`, whose name says `first_lsn`. `None` if the file is one that the process did
    /// not live to complete: no longer than a header, without an intact one.
    pub(crate) fn open(file: Arc<dyn File>, path: &Path, first_lsn: Lsn) -> Result<Option<Self>> {
        let mut window = Window::new(file).map_err(on("get the length of", path))?;
        let bytes = window.at(0, HEADER_LEN).map_err(on("read", path))?;
        let malformed = |reason: String| Error::Malformed { path: path.to_owned(), offset: 0, reason };
        let header = match FileHeader::parse(bytes) {
            Ok(header) => header,
            Err(HeaderDefect::Short { .. } | HeaderDefect::Checksum { .. }) if window.file_len() <= HEADER_LEN as u64 => {
                return Ok(None);
            }
            Err(HeaderDefect::Version { known, actual }) => {
                return Err(Error::FormatVersion { path: path.to_owned(), known, actual });
            }
            Err(defect) => return Err(malformed(defect.to_string())),
        };
        if header.first_lsn != first_lsn {
            return Err(malformed(format!("its header says that it begins with record {}", header.first_lsn)));
        }
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        let offset = HEADER_LEN as u64;
        Ok(Some(Self { path: path.to_owned(), window, offset, batch_offset: offset, next_lsn: first_lsn, hasher }))
    }

    /// The next record. [`Error::Malformed`] for an intact header that breaks a rule, which no crash can make.
    pub(crate) fn next(&mut self) -> Result<Next<'_>> {
        let offset = self.offset;
        let present = self.window.file_len().saturating_sub(offset);
        if present == 0 {
            return Ok(Next::End);
        }
        // No header is all zeros: the checksum of zeros is not zero.
        if self.window.is_zero_from(offset).map_err(on("read", &self.path))? {
            return Ok(Next::End);
        }
        let invalid = |end, defect| Ok(Next::Invalid(Invalid { offset, lsn: self.next_lsn, end, defect }));
        let bytes = self.window.at(offset, RECORD_HEADER_LEN).map_err(on("read", &self.path))?;
        let header = match RecordHeader::parse(bytes) {
            Ok(header) => header,
            Err(HeaderDefect::Checksum { expected, actual }) => return invalid(None, Defect::Checksum { expected, actual }),
            Err(HeaderDefect::Short { needed, .. }) => {
                return invalid(None, Defect::Cut { needed: needed as u64, present });
            }
            Err(defect) => {
                return Err(Error::Malformed { path: self.path.clone(), offset, reason: defect.to_string() });
            }
        };
        if header.lsn != self.next_lsn {
            return invalid(None, Defect::Lsn { expected: self.next_lsn, actual: header.lsn });
        }
        if header.batch_offset != self.batch_offset && header.batch_offset != offset {
            return invalid(None, Defect::Batch { expected: self.batch_offset, actual: header.batch_offset });
        }
        let len = header.record_len();
        let end = offset + len as u64;
        if present < len as u64 {
            return invalid(Some(end), Defect::Cut { needed: len as u64, present });
        }
        let bytes = self.window.at(offset, len).map_err(on("read", &self.path))?;
        let (body, padding) = bytes[RECORD_HEADER_LEN..].split_at(header.body_len as usize);
        let (expected, actual) = (header.body_crc, Crc32c::of(&bytes[RECORD_HEADER_LEN..]));
        if expected != actual {
            return invalid(Some(end), Defect::Checksum { expected, actual });
        }
        if padding.iter().any(|&byte| byte != 0) {
            let reason = "the padding behind a body is not zero".to_owned();
            return Err(Error::Malformed { path: self.path.clone(), offset, reason });
        }
        self.hasher.update(bytes);
        self.batch_offset = header.batch_offset;
        self.next_lsn = header.lsn.next();
        self.offset = end;
        Ok(Next::Record(WalRecord { lsn: header.lsn, offset, body }))
    }

    /// The state behind the last record that was yielded.
    pub(crate) fn mark(&self) -> WalMark {
        WalMark::new(Lsn(self.next_lsn.0 - 1), self.hasher.clone())
    }

    /// The bytes of the file, for [`crate::wal::tail`].
    pub(crate) fn window(&mut self) -> &mut Window {
        &mut self.window
    }
}

impl Invalid {
    /// The error if this is damage, `evidence` being how that is known.
    pub(crate) fn into_error(self, path: &Path, evidence: &str) -> Error {
        let (path, offset) = (path.to_owned(), self.offset);
        match self.defect {
            Defect::Checksum { expected, actual } => Error::WalCorrupt { path, offset, expected, actual },
            defect => Error::Malformed { path, offset, reason: format!("{defect}, and {evidence}") },
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checksum { expected, actual } => write!(formatter, "a checksum of {actual} instead of {expected}"),
            Self::Cut { needed, present } => write!(formatter, "{present} bytes of the {needed} that are needed"),
            Self::Lsn { expected, actual } => write!(formatter, "record {actual} in the place of {expected}"),
            Self::Batch { expected, actual } => {
                write!(formatter, "a record of the batch at {actual} among those of the batch at {expected}")
            }
        }
    }
}
