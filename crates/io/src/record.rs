//! A file system that remembers every change, so that a crash can be played at any point afterwards.
//!
//! The order of the record is the order of effect: the record is locked across each change, so changes of different threads never
//! swap places. Only changes that succeeded are recorded. Reading is neither recorded nor slowed down.

mod op;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::op::Op;
use crate::{DirEntry, File, Fs, Lock, Mapping, MemFs, Metadata, Replay};

type Record = Arc<Mutex<Vec<Op>>>;

/// Records what happens to an inner file system. Clones share the record.
///
/// To make calls fail after they took effect, put [`crate::FaultFs`] around this, not inside: a failed change is not recorded.
#[derive(Debug, Clone)]
pub struct RecordingFs {
    inner: Arc<dyn Fs>,
    base: Arc<MemFs>,
    record: Record,
}

impl RecordingFs {
    /// Records on top of an empty file system, whose inode numbers must not be used twice ([`MemFs`] never does).
    pub fn new(inner: Arc<dyn Fs>) -> Self {
        Self::with_base(inner, &MemFs::new())
    }

    /// Records on top of a file system that now holds what `base` holds, with the same inode numbers: `base` itself, or
    /// something around it. All of it counts as durable.
    pub fn with_base(inner: Arc<dyn Fs>, base: &MemFs) -> Self {
        Self { inner, base: Arc::new(base.fork()), record: Record::default() }
    }

    /// Notes a number of the test's own at this point of the record.
    pub fn mark(&self, number: u64) {
        self.record().push(Op::Mark(number));
    }

    /// Everything recorded so far.
    pub fn ops(&self) -> Vec<Op> {
        self.record().clone()
    }

    /// Plays what has been recorded so far, from the start.
    pub fn replay(&self) -> Replay {
        Replay::new(&self.base, self.ops())
    }

    fn record(&self) -> MutexGuard<'_, Vec<Op>> {
        lock(&self.record)
    }

    /// Makes a change and records it in one step.
    fn change<T>(&self, call: impl FnOnce() -> io::Result<T>, op: impl FnOnce() -> Op) -> io::Result<T> {
        let mut record = self.record();
        let value = call()?;
        record.push(op());
        Ok(value)
    }

    /// Opens or creates a file and finds its number before anyone can rename it.
    fn open(&self, path: &Path, created: bool, open: impl FnOnce() -> io::Result<Arc<dyn File>>) -> io::Result<Arc<dyn File>> {
        let mut record = self.record();
        let inner = open()?;
        let file = self.inner.metadata(path)?.inode;
        if created {
            record.push(Op::CreateFile { path: path.to_owned(), file });
        }
        Ok(Arc::new(RecordingFile { inner, file, record: Arc::clone(&self.record) }))
    }
}

fn lock(record: &Mutex<Vec<Op>>) -> MutexGuard<'_, Vec<Op>> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fs for RecordingFs {
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, false, || self.inner.open_read(path))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, false, || self.inner.open_write(path))
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, true, || self.inner.create_new(path))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.inner.metadata(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut record = self.record();
        self.inner.create_dir(path)?;
        let dir = self.inner.metadata(path)?.inode;
        record.push(Op::CreateDir { path: path.to_owned(), dir });
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|| self.inner.rename(from, to), || Op::Rename { from: from.to_owned(), to: to.to_owned() })
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|| self.inner.rename_noreplace(from, to), || Op::Rename { from: from.to_owned(), to: to.to_owned() })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|| self.inner.link(from, to), || Op::Link { from: from.to_owned(), to: to.to_owned() })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change(|| self.inner.remove_file(path), || Op::RemoveFile { path: path.to_owned() })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(|| self.inner.remove_dir(path), || Op::RemoveDir { path: path.to_owned() })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|| self.inner.sync_dir(dir), || Op::SyncDir { path: dir.to_owned() })
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.change(|| self.inner.set_mode(path, mode), || Op::SetMode { path: path.to_owned(), mode })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut record = self.record();
        let existed = self.inner.exists(path)?;
        let lock = self.inner.lock(path)?;
        if !existed {
            let file = self.inner.metadata(path)?.inode;
            record.push(Op::CreateFile { path: path.to_owned(), file });
        }
        Ok(lock)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_space(path)
    }
}

/// An open file whose changes are recorded.
#[derive(Debug)]
struct RecordingFile {
    inner: Arc<dyn File>,
    file: u64,
    record: Record,
}

impl RecordingFile {
    /// The inner file of the other side of a two-file call.
    fn inner_of(file: &dyn File) -> io::Result<&dyn File> {
        let file: &Self = file.as_any().downcast_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(&*file.inner)
    }

    /// Records what a clone or copy put at `offset` as if it had been written.
    fn record_copied(&self, record: &mut Vec<Op>, offset: u64, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut data = vec![0; len];
        self.inner.read_exact_at(&mut data, offset)?;
        record.push(Op::Write { file: self.file, offset, data: data.into() });
        Ok(())
    }
}

impl File for RecordingFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut record = lock(&self.record);
        let written = self.inner.write_at(buf, offset)?;
        if written > 0 {
            record.push(Op::Write { file: self.file, offset, data: buf.split_at(written).0.into() });
        }
        Ok(written)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut record = lock(&self.record);
        self.inner.set_len(len)?;
        record.push(Op::SetLen { file: self.file, len });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut record = lock(&self.record);
        self.inner.sync_data()?;
        record.push(Op::SyncData { file: self.file });
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        // Changes neither bytes nor length, so there is nothing for a crash to lose.
        self.inner.allocate(offset, len)
    }

    fn clone_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<()> {
        let mut record = lock(&self.record);
        self.inner.clone_range(Self::inner_of(source)?, source_offset, offset, len)?;
        self.record_copied(&mut record, offset, len)
    }

    fn copy_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<u64> {
        let mut record = lock(&self.record);
        let copied = self.inner.copy_range(Self::inner_of(source)?, source_offset, offset, len)?;
        if copied > 0 {
            self.record_copied(&mut record, offset, copied)?;
        }
        Ok(copied)
    }

    fn shares_blocks_with(&self, source: &dyn File) -> bool {
        Self::inner_of(source).is_ok_and(|source| self.inner.shares_blocks_with(source))
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.start_writeback(offset, len)
    }

    fn wait_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.wait_writeback(offset, len)
    }

    fn write_directly(&self, is_direct: bool) -> io::Result<()> {
        self.inner.write_directly(is_direct)
    }

    fn map(&self) -> io::Result<Mapping> {
        self.inner.map()
    }

    fn try_lock(&self) -> io::Result<()> {
        self.inner.try_lock()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
