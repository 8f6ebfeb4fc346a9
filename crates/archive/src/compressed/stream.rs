//! Decompresses a stream as it arrives, whoever has compressed it.
//!
//! Of each frame the lengths and the checksum are noted, and when the tables come that stand behind the frames of our archives, they
//! have to be exactly those of these frames. A stream that ends without them was compressed by another program; what is in it has
//! its own digests. The window, and with it the memory, is limited. The digest is that of the bytes as they arrive.

use std::fmt;
use std::io::{self, Read};

use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::Error;
use crate::foreign::Foreign;
use crate::format::frames::{CHECKSUMS_MAGIC, FRAMES_MAX, Frame, Frames, SEEK_TABLE_MAGIC, WINDOW_LOG_MAX};
use crate::intake::{Intake, read_full};
use crate::problem::Problem;
use crate::progress::{Progress, advance};
use crate::writer::buffer::{BUFFER_COUNT, BUFFER_LEN, Buffer, Pool};
use crate::writer::hash::{Digester, Digesting};
use icecore_io::digest::Crc32c;

/// Bytes that may arrive without anything coming out of them: more than a block, and than what programs put between frames.
const BARREN_LEN_MAX: u64 = 16 << 20;

/// The decompressed bytes of a stream.
pub(crate) struct Decoder<R> {
    intake: Intake<R>,
    context: DCtx<'static>,
    digester: Digester,
    buffer: Buffer,
    /// The next byte of the buffer.
    at: usize,
    state: State,
    seen: Seen,
    /// Bytes received when something came out last.
    fruitful: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A frame begins here, or something else does.
    Between,
    /// In a frame.
    Inside,
    /// All frames have been read, and these first bytes of the tables.
    Tables([u8; 4]),
    /// The stream ended with a frame.
    End,
}

/// The frames so far.
#[derive(Debug, Default)]
struct Seen {
    frames: Vec<Frame>,
    /// There are more than tables can be about, or longer ones.
    too_much: bool,
    offset: u64,
    stored_len: u64,
    len: u64,
    crc32c: Crc32c,
}

impl<R: Read> Decoder<R> {
    /// A stream of which nothing was read. The digest is complete when the decoder is gone.
    pub(crate) fn new(intake: Intake<R>) -> Result<(Self, Digesting), Error> {
        let out_of_memory = || Error::io("decompress", intake.label())(io::ErrorKind::OutOfMemory.into());
        let mut context = DCtx::try_create().ok_or_else(out_of_memory)?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(|_| out_of_memory())?;
        let (mut digester, digesting) = Digester::start(Pool::new(BUFFER_LEN, BUFFER_COUNT));
        let buffer = digester.take();
        let (state, seen) = (State::Between, Seen::default());
        Ok((Self { intake, context, digester, buffer, at: 0, state, seen, fruitful: 0 }, digesting))
    }

    pub(crate) fn intake(&self) -> &Intake<R> {
        &self.intake
    }

    /// Decompresses at least one byte into `room`, or none at the end of the last frame.
    pub(crate) fn read_some(&mut self, room: &mut [u8], progress: &dyn Progress) -> Result<usize, Error> {
        loop {
            match self.state {
                State::Between => self.begin()?,
                State::Inside => {}
                State::Tables(_) | State::End => return Ok(0),
            }
            if self.state != State::Inside {
                continue;
            }
            let input = self.buffer.filled().get(self.at..).unwrap_or_default();
            let was_empty = input.is_empty();
            let (read, written) =
                decompress(&mut self.context, input, room, &mut self.seen, &mut self.state).map_err(|code| self.failed(code))?;
            self.at += read;
            if written > 0 {
                self.fruitful = self.intake.received();
                return Ok(written);
            }
            if was_empty && self.state == State::Inside && self.refill()? == 0 {
                return Err(self.truncated(1));
            }
            if self.intake.received() - self.fruitful > BARREN_LEN_MAX {
                let reason = "it goes on and on, and nothing is in it";
                return Err(self.damaged(Problem::Compressed { offset: self.intake.received(), reason }));
            }
            // So that a stream that trickles can be stopped between its blocks.
            advance(progress, 0)?;
        }
    }

    /// Reads on to the end of the stream, which has to be that of the last frame, or of the tables that belong to the frames.
    pub(crate) fn expect_end(mut self, archive_len: u64, progress: &dyn Progress) -> Result<(), Error> {
        if self.read_some(&mut [0], progress)? > 0 {
            return Err(Error::TrailingBytes {
                path: self.intake.label().to_owned(),
                expected: archive_len,
                actual: archive_len + 1,
            });
        }
        if let State::Tables(first) = self.state {
            self.expect_tables(first)?;
        }
        self.digester.give(self.buffer);
        match self.intake.announced() {
            Some(expected) if expected != self.intake.received() => {
                Err(Error::Truncated { path: self.intake.label().to_owned(), expected, actual: self.intake.received() })
            }
            _ => Ok(()),
        }
    }

    fn expect_tables(&mut self, first: [u8; 4]) -> Result<(), Error> {
        let offset = self.seen.offset;
        let wrong = |at: u64, rule| Problem::SeekTable { offset: offset + at, rule };
        let frames = match self.seen.too_much {
            false => Frames::new(std::mem::take(&mut self.seen.frames)).map_err(|fault| wrong(fault.at, fault.rule)),
            true => Err(wrong(0, "there are more frames, or longer ones, than an archive may have")),
        };
        let tables = frames.map_err(|problem| self.damaged(problem))?.tables();
        let mut expected = tables.as_slice();
        let mut actual = first.to_vec();
        loop {
            let different = expected.iter().zip(&actual).position(|(expected, actual)| expected != actual);
            if let Some(at) = different {
                let at = (tables.len() - expected.len() + at) as u64;
                return Err(self.damaged(wrong(at, "a byte is not what it has to be after these frames")));
            }
            expected = expected.get(actual.len()..).unwrap_or_default();
            actual.resize(expected.len().clamp(1, BUFFER_LEN), 0);
            let read = read_full(&mut actual, |room| self.take(room))?;
            if expected.is_empty() {
                let end = offset + tables.len() as u64;
                let path = || self.intake.label().to_owned();
                return if read == 0 {
                    Ok(())
                } else {
                    Err(Error::TrailingBytes { path: path(), expected: end, actual: end + 1 })
                };
            }
            if read < actual.len() {
                return Err(self.truncated((expected.len() - read) as u64));
            }
        }
    }

    /// Looks at what follows after a frame.
    fn begin(&mut self) -> Result<(), Error> {
        let mut magic = [0; 4];
        let read = read_full(&mut magic, |room| self.take(room))?;
        let number = u32::from_le_bytes(magic);
        self.state = match read {
            0 => State::End,
            _ if read < magic.len() => return Err(self.truncated((magic.len() - read) as u64)),
            _ if number == CHECKSUMS_MAGIC || number == SEEK_TABLE_MAGIC => State::Tables(magic),
            _ => State::Inside,
        };
        if self.state == State::Inside {
            decompress(&mut self.context, &magic, &mut [], &mut self.seen, &mut self.state).map_err(|code| self.failed(code))?;
        }
        Ok(())
    }

    /// Takes compressed bytes: at least one, or none at the end.
    fn take(&mut self, room: &mut [u8]) -> Result<usize, Error> {
        if self.at == self.buffer.filled().len() && self.refill()? == 0 {
            return Ok(0);
        }
        let rest = self.buffer.filled().get(self.at..).unwrap_or_default();
        let len = rest.len().min(room.len());
        for (to, from) in room.iter_mut().zip(rest) {
            *to = *from;
        }
        self.at += len;
        Ok(len)
    }

    /// Receives more; how much.
    fn refill(&mut self) -> Result<usize, Error> {
        if self.buffer.room().is_empty() {
            let next = self.digester.take();
            self.digester.give(std::mem::replace(&mut self.buffer, next));
            self.at = 0;
        }
        let read = self.intake.read_some(self.buffer.room())?;
        self.buffer.fill(read);
        let actual = self.intake.received();
        match self.intake.announced() {
            Some(expected) if actual > expected => {
                Err(Error::TrailingBytes { path: self.intake.label().to_owned(), expected, actual })
            }
            _ => Ok(read),
        }
    }

    fn failed(&self, code: usize) -> Error {
        let is = |known: ZSTD_ErrorCode| code == (known as usize).wrapping_neg();
        let foreign = |what| Error::Foreign { path: self.intake.label().to_owned(), foreign: Foreign::ZstdNeeds(what) };
        if is(ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
            return foreign("a window of more than 64 MiB");
        }
        if is(ZSTD_ErrorCode::ZSTD_error_dictionary_wrong) {
            return foreign("a dictionary");
        }
        self.damaged(Problem::Compressed { offset: self.intake.received(), reason: get_error_name(code) })
    }

    /// The stream ends although so many bytes more are needed at least.
    fn truncated(&self, more: u64) -> Error {
        let actual = self.intake.received();
        let expected = self.intake.announced().filter(|announced| *announced > actual).unwrap_or(actual + more);
        Error::Truncated { path: self.intake.label().to_owned(), expected, actual }
    }

    fn damaged(&self, source: Problem) -> Error {
        Error::Damaged { path: self.intake.label().to_owned(), source }
    }
}

impl<R> fmt::Debug for Decoder<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Decoder").field("state", &self.state).field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// Decompresses a piece of a frame; how many bytes of it were read and how many were made of them.
fn decompress(
    context: &mut DCtx<'_>,
    input: &[u8],
    room: &mut [u8],
    seen: &mut Seen,
    state: &mut State,
) -> Result<(usize, usize), usize> {
    let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(room));
    let hint = context.decompress_stream(&mut output, &mut input)?;
    let (read, written) = (input.pos(), output.pos());
    seen.pass(input.src.get(..read).unwrap_or_default(), written);
    if hint == 0 {
        seen.end();
        *state = State::Between;
    }
    Ok((read, written))
}

impl Seen {
    /// Counts a piece of the current frame.
    fn pass(&mut self, stored: &[u8], written: usize) {
        self.crc32c = self.crc32c.append(stored);
        self.stored_len += stored.len() as u64;
        self.len += written as u64;
    }

    /// The current frame has ended.
    fn end(&mut self) {
        let lens = (u32::try_from(self.stored_len), u32::try_from(self.len));
        match lens {
            (Ok(stored_len), Ok(len)) if !self.too_much && (self.frames.len() as u64) < FRAMES_MAX => {
                self.frames.push(Frame { offset: self.offset, stored_len, len, crc32c: self.crc32c });
            }
            _ => {
                self.too_much = true;
                self.frames = Vec::new();
            }
        }
        self.offset += self.stored_len;
        (self.stored_len, self.len, self.crc32c) = (0, 0, Crc32c::default());
    }
}
