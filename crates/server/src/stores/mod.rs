//! Stores: places that keep archives. This trait says what each of them promises; `conformance` holds them to it.
//!
//! - A listed archive is complete: it appears under its name in one instant, after its last byte is durable.
//! - Putting never overwrites: a taken name is an error and leaves what is there as it was.
//! - Deleting or opening what does not exist says so.
//! - A failed or interrupted put leaves nothing listed.

#[cfg(test)]
mod conformance;
mod local;
mod registry;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use icecore_archive::{ArchiveName, Draft, Progress, Sha256Digest};
use icecore_io::File;

use crate::usecases::naming::Place;

pub(crate) use local::LocalStore;
pub(crate) use registry::{Stores, StoresError};

/// The result of a store's operation.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A place that keeps archives.
pub(crate) trait Store: Debug + Send + Sync {
    /// Makes the archive of a draft under `name`, which says whether it is compressed. After `Ok` it is durable and listed.
    ///
    /// `Exists` if the name is taken, or somebody else is making an archive of that name: cheap, before any data is read. Any
    /// other error leaves the place as it was.
    fn put(&self, place: &Place, name: &ArchiveName, draft: Draft<'_>, progress: &dyn Progress) -> Result<ArchiveInfo>;

    /// The archives of a place, sorted by name; none if nothing was ever put there.
    fn list(&self, place: &Place) -> Result<Vec<ArchiveInfo>>;

    /// Opens an archive for reading, whole or in ranges. `NotFound` if there is none of the name.
    fn open(&self, place: &Place, name: &ArchiveName) -> Result<StoredArchive>;

    /// Deletes an archive. `NotFound` if there is none of the name. Who has it open reads on.
    fn delete(&self, place: &Place, name: &ArchiveName) -> Result<()>;

    /// Removes what crashes have left; to be called at start, before anything is put. Says how many files went.
    fn sweep(&self) -> Result<usize>;
}

/// What a store knows of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArchiveInfo {
    /// Its name.
    pub(crate) name: ArchiveName,
    /// When it was made, as the store noted it.
    pub(crate) created: SystemTime,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// SHA-256 of the whole file, if it was noted when the file was put there.
    pub(crate) sha256: Option<Sha256Digest>,
}

/// An archive opened for reading. Stays readable after a deletion.
#[derive(Debug)]
pub(crate) struct StoredArchive {
    /// What the store knows of it.
    pub(crate) info: ArchiveInfo,
    /// Changes whenever the bytes do; for `ETag`. Printable ASCII without quotes.
    pub(crate) tag: String,
    /// The bytes.
    pub(crate) file: Arc<dyn File>,
}

/// The error of a store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// There is no archive of this name.
    #[error("Snapshot {name} not found")]
    NotFound {
        /// The name, which may be one that no archive can have.
        name: String,
    },
    /// The name is taken.
    #[error("Snapshot {name} exists already")]
    Exists {
        /// The name.
        name: ArchiveName,
    },
    /// Something else is where the directory of a place would have to be.
    #[error("{path:?}, where the archives of this collection belong, is not a directory; move it away")]
    Occupied {
        /// The path.
        path: PathBuf,
    },
    /// The place's collection has a name that cannot be a directory.
    #[error(transparent)]
    Place(icecore_storage::Error),
    /// An archive could not be made, found or removed.
    #[error(transparent)]
    Archive(icecore_archive::Error),
    /// A file operation of the store itself failed.
    #[error("{operation} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}
