//! Appends records to a log file and syncs it.
//!
//! The records end where [`WalWriter::len`] says, and behind them are only zeros: room for records to come ([`super::room`]). A write
//! that fails is cut off again, and if that fails too, or a sync does, the writer takes no more. The running digest covers exactly the
//! bytes of header and records. What was appended since the last successful sync is one batch; nothing of the next is written before.
//!
//! Queueing, group commit and the decision when to sync are the shard's. A record that was refused because its write failed may
//! still be found after a power cut if the cut comes before the next sync: the state is then the one after the operation.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{File, Fs};

use crate::checksum::{Crc32c, FileDigest, Hasher};
use crate::codec::BODY_LEN_MAX;
use crate::error::{Error, Result, on};
use crate::ids::Lsn;
use crate::wal::file::{FileHeader, file_name, is_first_lsn};
use crate::wal::record::{RecordHeader, padding};
use crate::wal::room::Room;

/// A write buffer that one large batch needed is not kept.
const KEPT_BUFFER_LEN: usize = 4 << 20;

/// A record to append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The number after the last one.
    pub(crate) lsn: Lsn,
    /// An encoded operation.
    pub(crate) body: &'a [u8],
    /// [`crate::wal::record::body_crc`] of the body.
    pub(crate) body_crc: Crc32c,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteFailure {
    /// The file is as it was before; later appends may work.
    #[error("the write failed and was taken back")]
    TruncatedBack(#[source] io::Error),
    /// It is not known what the file ends with: the writer takes no more.
    #[error("the write failed and could not be taken back")]
    Poisoned(#[source] io::Error),
}

/// The log at one instant: its last record, and the digest of the file up to there.
#[derive(Debug, Clone)]
pub(crate) struct WalMark {
    lsn: Lsn,
    hasher: Hasher,
}

impl WalMark {
    pub(crate) fn new(lsn: Lsn, hasher: Hasher) -> Self {
        Self { lsn, hasher }
    }

    /// The last record; the number before the file's first if there is none.
    pub(crate) fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Bytes of the file up to the end of that record, the file's header included.
    pub(crate) fn len(&self) -> u64 {
        self.hasher.position()
    }

    /// The digest of those bytes.
    pub(crate) fn digest(&self) -> FileDigest {
        self.hasher.clone().finish()
    }
}

/// A log file that is being appended to.
#[derive(Debug)]
pub(crate) struct WalWriter {
    file: Arc<dyn File>,
    path: PathBuf,
    first_lsn: Lsn,
    last_lsn: Lsn,
    /// Of header and records.
    hasher: Hasher,
    /// The zeros behind them.
    room: Room,
    /// Where the batch of the next record begins: the length at the last sync.
    batch_offset: u64,
    /// Whether anything was changed since the last sync, a write that was taken back included.
    unsynced: bool,
    poisoned: bool,
    buffer: Vec<u8>,
}

impl WalWriter {
    /// Creates the file that begins with `first_lsn`, with its header, durable under its name. The file before it must have been
    /// synced.
    ///
    /// On a failure the file is durably removed again; [`Error::Poisoned`] if that fails too, because a file that might come back
    /// after a crash would contradict whatever were appended to the one before it.
    pub(crate) fn create(fs: &dyn Fs, dir: &Path, first_lsn: Lsn) -> Result<Self> {
        let path = dir.join(file_name(first_lsn));
        let (operation, error) = match fs.create_new(&path) {
            Ok(file) => match Self::begin(fs, dir, file, &path, first_lsn) {
                Ok(writer) => return Ok(writer),
                Err(error) => ("write the header of", error),
            },
            // Not this call's file.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(on("create", &path)(error)),
            // The file may have been made although the answer is an error.
            Err(error) => ("create", error),
        };
        Err(undo(fs, dir, &path, operation, error))
    }

    /// Writes the header into a file without contents and makes file and name durable.
    pub(super) fn begin(fs: &dyn Fs, dir: &Path, file: Arc<dyn File>, path: &Path, first_lsn: Lsn) -> io::Result<Self> {
        let writer = Self::head(file, path.to_owned(), first_lsn)?;
        fs.sync_dir(dir)?;
        Ok(writer)
    }

    /// Writes the header into a file that has no records and makes it durable. The name is the caller's to sync, before anything that is
    /// appended counts as durable.
    pub(super) fn head(file: Arc<dyn File>, path: PathBuf, first_lsn: Lsn) -> io::Result<Self> {
        assert!(is_first_lsn(first_lsn), "no log file begins with record {first_lsn}");
        let header = FileHeader { first_lsn }.encode();
        file.write_all_at(&header, 0)?;
        file.sync_data()?;
        let mut hasher = Hasher::default();
        hasher.update(&header);
        let end = WalMark::new(Lsn(first_lsn.0 - 1), hasher);
        let room = Room::none(end.len());
        Ok(Self::resume(file, path, first_lsn, end, room))
    }

    /// Goes on behind `end`, where the file has this room, everything in it being durable.
    pub(super) fn resume(file: Arc<dyn File>, path: PathBuf, first_lsn: Lsn, end: WalMark, room: Room) -> Self {
        Self {
            file,
            path,
            first_lsn,
            last_lsn: end.lsn,
            room,
            batch_offset: end.len(),
            hasher: end.hasher,
            unsynced: false,
            poisoned: false,
            buffer: Vec::new(),
        }
    }

    /// Appends all records with one write, or none. They are part of the batch that the next [`Self::sync`] ends.
    ///
    /// # Panics
    /// If the LSNs do not follow [`Self::last_lsn`], or a body is longer than [`BODY_LEN_MAX`].
    pub(crate) fn append(&mut self, records: &[Record<'_>]) -> Result<(), WriteFailure> {
        if self.poisoned {
            return Err(WriteFailure::Poisoned(poisoned()));
        }
        let Some(last) = records.last() else { return Ok(()) };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let mut lsn = self.last_lsn;
        for record in records {
            lsn = lsn.next();
            assert_eq!(record.lsn, lsn, "the records of a log have consecutive numbers");
            push(&mut buffer, record, self.batch_offset);
        }
        let len = self.len();
        self.unsynced = true;
        let written = self.file.write_all_at(&buffer, len);
        let result = match written.and_then(|()| self.room.after(self.file.as_ref(), len, buffer.len())) {
            Ok(()) => {
                self.hasher.update(&buffer);
                self.last_lsn = last.lsn;
                Ok(())
            }
            Err(error) => Err(self.take_back(error, len)),
        };
        if buffer.capacity() <= KEPT_BUFFER_LEN {
            self.buffer = buffer;
        }
        result
    }

    fn take_back(&mut self, error: io::Error, len: u64) -> WriteFailure {
        match self.file.set_len(len) {
            Ok(()) => {
                self.room.cut(len);
                WriteFailure::TruncatedBack(error)
            }
            Err(truncate) => {
                self.poisoned = true;
                let both = format!("{error}; then, cutting the file to {len} bytes: {truncate}");
                WriteFailure::Poisoned(io::Error::new(truncate.kind(), both))
            }
        }
    }

    /// Makes everything appended durable and ends the batch. Does nothing if nothing was written since the last sync.
    ///
    /// After an error nothing is known about what was appended since the last success, and the writer takes no more.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.poisoned {
            return Err(poisoned());
        }
        if self.unsynced {
            self.file.sync_data().inspect_err(|_| self.poisoned = true)?;
            self.unsynced = false;
            self.batch_offset = self.len();
        }
        Ok(())
    }

    /// The file as it is after the last append, durable or not.
    pub(crate) fn mark(&self) -> WalMark {
        WalMark::new(self.last_lsn, self.hasher.clone())
    }

    /// Whether the file was written to since the last sync.
    pub(crate) fn unsynced(&self) -> bool {
        self.unsynced
    }

    /// The number in the file's name.
    pub(crate) fn first_lsn(&self) -> Lsn {
        self.first_lsn
    }

    /// The last record appended; the number before [`Self::first_lsn`] if there is none.
    pub(crate) fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }

    /// Bytes of header and records: the file without its room.
    pub(crate) fn len(&self) -> u64 {
        self.hasher.position()
    }

    /// The file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Durably removes a log file whose creation failed with `error`, and says what happened; [`Error::Poisoned`] if it may come back.
pub(super) fn undo(fs: &dyn Fs, dir: &Path, path: &Path, operation: &'static str, error: io::Error) -> Error {
    let removed = match fs.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs.sync_dir(dir),
    };
    match removed {
        Ok(()) => on(operation, path)(error),
        Err(undo) => Error::Poisoned {
            what: format!("the log {}", path.display()),
            reason: format!("{error}; then, removing the file again: {undo}"),
        },
    }
}

fn poisoned() -> io::Error {
    io::Error::other("an earlier write or sync of this log failed")
}

/// Appends the bytes of one record.
fn push(buffer: &mut Vec<u8>, record: &Record<'_>, batch_offset: u64) {
    let body_len = u32::try_from(record.body.len()).ok().filter(|&len| len as usize <= BODY_LEN_MAX);
    let Some(body_len) = body_len else {
        panic!("a body of {} bytes, more than the {BODY_LEN_MAX} that the codec makes", record.body.len());
    };
    let header = RecordHeader { body_len, lsn: record.lsn, batch_offset, body_crc: record.body_crc };
    buffer.reserve(header.record_len());
    buffer.extend_from_slice(&header.encode());
    buffer.extend_from_slice(record.body);
    buffer.extend_from_slice(padding(record.body.len()));
}

#[cfg(test)]
mod tests;
