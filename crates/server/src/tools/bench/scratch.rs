//! The directory in which everything happens, and its end.
//!
//! It is new, so nothing that was there before is ever touched, and it is removed with the value, however the measurement ends. Only
//! a second signal, or one that no process can see coming, leaves it.

use std::io;
use std::path::{Path, PathBuf};

use icecore_io::Fs;

use super::error::{BenchError, Result};

/// How many names are tried: each is taken by a process of this id that was killed.
const NAMES_MAX: u32 = 100;

/// A directory that goes away with the value.
#[derive(Debug)]
pub(super) struct Scratch<'a> {
    fs: &'a dyn Fs,
    path: PathBuf,
    removed: bool,
}

impl<'a> Scratch<'a> {
    /// Makes a directory in `parent`.
    pub(super) fn create(fs: &'a dyn Fs, parent: &Path) -> Result<Self> {
        let process = std::process::id();
        for number in 1..NAMES_MAX {
            let path = parent.join(format!("icecore-bench-{process}-{number}"));
            match fs.create_dir(&path) {
                Ok(()) => return Ok(Self { fs, path, removed: false }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(BenchError::io("create", &path)(error)),
            }
        }
        Err(BenchError::io("find a free name in", parent)(io::ErrorKind::AlreadyExists.into()))
    }

    /// A path in it.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it.
    pub(super) fn create_dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.join(name);
        self.fs.create_dir(&path).map_err(BenchError::io("create", &path))?;
        Ok(path)
    }

    /// Removes a file or a directory in it.
    pub(super) fn discard(&self, path: &Path) -> Result<()> {
        debug_assert!(path.starts_with(&self.path), "only what was made here is removed");
        let removed = match path.is_dir() {
            true => self.fs.remove_dir_all(path),
            false => self.fs.remove_file(path),
        };
        removed.map_err(BenchError::io("remove", path))
    }

    /// Removes all of it.
    pub(super) fn remove(mut self) -> Result<()> {
        self.removed = true;
        self.fs.remove_dir_all(&self.path).map_err(BenchError::io("remove", &self.path))
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        // The measurement is failing already, and its error says why.
        if let Err(error) = self.fs.remove_dir_all(&self.path) {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Fails if the file system of `path` has not room for `copies` times `size` bytes.
pub(super) fn check_space(fs: &dyn Fs, path: &Path, size: u64, copies: u64) -> Result<()> {
    let free = fs.free_space(path).map_err(BenchError::io("measure the free space of", path))?;
    let needed = size.saturating_mul(copies);
    if free < needed {
        return Err(BenchError::NoSpace { path: path.to_owned(), free, size, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use icecore_io::OsFs;

    use super::*;

    #[test]
    fn it_is_new_and_goes_away() {
        let parent = tempfile::tempdir().unwrap();
        let entries = || std::fs::read_dir(parent.path()).unwrap().count();
        let first = Scratch::create(&OsFs, parent.path()).unwrap();
        let second = Scratch::create(&OsFs, parent.path()).unwrap();
        assert_eq!(entries(), 2);
        let dir = first.create_dir("sub").unwrap();
        std::fs::write(dir.join("file"), b"x").unwrap();
        first.discard(&dir.join("file")).unwrap();
        std::fs::write(first.join("file"), b"x").unwrap();
        drop(first);
        assert_eq!(entries(), 1);
        second.remove().unwrap();
        assert_eq!(entries(), 0);
    }

    #[test]
    fn a_full_disk_is_told_with_its_numbers() {
        let parent = tempfile::tempdir().unwrap();
        assert!(check_space(&OsFs, parent.path(), 1, 4).is_ok());
        let error = check_space(&OsFs, parent.path(), u64::MAX / 2, 4).unwrap_err();
        assert!(matches!(error, BenchError::NoSpace { needed: u64::MAX, .. }), "{error}");
    }
}
