//! A body that is made while it is sent: an archive that never becomes a file.
//!
//! Its length is announced, so the client notices an end that comes too early; and the last buffer is held back until the
//! producer has said that all is well, so that a failure is always such an end. The producer has a thread of its own for as long as
//! the client takes.

use std::io::{self, Write};

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;

use super::body::{self, Buffer, Buffers};
use crate::error::{Result, one_line};
use crate::metrics::Download;
use crate::threads;

/// The body of `len` bytes that `produce` writes. Has to be called on a thread of the runtime, blocking ones included.
pub(super) fn body<P>(len: u64, download: Download, produce: P) -> Body
where
    P: FnOnce(&mut dyn Write) -> Result<()> + Send + 'static,
{
    let (sender, receiver) = body::channel();
    // Nobody waits for its end but the client, who sees the body's.
    drop(threads::spawn("stream", move || {
        icecore_io::lower_this_thread(icecore_io::Share::Least);
        let mut outlet = Outlet { buffers: Buffers::new(), filling: None, sender, remaining: len, gone: false };
        let failure = match produce(&mut outlet) {
            Ok(()) => outlet.finish().err().map(|error| error.to_string()),
            Err(error) => Some(one_line(&error)),
        };
        match failure {
            None => {}
            Some(reason) if outlet.gone => tracing::debug!("a client left before the end: {reason}"),
            Some(reason) => {
                tracing::error!("a download failed: {reason}");
                // Fails if the client leaves just now.
                let _ = outlet.sender.blocking_send(Err(io::Error::other("the archive could not be made")));
            }
        }
    }));
    body::body(receiver, len, download)
}

/// Takes what the producer writes. Fails with `BrokenPipe` once the client is gone, and with `InvalidInput` for more bytes than
/// were announced.
struct Outlet {
    buffers: Buffers,
    /// The buffer that is not sent yet, full or not.
    filling: Option<Buffer>,
    sender: mpsc::Sender<io::Result<Bytes>>,
    /// Announced bytes that were not written yet.
    remaining: u64,
    gone: bool,
}

impl Outlet {
    fn send(&mut self) -> io::Result<()> {
        let Some(buffer) = self.filling.take() else { return Ok(()) };
        self.sender.blocking_send(Ok(Bytes::from_owner(buffer))).map_err(|_| self.left())
    }

    /// Sends what was held back.
    fn finish(&mut self) -> io::Result<()> {
        if self.remaining > 0 {
            let text = format!("the producer ended {} bytes before the announced end", self.remaining);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        self.send()
    }

    fn left(&mut self) -> io::Error {
        self.gone = true;
        io::ErrorKind::BrokenPipe.into()
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        if len > self.remaining {
            let text = format!("the producer writes {len} bytes where {} are left", self.remaining);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if self.filling.as_ref().is_some_and(|buffer| buffer.bytes.len() == buffer.len) {
            self.send()?;
        }
        if self.sender.is_closed() {
            return Err(self.left());
        }
        let buffers = &mut self.buffers;
        let buffer = self.filling.get_or_insert_with(|| {
            let mut buffer = buffers.take_blocking();
            buffer.bytes.clear();
            buffer.bytes.reserve_exact(buffer.len);
            buffer
        });
        let (taken, _) = bytes.split_at(bytes.len().min(buffer.len - buffer.bytes.len()));
        buffer.bytes.extend_from_slice(taken);
        self.remaining -= taken.len() as u64;
        Ok(taken.len())
    }

    /// Does nothing: what is held back is sent at the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use axum::body::HttpBody;
    use icecore_io::OsClock;

    use super::super::body::BUFFER_LEN_MAX as BUFFER_LEN;
    use super::*;
    use crate::error::AppError;
    use crate::metrics::Metrics;
    use crate::stores::StoreError;

    fn download() -> Download {
        Arc::new(Metrics::new(Arc::new(OsClock::new()))).download()
    }

    fn failed(source: io::Error) -> AppError {
        StoreError::Io { operation: "write", path: "x".into(), source }.into()
    }

    /// The bytes until the end, and whether that end is an error.
    async fn received(mut body: Body) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
                Err(_) => return (bytes, true),
            }
        }
        (bytes, false)
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..=250).cycle().take(len).collect()
    }

    #[tokio::test]
    async fn every_length_arrives_as_it_was_written() {
        for len in [0, 1, BUFFER_LEN - 1, BUFFER_LEN, BUFFER_LEN + 1, 10 * BUFFER_LEN + 7] {
            for piece in [1 << 20, 10_007] {
                let body = body(len as u64, download(), move |out| {
                    pattern(len).chunks(piece).try_for_each(|piece| out.write_all(piece)).map_err(failed)
                });
                assert_eq!(body.size_hint().exact(), Some(len as u64));
                assert_eq!(received(body).await, (pattern(len), false), "{len}");
            }
        }
    }

    /// The client must not take what it has for the whole, even if all bytes were written before the failure.
    #[tokio::test]
    async fn a_failure_is_an_end_before_the_end() {
        for len in [1, BUFFER_LEN, 5 * BUFFER_LEN] {
            let body = body(len as u64, download(), move |out| {
                out.write_all(&pattern(len)).map_err(failed)?;
                Err(failed(io::ErrorKind::InvalidData.into()))
            });
            let (bytes, is_error) = received(body).await;
            assert!(is_error && bytes.len() < len, "{len}");
        }
    }

    #[tokio::test]
    async fn a_wrong_length_is_a_failure() {
        let short = body(100, download(), |out| out.write_all(&[1; 99]).map_err(failed));
        assert!(received(short).await.1);
        let long = body(100, download(), |out| {
            out.write_all(&[1; 100]).map_err(failed)?;
            out.write_all(&[1]).map_err(failed)
        });
        assert!(received(long).await.1);
        let panicked = body(100, download(), |_| panic!("boom"));
        assert!(received(panicked).await.1);
    }

    #[tokio::test]
    async fn the_producer_notices_that_the_client_is_gone() {
        let (sender, result) = channel();
        let mut body = body(u64::MAX, download(), move |out| {
            let error = std::iter::repeat_with(|| out.write_all(&[1; 1000])).find_map(io::Result::err).unwrap();
            sender.send(error.kind()).unwrap();
            Err(failed(error))
        });
        poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.unwrap().unwrap();
        drop(body);
        let kind = tokio::task::spawn_blocking(move || result.recv().unwrap()).await.unwrap();
        assert_eq!(kind, io::ErrorKind::BrokenPipe);
    }
}
