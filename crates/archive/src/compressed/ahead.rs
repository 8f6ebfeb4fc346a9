//! All frames of a file from the first to the last, decompressed on a thread beside whoever looks at what is in them.
//!
//! Nothing stops at damage: a frame that is damaged, or that cannot be read, comes without contents and with its problem. The bytes
//! of the file are digested as they are read, the tables at the end included, which are compared once more.

use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};
use zstd::zstd_safe::DCtx;

use super::{CompressedFile, decompress};
use crate::problem::Problem;
use icecore_io::digest::Sha256Digest;

/// Frames that are decompressed before they are wanted.
const AHEAD_COUNT: usize = 1;

/// A frame that has been read: its contents, or what is wrong with it.
type Read = Result<Vec<u8>, Problem>;

/// The near end of the thread.
pub(crate) struct FramesAhead {
    read: Receiver<Read>,
    free: SyncSender<Vec<u8>>,
    /// The contents of the current frame; `None` if there are none.
    current: Option<Vec<u8>>,
    /// Where the current frame ends in the tar.
    end: u64,
    frame_len: u64,
    len: u64,
}

/// What is known of the file when all of it was read.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    /// Digest of the file, if all of it could be read.
    pub(crate) sha256: Option<Sha256Digest>,
    /// What is wrong behind the frames.
    pub(crate) tables: Option<Problem>,
}

/// Runs `work` beside the thread.
pub(crate) fn with_frames<R>(file: &CompressedFile, work: impl FnOnce(FramesAhead) -> R) -> (R, Pass) {
    thread::scope(|scope| {
        let (full, read) = sync_channel(AHEAD_COUNT);
        let (free, used) = sync_channel(AHEAD_COUNT + 2);
        let thread = scope.spawn(move || pass(file, &full, &used));
        let frame_len = file.frames.frame_len();
        let result = work(FramesAhead { read, free, current: None, end: 0, frame_len, len: file.len });
        (result, thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

impl FramesAhead {
    /// Fills `room` with the bytes of the tar at `offset`, which is where the call before ended; with zeros where there are none, for
    /// which the end of the frame is returned, and the problem is added when it is met.
    pub(crate) fn fill(&mut self, mut room: &mut [u8], mut offset: u64, problems: &mut Vec<Problem>) -> Option<u64> {
        let mut missing_end = None;
        while !room.is_empty() {
            if offset >= self.end {
                self.next(problems);
            }
            let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX).min(room.len());
            if left == 0 {
                // There are no more frames: the thread has panicked, which is passed on.
                room.fill(0);
                return Some(self.len);
            }
            let (now, later) = room.split_at_mut(left);
            let start = usize::try_from(offset % self.frame_len).unwrap_or(usize::MAX);
            match self.current.as_ref().and_then(|contents| contents.get(start..)?.get(..left)) {
                Some(bytes) => now.copy_from_slice(bytes),
                None => {
                    now.fill(0);
                    missing_end = Some(self.end);
                }
            }
            offset += left as u64;
            room = later;
        }
        missing_end
    }

    fn next(&mut self, problems: &mut Vec<Problem>) {
        if let Some(contents) = self.current.take() {
            // Nobody wants it any more after the last frame.
            let _ = self.free.send(contents);
        }
        let Ok(read) = self.read.recv() else { return };
        self.end = (self.end + self.frame_len).min(self.len);
        match read {
            Ok(contents) => self.current = Some(contents),
            Err(problem) => problems.push(problem),
        }
    }
}

/// What the thread does.
fn pass(file: &CompressedFile, full: &SyncSender<Read>, used: &Receiver<Vec<u8>>) -> Pass {
    let mut sha256 = Some(Sha256::new());
    let mut context = DCtx::try_create();
    let mut stored = Vec::new();
    for (index, frame) in file.frames.as_slice().iter().enumerate() {
        let mut contents = used.try_recv().unwrap_or_default();
        let (offset, len) = (frame.offset, u64::from(frame.stored_len));
        let read = match (file.read_stored(frame, &mut stored), &mut context) {
            (Err(source), _) => {
                sha256 = None;
                Err(Problem::Read { offset, len, source })
            }
            (Ok(()), None) => Err(Problem::Read { offset, len, source: io::ErrorKind::OutOfMemory.into() }),
            (Ok(()), Some(context)) => decompress(context, frame, index, &stored, &mut contents).map(|()| contents),
        };
        if let Some(sha256) = &mut sha256 {
            sha256.update(&stored);
        }
        if full.send(read).is_err() {
            // Whoever looked at the frames has stopped.
            return Pass::default();
        }
    }
    let expected = file.frames.tables();
    let (offset, len) = (file.frames.tables_offset(), expected.len() as u64);
    stored.resize(expected.len(), 0);
    if let Err(source) = file.file.read_exact_at(&mut stored, offset) {
        return Pass { sha256: None, tables: Some(Problem::Read { offset, len, source }) };
    }
    if let Some(sha256) = &mut sha256 {
        sha256.update(&stored);
    }
    let wrong = expected.iter().zip(&stored).position(|(expected, actual)| expected != actual);
    let tables =
        wrong.map(|at| Problem::SeekTable { offset: offset + at as u64, rule: "a byte is not what it was when it was opened" });
    Pass { sha256: sha256.map(|sha256| Sha256Digest(sha256.finalize().into())), tables }
}
