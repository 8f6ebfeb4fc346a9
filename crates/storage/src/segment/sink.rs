//! Writes a file from its start to its end, in large buffers, with the digest of all of it and of its blocks.
//!
//! Write-back is asked for after each buffer, so that the sync at the end has little left to do. Says nothing about what the
//! bytes mean.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::File;

use super::BLOCK_LEN;
use crate::checksum::{Crc32c, FileDigest, Hasher};
use crate::error::{Result, on};

/// Bytes that are written at once.
const BUFFER_LEN: usize = 1024 * 1024;
/// Bytes on their way to the disk before which a writer waits: whoever syncs a log meanwhile may have to wait for all of them.
const OUTSTANDING_LEN_MAX: u64 = 16 << 20;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Sink {
    file: Arc<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// All bytes that are in the file; those in the buffer come behind.
    hasher: Hasher,
    /// The checksum of the current block of the current section, and how many bytes it has.
    block: (Crc32c, u64),
}

impl Sink {
    /// Writes to `file`, which is empty; `path` is for messages.
    pub(crate) fn new(file: Arc<dyn File>, path: &Path) -> Self {
        let (buffer, hasher) = (Vec::with_capacity(BUFFER_LEN), Hasher::default());
        Self { file, path: path.to_owned(), buffer, hasher, block: (Crc32c::default(), 0) }
    }

    /// How many bytes the file has so far.
    pub(crate) fn position(&self) -> u64 {
        self.hasher.position() + self.buffer.len() as u64
    }

    /// Appends bytes that are in no section.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER_LEN - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == BUFFER_LEN {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends zeros up to a position that is at most a page or so away.
    pub(crate) fn pad_to(&mut self, position: u64) -> Result<()> {
        while self.position() < position {
            self.write(&[0])?;
        }
        Ok(())
    }

    /// Appends bytes of the current section; the checksums of its finished blocks go to `crcs`.
    pub(crate) fn write_section(&mut self, mut bytes: &[u8], crcs: &mut Vec<u32>) -> Result<()> {
        while !bytes.is_empty() {
            let (crc, len) = self.block;
            let room = usize::try_from(BLOCK_LEN - len).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.block = (crc.append(now), len + now.len() as u64);
            self.write(now)?;
            bytes = later;
            if self.block.1 == BLOCK_LEN {
                self.end_section(crcs);
            }
        }
        Ok(())
    }

    /// Ends the current block, if it has bytes.
    pub(crate) fn end_section(&mut self, crcs: &mut Vec<u32>) {
        let (crc, len) = std::mem::take(&mut self.block);
        if len > 0 {
            crcs.push(crc.0);
        }
    }

    /// Writes what is left and makes the contents durable. The name is durable only after a sync of the directory.
    pub(crate) fn finish(mut self) -> Result<FileDigest> {
        self.flush()?;
        self.file.sync_data().map_err(on("sync", &self.path))?;
        Ok(self.hasher.finish())
    }

    fn flush(&mut self) -> Result<()> {
        let offset = self.hasher.position();
        self.file.write_all_at(&self.buffer, offset).map_err(on("write", &self.path))?;
        // Only a hint: where it is not possible, or fails, the sync at the end does the work and has the last word.
        let _ = self.file.start_writeback(offset, self.buffer.len() as u64);
        self.hasher.update(&self.buffer);
        self.buffer.clear();
        match offset.checked_sub(OUTSTANDING_LEN_MAX) {
            Some(written) => self.wait_writeback(written),
            None => Ok(()),
        }
    }

    /// Waits for the bytes of one buffer. An error is one of writing, of which the sync at the end would perhaps say nothing.
    fn wait_writeback(&self, offset: u64) -> Result<()> {
        match self.file.wait_writeback(offset, BUFFER_LEN as u64) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(on("write", &self.path)(error)),
            _ => Ok(()),
        }
    }
}
