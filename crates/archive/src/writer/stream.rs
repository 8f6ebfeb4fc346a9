//! Copies an archive that was made elsewhere into a sink, as it arrives.
//!
//! Every byte is given to the sink and to the digest once, in order. What the bytes are is not looked at: whoever restores the
//! archive does that.

use std::io::{self, Read};
use std::path::Path;

use super::hash::with_digester;
use super::{Sink, Written};
use crate::Error;
use crate::progress::{Progress, advance};

/// An archive on its way.
pub struct Incoming<'a> {
    /// Its bytes.
    pub reader: &'a mut dyn Read,
    /// How many there are, if somebody has announced it.
    pub len: Option<u64>,
    /// What it is called in errors.
    pub label: &'a Path,
}

/// Writes all bytes that arrive to `sink`. Progress counts them.
///
/// Fails with [`Error::Truncated`] or [`Error::TrailingBytes`] if there are not as many as announced, [`Error::Io`] if they cannot be
/// read, [`Error::Sink`] if they cannot be written, and [`Error::Cancelled`].
pub fn write_stream(incoming: Incoming<'_>, sink: &mut dyn Sink, progress: &dyn Progress) -> Result<Written, Error> {
    let Incoming { reader, len: announced, label } = incoming;
    progress.start(announced.unwrap_or(0));
    let (copied, sha256) = with_digester(|mut digester| {
        let mut offset = 0;
        loop {
            let mut buffer = digester.take();
            let is_last = fill(reader, &mut buffer).map_err(Error::io("receive", label))?;
            let len = buffer.filled().len() as u64;
            let end = offset + len;
            if let Some(expected) = announced.filter(|announced| end > *announced) {
                return Err(Error::TrailingBytes { path: label.to_owned(), expected, actual: end });
            }
            if len > 0 {
                sink.write(buffer.filled()).map_err(|source| Error::Sink { offset, source })?;
            }
            digester.give(buffer);
            advance(progress, len)?;
            offset = end;
            if is_last {
                return Ok(offset);
            }
        }
    });
    let len = copied?;
    match announced {
        Some(expected) if len < expected => Err(Error::Truncated { path: label.to_owned(), expected, actual: len }),
        _ => Ok(Written { len, sha256 }),
    }
}

/// Fills the buffer; whether the end has come before it was full.
fn fill(reader: &mut dyn Read, buffer: &mut super::buffer::Buffer) -> io::Result<bool> {
    while !buffer.room().is_empty() {
        match reader.read(buffer.room()) {
            Ok(0) => return Ok(true),
            Ok(len) => buffer.fill(len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::super::WriteSink;
    use super::super::buffer::BUFFER_LEN;
    use super::*;
    use crate::Sha256Digest;

    fn copy(bytes: &[u8], len: Option<u64>, progress: &dyn Progress) -> (Result<Written, Error>, Vec<u8>) {
        let mut sink = WriteSink(Vec::new());
        let incoming = Incoming { reader: &mut &*bytes, len, label: Path::new("x") };
        let written = write_stream(incoming, &mut sink, progress);
        (written, sink.0)
    }

    #[test]
    fn all_that_arrives_is_written_and_digested() {
        for len in [0, 1, BUFFER_LEN - 1, BUFFER_LEN, 2 * BUFFER_LEN + 7] {
            let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
            for announced in [None, Some(len as u64)] {
                let (written, copied) = copy(&bytes, announced, &());
                assert_eq!(written.unwrap(), Written { len: len as u64, sha256: Sha256Digest::of(&bytes) });
                assert_eq!(copied, bytes);
            }
        }
    }

    #[test]
    fn another_length_than_announced_is_an_error() {
        assert!(matches!(copy(b"abc", Some(4), &()).0, Err(Error::Truncated { expected: 4, actual: 3, .. })));
        assert!(matches!(copy(b"abc", Some(2), &()).0, Err(Error::TrailingBytes { expected: 2, actual: 3, .. })));
    }

    #[test]
    fn it_can_be_stopped_and_a_reader_that_fails_fails_it() {
        struct Stop;
        impl Progress for Stop {
            fn start(&self, _total: u64) {}
            fn advance(&self, _bytes: u64) -> ControlFlow<()> {
                ControlFlow::Break(())
            }
        }
        assert!(matches!(copy(b"abc", None, &Stop).0, Err(Error::Cancelled)));

        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let incoming = Incoming { reader: &mut Broken, len: None, label: Path::new("x") };
        let failed = write_stream(incoming, &mut WriteSink(Vec::new()), &());
        assert!(matches!(failed, Err(Error::Io { action: "receive", .. })), "{failed:?}");
    }
}
