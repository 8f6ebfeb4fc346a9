//! Copies headers and members through buffers into an outlet, checking each member's CRC32C on the way.
//!
//! A buffer is filled across member boundaries, so a million small members cost as few writes as one large one. Each full buffer
//! goes into the outlet: as it is into the sink and to the digester, or into a frame that is compressed. Bytes are counted when a
//! buffer is full, or after [`BUFFER_LEN`] if buffers are longer; cancellation is looked at then.

use std::io;

use super::buffer::{BUFFER_LEN, Buffer};
use super::hash::Digester;
use super::shared::SharedBlocks;
use super::{Sink, Source};
use crate::Error;
use crate::plan::Placed;
use crate::progress::{Progress, advance};
use icecore_io::digest::Crc32c;

/// Where the data of members comes from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) source: &'a dyn Source,
    /// What is in the archive already, and is read there.
    pub(super) shared: Option<&'a SharedBlocks>,
}

/// Where full buffers go.
pub(super) trait Outlet {
    /// An empty buffer.
    fn take(&mut self) -> Result<Buffer, Error>;

    /// The next bytes of the archive. Only the last buffer has room left.
    fn put(&mut self, buffer: Buffer) -> Result<(), Error>;
}

/// The sink, and the digester behind it.
pub(super) struct Plain<'a> {
    digester: Digester,
    sink: &'a mut dyn Sink,
    written: u64,
}

impl<'a> Plain<'a> {
    pub(super) fn new(digester: Digester, sink: &'a mut dyn Sink) -> Self {
        Self { digester, sink, written: 0 }
    }

    /// Bytes given to the sink.
    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

impl Outlet for Plain<'_> {
    fn take(&mut self) -> Result<Buffer, Error> {
        Ok(self.digester.take())
    }

    fn put(&mut self, buffer: Buffer) -> Result<(), Error> {
        let bytes = buffer.filled();
        self.sink.write(bytes).map_err(|source| Error::Sink { offset: self.written, source })?;
        self.written += bytes.len() as u64;
        self.digester.give(buffer);
        Ok(())
    }
}

/// The archive on its way from its sources to the outlet.
pub(super) struct Stream<'a, O> {
    outlet: O,
    progress: &'a dyn Progress,
    buffer: Buffer,
    /// Bytes that progress does not know of yet.
    uncounted: usize,
}

impl<'a, O: Outlet> Stream<'a, O> {
    pub(super) fn new(mut outlet: O, progress: &'a dyn Progress) -> Result<Self, Error> {
        let buffer = outlet.take()?;
        Ok(Self { outlet, progress, buffer, uncounted: 0 })
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
    pub(super) fn copy(&mut self, origin: Origin<'_>, placed: &Placed<'_>) -> Result<(), Error> {
        let member = placed.member;
        let failed = |error| Error::Source { member: member.path.to_owned(), source: error };
        let too_short = |actual| Error::SourceLength { member: member.path.to_owned(), expected: member.len, actual };
        let file = origin.source.open(placed.index).map_err(failed)?;
        let source_len = file.len().map_err(failed)?;
        if source_len < member.len {
            return Err(too_short(source_len));
        }
        let mut crc32c = Crc32c::default();
        let mut offset = 0;
        while offset < member.len {
            let room = self.buffer.room();
            let wanted = usize::try_from(member.len - offset).unwrap_or(usize::MAX).min(room.len()).min(BUFFER_LEN);
            let in_archive = placed.data_offset + offset;
            let shared = origin.shared.map(|shared| (shared, shared.len_at(in_archive))).filter(|(_, len)| *len > 0);
            let wanted = shared.map_or(wanted, |(_, len)| wanted.min(usize::try_from(len).unwrap_or(usize::MAX)));
            let target = room.get_mut(..wanted).unwrap_or_default();
            let read = match shared {
                Some((shared, _)) => shared.file().read_at(target, in_archive),
                None => file.read_at(target, offset),
            };
            let read = match read {
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

    /// Passes on what is left.
    pub(super) fn finish(mut self) -> Result<O, Error> {
        if !self.buffer.filled().is_empty() {
            self.outlet.put(self.buffer)?;
        }
        advance(self.progress, self.uncounted as u64)?;
        Ok(self.outlet)
    }

    /// Counts bytes that were put into the buffer's room. There is always room again afterwards.
    fn filled(&mut self, len: usize) -> Result<(), Error> {
        self.buffer.fill(len);
        self.uncounted += len;
        let is_full = self.buffer.room().is_empty();
        if is_full {
            let next = self.outlet.take()?;
            self.outlet.put(std::mem::replace(&mut self.buffer, next))?;
        }
        if is_full || self.uncounted >= BUFFER_LEN {
            advance(self.progress, std::mem::take(&mut self.uncounted) as u64)?;
        }
        Ok(())
    }
}
