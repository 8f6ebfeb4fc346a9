//! Stores: places that keep archives. This trait says what each of them promises; `conformance` holds them to it.
//!
//! - A listed archive is complete: it appears under its name in one instant, after its last byte is durable.
//! - Putting never overwrites: a taken name is an error and leaves what is there as it was.
//! - Deleting or opening what does not exist says so.
//! - A failed or interrupted put leaves nothing listed.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use icecore_io::File;
use icecore_storage::Sha256Digest;

use crate::error::Result;
use crate::usecases::naming::{ArchiveName, Place};

/// A place that keeps archives.
pub(crate) trait Store: Debug + Send + Sync {
    /// The archives of a place, sorted by name; none if nothing was ever put there.
    fn list(&self, place: &Place) -> Result<Vec<ArchiveInfo>>;

    /// Opens an archive for reading, whole or in ranges. `ArchiveNotFound` if there is none of the name.
    fn open(&self, place: &Place, name: &ArchiveName) -> Result<StoredArchive>;

    /// Deletes an archive. `ArchiveNotFound` if there is none of the name. Who has it open reads on.
    fn delete(&self, place: &Place, name: &ArchiveName) -> Result<()>;
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
