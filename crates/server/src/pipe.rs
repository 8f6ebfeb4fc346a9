//! A bounded channel of bytes from an async producer (a download, an upload) to a blocking reader.
//!
//! The rule: the reader sees a clean end only after [`PipeWriter::finish`]. A writer that goes away without it (its task was
//! dropped, its client left) is an `UnexpectedEof`, and no read after an error is a clean end. What is in between is bounded by
//! the number of chunks; how long a chunk may be is the producer's business. Neither side has a time limit here.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Bytes;
use tokio::sync::mpsc;

/// The reader is gone: whatever is sent now, nobody will read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads any more")]
pub(crate) struct Closed;

/// The end of the producer.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    finished: Arc<AtomicBool>,
}

/// The end of the blocking reader. Reading waits for the producer, so it must not happen on an async thread of the runtime: it
/// panics there. Through [`BufRead`] chunks are read in place, without a copy.
#[derive(Debug)]
pub(crate) struct PipeReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    /// What is left of the chunk that is being read.
    chunk: Bytes,
    failed: bool,
    finished: Arc<AtomicBool>,
}

/// A pipe that holds up to `chunks` chunks (at least one) between its ends.
pub(crate) fn pipe(chunks: usize) -> (PipeWriter, PipeReader) {
    let (sender, receiver) = mpsc::channel(chunks.max(1));
    let finished = Arc::new(AtomicBool::new(false));
    let writer = PipeWriter { chunks: sender, finished: Arc::clone(&finished) };
    (writer, PipeReader { chunks: receiver, chunk: Bytes::new(), failed: false, finished })
}

impl PipeWriter {
    /// Hands over a chunk, or the error that ends the stream; waits while the pipe is full.
    pub(crate) async fn send(&self, chunk: io::Result<Bytes>) -> Result<(), Closed> {
        self.chunks.send(chunk).await.map_err(|_| Closed)
    }

    /// Waits until the reader is gone.
    pub(crate) async fn closed(&self) {
        self.chunks.closed().await;
    }

    /// Says that what was sent is everything.
    pub(crate) fn finish(self) {
        // Read by the reader after it has seen the channel closed, which happens when `self` is dropped: after this.
        self.finished.store(true, Ordering::Release);
    }
}

impl PipeReader {
    /// The next chunk, for a reader on an async thread, which reads in no other way; `None` at the clean end.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if let Err(error) = self.check() {
            return Poll::Ready(Err(error));
        }
        self.chunks.poll_recv(context).map(|received| self.judge(received))
    }

    /// No read after an error is a clean end.
    fn check(&self) -> io::Result<()> {
        match self.failed {
            true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream has failed before")),
            false => Ok(()),
        }
    }

    /// What came out of the channel: a chunk, the clean end, or an error.
    fn judge(&mut self, received: Option<io::Result<Bytes>>) -> io::Result<Option<Bytes>> {
        let judged = match received {
            Some(received) => received.map(Some),
            None if self.finished.load(Ordering::Acquire) => Ok(None),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream broke off")),
        };
        self.failed = judged.is_err();
        judged
    }
}

impl BufRead for PipeReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // Ends: producers send a finite number of empty chunks, if any.
        while self.chunk.is_empty() {
            self.check()?;
            let received = self.chunks.blocking_recv();
            match self.judge(received)? {
                Some(chunk) => self.chunk = chunk,
                None => break,
            }
        }
        Ok(&self.chunk)
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.chunk.len());
        drop(self.chunk.split_to(amount));
    }
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::thread;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    fn chunk(text: &'static str) -> io::Result<Bytes> {
        Ok(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn an_async_reader_sees_the_same_chunks_and_ends() {
        let next = |reader: &mut PipeReader| runtime().block_on(poll_fn(|context| reader.poll_chunk(context)));
        let (writer, mut reader) = pipe(4);
        runtime().block_on(writer.send(chunk("one"))).unwrap();
        writer.finish();
        assert_eq!(next(&mut reader).unwrap().as_deref(), Some(b"one".as_slice()));
        assert_eq!(next(&mut reader).unwrap(), None);
        let (writer, mut reader) = pipe(4);
        drop(writer);
        for _ in 0..2 {
            assert_eq!(next(&mut reader).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }

    #[test]
    fn chunks_arrive_in_order_through_a_pipe_of_one() {
        let (writer, mut reader) = pipe(1);
        let producer = thread::spawn(move || {
            runtime().block_on(async {
                for text in ["ab", "", "cdef", "g"] {
                    writer.send(chunk(text)).await.unwrap();
                }
                writer.finish();
            });
        });
        let mut three = [0; 3];
        assert_eq!(reader.read(&mut three).unwrap(), 2);
        assert_eq!(&three[..2], b"ab");
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "cdefg");
        assert_eq!(reader.read(&mut three).unwrap(), 0, "the end stays the end");
        producer.join().unwrap();
    }

    #[test]
    fn a_chunk_can_be_read_in_place() {
        let (writer, mut reader) = pipe(2);
        let sent = Bytes::from_static(b"abcdef");
        runtime().block_on(writer.send(Ok(sent.clone()))).unwrap();
        assert_eq!(reader.fill_buf().unwrap().as_ptr(), sent.as_ptr());
        reader.consume(4);
        assert_eq!(reader.fill_buf().unwrap(), b"ef");
        assert_eq!(reader.read(&mut []).unwrap(), 0);
    }

    #[test]
    fn a_writer_that_goes_away_is_not_an_end() {
        let (writer, mut reader) = pipe(2);
        runtime().block_on(writer.send(chunk("ab"))).unwrap();
        drop(writer);
        let mut read = Vec::new();
        assert_eq!(reader.read_to_end(&mut read).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(read, b"ab");
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn after_an_error_there_is_no_clean_end() {
        let (writer, mut reader) = pipe(2);
        runtime().block_on(writer.send(Err(io::Error::new(io::ErrorKind::TimedOut, "slow")))).unwrap();
        writer.finish();
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_writer_learns_that_nobody_reads() {
        let (writer, reader) = pipe(1);
        drop(reader);
        runtime().block_on(async {
            writer.closed().await;
            assert_eq!(writer.send(chunk("x")).await, Err(Closed));
        });
    }
}
