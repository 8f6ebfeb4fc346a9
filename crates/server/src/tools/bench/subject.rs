//! What is archived: a storage made for the purpose, or any directory.
//!
//! Each does what its users' commands do, through the same functions: a request for a snapshot and a start with
//! `--storage-snapshot`, or `icecore archive create` and `extract`.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use icecore_archive::{ArchiveName, Compression, Progress};
use icecore_io::Fs;
use icecore_storage::Storage;
use serde_json::Value;

use super::error::{BenchError, Result};
use super::files::Files;

/// Something that can be archived and restored again and again.
pub(super) trait Subject: Debug {
    /// The files that are archived.
    fn files(&self) -> &Files;

    /// What it is, for people, in one line.
    fn describe(&self) -> String;

    /// What it is, for programs: fields beside the numbers of files and bytes.
    fn facts(&self) -> Value;

    /// Makes an archive, compressed if asked, and says where it is. Calling it again makes another.
    fn create(&self, compression: Option<Compression>, progress: &dyn Progress) -> Result<PathBuf>;

    /// Restores an archive to a path where nothing is yet, until what is restored is durable and can be used.
    fn restore(&self, archive: &Path, to: &Path, progress: &dyn Progress) -> Result<Restored>;
}

/// What a restore has made.
#[derive(Debug)]
pub(super) enum Restored {
    /// A storage, open and answering.
    Storage {
        /// The storage.
        storage: Box<Storage>,
        /// The points that it should have.
        expected: u64,
    },
    /// Files, each compared with its digest.
    Files,
}

impl Restored {
    /// Fails if it is not what was archived.
    pub(super) fn check(&self) -> Result<()> {
        let Self::Storage { storage, expected } = self else { return Ok(()) };
        match (points(storage)?, *expected) {
            (found, expected) if found == expected => Ok(()),
            (found, expected) => Err(BenchError::Restored { found, expected }),
        }
    }
}

/// The points of all collections.
pub(super) fn points(storage: &Storage) -> Result<u64> {
    let collections = storage.collections();
    let counts = collections.iter().map(|collection| storage.count(collection, None));
    Ok(counts.sum::<Result<u64, icecore_storage::Error>>()?)
}

/// Removes an archive with the files beside it.
pub(super) fn delete_archive(fs: &dyn Fs, archive: &Path) -> Result<()> {
    let name = archive.file_name().unwrap_or_default().to_string_lossy();
    let dir = archive.parent().unwrap_or(archive);
    Ok(icecore_archive::delete(fs, dir, &ArchiveName::new(name)?)?)
}
