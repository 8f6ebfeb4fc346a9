//! Where the bytes of an archive go: a file, or anything that takes bytes in order.

use std::io;
use std::sync::Arc;

use icecore_io::File;

/// Bytes after which a file's write-back is started, so that the sync at the end finds little left to do.
const WRITEBACK_LEN: u64 = 8 << 20;

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
}

impl FileSink {
    /// Writes to `file` from offset 0 on.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self { file, offset: 0, writeback_offset: 0 }
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        let pending = self.offset - self.writeback_offset;
        if pending >= WRITEBACK_LEN {
            start_writeback(self.file.as_ref(), self.writeback_offset, pending)?;
            self.writeback_offset = self.offset;
        }
        Ok(())
    }
}

/// Starts write-back where the file system can.
fn start_writeback(file: &dyn File, offset: u64, len: u64) -> io::Result<()> {
    match file.start_writeback(offset, len) {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
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
