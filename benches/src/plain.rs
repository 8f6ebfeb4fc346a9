//! The plain programs that bound what icecore can do: a digest of the same bytes, and a copy of them that is made durable.
//!
//! They read through the page cache in buffers of the archive writer's size, start write-back as early as it does, and check nothing.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use icecore_archive::Crc32c;
use icecore_io::{File, Fs};
use sha2::{Digest, Sha256};

const BUFFER_LEN: usize = 1 << 20;
const WRITEBACK_LEN: u64 = 8 << 20;

/// Cores.
pub fn threads() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Reads a file from its beginning to its end.
fn read(fs: &dyn Fs, path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let file = fs.open_read(path)?;
    let mut buffer = vec![0; BUFFER_LEN];
    let mut offset = 0;
    loop {
        let len = file.read_at(&mut buffer, offset)?;
        if len == 0 {
            return Ok(());
        }
        each(&buffer[..len])?;
        offset += len as u64;
    }
}

/// One SHA-256 of all files, one after another.
pub fn sha256(fs: &dyn Fs, paths: &[PathBuf]) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    for path in paths {
        read(fs, path, |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
    }
    Ok(hasher.finalize().into())
}

/// A SHA-256 of each file, on all cores.
pub fn sha256_on_all_cores(fs: &dyn Fs, paths: &[PathBuf]) -> io::Result<()> {
    on_all_cores(paths, |path| {
        std::hint::black_box(sha256(fs, std::slice::from_ref(path))?);
        Ok(())
    })
}

/// A SHA-256 of each part of a file, given by offset and length, on all cores.
pub fn sha256_of_parts_on_all_cores(fs: &dyn Fs, path: &Path, parts: &[(u64, u64)]) -> io::Result<()> {
    let file = fs.open_read(path)?;
    on_all_cores(parts, |(start, len)| {
        let (mut hasher, mut buffer, mut offset) = (Sha256::new(), vec![0; BUFFER_LEN], *start);
        while offset < start + len {
            let wanted = usize::try_from(start + len - offset).unwrap_or(usize::MAX).min(BUFFER_LEN);
            let room = buffer.get_mut(..wanted).unwrap_or_default();
            file.read_exact_at(room, offset)?;
            hasher.update(room);
            offset += wanted as u64;
        }
        std::hint::black_box(hasher.finalize());
        Ok(())
    })
}

/// A CRC32C of each file, on all cores.
pub fn crc32c_on_all_cores(fs: &dyn Fs, paths: &[PathBuf]) -> io::Result<()> {
    on_all_cores(paths, |path| {
        let mut crc = Crc32c::default();
        read(fs, path, |bytes| {
            crc = crc.append(bytes);
            Ok(())
        })?;
        std::hint::black_box(crc);
        Ok(())
    })
}

fn on_all_cores<T: Sync>(parts: &[T], work: impl Fn(&T) -> io::Result<()> + Sync) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || parts.get(next.fetch_add(1, Ordering::Relaxed)).map(&work);
    let worker = || std::iter::from_fn(worker).collect();
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads().get()).map(|_| scope.spawn(worker)).collect();
        let mine: io::Result<()> = worker();
        // A panic of another thread is passed on by the scope.
        others.into_iter().filter_map(|other| other.join().ok()).fold(mine, io::Result::and)
    })
}

/// All files, one after another, into one new file, which is durable afterwards.
pub fn copy(fs: &dyn Fs, paths: &[PathBuf], target: &Path) -> io::Result<()> {
    let mut appender = Appender::create(fs, target)?;
    for path in paths {
        read(fs, path, |bytes| appender.append_and_start(bytes))?;
    }
    appender.file.sync_data()?;
    target.parent().map_or(Ok(()), |dir| fs.sync_dir(dir))
}

/// Each file to one of the same name in `dir`, all durable afterwards: the syncs come last, when most has reached the disk.
pub fn copy_each(fs: &dyn Fs, paths: &[PathBuf], dir: &Path) -> io::Result<()> {
    let mut copies = Vec::with_capacity(paths.len());
    for path in paths {
        let mut appender = Appender::create(fs, &dir.join(path.file_name().unwrap_or_default()))?;
        read(fs, path, |bytes| appender.append_and_start(bytes))?;
        start_writeback(appender.file.as_ref(), appender.started, appender.offset - appender.started)?;
        copies.push(appender);
    }
    copies.iter().try_for_each(|copy| copy.file.sync_data())?;
    fs.sync_dir(dir)
}

/// Runs two programs at once, until both have ended.
pub fn together(one: impl FnOnce() -> io::Result<()> + Send, other: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        // A panic of the thread is passed on by the scope.
        one.join().unwrap_or(Ok(())).and(other)
    })
}

/// A file to which bytes are appended.
#[derive(Debug)]
pub struct Appender {
    file: Arc<dyn File>,
    offset: u64,
    /// Where the bytes begin whose write-back has not been started.
    started: u64,
}

impl Appender {
    /// A new file.
    pub fn create(fs: &dyn Fs, path: &Path) -> io::Result<Self> {
        Ok(Self { file: fs.create_new(path)?, offset: 0, started: 0 })
    }

    /// Appends `bytes`, and makes them durable if `sync`.
    pub fn append(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    /// Appends `bytes`, and starts the write-back of what has come together.
    fn append_and_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes, false)?;
        let pending = self.offset - self.started;
        if pending >= WRITEBACK_LEN {
            start_writeback(self.file.as_ref(), self.started, pending)?;
            self.started = self.offset;
        }
        Ok(())
    }
}

/// Starts write-back where the file system can.
fn start_writeback(file: &dyn File, offset: u64, len: u64) -> io::Result<()> {
    match file.start_writeback(offset, len) {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}
