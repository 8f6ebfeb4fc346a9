//! A file system whose calls fail when a test says so.
//!
//! A [`Fault`] names an operation, optionally a part of the path, which call of it fails, and how. Without faults every call is
//! passed on unchanged. Paths are those given to the call; an open file keeps the path that it was opened by, even after a rename.

mod plan;

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::plan::Verdict;
pub use self::plan::{Fault, Faults, Operation};
use crate::{DirEntry, File, Fs, Lock, Mapping, Metadata};

/// Passes every call on to an inner file system, except those that its [`Faults`] say fail. Clones share the faults.
#[derive(Debug, Clone)]
pub struct FaultFs {
    inner: Arc<dyn Fs>,
    faults: Faults,
}

impl FaultFs {
    /// Wraps `inner`, with no faults yet.
    pub fn new(inner: Arc<dyn Fs>) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// The handle that injects faults and counts calls.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    fn wrap(&self, path: &Path, inner: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(FaultFile { inner, path: path.to_owned(), faults: self.faults.clone() })
    }
}

/// Carries a call out, or fails it before or after.
fn run<T>(verdict: Verdict, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    match verdict {
        Verdict::Pass | Verdict::Short(_) => call(),
        Verdict::Fail(error) => Err(error),
        Verdict::FailAfter(error) => call().and(Err(error)),
    }
}

impl Fs for FaultFs {
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = run(self.faults.verdict(Operation::OpenRead, &[path]), || self.inner.open_read(path))?;
        Ok(self.wrap(path, file))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = run(self.faults.verdict(Operation::OpenWrite, &[path]), || self.inner.open_write(path))?;
        Ok(self.wrap(path, file))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = run(self.faults.verdict(Operation::CreateNew, &[path]), || self.inner.create_new(path))?;
        Ok(self.wrap(path, file))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        run(self.faults.verdict(Operation::Metadata, &[path]), || self.inner.metadata(path))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        run(self.faults.verdict(Operation::CreateDir, &[path]), || self.inner.create_dir(path))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        run(self.faults.verdict(Operation::List, &[dir]), || self.inner.list(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        run(self.faults.verdict(Operation::Rename, &[from, to]), || self.inner.rename(from, to))
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        run(self.faults.verdict(Operation::RenameNoreplace, &[from, to]), || self.inner.rename_noreplace(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        run(self.faults.verdict(Operation::Link, &[from, to]), || self.inner.link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        run(self.faults.verdict(Operation::RemoveFile, &[path]), || self.inner.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        run(self.faults.verdict(Operation::RemoveDir, &[path]), || self.inner.remove_dir(path))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        run(self.faults.verdict(Operation::SyncDir, &[dir]), || self.inner.sync_dir(dir))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        run(self.faults.verdict(Operation::SetMode, &[path]), || self.inner.set_mode(path, mode))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        run(self.faults.verdict(Operation::Lock, &[path]), || self.inner.lock(path))
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        run(self.faults.verdict(Operation::FreeSpace, &[path]), || self.inner.free_space(path))
    }
}

/// An open file whose calls may fail.
#[derive(Debug)]
struct FaultFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    faults: Faults,
}

impl FaultFile {
    fn verdict(&self, operation: Operation) -> Verdict {
        self.faults.verdict(operation, &[&self.path])
    }

    /// The inner file of the other side of a two-file call. A source with damage has to be read through memory, or the damage
    /// would be passed by.
    fn source(file: &dyn File) -> io::Result<&dyn File> {
        let file: &Self = file.as_any().downcast_ref().ok_or(io::ErrorKind::Unsupported)?;
        if file.faults.damages(&file.path) { Err(io::ErrorKind::Unsupported.into()) } else { Ok(&*file.inner) }
    }
}

impl File for FaultFile {
    fn len(&self) -> io::Result<u64> {
        run(self.verdict(Operation::Len), || self.inner.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = run(self.verdict(Operation::ReadAt), || self.inner.read_at(buf, offset))?;
        self.faults.damage(&self.path, buf.split_at_mut(read).0, offset);
        Ok(read)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let verdict = self.verdict(Operation::WriteAt);
        let len = match verdict {
            Verdict::Short(len) => len.min(buf.len()),
            _ => buf.len(),
        };
        run(verdict, || self.inner.write_at(buf.split_at(len).0, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        run(self.verdict(Operation::SetLen), || self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        run(self.verdict(Operation::SyncData), || self.inner.sync_data())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        run(self.verdict(Operation::Allocate), || self.inner.allocate(offset, len))
    }

    fn clone_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<()> {
        run(self.verdict(Operation::CloneRange), || self.inner.clone_range(Self::source(source)?, source_offset, offset, len))
    }

    fn copy_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<u64> {
        run(self.verdict(Operation::CopyRange), || self.inner.copy_range(Self::source(source)?, source_offset, offset, len))
    }

    fn shares_blocks_with(&self, source: &dyn File) -> bool {
        Self::source(source).is_ok_and(|source| self.inner.shares_blocks_with(source))
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        run(self.verdict(Operation::StartWriteback), || self.inner.start_writeback(offset, len))
    }

    fn wait_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        run(self.verdict(Operation::WaitWriteback), || self.inner.wait_writeback(offset, len))
    }

    fn write_directly(&self, is_direct: bool) -> io::Result<()> {
        run(self.verdict(Operation::WriteDirectly), || self.inner.write_directly(is_direct))
    }

    fn map(&self) -> io::Result<Mapping> {
        let mapping = run(self.verdict(Operation::Map), || self.inner.map())?;
        if !self.faults.damages(&self.path) {
            return Ok(mapping);
        }
        let mut bytes = mapping.to_vec();
        self.faults.damage(&self.path, &mut bytes, 0);
        Ok(Mapping::new(bytes))
    }

    fn try_lock(&self) -> io::Result<()> {
        run(self.verdict(Operation::TryLock), || self.inner.try_lock())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
