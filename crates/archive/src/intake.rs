//! A stream as it arrives: its bytes in order, counted, under the name that stands for it in errors.
//!
//! What the bytes mean is not known here. The first four are looked at before anything else, so that a compressed stream can be
//! told from others.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::Error;

/// Bytes that [`Intake::peek`] looks at.
const PEEK_LEN: usize = 4;

/// The stream.
#[derive(Debug)]
pub(crate) struct Intake<R> {
    input: R,
    label: PathBuf,
    announced: Option<u64>,
    /// Bytes that were looked at, and come first.
    peeked: [u8; PEEK_LEN],
    peeked_at: usize,
    peeked_end: usize,
    received: u64,
}

impl<R: Read> Intake<R> {
    /// Nothing has been read. `announced` is the length that the sender has announced.
    pub(crate) fn new(input: R, label: &Path, announced: Option<u64>) -> Self {
        let peeked = [0; PEEK_LEN];
        Self { input, label: label.to_owned(), announced, peeked, peeked_at: 0, peeked_end: 0, received: 0 }
    }

    pub(crate) fn label(&self) -> &Path {
        &self.label
    }

    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Bytes given so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The first bytes of the stream: four, or all that there are. Before anything else.
    pub(crate) fn peek(&mut self) -> Result<[u8; PEEK_LEN], Error> {
        let mut peeked = [0; PEEK_LEN];
        let read = read_full(&mut peeked, |room| self.read_some(room))?;
        (self.peeked, self.peeked_end, self.received) = (peeked, read, 0);
        Ok(peeked)
    }

    /// Reads at least one byte, or none at the end.
    pub(crate) fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let peeked = self.peeked.get(self.peeked_at..self.peeked_end).unwrap_or_default();
        let len = peeked.len().min(buffer.len());
        if let (Some(room), Some(bytes)) = (buffer.get_mut(..len), peeked.get(..len).filter(|bytes| !bytes.is_empty())) {
            room.copy_from_slice(bytes);
            self.peeked_at += len;
            self.received += len as u64;
            return Ok(len);
        }
        loop {
            match self.input.read(buffer) {
                Ok(read) => {
                    self.received += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not `Error::io`: whatever the stream reports, it does not say that a file is missing.
                Err(source) => return Err(Error::Io { action: "read", path: self.label.clone(), source }),
            }
        }
    }
}

/// Fills `buffer` as far as there is something to fill it with.
pub(crate) fn read_full(buffer: &mut [u8], mut read: impl FnMut(&mut [u8]) -> Result<usize, Error>) -> Result<usize, Error> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match read(room)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
