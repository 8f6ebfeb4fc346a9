//! Stores: places that keep archives. This trait says what each of them promises; `conformance` holds them to it.
//!
//! - A listed archive is complete: it appears under its name in one instant, after its last byte is durable.
//! - Putting never overwrites: a taken name is an error and leaves what is there as it was.
//! - Deleting or opening what does not exist says so.
//! - A failed or interrupted put leaves nothing listed.
//! - Archives that share their bytes are independent all the same: deleting one leaves the others whole.

pub(crate) mod address;
#[cfg(test)]
pub(crate) mod conformance;
mod local;
pub(crate) mod registry;
mod s3;

use std::fmt::Debug;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use icecore_archive::{ArchiveName, Draft, Progress, ReadBack, Sha256Digest};
use icecore_io::File;

use crate::usecases::naming::Place;

pub(crate) use address::ObjectAddress;
pub(crate) use local::LocalStore;
pub(crate) use registry::{Stores, StoresError};
pub(crate) use s3::{Fault, OptionsError, RECORDS_DIR, Records, S3Error, S3Options, S3Store};

/// The result of a store's operation.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A place that keeps archives.
pub(crate) trait Store: Debug + Send + Sync {
    /// Makes the archive of a draft under `name`, which says whether it is compressed. After `Ok` it is durable and listed. If the
    /// draft allows it, it may share its bytes with an equal one of the same place, or be made of that.
    ///
    /// `Exists` if the name is taken, or somebody else is making an archive of that name: cheap, before any data is read. Any
    /// other error leaves the place as it was.
    fn put(&self, place: &Place, name: &ArchiveName, draft: Draft<'_>, progress: &dyn Progress) -> Result<ArchiveInfo>;

    /// Keeps an archive that was made elsewhere, as it arrives: all that `reader` gives, which has to be `len` bytes if that is
    /// known. What it promises is what [`put`](Self::put) does; the digest is that of the bytes that arrived. What they are is not
    /// looked at, not even whether the name says rightly if they are compressed.
    fn put_stream(
        &self,
        place: &Place,
        name: &ArchiveName,
        reader: &mut dyn Read,
        len: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<ArchiveInfo>;

    /// The places that have archives, and maybe some that had, in order.
    fn places(&self) -> Result<Vec<Place>>;

    /// The archives of a place, sorted by name; none if nothing was ever put there.
    fn list(&self, place: &Place) -> Result<Vec<ArchiveInfo>>;

    /// Opens an archive for reading, whole or in ranges. `NotFound` if there is none of the name.
    fn open(&self, place: &Place, name: &ArchiveName) -> Result<StoredArchive>;

    /// Reads back an archive that was made here, and notes that it is sound, unless that has been done; where no archive can share
    /// another's bytes by that, nothing is read.
    fn read_back(&self, _place: &Place, _name: &ArchiveName, _progress: &dyn Progress) -> Result<ReadBack> {
        Ok(ReadBack::Unneeded)
    }

    /// Deletes an archive. `NotFound` if there is none of the name. Who has it open reads on, or fails; never reads other bytes.
    fn delete(&self, place: &Place, name: &ArchiveName) -> Result<()>;

    /// Notes what reading all bytes of an open archive back has shown: that they are sound, and when the reading began, or (`None`)
    /// that they are not. [`put`](Self::put) takes only what was found sound for as good as an equal archive. Does nothing for an
    /// archive that is gone, or another one by now.
    fn note_read_back(&self, place: &Place, archive: &StoredArchive, sound_at: Option<SystemTime>) -> Result<()>;

    /// Removes what crashes have left; to be called at start, before anything is put (of a remote store: at any time). Says how many
    /// files or objects went.
    fn sweep(&self) -> Result<usize>;

    /// Whether it can be reached now.
    fn probe(&self) -> Result<()> {
        Ok(())
    }

    /// Whether every look at it is a request to another machine, so that nobody should look without need.
    fn is_remote(&self) -> bool {
        false
    }

    /// Opens any object that is reached as the store's own are, archive of it or not. `NoBucket` if it has no way to objects.
    fn open_object(&self, _address: &ObjectAddress) -> Result<OpenedObject> {
        Err(StoreError::NoBucket)
    }
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
    /// Whether it shares its bytes with another archive, and so takes no space of its own.
    pub(crate) shared: bool,
}

/// An object that was opened by its address.
#[derive(Debug)]
pub(crate) struct OpenedObject {
    /// The bytes.
    pub(crate) file: Arc<dyn File>,
    /// SHA-256 of the whole, if an object beside it notes one.
    pub(crate) sha256: Option<Sha256Digest>,
}

/// An archive opened for reading. Its bytes never become others; after a deletion they may be gone.
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
    /// The store is none of objects.
    #[error("objects of S3 cannot be reached: no bucket is configured (`storage.snapshots_config`)")]
    NoBucket,
    /// A bucket cannot be reached with these options.
    #[error(transparent)]
    Options(OptionsError),
    /// A request to a bucket failed.
    #[error(transparent)]
    Object(#[from] S3Error),
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
