//! The plain programs that bound what any maker of archives can do on a machine: digests of the files, and copies of them that are
//! made durable.
//!
//! They read through the page cache in buffers of the archive writer's size, start write-back as early as it does, and check nothing.
//! Each buffer is digested by itself: the work of one digest of all bytes, and one block of padding more in 16,384.

use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use icecore_archive::{Progress, Sha256Digest};
use icecore_io::{File, Fs};

use super::error::{BenchError, Result};
use super::files::{Files, OneFile};
use crate::tools::threads;

/// Bytes of one read.
const BUFFER_LEN: usize = 1 << 20;
/// Written bytes after which write-back is started.
const WRITEBACK_LEN: u64 = 8 << 20;

/// The files, the file system that they are on, and who is told how far a program is.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a> {
    fs: &'a dyn Fs,
    files: &'a Files,
    progress: &'a dyn Progress,
}

impl<'a> Plain<'a> {
    /// Programs on these files.
    pub(super) fn new(fs: &'a dyn Fs, files: &'a Files, progress: &'a dyn Progress) -> Self {
        Self { fs, files, progress }
    }

    /// One SHA-256 pass over all files on one core, in order.
    pub(super) fn digest(self) -> Result<()> {
        self.progress.start(self.files.bytes());
        self.digest_each()
    }

    /// One copy of all files, one behind the other in the new file `target`, which is durable afterwards.
    pub(super) fn copy(self, target: &Path) -> Result<()> {
        self.progress.start(self.files.bytes());
        self.copy_to_one(target)
    }

    /// The limit of making an archive: both at once.
    pub(super) fn digest_and_copy(self, target: &Path) -> Result<()> {
        self.progress.start(self.files.bytes().saturating_mul(2));
        together(|| self.digest_each(), || self.copy_to_one(target))
    }

    /// The limit of verifying: a SHA-256 of each file, on all cores.
    pub(super) fn digest_on_all_cores(self) -> Result<()> {
        self.progress.start(self.files.bytes());
        self.digest_in_parallel()
    }

    /// The limit of restoring: that, and at the same time a copy of each file into the directory `dir`, all durable afterwards.
    pub(super) fn digest_and_copy_each(self, dir: &Path) -> Result<()> {
        self.progress.start(self.files.bytes().saturating_mul(2));
        together(|| self.digest_in_parallel(), || self.copy_each(dir))
    }

    fn digest_each(self) -> Result<()> {
        let mut buffer = vec![0; BUFFER_LEN];
        self.files.iter().try_for_each(|file| self.digest_one(file, &mut buffer))
    }

    fn digest_in_parallel(self) -> Result<()> {
        let files = self.files.largest_first();
        let next = AtomicUsize::new(0);
        let worker = || {
            let mut buffer = vec![0; BUFFER_LEN];
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.digest_one(file, &mut buffer)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads().get().min(files.len())).map(|_| scope.spawn(worker)).collect();
            let mine = worker();
            others.into_iter().map(joined).fold(mine, Result::and)
        })
    }

    fn digest_one(self, file: &OneFile, buffer: &mut [u8]) -> Result<()> {
        self.read(file, buffer, |bytes| {
            black_box(Sha256Digest::of(bytes));
            Ok(())
        })
    }

    fn copy_to_one(self, target: &Path) -> Result<()> {
        let mut buffer = vec![0; BUFFER_LEN];
        let mut copy = Appender::create(self.fs, target)?;
        for file in self.files.iter() {
            self.read(file, &mut buffer, |bytes| copy.append(bytes))?;
        }
        copy.sync()?;
        sync_dir(self.fs, target.parent().unwrap_or(target))
    }

    /// The syncs come last, when most has reached the disk already.
    fn copy_each(self, dir: &Path) -> Result<()> {
        let mut buffer = vec![0; BUFFER_LEN];
        let mut paths = Vec::with_capacity(self.files.count());
        for (number, file) in self.files.iter().enumerate() {
            let mut copy = Appender::create(self.fs, &dir.join(number.to_string()))?;
            self.read(file, &mut buffer, |bytes| copy.append(bytes))?;
            copy.start_writeback()?;
            paths.push(copy.path);
        }
        // Opened again one after another: there may be more of them than files that may be open.
        for path in &paths {
            let copy = self.fs.open_write(path).map_err(BenchError::io("open", path))?;
            copy.sync_data().map_err(BenchError::io("sync", path))?;
        }
        sync_dir(self.fs, dir)
    }

    /// Gives the bytes of a file to `each`, buffer by buffer.
    fn read(self, file: &OneFile, buffer: &mut [u8], mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let path = self.files.path(file);
        let opened = self.fs.open_read(&path).map_err(BenchError::io("open", &path))?;
        let mut offset = 0;
        while offset < file.len {
            let len = usize::try_from(file.len - offset).unwrap_or(usize::MAX).min(buffer.len());
            let bytes = buffer.get_mut(..len).unwrap_or_default();
            opened.read_exact_at(bytes, offset).map_err(BenchError::io("read", &path))?;
            each(bytes)?;
            offset += len as u64;
            if self.progress.advance(len as u64).is_break() {
                return Err(BenchError::Stopped);
            }
        }
        Ok(())
    }
}

/// Runs two programs at once, until both have ended.
fn together(one: impl FnOnce() -> Result<()> + Send, other: impl FnOnce() -> Result<()>) -> Result<()> {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        joined(one).and(other)
    })
}

fn joined(thread: thread::ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn sync_dir(fs: &dyn Fs, dir: &Path) -> Result<()> {
    fs.sync_dir(dir).map_err(BenchError::io("sync", dir))
}

/// A new file to which bytes are appended.
struct Appender {
    path: PathBuf,
    file: Arc<dyn File>,
    offset: u64,
    /// Where the bytes begin whose write-back has not been started.
    started: u64,
}

impl Appender {
    fn create(fs: &dyn Fs, path: &Path) -> Result<Self> {
        let file = fs.create_new(path).map_err(BenchError::io("create", path))?;
        Ok(Self { path: path.to_owned(), file, offset: 0, started: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, self.offset).map_err(BenchError::io("write", &self.path))?;
        self.offset += bytes.len() as u64;
        if self.offset - self.started >= WRITEBACK_LEN { self.start_writeback() } else { Ok(()) }
    }

    /// Starts the write-back of what has come together, where the file system can.
    fn start_writeback(&mut self) -> Result<()> {
        let started = self.file.start_writeback(self.started, self.offset - self.started);
        self.started = self.offset;
        match started {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(BenchError::io("write back", &self.path)(error)),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(BenchError::io("sync", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use icecore_archive::ProgressHandle;
    use icecore_io::MemFs;

    use super::*;

    /// Files of these lengths, each full of its own number.
    fn files(fs: &MemFs, lens: &[usize]) -> Files {
        let file = |(number, len): (usize, &usize)| {
            let name = number.to_string();
            let bytes = vec![u8::try_from(number).unwrap(); *len];
            fs.create_new(Path::new(&name)).unwrap().write_all_at(&bytes, 0).unwrap();
            OneFile { relative: name.into(), len: *len as u64 }
        };
        Files::new(PathBuf::new(), lens.iter().enumerate().map(file).collect())
    }

    #[test]
    fn copies_have_the_bytes_of_the_files() {
        let fs = MemFs::new();
        let files = files(&fs, &[3, 0, BUFFER_LEN + 1]);
        for dir in ["one", "each"] {
            fs.create_dir(Path::new(dir)).unwrap();
        }
        let progress = ProgressHandle::new();
        let plain = Plain::new(&fs, &files, &progress);
        plain.digest_and_copy(Path::new("one/copy")).unwrap();
        assert_eq!((progress.done(), progress.total()), (files.bytes() * 2, files.bytes() * 2));
        plain.digest_and_copy_each(Path::new("each")).unwrap();

        let read = |path: &str| icecore_io::read_file(&fs, Path::new(path), u64::MAX).unwrap();
        let sources = ["0", "1", "2"].map(read);
        assert_eq!(read("one/copy"), sources.concat());
        assert_eq!(["each/0", "each/1", "each/2"].map(read), sources);
    }

    #[test]
    fn whoever_asks_stops_them_and_a_missing_file_fails_them() {
        let fs = MemFs::new();
        let mut some = files(&fs, &[3, 4]);
        let progress = ProgressHandle::new();
        progress.cancel();
        assert!(matches!(Plain::new(&fs, &some, &progress).digest(), Err(BenchError::Stopped)));
        assert!(matches!(Plain::new(&fs, &some, &progress).digest_on_all_cores(), Err(BenchError::Stopped)));
        assert!(matches!(Plain::new(&fs, &some, &progress).copy(Path::new("copy")), Err(BenchError::Stopped)));

        some = Files::new(PathBuf::new(), vec![OneFile { relative: "missing".into(), len: 1 }]);
        assert!(matches!(Plain::new(&fs, &some, &()).digest_on_all_cores(), Err(BenchError::Io { operation: "open", .. })));
    }
}
