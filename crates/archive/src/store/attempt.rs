//! The right to make an archive of a certain name: a locked temporary file beside it.
//!
//! Whoever holds the lock on the file that is at `.<name>.tmp` may write the side files of that name and remove that temporary, and
//! nobody else may. The lock dies with its process, so what a crash leaves behind can be told from work in progress. Locking does
//! not prove that the file is still at its name, hence the comparison of inode numbers after it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{File, Fs};

use super::ArchiveName;
use super::remove_if_there;

/// Permission bits of a temporary.
const TEMP_MODE: u32 = 0o644;
/// Permission bit without which its owner cannot write a file.
const OWNER_WRITE: u32 = 0o200;
/// Times that the file may be replaced under our hands before somebody else is said to have it.
const ROUNDS_MAX: u32 = 16;

/// The locked temporary of one archive. Dropping it releases the lock and leaves the file.
#[derive(Debug)]
pub(crate) struct Attempt {
    path: PathBuf,
    /// Keeps the lock.
    _lock: Arc<dyn File>,
}

impl Attempt {
    /// Takes the temporary of `name` in `dir`, making it or taking over a dead one. `None` if somebody works on it.
    pub(crate) fn begin(fs: &dyn Fs, dir: &Path, name: &ArchiveName) -> io::Result<Option<Self>> {
        let path = name.temp_path(dir);
        for _ in 0..ROUNDS_MAX {
            match fs.create_new(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            match lock_at(fs, &path) {
                Ok(Some(lock)) => return Ok(Some(Self { path, _lock: lock })),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(None)
    }

    /// The temporary.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The temporary, emptied and open for writing.
    pub(crate) fn open(&self, fs: &dyn Fs) -> io::Result<Arc<dyn File>> {
        // A crash right before the commit leaves it read-only.
        if fs.metadata(&self.path)?.mode & OWNER_WRITE == 0 {
            fs.set_mode(&self.path, TEMP_MODE)?;
        }
        let file = fs.open_write(&self.path)?;
        file.set_len(0)?;
        Ok(file)
    }

    /// Removes the temporary, if it has not become the archive.
    pub(crate) fn remove(&self, fs: &dyn Fs) -> io::Result<bool> {
        remove_if_there(fs, &self.path)
    }
}

/// Locks the file at `path`; `None` if it was replaced meanwhile.
fn lock_at(fs: &dyn Fs, path: &Path) -> io::Result<Option<Arc<dyn File>>> {
    let before = fs.metadata(path)?.inode;
    let file = fs.open_read(path)?;
    file.try_lock()?;
    let after = fs.metadata(path)?.inode;
    Ok((before == after).then_some(file))
}

#[cfg(test)]
mod tests {
    use icecore_io::MemFs;

    use super::*;

    #[test]
    fn one_attempt_at_a_time_and_a_dead_one_is_taken_over() {
        let fs = MemFs::new();
        let dir = Path::new("/store");
        fs.create_dir_all(dir).unwrap();
        let name = ArchiveName::new("a.snapshot").unwrap();
        let attempt = Attempt::begin(&fs, dir, &name).unwrap().unwrap();
        assert!(Attempt::begin(&fs, dir, &name).unwrap().is_none());
        attempt.open(&fs).unwrap().write_all_at(b"half", 0).unwrap();
        fs.set_mode(attempt.path(), 0o444).unwrap();
        drop(attempt);

        let next = Attempt::begin(&fs, dir, &name).unwrap().unwrap();
        assert!(next.open(&fs).unwrap().is_empty().unwrap());
        assert!(next.remove(&fs).unwrap());
        assert!(!fs.exists(next.path()).unwrap());
    }
}
