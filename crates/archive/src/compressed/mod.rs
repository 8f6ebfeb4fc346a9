//! A compressed archive in a file, read as if it were the tar inside.
//!
//! Every frame is checked before it is believed: its bytes against the checksum in the tables, its contents by the checksum that zstd
//! keeps, and their length against the tables. Frames are decompressed when somebody reads in them; each reader's [`Cursor`] keeps
//! one, and the file the last two, so memory grows with the readers and not with the data. What the tar must look like is the
//! [`Reader`](crate::Reader)'s business, and what stands around the frames that of [`format::frames`](crate::format::frames).

pub(crate) mod ahead;
mod cache;
pub(crate) mod stream;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use icecore_io::File;
use icecore_io::digest::Crc32c;
use zstd::zstd_safe::{DCtx, find_frame_compressed_size, get_error_name, get_frame_content_size};

use crate::Error;
use crate::foreign::Foreign;
use crate::format::frames::{Frame, Frames, SEEK_FOOTER_LEN, SEEKABLE_MAGIC, TABLES_LEN_MAX, TableFault, tables_len};
use crate::problem::Problem;
use cache::{Cache, Slot};

/// How far from its end a file without a seek table there is searched for one, to tell whether something was appended.
const SEARCH_LEN: u64 = 64 << 10;
/// Ends of seek tables that are tried there.
const SEARCH_COUNT: usize = 4;

/// An open compressed archive.
pub(crate) struct CompressedFile {
    file: Arc<dyn File>,
    label: PathBuf,
    frames: Frames,
    len: u64,
    cache: Cache,
    /// Decompressors that nobody uses at the moment.
    idle: Mutex<Vec<DCtx<'static>>>,
}

/// Where somebody reads: keeps the frame that was read last.
#[derive(Default)]
pub(crate) struct Cursor(Option<(usize, Arc<Slot>)>);

impl CompressedFile {
    /// Reads and checks the tables at the end of a file that begins with a frame.
    pub(crate) fn open(file: Arc<dyn File>, label: &Path) -> Result<Self, Error> {
        let file_len = file.len().map_err(Error::io("measure", label))?;
        let frames = match tables(file.as_ref(), file_len).map_err(Error::io("read", label))? {
            Some((_, Ok(frames))) => frames,
            Some((offset, Err(fault))) => {
                let source = Problem::SeekTable { offset: offset + fault.at, rule: fault.rule };
                return Err(Error::Damaged { path: label.to_owned(), source });
            }
            None => {
                return Err(match end_before(file.as_ref(), file_len).map_err(Error::io("read", label))? {
                    Some(end) => Error::TrailingBytes { path: label.to_owned(), expected: end, actual: file_len },
                    None => Error::Foreign { path: label.to_owned(), foreign: Foreign::Zstd },
                });
            }
        };
        let len = frames.len();
        Ok(Self { file, label: label.to_owned(), frames, len, cache: Cache::default(), idle: Mutex::default() })
    }

    /// Length of the tar.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Length of the file.
    pub(crate) fn stored_len(&self) -> u64 {
        self.frames.tables_offset() + self.frames.tables().len() as u64
    }

    /// The number of the frame that has the byte at this offset of the tar.
    pub(crate) fn frame_at(&self, offset: u64) -> usize {
        usize::try_from(offset / self.frames.frame_len()).unwrap_or(usize::MAX)
    }

    /// Fills `buffer` with the bytes of the tar at `offset`.
    pub(crate) fn read_exact(&self, cursor: &mut Cursor, mut buffer: &mut [u8], mut offset: u64) -> Result<(), Error> {
        while !buffer.is_empty() {
            let index = self.frame_at(offset);
            let slot = self.slot(cursor, index)?;
            let start = usize::try_from(offset % self.frames.frame_len()).unwrap_or(usize::MAX);
            let bytes = slot.bytes().get(start..).unwrap_or_default();
            if bytes.is_empty() {
                return Err(Error::io("read", &self.label)(io::ErrorKind::UnexpectedEof.into()));
            }
            let (now, later) = buffer.split_at_mut(bytes.len().min(buffer.len()));
            now.copy_from_slice(bytes.get(..now.len()).unwrap_or_default());
            offset += now.len() as u64;
            buffer = later;
        }
        Ok(())
    }

    /// The slot of a frame, filled.
    fn slot<'c>(&self, cursor: &'c mut Cursor, index: usize) -> Result<&'c Slot, Error> {
        if cursor.0.as_ref().is_none_or(|(current, _)| *current != index) {
            // First, so that its memory can be used again.
            cursor.0 = None;
            let slot = self.cache.slot(index);
            slot.fill(|| self.load(index))?;
            cursor.0 = Some((index, slot));
        }
        let (_, slot) = cursor.0.as_ref().ok_or_else(|| self.no_such_frame())?;
        Ok(slot)
    }

    fn load(&self, index: usize) -> Result<Vec<u8>, Error> {
        let frame = *self.frames.as_slice().get(index).ok_or_else(|| self.no_such_frame())?;
        let mut stored = Vec::new();
        self.read_stored(&frame, &mut stored).map_err(Error::io("read", &self.label))?;
        let mut context = self.take_context()?;
        let mut contents = Vec::new();
        decompress(&mut context, &frame, index, &stored, &mut contents)
            .map_err(|source| Error::Damaged { path: self.label.clone(), source })?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(context);
        Ok(contents)
    }

    /// Reads a frame as it is in the file.
    fn read_stored(&self, frame: &Frame, stored: &mut Vec<u8>) -> io::Result<()> {
        stored.resize(usize::try_from(frame.stored_len).unwrap_or(usize::MAX), 0);
        self.file.read_exact_at(stored, frame.offset)
    }

    fn take_context(&self) -> Result<DCtx<'static>, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.or_else(DCtx::try_create).ok_or_else(|| Error::io("decompress", &self.label)(io::ErrorKind::OutOfMemory.into()))
    }

    fn no_such_frame(&self) -> Error {
        Error::io("read", &self.label)(io::ErrorKind::UnexpectedEof.into())
    }
}

impl fmt::Debug for CompressedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CompressedFile")
            .field("label", &self.label)
            .field("frames", &self.frames.as_slice().len())
            .finish_non_exhaustive()
    }
}

/// The contents of a frame, whose bytes in the file are `stored`; whatever was in `contents` goes.
fn decompress(context: &mut DCtx<'_>, frame: &Frame, index: usize, stored: &[u8], contents: &mut Vec<u8>) -> Result<(), Problem> {
    let actual = Crc32c::of(stored);
    if actual != frame.crc32c {
        return Err(Problem::Frame { frame: index, offset: frame.offset, expected: frame.crc32c, actual });
    }
    let failed = |reason| Problem::FrameContents { frame: index, offset: frame.offset, reason };
    // Before memory is taken for the contents.
    if get_frame_content_size(stored).ok().flatten() != Some(u64::from(frame.len)) {
        return Err(failed("it does not say that its contents are as long as the seek table says"));
    }
    // Several frames in a row would be decompressed as one.
    if find_frame_compressed_size(stored) != Ok(stored.len()) {
        return Err(failed("it does not end where the seek table says"));
    }
    let len = usize::try_from(frame.len).unwrap_or(usize::MAX);
    contents.clear();
    contents.reserve_exact(len);
    match context.decompress(contents, stored) {
        Ok(written) if written == len => Ok(()),
        Ok(_) => Err(failed("its contents are not as long as it says")),
        Err(code) => Err(failed(get_error_name(code))),
    }
}

/// Where the tables of a file of this length begin, and what they say. `None` if the file does not end in a seek table.
fn tables(file: &dyn File, file_len: u64) -> io::Result<Option<(u64, Result<Frames, TableFault>)>> {
    let Some(footer_offset) = file_len.checked_sub(SEEK_FOOTER_LEN) else { return Ok(None) };
    let mut footer = [0; 9];
    file.read_exact_at(&mut footer, footer_offset)?;
    let Some(len) = tables_len(&footer) else { return Ok(None) };
    let fault = |rule| Ok(Some((footer_offset, Err(TableFault { at: 0, rule }))));
    let Some(offset) = file_len.checked_sub(len) else {
        return fault("there are more frames than the file has room for");
    };
    let Some(len) = usize::try_from(len).ok().filter(|_| len <= TABLES_LEN_MAX) else {
        return fault("there are more frames than an archive may have");
    };
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(Some((offset, Frames::parse(&bytes, file_len))))
}

/// Where a compressed archive ends behind which something else follows, if that is not far from the end of the file.
fn end_before(file: &dyn File, file_len: u64) -> io::Result<Option<u64>> {
    let start = file_len.saturating_sub(SEARCH_LEN);
    let mut bytes = vec![0; usize::try_from(file_len - start).unwrap_or(0)];
    file.read_exact_at(&mut bytes, start)?;
    let magic = SEEKABLE_MAGIC.to_le_bytes();
    for (at, _) in bytes.windows(magic.len()).enumerate().rev().filter(|(_, window)| *window == magic).take(SEARCH_COUNT) {
        let end = start + (at + magic.len()) as u64;
        if let Some((_, Ok(_))) = tables(file, end)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}
