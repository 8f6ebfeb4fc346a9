//! The contents of a file in memory, apart from its names.
//!
//! An inode lives while any name or any open handle refers to it, and gives its bytes back to the file system's free space when the
//! last one goes. Contents are shared until written, so that forks of a whole file system and mappings cost nothing.

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use crate::{DIRECT_ALIGNMENT, File, Lock, Mapping};

/// What all files of one file system share: counters and the space that is left.
#[derive(Debug)]
pub(super) struct Shared {
    next_inode: AtomicU64,
    next_handle: AtomicU64,
    ticks: AtomicU64,
    /// Whether files say that they share blocks.
    pub(super) shares_blocks: AtomicBool,
    free: Mutex<u64>,
}

impl Shared {
    pub(super) fn new(next_inode: u64, free: u64) -> Self {
        Self {
            next_inode: AtomicU64::new(next_inode),
            next_handle: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            shares_blocks: AtomicBool::new(false),
            free: Mutex::new(free),
        }
    }

    pub(super) fn next_inode(&self) -> u64 {
        self.next_inode.fetch_add(1, Ordering::Relaxed)
    }

    /// The number that the next inode will get; numbers are never used twice.
    pub(super) fn inode_bound(&self) -> u64 {
        self.next_inode.load(Ordering::Relaxed)
    }

    /// A time that differs for every change, and is the same in every run of the same operations.
    pub(super) fn tick(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.ticks.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn free(&self) -> MutexGuard<'_, u64> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, bytes: u64) {
        let mut free = self.free();
        *free = free.saturating_add(bytes);
    }
}

/// A file without a name.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) number: u64,
    shared: Arc<Shared>,
    body: Mutex<Body>,
}

/// What changes about an inode.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) mode: u32,
    pub(super) modified: SystemTime,
    /// How many names it has in the tree.
    pub(super) names: u64,
    /// Bytes taken from the free space: the length, or more after `allocate`.
    charged: u64,
    /// The handle that holds the advisory lock.
    locked_by: Option<u64>,
}

impl Inode {
    /// A file of the given contents and without a name, which must have been counted in the free space that `shared` was made with.
    pub(super) fn new(number: u64, bytes: Arc<Vec<u8>>, mode: u32, shared: &Arc<Shared>) -> Self {
        let charged = bytes.len() as u64;
        let body = Body { bytes, mode, modified: shared.tick(), names: 0, charged, locked_by: None };
        Self { number, shared: Arc::clone(shared), body: Mutex::new(body) }
    }

    pub(super) fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes space so that the file can reach `end`, as far as there is any, and returns the end that it can reach.
    fn charge(&self, body: &mut Body, end: u64) -> u64 {
        let mut free = self.shared.free();
        let wanted = end.saturating_sub(body.charged);
        let granted = wanted.min(*free);
        *free -= granted;
        body.charged += granted;
        end.min(body.charged)
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let charged = self.body().charged;
        self.shared.release(charged);
    }
}

/// An open file in memory.
#[derive(Debug)]
pub(super) struct MemFile {
    inode: Arc<Inode>,
    handle: u64,
    writable: bool,
    /// Whether writes have to be aligned.
    direct: AtomicBool,
}

impl MemFile {
    pub(super) fn open(inode: Arc<Inode>, writable: bool) -> Self {
        let handle = inode.shared.next_handle.fetch_add(1, Ordering::Relaxed);
        Self { inode, handle, writable, direct: AtomicBool::new(false) }
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::BADF.into()) }
    }

    /// As strict as the strictest disk.
    fn check_aligned(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let is_aligned = |position: u64| position.is_multiple_of(DIRECT_ALIGNMENT as u64);
        let all = [buf.as_ptr().addr() as u64, buf.len() as u64, offset].into_iter().all(is_aligned);
        if all || !self.direct.load(Ordering::Relaxed) { Ok(()) } else { Err(Errno::INVAL.into()) }
    }

    /// The part of `source` from `offset` that `len` bytes cover, cut at the end of the file.
    fn range_of(source: &dyn File, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let source: &Self = source.as_any().downcast_ref().ok_or(io::ErrorKind::Unsupported)?;
        let bytes = Arc::clone(&source.inode.body().bytes);
        let start = position(offset)?.min(bytes.len());
        let end = start.saturating_add(position(len)?).min(bytes.len());
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        let mut body = self.inode.body();
        if body.locked_by == Some(self.handle) {
            body.locked_by = None;
        }
    }
}

fn position(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| Errno::FBIG.into())
}

impl File for MemFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.inode.body().bytes.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let body = self.inode.body();
        let rest = usize::try_from(offset).ok().and_then(|start| body.bytes.get(start..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        let (to, from) = (buf.split_at_mut(len).0, rest.split_at(len).0);
        to.copy_from_slice(from);
        Ok(len)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        self.check_aligned(buf, offset)?;
        if buf.is_empty() {
            return Ok(0);
        }
        let start = position(offset)?;
        let end = start.checked_add(buf.len()).ok_or(Errno::FBIG)?;
        let mut body = self.inode.body();
        let reached = position(self.inode.charge(&mut body, end as u64))?;
        // As a real file system does, a write that only partly fits is short, and the next one fails.
        let fits = reached.saturating_sub(start).min(buf.len());
        if fits == 0 {
            return Err(Errno::NOSPC.into());
        }
        body.modified = self.inode.shared.tick();
        overwrite(Arc::make_mut(&mut body.bytes), start, buf.split_at(fits).0);
        Ok(fits)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let target = position(len)?;
        let mut body = self.inode.body();
        if self.inode.charge(&mut body, len) < len {
            return Err(Errno::NOSPC.into());
        }
        if target < body.bytes.len() {
            self.inode.shared.release(body.charged - len);
            body.charged = len;
        }
        body.modified = self.inode.shared.tick();
        Arc::make_mut(&mut body.bytes).resize(target, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let end = offset.checked_add(len).ok_or(Errno::FBIG)?;
        let mut body = self.inode.body();
        let before = body.charged;
        if len == 0 || self.inode.charge(&mut body, end) == end {
            return Ok(());
        }
        // All or nothing: what was taken on the way is given back.
        self.inode.shared.release(body.charged - before);
        body.charged = before;
        Err(Errno::NOSPC.into())
    }

    fn clone_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let bytes = Self::range_of(source, source_offset, len)?;
        if bytes.len() as u64 != len {
            return Err(Errno::INVAL.into());
        }
        self.write_all_at(&bytes, offset)
    }

    fn copy_range(&self, source: &dyn File, source_offset: u64, offset: u64, len: u64) -> io::Result<u64> {
        self.check_writable()?;
        let bytes = Self::range_of(source, source_offset, len)?;
        Ok(self.write_at(&bytes, offset)? as u64)
    }

    fn shares_blocks_with(&self, source: &dyn File) -> bool {
        source.as_any().is::<Self>() && self.inode.shared.shares_blocks.load(Ordering::Relaxed)
    }

    fn start_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn write_directly(&self, is_direct: bool) -> io::Result<()> {
        self.direct.store(is_direct, Ordering::Relaxed);
        Ok(())
    }

    fn map(&self) -> io::Result<Mapping> {
        Ok(Mapping::new(SharedBytes(Arc::clone(&self.inode.body().bytes))))
    }

    fn try_lock(&self) -> io::Result<()> {
        let mut body = self.inode.body();
        match body.locked_by {
            Some(holder) if holder != self.handle => Err(Errno::WOULDBLOCK.into()),
            _ => {
                body.locked_by = Some(self.handle);
                Ok(())
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The lock of the file system's `lock`: dropping the handle releases it.
#[derive(Debug)]
pub(super) struct MemLock {
    pub(super) _file: MemFile,
}

impl Lock for MemLock {}

/// A mapping: the bytes as they were when it was made.
struct SharedBytes(Arc<Vec<u8>>);

impl std::ops::Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Puts `data` at `start`, extending with zeros as needed.
pub(crate) fn overwrite(bytes: &mut Vec<u8>, start: usize, data: &[u8]) {
    let end = start + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes.get_mut(start..end).unwrap_or_default().copy_from_slice(data);
}
