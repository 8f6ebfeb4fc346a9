//! The operating system's file system.
//!
//! Every call is one system call (or the documented few), and no final symbolic link is followed where a file is opened, linked, renamed
//! or removed. Interrupted calls are retried where the kernel may interrupt them. It neither buffers nor syncs by itself.

use std::any::Any;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, FallocateFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::{DirEntry, File, FileKind, Fs, Lock, Mapping, Metadata};

/// The mode that new files are created with, before the process's umask takes bits away.
const FILE_MODE: u32 = 0o644;
/// The permission bits of a mode, without the file type.
const PERMISSION_BITS: u32 = 0o7777;

/// What the kernel calls btrfs and XFS by (source: statfs(2)).
const BTRFS_MAGIC: rustix::fs::FsWord = 0x9123_683e;
const XFS_MAGIC: rustix::fs::FsWord = 0x5846_5342;

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFs;

impl OsFs {
    /// The file system that this process sees.
    pub fn new() -> Self {
        Self
    }
}

/// Opens a regular file and nothing else. `NONBLOCK` changes nothing for a regular file, but keeps a pipe that somebody put there
/// from blocking the open for ever.
fn open(path: &Path, flags: OFlags) -> io::Result<OsFile> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let descriptor = retry_on_intr(|| rustix::fs::open(path, flags, Mode::from_raw_mode(FILE_MODE)))?;
    let file = fs::File::from(descriptor);
    match kind_of(file.metadata()?.file_type()) {
        FileKind::File => Ok(OsFile { file }),
        FileKind::Dir => Err(io::ErrorKind::IsADirectory.into()),
        FileKind::Symlink | FileKind::Other => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Dir
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    }
}

/// Turns every way in which kernels say "this file system cannot do that" into `Unsupported`.
fn unsupported_or(error: Errno) -> io::Error {
    match error {
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY | Errno::INVAL => io::ErrorKind::Unsupported.into(),
        error => error.into(),
    }
}

impl Fs for OsFs {
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(open(path, OFlags::RDONLY)?))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(open(path, OFlags::RDWR)?))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(open(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let found = fs::symlink_metadata(path)?;
        Ok(Metadata {
            kind: kind_of(found.file_type()),
            len: found.len(),
            inode: found.ino(),
            links: found.nlink(),
            mode: found.mode() & PERMISSION_BITS,
            modified: found.modified()?,
        })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|name| {
                io::Error::new(io::ErrorKind::InvalidData, format!("the name {name:?} in the directory is not UTF-8"))
            })?;
            entries.push(DirEntry { path: dir.join(&name), name });
        }
        entries.sort();
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => rename_by_link(from, to),
            other => Ok(other?),
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        // The last argument says that a symbolic link is linked itself.
        rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty()).map_err(|error| match error {
            Errno::OPNOTSUPP | Errno::NOSYS => io::ErrorKind::Unsupported.into(),
            error => error.into(),
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = retry_on_intr(|| rustix::fs::open(dir, flags, Mode::empty()))?;
        fs::File::from(descriptor).sync_all()
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        // Through a descriptor: the path-based call would follow a symbolic link.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let descriptor = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(rustix::fs::fchmod(descriptor, Mode::from_raw_mode(mode & PERMISSION_BITS))?)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let file = open(path, OFlags::RDWR | OFlags::CREATE)?;
        file.try_lock()?;
        Ok(Box::new(OsLock { _file: file }))
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(path)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Walks by descriptor, so that a directory that is swapped for a symbolic link meanwhile is not followed either.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// For file systems without an exclusive rename. Never replaces anything, but a crash between the two calls leaves both names,
/// which are then one file. A directory cannot be linked, so it cannot be renamed this way.
fn rename_by_link(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// The lock of [`OsFs::lock`]: the kernel releases it with the last reference to the open file.
#[derive(Debug)]
struct OsLock {
    _file: OsFile,
}

impl Lock for OsLock {}

/// An open file of the operating system.
#[derive(Debug)]
struct OsFile {
    file: fs::File,
}

impl OsFile {
    fn sync_range(&self, offset: u64, len: u64, flags: libc::c_uint) -> io::Result<()> {
        let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        #[expect(
            unsafe_code,
            reason = "the call takes a descriptor, which is open for as long as `self`, and three numbers; it touches no memory"
        )]
        // SAFETY: see the reason.
        let result = unsafe { libc::sync_file_range(self.file.as_raw_fd(), offset, len, flags) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The other file of a two-file call, if it is one of this file system.
    fn of(file: &dyn File) -> io::Result<&Self> {
        file.as_any().downcast_ref().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

impl File for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        retry_on_intr(|| rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, len)).map_err(|error| match error {
            // Here an invalid argument is one: an offset or a length that no file can have.
            Errno::INVAL => error.into(),
            error => unsupported_or(error),
        })
    }

    /// Only a whole file onto the start of another is cloned: the call for ranges has no safe interface. Where blocks can be shared,
    /// `copy_range` lets the kernel share the aligned ones, so other ranges lose nothing by being `Unsupported` here.
    fn clone_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<()> {
        let source = Self::of(source)?;
        if source_offset != 0 || offset != 0 || len != source.len()? {
            return Err(io::ErrorKind::Unsupported.into());
        }
        rustix::fs::ioctl_ficlone(&self.file, &source.file).map_err(unsupported_or)
    }

    fn copy_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<u64> {
        let source = Self::of(source)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let copied = retry_on_intr(|| {
            let (mut from, mut to) = (source_offset, offset);
            rustix::fs::copy_file_range(&source.file, Some(&mut from), &self.file, Some(&mut to), len)
        });
        Ok(copied.map_err(unsupported_or)? as u64)
    }

    /// The file systems that are known to share blocks, if both files are on one.
    fn shares_blocks_with(&self, source: &dyn File) -> bool {
        let device = |file: &Self| file.file.metadata().map(|found| found.dev()).ok();
        let Ok(source) = Self::of(source) else { return false };
        let kind = rustix::fs::fstatfs(&self.file).map(|found| found.f_type);
        kind.is_ok_and(|kind| [BTRFS_MAGIC, XFS_MAGIC].contains(&kind))
            && device(self).is_some_and(|own| device(source) == Some(own))
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        self.sync_range(offset, len, libc::SYNC_FILE_RANGE_WRITE)
    }

    fn wait_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        self.sync_range(offset, len, libc::SYNC_FILE_RANGE_WAIT_BEFORE)
    }

    fn write_directly(&self, is_direct: bool) -> io::Result<()> {
        let mut flags = rustix::fs::fcntl_getfl(&self.file)?;
        flags.set(OFlags::DIRECT, is_direct);
        rustix::fs::fcntl_setfl(&self.file, flags).map_err(unsupported_or)
    }

    fn map(&self) -> io::Result<Mapping> {
        if self.is_empty()? {
            // The kernel refuses to map nothing.
            return Ok(Mapping::new(Vec::new()));
        }
        #[expect(
            unsafe_code,
            reason = "mapped files are sealed: they are never written or truncated again, only unlinked, and the \
            kernel keeps an unlinked file's pages for as long as they are mapped; so the bytes neither change nor vanish"
        )]
        let map = unsafe { memmap2::Mmap::map(&self.file) }?;
        Ok(Mapping::new(map))
    }

    fn try_lock(&self) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive))?)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The way for file systems without an exclusive rename, which most disks never take.
    #[test]
    fn a_rename_by_link_moves_a_file_and_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), b"new").unwrap();
        fs::write(path("b"), b"old").unwrap();
        fs::create_dir(path("d")).unwrap();

        assert_eq!(rename_by_link(&path("a"), &path("b")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(rename_by_link(&path("d"), &path("e")).unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(rename_by_link(&path("x"), &path("e")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!((fs::read(path("a")).unwrap(), fs::read(path("b")).unwrap()), (b"new".to_vec(), b"old".to_vec()));

        rename_by_link(&path("a"), &path("c")).unwrap();
        assert_eq!(fs::read(path("c")).unwrap(), b"new");
        assert!(!path("a").exists());
    }

    /// The conformance suite accepts either answer of the kernel; this one shows that a partial clone is refused, not misplaced.
    #[test]
    fn a_clone_of_a_part_is_left_to_copying() {
        let dir = tempfile::tempdir().unwrap();
        let os = OsFs::new();
        let (source, target) = (os.create_new(&dir.path().join("a")).unwrap(), os.create_new(&dir.path().join("b")).unwrap());
        source.write_all_at(&[1; 8192], 0).unwrap();

        for (source_offset, offset, len) in [(4096, 0, 4096), (0, 4096, 8192), (0, 0, 4096)] {
            let error = target.clone_range(&*source, source_offset, offset, len).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        }
        assert!(target.is_empty().unwrap());
    }
}
