//! The bytes of an archive in a file, whether it is compressed or not.
//!
//! Which of the two it is tells the file's beginning. Whoever reads sees a tar; what it must look like is not known here.

use std::path::Path;
use std::sync::Arc;

use icecore_io::File;

use crate::Error;
use crate::compressed::{CompressedFile, Cursor};
use crate::foreign::is_zstd;

/// The bytes of an archive.
#[derive(Debug)]
pub(crate) enum Contents {
    /// As they are in the file.
    Plain(Arc<dyn File>, u64),
    /// In frames.
    Compressed(CompressedFile),
}

impl Contents {
    /// Looks at the beginning of a file, and at its end if it is compressed.
    pub(crate) fn open(file: Arc<dyn File>, label: &Path) -> Result<Self, Error> {
        let len = file.len().map_err(Error::io("measure", label))?;
        let mut magic = [0; 4];
        if len >= magic.len() as u64 {
            file.read_exact_at(&mut magic, 0).map_err(Error::io("read", label))?;
        }
        match is_zstd(&magic) {
            true => Ok(Self::Compressed(CompressedFile::open(file, label)?)),
            false => Ok(Self::Plain(file, len)),
        }
    }

    /// Length of the tar.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Plain(_, len) => *len,
            Self::Compressed(file) => file.len(),
        }
    }

    /// Length of the file.
    pub(crate) fn stored_len(&self) -> u64 {
        match self {
            Self::Plain(_, len) => *len,
            Self::Compressed(file) => file.stored_len(),
        }
    }

    /// Fills `buffer` with the bytes at `offset`. Reading on with the same cursor is fast.
    pub(crate) fn read_exact(&self, cursor: &mut Cursor, label: &Path, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        match self {
            Self::Plain(file, _) => file.read_exact_at(buffer, offset).map_err(Error::io("read", label)),
            Self::Compressed(file) => file.read_exact(cursor, buffer, offset),
        }
    }

    /// Whether what begins at these two offsets is better read by one thread, one after the other.
    pub(crate) fn together(&self, one: u64, other: u64) -> bool {
        match self {
            Self::Plain(..) => false,
            Self::Compressed(file) => file.frame_at(one) == file.frame_at(other),
        }
    }
}
