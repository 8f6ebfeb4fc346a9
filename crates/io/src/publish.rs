//! The one way to put a file in place: write a temporary, sync it, rename it, sync the directory.
//!
//! After `Ok` the file is durable under its name. After [`PublishError::NotPublished`] the old state is untouched and the temporary
//! is gone. After [`PublishError::Uncertain`] (the directory's sync failed) nobody knows which of the two the disk holds: the
//! caller must stop changing what the file stands for.

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
    /// The rename was made but may not be durable.
    #[error("the file was renamed into place, but its directory could not be synced")]
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
    let temp = temp_path(path);
    match fs.remove_file(&temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(PublishError::NotPublished(error)),
        _ => {}
    }
    let write = || -> io::Result<()> {
        let file: Arc<dyn File> = fs.create_new(&temp)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    if let Err(error) = write() {
        discard(fs, &temp);
        return Err(PublishError::NotPublished(error));
    }
    publish_synced(fs, &temp, path, existing)
}

/// Publishes a temporary file that the caller has written *and synced*: renames it to `path` and syncs the directory.
/// If the rename fails, the temporary is removed.
pub fn publish_synced(fs: &dyn Fs, temp: &Path, path: &Path, existing: Existing) -> Result<(), PublishError> {
    let renamed = match existing {
        Existing::Replace => fs.rename(temp, path),
        Existing::Keep => fs.rename_noreplace(temp, path),
    };
    if let Err(error) = renamed {
        discard(fs, temp);
        return Err(PublishError::NotPublished(error));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs.sync_dir(parent).map_err(PublishError::Uncertain)
}

/// Removes a temporary that will not be published. If that fails too it stays behind, where the next [`publish`] of the name or
/// the clean-up at start removes it; the caller is to hear of the first error, not of this one.
fn discard(fs: &dyn Fs, temp: &Path) {
    let _: io::Result<()> = fs.remove_file(temp);
}
