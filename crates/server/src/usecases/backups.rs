//! The archives in a store: all of them, of whatever collection, shard or cluster; looked at, deleted and read through.
//!
//! Nothing here asks whether what an archive is of exists: backups outlive it.

use std::path::PathBuf;
use std::time::SystemTime;

use icecore_archive::{ArchiveName, ErrorKind, Progress, Reader, VerifyOptions, WholeDigest, verify_with};
use icecore_io::digest::{Hasher, Sha256Digest};
use icecore_io::{File, MemFs};

use super::naming::Place;
use crate::app::App;
use crate::error::{AppError, Result, one_line};
use crate::metrics::Kind;
use crate::stores::{ArchiveInfo, Store, StoreError, StoredArchive};

/// Bytes that are read at a time.
const BUFFER_LEN: usize = 1 << 20;

/// An archive in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backup {
    /// What it is of.
    pub(crate) place: Place,
    /// What the store knows of it.
    pub(crate) info: ArchiveInfo,
}

/// What reading an archive through has shown.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Every byte is as it was when the archive was made.
    Sound,
    /// Not so.
    Damaged {
        /// How many things are wrong.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// The store has no digest of it, and it is no archive that could be checked by itself.
    Unknown {
        /// Why it is none.
        reason: String,
    },
}

/// The archives of a store, or those of a collection and its shards, by place and name.
pub(crate) fn list(store: &dyn Store, collection: Option<&str>) -> Result<Vec<Backup>> {
    let mut found = Vec::new();
    for place in store.places()? {
        if collection.is_some_and(|collection| place.collection() != Some(collection)) {
            continue;
        }
        let infos = store.list(&place)?;
        found.extend(infos.into_iter().map(|info| Backup { place: place.clone(), info }));
    }
    Ok(found)
}

/// Deletes an archive.
pub(crate) fn delete(app: &App, store: &dyn Store, place: &Place, name: &str) -> Result<()> {
    let name: ArchiveName = name.parse().map_err(|_| StoreError::NotFound { name: name.chars().take(300).collect() })?;
    let counted = app.metrics.snapshot(Kind::Delete, place);
    match store.delete(place, &name) {
        Ok(()) => counted.finish(0),
        Err(error) => {
            if matches!(error, StoreError::NotFound { .. }) {
                counted.refuse();
            }
            return Err(error.into());
        }
    }
    Ok(())
}

/// Reads an archive through, once and in order, and compares it with its own digests and with the one that the store noted when
/// it was made. Of an archive that others have made only the latter can be compared. The store is told what came of it; `now` is when
/// this begins.
pub(crate) fn verify(
    store: &dyn Store,
    place: &Place,
    name: &ArchiveName,
    now: SystemTime,
    progress: &dyn Progress,
) -> Result<Verdict> {
    let stored = store.open(place, name)?;
    let verdict = read_through(name, &stored, progress)?;
    let sound_at = match verdict {
        Verdict::Sound => Some(now),
        Verdict::Damaged { .. } => None,
        Verdict::Unknown { .. } => return Ok(verdict),
    };
    // The verdict is the same, whether it can be noted or not.
    if let Err(error) = store.note_read_back(place, &stored, sound_at) {
        tracing::warn!("cannot note that {name} was verified: {}", one_line(&error));
    }
    Ok(verdict)
}

fn read_through(name: &ArchiveName, stored: &StoredArchive, progress: &dyn Progress) -> Result<Verdict> {
    let noted = stored.info.sha256;
    let reader = match Reader::from_file(stored.file.clone(), PathBuf::from(name.as_str())) {
        Ok(reader) => reader,
        Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error.into()),
        Err(error) => return compare(stored.file.as_ref(), stored.info.size, noted, &one_line(&error), progress),
    };
    // What stands beside it is the store's, and compared below.
    let nothing_beside = MemFs::new();
    let options = VerifyOptions { whole: WholeDigest::Always, ..VerifyOptions::default() };
    let report = verify_with(&nothing_beside, &reader, options, progress)?;
    Ok(match (report.problems.first(), report.sha256, noted) {
        (Some(first), ..) => Verdict::Damaged { count: report.problems.len(), first: first.to_string() },
        (None, Some(actual), Some(noted)) if actual != noted => other_digest(noted, actual),
        _ => Verdict::Sound,
    })
}

/// Compares a file's digest with the one that was noted.
fn compare(file: &dyn File, len: u64, noted: Option<Sha256Digest>, reason: &str, progress: &dyn Progress) -> Result<Verdict> {
    let Some(noted) = noted else {
        return Ok(Verdict::Unknown { reason: reason.to_owned() });
    };
    progress.start(len);
    let mut digester = Hasher::default();
    let (mut buffer, mut offset) = (vec![0; BUFFER_LEN], 0);
    loop {
        let read = file.read_at(&mut buffer, offset).map_err(|source| {
            AppError::Store(StoreError::Io { operation: "read", path: PathBuf::from("the archive"), source })
        })?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        digester.update(bytes);
        offset += read as u64;
        if progress.advance(read as u64).is_break() {
            return Err(icecore_archive::Error::Cancelled.into());
        }
    }
    let actual = digester.finish().sha256;
    Ok(if actual == noted { Verdict::Sound } else { other_digest(noted, actual) })
}

fn other_digest(noted: Sha256Digest, actual: Sha256Digest) -> Verdict {
    Verdict::Damaged { count: 1, first: format!("its SHA-256 is {actual}, and was {noted} when it was made") }
}
