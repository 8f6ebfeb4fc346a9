//! Compresses an archive on its way into the sink: the tar is cut into frames, which are compressed on several threads.
//!
//! The caller's thread fills frames, checking the members as it does for a plain archive, and writes the compressed ones in order;
//! while it waits for the first, the others are at work. Buffers go round and contexts stay with their threads, so memory is bounded
//! by the threads and a few frames. The digest is that of the compressed bytes. Equal plans make equal tars; that they are also
//! compressed to equal bytes is not promised.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use zstd::zstd_safe::{CCtx, CParameter, get_error_name};

use super::buffer::{BUFFER_LEN, Buffer, Pool};
use super::copy::{Origin, Outlet};
use super::hash::Digester;
use super::{Sink, Source, Written, put_all};
use crate::Error;
use crate::format::frames::{FRAME_LEN, FRAMES_MAX, Frame, Frames, stored_len_max};
use crate::plan::Plan;
use crate::progress::{Progress, advance};
use icecore_io::digest::Crc32c;

/// The levels of zstd that can be asked for, from the fastest to the smallest.
pub const LEVELS: RangeInclusive<i32> = 1..=22;

/// Frames that wait for a thread, beside those that are being compressed.
const QUEUED_COUNT: usize = 2;
/// The longest archive that can be compressed, in bytes.
const LEN_MAX: u64 = FRAMES_MAX * FRAME_LEN as u64;

/// How an archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    level: i32,
    threads: NonZeroUsize,
}

impl Compression {
    /// With a level of zstd, on so many threads beside the caller's. [`Error::CompressionLevel`] if it is not one of [`LEVELS`].
    pub fn new(level: i32, threads: NonZeroUsize) -> Result<Self, Error> {
        match LEVELS.contains(&level) {
            true => Ok(Self { level, threads }),
            false => Err(Error::CompressionLevel { level, min: *LEVELS.start(), max: *LEVELS.end() }),
        }
    }
}

/// Writes the archive to `sink`, compressed. Progress counts bytes of the tar as they are read.
///
/// Fails as [`write_archive`](crate::write_archive) does, with [`Error::TooLongToCompress`], and with [`Error::Compress`] if memory is
/// short.
pub fn write_compressed(
    plan: &Plan,
    source: &dyn Source,
    sink: &mut dyn Sink,
    compression: Compression,
    progress: &dyn Progress,
) -> Result<Written, Error> {
    let archive_len = plan.archive_len();
    if archive_len > LEN_MAX {
        return Err(Error::TooLongToCompress { len: archive_len, max: LEN_MAX });
    }
    progress.start(archive_len);
    let frame_count = usize::try_from(archive_len.div_ceil(u64::from(FRAME_LEN))).unwrap_or(usize::MAX);
    let threads = compression.threads.get().min(frame_count);
    let begun_count = threads + QUEUED_COUNT;
    // Two more than can be begun: one on its way to the digest, and one in it.
    let (digester, digesting) = Digester::start(Pool::new(index(stored_len_max(FRAME_LEN)), begun_count + 2));
    let (jobs, queue) = sync_channel(begun_count);
    let workers = Workers { level: compression.level, queue: Mutex::new(queue), stop: AtomicBool::new(false) };
    let len = thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| workers.run());
        }
        let (begun, spare, frames) = (VecDeque::new(), Vec::new(), Vec::new());
        let compressor = Compressor { jobs, begun, begun_count, spare, digester, sink, progress, frames, written: 0 };
        let result = put_all(plan, Origin { source, shared: None }, compressor, progress).and_then(Compressor::finish);
        workers.stop.store(true, Ordering::Relaxed);
        result
    })?;
    Ok(Written { len, sha256: digesting.finish() })
}

/// A frame to be compressed.
struct Job {
    contents: Buffer,
    room: Buffer,
    done: SyncSender<Done>,
}

/// A frame that was compressed.
struct Done {
    contents: Buffer,
    stored: Buffer,
    /// The checksum of what was stored, or zstd's error.
    result: Result<Crc32c, &'static str>,
}

/// Cuts the archive into frames, hands them to the workers, and writes what comes back in order.
struct Compressor<'a> {
    jobs: SyncSender<Job>,
    /// What was handed out, in order.
    begun: VecDeque<Receiver<Done>>,
    begun_count: usize,
    /// Buffers for contents that nobody uses.
    spare: Vec<Buffer>,
    digester: Digester,
    sink: &'a mut dyn Sink,
    progress: &'a dyn Progress,
    frames: Vec<Frame>,
    written: u64,
}

impl Outlet for Compressor<'_> {
    fn take(&mut self) -> Result<Buffer, Error> {
        Ok(self.spare.pop().unwrap_or_else(|| Buffer::new(index(FRAME_LEN))))
    }

    fn put(&mut self, contents: Buffer) -> Result<(), Error> {
        let (done, frame) = sync_channel(1);
        let job = Job { contents, room: self.digester.take(), done };
        self.jobs.send(job).map_err(|_| Error::Compress { reason: "all threads have ended" })?;
        self.begun.push_back(frame);
        if self.begun.len() == self.begun_count {
            self.write_first()?;
        }
        Ok(())
    }
}

impl Compressor<'_> {
    /// Writes the first frame of those that were handed out, when it is ready.
    fn write_first(&mut self) -> Result<(), Error> {
        let Some(frame) = self.begun.pop_front() else { return Ok(()) };
        // A thread that panicked answers nothing; its panic is passed on when all have ended.
        let Done { mut contents, stored, result } = frame.recv().map_err(|_| Error::Compress { reason: "a thread has ended" })?;
        let crc32c = result.map_err(|reason| Error::Compress { reason })?;
        let (stored_len, len) = (narrow(stored.filled()), narrow(contents.filled()));
        self.frames.push(Frame { offset: self.written, stored_len, len, crc32c });
        self.write(stored)?;
        contents.clear();
        self.spare.push(contents);
        Ok(())
    }

    /// Writes the frames that are left and the tables; how long all of it is.
    fn finish(mut self) -> Result<u64, Error> {
        while !self.begun.is_empty() {
            self.write_first()?;
        }
        let frames = Frames::new(std::mem::take(&mut self.frames));
        let frames = frames.unwrap_or_else(|fault| panic!("the writer has made frames that no reader takes: {}", fault.rule));
        for piece in frames.tables().chunks(BUFFER_LEN) {
            let mut buffer = self.digester.take();
            if let Some(room) = buffer.room().get_mut(..piece.len()) {
                room.copy_from_slice(piece);
            }
            buffer.fill(piece.len());
            self.write(buffer)?;
        }
        Ok(self.written)
    }

    fn write(&mut self, buffer: Buffer) -> Result<(), Error> {
        // In pieces no longer than those of a plain archive, on which sinks may count.
        for piece in buffer.filled().chunks(BUFFER_LEN) {
            self.sink.write(piece).map_err(|source| Error::Sink { offset: self.written, source })?;
            self.written += piece.len() as u64;
        }
        self.digester.give(buffer);
        // The last frames come when all bytes have been read and counted.
        advance(self.progress, 0)
    }
}

/// What the compressing threads share.
struct Workers {
    level: i32,
    queue: Mutex<Receiver<Job>>,
    /// Nobody wants the rest any more.
    stop: AtomicBool,
}

impl Workers {
    /// Compresses frames until there are no more.
    fn run(&self) {
        let mut context = self.context();
        while !self.stop.load(Ordering::Relaxed) {
            let job = self.queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Job { contents, mut room, done }) = job else { return };
            let result = match &mut context {
                Ok(context) => context.compress2(room.room(), contents.filled()).map_err(get_error_name).map(|len| {
                    room.fill(len);
                    Crc32c::of(room.filled())
                }),
                Err(reason) => Err(*reason),
            };
            // The caller has stopped waiting if something else has failed.
            let _ = done.send(Done { contents, stored: room, result });
        }
    }

    /// Frames say how long their contents are, which is zstd's default, and have a checksum of them.
    fn context(&self) -> Result<CCtx<'static>, &'static str> {
        let mut context = CCtx::try_create().ok_or("there is no memory for a context")?;
        for parameter in [CParameter::CompressionLevel(self.level), CParameter::ChecksumFlag(true)] {
            context.set_parameter(parameter).map_err(get_error_name)?;
        }
        Ok(context)
    }
}

/// A length that fits, as an index.
fn index(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// The length of a frame.
fn narrow(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
