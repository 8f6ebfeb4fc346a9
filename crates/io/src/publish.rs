//! The one way to put a file in place: write a temporary, sync it, rename it, sync the directory.
//!
//! After `Ok` the file is durable under its name. After [`PublishError::NotPublished`] the old state is untouched and the temporary
//! is gone. After [`PublishError::Uncertain`] (the directory's sync failed, or the rename did after it was made) nobody knows which
//! of the two the disk holds: the caller must stop changing what the file stands for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{File, Fs};

/// What to do if there is already a file of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Replace it in the same instant.
    Replace,
    /// Leave it and fail with `AlreadyExists`.
    Keep,
}

/// Why a file was not published. The caller knows which file it was, and names it.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Nothing changed under the final name.
    #[error("the file was not published, and nothing changed")]
    NotPublished(#[source] io::Error),
    /// The rename was made, or may have been, but is not known to be durable.
    #[error("the file may have been renamed into place, but that is not known to be durable")]
    Uncertain(#[source] io::Error),
}

impl PublishError {
    /// The system's error in either case.
    pub fn into_source(self) -> io::Error {
        match self {
            Self::NotPublished(error) | Self::Uncertain(error) => error,
        }
    }
}

/// The suffix of temporary files made by [`publish`]; start-up code may delete files that end so.
pub const TEMP_SUFFIX: &str = ".tmp";

/// The temporary name that [`publish`] uses for `path`.
pub fn temp_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMP_SUFFIX);
    PathBuf::from(name)
}

/// Publishes `bytes` as the file `path`. A temporary left over by an earlier crash is replaced.
pub fn publish(fs: &dyn Fs, path: &Path, bytes: &[u8], existing: Existing) -> Result<(), PublishError> {
    let temp = write_temp(fs, path, bytes).map_err(PublishError::NotPublished)?;
    publish_synced(fs, &temp, path, existing)
}

/// Writes and syncs the temporary with which `path` can be published, and returns its name. A temporary left over by an earlier
/// crash is replaced; after an error there is none.
pub fn write_temp(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    let temp = temp_path(path);
    match fs.remove_file(&temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let write = || -> io::Result<()> {
        let file: Arc<dyn File> = fs.create_new(&temp)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    match write() {
        Ok(()) => Ok(temp),
        Err(error) => {
            discard(fs, &temp);
            Err(error)
        }
    }
}

/// Publishes a temporary file that the caller has written *and synced*: renames it to `path` and syncs the directory.
/// If the rename fails, the temporary is removed; one that is no longer there shows that the rename was made all the same.
pub fn publish_synced(fs: &dyn Fs, temp: &Path, path: &Path, existing: Existing) -> Result<(), PublishError> {
    rename_synced(fs, temp, path, existing)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs.sync_dir(parent).map_err(PublishError::Uncertain)
}

/// [`publish_synced`] up to the sync of the directory, without which the name is not durable: for callers that publish several files
/// in one directory and sync it once.
pub fn rename_synced(fs: &dyn Fs, temp: &Path, path: &Path, existing: Existing) -> Result<(), PublishError> {
    let renamed = match existing {
        Existing::Replace => fs.rename(temp, path),
        Existing::Keep => fs.rename_noreplace(temp, path),
    };
    renamed.map_err(|error| {
        // An answer can be lost (over a network), and where a rename is a link and a removal, the second can fail.
        let refused = error.kind() == io::ErrorKind::AlreadyExists || still_apart(fs, temp, path);
        discard(fs, temp);
        if refused { PublishError::NotPublished(error) } else { PublishError::Uncertain(error) }
    })
}

/// Whether it is certain that a file was not renamed: it is there under its first name, and it is not the file at the second.
fn still_apart(fs: &dyn Fs, temp: &Path, path: &Path) -> bool {
    match (fs.metadata(temp), fs.metadata(path)) {
        (Ok(temp), Ok(there)) => temp.inode != there.inode,
        (Ok(_), Err(error)) => error.kind() == io::ErrorKind::NotFound,
        (Err(_), _) => false,
    }
}

/// Removes a temporary that will not be published. If that fails too it stays behind, where the next [`publish`] of the name or
/// the clean-up at start removes it; the caller is to hear of the first error, not of this one.
fn discard(fs: &dyn Fs, temp: &Path) {
    let _: io::Result<()> = fs.remove_file(temp);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fault, FaultFs, MemFs, Operation};

    /// Publishes with a rename that fails with EIO, and says how, and whether the file is there.
    fn with_failing_rename(fault: Fault) -> (PublishError, bool) {
        let fs = FaultFs::new(Arc::new(MemFs::new()));
        fs.faults().inject(fault);
        let path = Path::new("file");
        let error = publish(&fs, path, b"new", Existing::Keep).unwrap_err();
        assert!(!fs.exists(&temp_path(path)).unwrap(), "the temporary is gone");
        (error, fs.exists(path).unwrap())
    }

    #[test]
    fn a_rename_that_fails_after_it_was_made_is_uncertain() {
        let rename = || Fault::on(Operation::RenameNoreplace);
        let (error, there) = with_failing_rename(rename().after_effect());
        assert!(matches!(error, PublishError::Uncertain(_)) && there, "{error:?}");
        let (error, there) = with_failing_rename(rename());
        assert!(matches!(error, PublishError::NotPublished(_)) && !there, "{error:?}");
    }
}
