//! The archives in a store: all of them, of whatever collection, shard or cluster; looked at, deleted and read through.
//!
//! Nothing here asks whether what an archive is of exists: backups outlive it.

use std::path::PathBuf;
use std::time::SystemTime;

use icecore_archive::{ArchiveName, ErrorKind, Problem, Progress, Reader, VerifyOptions, WholeDigest, verify_with};
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
/// it was made. Of an archive that others have made only the latter can be compared. Bytes that a remote store does not give are an
/// error: they say nothing of the archive. The store is told what came of it; `now` is when this begins.
pub(crate) fn verify(
    store: &dyn Store,
    place: &Place,
    name: &ArchiveName,
    now: SystemTime,
    progress: &dyn Progress,
) -> Result<Verdict> {
    let stored = store.open(place, name)?;
    let verdict = read_through(store, name, &stored, progress)?;
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

fn read_through(store: &dyn Store, name: &ArchiveName, stored: &StoredArchive, progress: &dyn Progress) -> Result<Verdict> {
    let noted = stored.info.sha256;
    let reader = match Reader::from_file(stored.file.clone(), PathBuf::from(name.as_str())) {
        Ok(reader) => reader,
        Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error.into()),
        Err(error) => return compare(stored.file.as_ref(), stored.info.size, noted, &one_line(&error), progress),
    };
    // What stands beside it is the store's, and compared below.
    let nothing_beside = MemFs::new();
    let options = VerifyOptions { whole: WholeDigest::Always, ..VerifyOptions::default() };
    let mut report = verify_with(&nothing_beside, &reader, options, progress)?;
    let unread = report.problems.iter().position(|problem| store.is_remote() && matches!(problem, Problem::Read { .. }));
    if let Some(Problem::Read { source, .. }) = unread.map(|position| report.problems.swap_remove(position)) {
        return Err(icecore_archive::Error::Io { action: "read", path: PathBuf::from(name.as_str()), source }.into());
    }
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
    let actual = digest_of(file, len, progress)?;
    Ok(if actual == noted { Verdict::Sound } else { other_digest(noted, actual) })
}

/// The SHA-256 of a file of an archive, of so many bytes.
pub(super) fn digest_of(file: &dyn File, len: u64, progress: &dyn Progress) -> Result<Sha256Digest> {
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
    Ok(digester.finish().sha256)
}

fn other_digest(noted: Sha256Digest, actual: Sha256Digest) -> Verdict {
    Verdict::Damaged { count: 1, first: format!("its SHA-256 is {actual}, and was {noted} when it was made") }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;
    use std::sync::Arc;

    use icecore_archive::Draft;
    use icecore_io::{Fault, FaultFs, Fs, ManualClock, Operation};

    use super::*;
    use crate::stores::{LocalStore, conformance};

    const PATH: &str = "/s/a.snapshot";
    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    /// A store on another machine.
    #[derive(Debug)]
    struct Far(LocalStore);

    impl Store for Far {
        fn put(&self, _: &Place, _: &ArchiveName, _: Draft<'_>, _: &dyn Progress) -> crate::stores::Result<ArchiveInfo> {
            unreachable!("it is only read")
        }

        fn put_stream(
            &self,
            _: &Place,
            _: &ArchiveName,
            _: &mut dyn Read,
            _: Option<u64>,
            _: &dyn Progress,
        ) -> crate::stores::Result<ArchiveInfo> {
            unreachable!("it is only read")
        }

        fn places(&self) -> crate::stores::Result<Vec<Place>> {
            self.0.places()
        }

        fn list(&self, place: &Place) -> crate::stores::Result<Vec<ArchiveInfo>> {
            self.0.list(place)
        }

        fn open(&self, place: &Place, name: &ArchiveName) -> crate::stores::Result<StoredArchive> {
            self.0.open(place, name)
        }

        fn delete(&self, place: &Place, name: &ArchiveName) -> crate::stores::Result<()> {
            self.0.delete(place, name)
        }

        fn note_read_back(
            &self,
            place: &Place,
            archive: &StoredArchive,
            sound_at: Option<SystemTime>,
        ) -> crate::stores::Result<()> {
            self.0.note_read_back(place, archive, sound_at)
        }

        fn sweep(&self) -> crate::stores::Result<usize> {
            self.0.sweep()
        }

        fn is_remote(&self) -> bool {
            true
        }
    }

    /// A store with the archive [`PATH`], the disk under it, and how to make the disk fail.
    fn prepared() -> (MemFs, FaultFs, LocalStore) {
        let disk = MemFs::new();
        let fs = FaultFs::new(Arc::new(disk.clone()));
        let clock = Arc::new(ManualClock::new(std::time::Duration::from_secs(1_721_637_115)));
        let store = LocalStore::open(Arc::new(fs.clone()), clock, "/s".into()).unwrap();
        conformance::put(&store, &Place::Storage, "a.snapshot", &[7; 1 << 20]).unwrap();
        (disk, fs, store)
    }

    fn verdict(store: &dyn Store) -> Result<Verdict> {
        verify(store, &Place::Storage, &"a.snapshot".parse().unwrap(), NOW, &())
    }

    /// Replaces the file of the archive.
    fn replace(disk: &MemFs, bytes: &[u8]) {
        disk.remove_file(Path::new(PATH)).unwrap();
        disk.create_new(Path::new(PATH)).unwrap().write_all_at(bytes, 0).unwrap();
    }

    #[test]
    fn sound_and_damaged_archives_are_told_apart_and_noted() {
        let (disk, _, store) = prepared();
        let noted = || icecore_archive::find(&disk, Path::new("/s"), &"a.snapshot".parse().unwrap()).unwrap().verified_at;
        assert_eq!(noted(), None);
        assert!(matches!(verdict(&store).unwrap(), Verdict::Sound));
        assert_eq!(noted(), Some(NOW));
        let mut bytes = icecore_io::read_file(&disk, Path::new(PATH), 1 << 30).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        replace(&disk, &bytes);
        assert!(matches!(verdict(&store).unwrap(), Verdict::Damaged { .. }));
        assert_eq!(noted(), None, "nobody takes it for sound any more");
    }

    #[test]
    fn what_is_no_archive_of_ours_has_the_noted_digest_or_none() {
        let (disk, _, store) = prepared();
        let len = disk.metadata(Path::new(PATH)).unwrap().len;
        replace(&disk, &vec![1; usize::try_from(len).unwrap()]);
        assert!(matches!(verdict(&store).unwrap(), Verdict::Damaged { count: 1, first } if first.contains("SHA-256")));
        for side in ["/s/a.snapshot.meta.json", "/s/a.snapshot.checksum"] {
            disk.remove_file(Path::new(side)).unwrap();
        }
        assert!(matches!(verdict(&store).unwrap(), Verdict::Unknown { .. }));
    }

    #[test]
    fn bytes_that_a_store_elsewhere_does_not_give_are_no_damage() {
        let read_fails = || Fault::on(Operation::ReadAt).nth(8);
        let (_, fs, store) = prepared();
        fs.faults().inject(read_fails());
        assert!(matches!(verdict(&store).unwrap(), Verdict::Damaged { .. }), "a disk that cannot be read is");
        assert_eq!(fs.faults().fired(), 1);
        let (_, fs, store) = prepared();
        fs.faults().inject(read_fails());
        let error = verdict(&Far(store)).unwrap_err();
        assert_eq!(fs.faults().fired(), 1);
        assert!(matches!(error, AppError::Archive(icecore_archive::Error::Io { .. })), "{error}");
    }
}
