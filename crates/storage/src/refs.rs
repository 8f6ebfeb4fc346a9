//! References to files and directories that are removed when the last one is dropped, once they are no longer wanted.
//!
//! Everything that needs a file (a version of a shard, a reader, a running snapshot) holds an [`FileRef`]. A file is first
//! retired, after the manifest that no longer names it is durable, and removed by whoever lets go of it last. A crash in
//! between leaves an orphan, which the next start removes. What a reference never does is to create or to sync.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use icecore_io::Fs;

use crate::snapshot::Pin;

/// Bytes of retired files that references still keep.
#[derive(Debug, Default)]
pub(crate) struct PinnedBytes(AtomicU64);

impl PinnedBytes {
    /// The number now.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A directory that is removed with everything in it once it is retired and nothing refers to it.
#[derive(Debug)]
pub(crate) struct DirRef {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    retired: AtomicBool,
    pub(crate) pinned: Arc<PinnedBytes>,
}

impl DirRef {
    pub(crate) fn new(fs: Arc<dyn Fs>, path: PathBuf, pinned: Arc<PinnedBytes>) -> Arc<Self> {
        Arc::new(Self { fs, path, retired: AtomicBool::new(false), pinned })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on the directory only lives as long as it is referred to.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}

impl Drop for DirRef {
    fn drop(&mut self) {
        if *self.retired.get_mut() {
            // What cannot be removed now is an orphan that the next start removes.
            let _ = self.fs.remove_dir_all(&self.path);
        }
    }
}

/// A file that is removed once it is retired and nothing refers to it.
#[derive(Debug)]
pub(crate) struct FileRef {
    dir: Arc<DirRef>,
    path: PathBuf,
    len: AtomicU64,
    retired: AtomicBool,
}

impl FileRef {
    /// A reference to a file of `len` bytes inside the shard directory `dir`.
    pub(crate) fn new(dir: &Arc<DirRef>, path: PathBuf, len: u64) -> Arc<Self> {
        debug_assert!(path.starts_with(dir.path()), "a file reference keeps the directory that the file is in");
        Arc::new(Self { dir: dir.clone(), path, len: AtomicU64::new(len), retired: AtomicBool::new(false) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// From now on the file only lives as long as it is referred to. `len` is what it holds on the disk, of a log file without its room.
    pub(crate) fn retire_with_len(&self, len: u64) {
        if !self.retired.swap(true, Ordering::AcqRel) {
            self.len.store(len, Ordering::Relaxed);
            self.dir.pinned.0.fetch_add(len, Ordering::Relaxed);
        }
    }

    /// From now on the file only lives as long as it is referred to.
    pub(crate) fn retire(&self) {
        self.retire_with_len(self.len.load(Ordering::Relaxed));
    }
}

impl Drop for FileRef {
    fn drop(&mut self) {
        if *self.retired.get_mut() {
            self.dir.pinned.0.fetch_sub(*self.len.get_mut(), Ordering::Relaxed);
            // What cannot be removed now is an orphan that the next start removes.
            let _ = self.dir.fs.remove_file(&self.path);
        }
    }
}

impl Pin for FileRef {}
