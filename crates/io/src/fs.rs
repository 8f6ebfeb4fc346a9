//! The file system as an argument: what the engine needs of one, and what each operation promises.
//!
//! Everything that touches a disk goes through [`Fs`], so that tests can run on memory, record every operation, cut the
//! record anywhere and fail any call. Nothing here retries, buffers or syncs by itself: durability is the caller's, mostly
//! through [`crate::publish`].

use std::fmt::Debug;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link, which is never followed.
    Symlink,
    /// Anything else (a socket, a device, a pipe).
    Other,
}

/// What the file system knows of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes; meaningless for anything but a file.
    pub len: u64,
    /// Inode number; two paths with the same one on one file system are one file.
    pub inode: u64,
    /// How many names a file has (hard links); meaningless for anything but a file.
    pub links: u64,
    /// Permission bits, such as `0o644`.
    pub mode: u32,
    /// Time of the last change of the contents.
    pub modified: SystemTime,
}

/// One entry of [`Fs::list`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name inside the directory; names that are not UTF-8 are an error of [`Fs::list`].
    pub name: String,
    /// The directory joined with the name.
    pub path: PathBuf,
}

/// A file system. Paths are used as given; relative ones start at the process's working directory.
///
/// Errors are plain [`io::Error`]s without the path: callers name the object in their own error types.
pub trait Fs: Debug + Send + Sync + 'static {
    /// Opens an existing file for reading. Does not follow a symbolic link at the last component.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Opens an existing file for reading and writing. Does not follow a symbolic link at the last component.
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Creates a file that must not exist (`AlreadyExists` otherwise) for reading and writing. Its name is durable only after
    /// [`Fs::sync_dir`] of the parent.
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// What is at `path`; a symbolic link is described itself, not its target.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;

    /// Creates one directory whose parent exists; `AlreadyExists` if there is something.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, sorted by name. `NotFound` if it does not exist.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Atomically renames a file or directory, replacing a file at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Atomically renames a file or directory; `AlreadyExists` and no change if there is anything at `to`.
    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes a hard link at `to`; `AlreadyExists` if there is anything. `TooManyLinks`, `CrossesDevices`, `PermissionDenied` or
    /// `Unsupported` where the file or the file system cannot have another.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file (or a symbolic link itself).
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals of entries in this directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Sets the permission bits of a file.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;

    /// Takes an exclusive advisory lock on the file at `path`, creating it if needed. `WouldBlock` at once if anyone
    /// (another process, or this one) holds it. Dropping the value releases the lock; the file stays.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// Bytes that an unprivileged process can still write on the file system that holds `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;

    /// Creates `path` and all its missing parents. Their names are durable only after `sync_dir` of each parent.
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        match self.create_dir(path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match self.metadata(path)?.kind {
                FileKind::Dir => Ok(()),
                _ => Err(error),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or(error)?;
                self.create_dir_all(parent)?;
                match self.create_dir(path) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => Ok(()),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a directory and everything in it; symbolic links are removed, never followed. A missing one is no error.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match self.metadata(path) {
            // Listing would follow it.
            Ok(found) if found.kind == FileKind::Symlink => return self.remove_file(path),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        for entry in self.list(path)? {
            match self.metadata(&entry.path)?.kind {
                FileKind::Dir => self.remove_dir_all(&entry.path)?,
                _ => self.remove_file(&entry.path)?,
            }
        }
        self.remove_dir(path)
    }

    /// Whether there is anything at `path`. Errors other than `NotFound` are returned.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.metadata(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// An open file. All positions are explicit, so one handle can be used by many threads at once.
pub trait File: Debug + Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads up to `buf.len()` bytes at `offset`; 0 only at or after the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes up to `buf.len()` bytes at `offset`, and says how many; the file grows as needed.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;

    /// Truncates or extends (with zeros) to `len` bytes.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the contents and the length durable. After an error nothing is known about what is on the disk: the caller
    /// must not write on as if nothing had happened.
    fn sync_data(&self) -> io::Result<()>;

    /// Reserves blocks for `len` bytes at `offset` without changing the length, so that a full disk shows now.
    /// `Unsupported` where the file system cannot.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes `len` bytes at `offset` share their blocks with `source`. `Unsupported` (or `CrossesDevices`) where the file
    /// system cannot: the caller copies instead.
    fn clone_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<()>;

    /// Copies up to `len` bytes from `source` inside the kernel, and says how many. `Unsupported` (or `CrossesDevices`)
    /// where that is not possible: the caller copies through memory instead.
    fn copy_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<u64>;

    /// Whether [`File::copy_range`] from `source` lets both files share the blocks that are whole at the same distance from a block's
    /// beginning, so that it takes no space and little time. False where nobody can tell.
    fn shares_blocks_with(&self, _source: &dyn File) -> bool {
        false
    }

    /// Asks for the write-back of a range to begin; promises nothing about durability.
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Waits until the write-back of a range that was started has come to its end; promises nothing about durability. An error is one of
    /// that writing, and a later sync need not report it again: it must be treated as that of a sync.
    fn wait_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        let _ = (offset, len);
        Ok(())
    }

    /// Lets later writes through this handle go past the page cache, or through it again. Those that go past it must lie at multiples of
    /// [`DIRECT_ALIGNMENT`](crate::DIRECT_ALIGNMENT) in memory and in the file, and be such a multiple long: others may fail with `InvalidInput`. They are not
    /// durable before a sync either. `Unsupported` where the file system cannot; some that say that they can fail with `InvalidInput` then.
    fn write_directly(&self, _is_direct: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Maps the whole file read-only. The file must not shrink while mapped: only for files that never change again.
    fn map(&self) -> io::Result<Mapping>;

    /// Takes an exclusive advisory lock on this open file, held until the handle's last reference is dropped. `WouldBlock` if another handle holds it.
    fn try_lock(&self) -> io::Result<()>;

    /// The raw descriptor's owner, for implementations that pass two files to one system call.
    fn as_any(&self) -> &dyn std::any::Any;

    /// Fills `buf` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buf = buf.split_at_mut(read).1;
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`. On an error any part may have been written.
    fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.write_at(buf, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    buf = buf.split_at(written).1;
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A lock that ends with the value.
pub trait Lock: Debug + Send + Sync {}

/// A whole file as read-only memory.
#[derive(Clone)]
pub struct Mapping(Arc<dyn Deref<Target = [u8]> + Send + Sync>);

impl Mapping {
    /// Wraps whatever owns the bytes.
    pub fn new(bytes: impl Deref<Target = [u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(bytes))
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Debug for Mapping {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Mapping({} bytes)", self.len())
    }
}

/// Reads a whole file of at most `max` bytes; `InvalidData` if it is longer.
pub fn read_file(fs: &dyn Fs, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = fs.open_read(path)?;
    let len = file.len()?;
    if len > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{len} bytes, more than the {max} that are allowed")));
    }
    let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
