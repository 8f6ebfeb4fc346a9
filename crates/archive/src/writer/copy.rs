//! Copies headers and members through buffers into the sink, checking each member's CRC32C on the way.
//!
//! A buffer is filled across member boundaries, so a million small members cost as few writes as one large one. Each full buffer
//! is written, counted, and handed to the digester; cancellation is looked at then.

use std::io;

use super::hash::{Buffer, Digester};
use super::{Sink, Source};
use crate::Error;
use crate::format::manifest::MemberRef;
use crate::progress::{Progress, advance};
use icecore_io::digest::Crc32c;

/// The archive on its way from sources to sink.
pub(super) struct Stream<'a> {
    digester: Digester,
    sink: &'a mut dyn Sink,
    progress: &'a dyn Progress,
    buffer: Buffer,
    written: u64,
}

impl<'a> Stream<'a> {
    pub(super) fn new(mut digester: Digester, sink: &'a mut dyn Sink, progress: &'a dyn Progress) -> Self {
        let buffer = digester.take();
        Self { digester, sink, progress, buffer, written: 0 }
    }

    /// Appends bytes.
    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let room = self.buffer.room();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            if let Some(target) = room.get_mut(..now.len()) {
                target.copy_from_slice(now);
            }
            self.filled(now.len())?;
            bytes = later;
        }
        Ok(())
    }

    /// Appends `len` zeros, at most 1024.
    pub(super) fn put_zeros(&mut self, len: usize) -> Result<(), Error> {
        self.put([0; 1024].get(..len).unwrap_or(&[0; 1024]))
    }

    /// Appends a member's data.
    pub(super) fn copy(&mut self, source: &dyn Source, index: usize, member: MemberRef<'_>) -> Result<(), Error> {
        let failed = |error| Error::Source { member: member.path.to_owned(), source: error };
        let too_short = |actual| Error::SourceLength { member: member.path.to_owned(), expected: member.len, actual };
        let file = source.open(index).map_err(failed)?;
        let source_len = file.len().map_err(failed)?;
        if source_len < member.len {
            return Err(too_short(source_len));
        }
        let mut crc32c = Crc32c::default();
        let mut offset = 0;
        while offset < member.len {
            let room = self.buffer.room();
            let wanted = usize::try_from(member.len - offset).unwrap_or(usize::MAX).min(room.len());
            let target = room.get_mut(..wanted).unwrap_or_default();
            let read = match file.read_at(target, offset) {
                Ok(0) => return Err(too_short(offset)),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            crc32c = crc32c.append(target.get(..read).unwrap_or_default());
            offset += read as u64;
            self.filled(read)?;
        }
        if crc32c != member.crc32c {
            return Err(Error::Corrupt { member: member.path.to_owned(), expected: member.crc32c, actual: crc32c });
        }
        Ok(())
    }

    /// Writes what is left and says how many bytes there were in all.
    pub(super) fn finish(mut self) -> Result<u64, Error> {
        if !self.buffer.filled().is_empty() {
            self.flush()?;
        }
        Ok(self.written)
    }

    /// Counts bytes that were put into the buffer's room. There is always room again afterwards.
    fn filled(&mut self, len: usize) -> Result<(), Error> {
        self.buffer.fill(len);
        if self.buffer.room().is_empty() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let bytes = self.buffer.filled();
        self.sink.write(bytes).map_err(|source| Error::Sink { offset: self.written, source })?;
        self.written += bytes.len() as u64;
        advance(self.progress, bytes.len() as u64)?;
        let next = self.digester.take();
        self.digester.give(std::mem::replace(&mut self.buffer, next));
        Ok(())
    }
}
