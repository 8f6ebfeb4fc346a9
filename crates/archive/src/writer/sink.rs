//! Where the bytes of an archive go: a file, or anything that takes bytes in order.

use std::io;
use std::sync::Arc;

use icecore_io::File;

/// Bytes after which a file's write-back is started, so that the sync at the end finds little left to do.
const WRITEBACK_LEN: u64 = 2 << 20;
/// Bytes on their way to the disk before which a writer waits. Whoever else syncs a small file meanwhile may have to wait for all of them; fewer
/// would not keep the disk busy.
const OUTSTANDING_LEN_MAX: u64 = 16 << 20;

/// Takes the bytes of an archive in order.
pub trait Sink {
    /// Takes all of `bytes`. After an error the sink is not used again.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A file, written from its beginning. Does not sync.
#[derive(Debug)]
pub struct FileSink {
    file: Arc<dyn File>,
    offset: u64,
    writeback_offset: u64,
    /// Before this everything has been written back.
    written_offset: u64,
}

impl FileSink {
    /// Writes to `file` from offset 0 on.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self { file, offset: 0, writeback_offset: 0, written_offset: 0 }
    }

    /// Where the next bytes go.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Leaves `len` bytes as they are.
    pub(crate) fn skip(&mut self, len: u64) {
        self.offset += len;
    }

    /// Starts the write-back of what has been written since it was started last.
    pub(crate) fn start_writeback(&mut self) -> io::Result<()> {
        let pending = self.offset - self.writeback_offset;
        self.writeback_offset = self.offset;
        match self.file.start_writeback(self.offset - pending, pending) {
            // Not every file system can.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => Ok(()),
        }
    }

    /// Waits until no more than [`OUTSTANDING_LEN_MAX`] are on their way.
    fn wait_writeback(&mut self) -> io::Result<()> {
        let Some(end) = self.offset.checked_sub(OUTSTANDING_LEN_MAX).filter(|end| *end > self.written_offset) else {
            return Ok(());
        };
        let offset = std::mem::replace(&mut self.written_offset, end);
        match self.file.wait_writeback(offset, end - offset) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
            _ => Ok(()),
        }
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        if self.offset - self.writeback_offset >= WRITEBACK_LEN {
            self.start_writeback()?;
            self.wait_writeback()?;
        }
        Ok(())
    }
}

/// Anything that is [`io::Write`]: a socket, a pipe, a `Vec<u8>`.
#[derive(Debug)]
pub struct WriteSink<W>(
    /// What is written to.
    pub W,
);

impl<W: io::Write> Sink for WriteSink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}
