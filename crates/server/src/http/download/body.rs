//! A body of a known length whose bytes come from elsewhere, and the few buffers that they come in.
//!
//! A download has [`BUFFERS`] buffers and never more: whoever fills one waits until one comes home, and one comes home when the
//! connection has sent it. What a slow client keeps in memory is bounded by that, whatever the connection would queue. (So whoever
//! collects a body has to copy its chunks, not to keep them.) Buffers are large while there are few downloads, for speed, and
//! small when there are many, for memory.
//!
//! The body has exactly the announced length or ends as an error, which ends the connection: no client takes a part for the whole.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;

use crate::metrics::Download;

/// Bytes of a buffer of a download that is alone.
pub(super) const BUFFER_LEN_MAX: usize = 256 * 1024;

/// Bytes of a buffer when there are many downloads.
const BUFFER_LEN_MIN: usize = 64 * 1024;

/// What all buffers together should take, in bytes, as long as they need not be smaller than the least for that.
const MEMORY: usize = 8 * 1024 * 1024;

/// Buffers of one download: one is filled, one waits, one is sent.
const BUFFERS: usize = 3;

/// Downloads whose buffers are there.
static DOWNLOADS: AtomicUsize = AtomicUsize::new(0);

/// The buffers of one download.
#[derive(Debug)]
pub(super) struct Buffers {
    free: mpsc::UnboundedReceiver<Vec<u8>>,
    home: mpsc::UnboundedSender<Vec<u8>>,
}

impl Buffers {
    pub(super) fn new() -> Self {
        DOWNLOADS.fetch_add(1, Ordering::Relaxed);
        let (home, free) = mpsc::unbounded_channel();
        for _ in 0..BUFFERS {
            // The receiver is there.
            let _ = home.send(Vec::new());
        }
        Self { free, home }
    }

    /// A buffer, as soon as one is free.
    pub(super) async fn take(&mut self) -> Buffer {
        // Never closed: a sender is in `self`.
        let bytes = self.free.recv().await.unwrap_or_default();
        self.buffer(bytes)
    }

    /// The same, on a thread for blocking work.
    pub(super) fn take_blocking(&mut self) -> Buffer {
        let bytes = self.free.blocking_recv().unwrap_or_default();
        self.buffer(bytes)
    }

    fn buffer(&self, mut bytes: Vec<u8>) -> Buffer {
        let len = buffer_len(DOWNLOADS.load(Ordering::Relaxed));
        if bytes.capacity() > len {
            bytes = Vec::new();
        }
        Buffer { bytes, len, home: self.home.clone() }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        DOWNLOADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of each buffer when there are so many downloads.
fn buffer_len(downloads: usize) -> usize {
    (MEMORY / BUFFERS / downloads.max(1)).clamp(BUFFER_LEN_MIN, BUFFER_LEN_MAX)
}

/// A buffer with whatever was in it before. It goes home when it is dropped, also as [`Bytes`].
#[derive(Debug)]
pub(super) struct Buffer {
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// How many bytes it may have.
    pub(super) len: usize,
    home: mpsc::UnboundedSender<Vec<u8>>,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Nobody is at home once the download is over.
        let _ = self.home.send(std::mem::take(&mut self.bytes));
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Where the bytes of a body come from.
pub(super) type Chunks = mpsc::Receiver<io::Result<Bytes>>;

/// A channel for all the buffers that can be filled.
pub(super) fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Chunks) {
    mpsc::channel(BUFFERS)
}

/// The body of `len` bytes that arrive by `chunks`.
pub(super) fn body(chunks: Chunks, len: u64, download: Download) -> Body {
    Body::new(Measured { chunks, remaining: len, download })
}

struct Measured {
    chunks: Chunks,
    remaining: u64,
    download: Download,
}

impl HttpBody for Measured {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        self.chunks.poll_recv(context).map(|received| match received {
            Some(Ok(chunk)) => {
                let len = chunk.len() as u64;
                self.remaining = self.remaining.saturating_sub(len);
                self.download.sent(len);
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => Some(Err(error)),
            // Whoever fills the buffers ended without the last one.
            None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        if self.remaining == 0 {
            self.download.complete();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::to_bytes;
    use icecore_io::OsClock;

    use super::*;
    use crate::metrics::Metrics;

    async fn collected(chunks: Vec<&'static [u8]>, len: u64) -> Result<Bytes, axum::Error> {
        let (sender, receiver) = channel();
        for chunk in chunks {
            sender.send(Ok(Bytes::from_static(chunk))).await.unwrap();
        }
        drop(sender);
        let metrics = Arc::new(Metrics::new(Arc::new(OsClock::new())));
        to_bytes(body(receiver, len, metrics.download()), 100).await
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error() {
        assert!(collected(vec![b"half"], 8).await.is_err());
        assert!(collected(vec![], 1).await.is_err());
    }

    #[tokio::test]
    async fn a_complete_body_is_delivered() {
        assert_eq!(collected(vec![b"who", b"le"], 5).await.unwrap(), "whole");
        assert_eq!(collected(vec![], 0).await.unwrap(), "");
    }

    #[test]
    fn buffers_shrink_with_the_number_of_downloads_down_to_the_least() {
        let of_all = |downloads: usize| downloads * BUFFERS * buffer_len(downloads);
        assert_eq!(buffer_len(1), BUFFER_LEN_MAX);
        assert_eq!(buffer_len(200), BUFFER_LEN_MIN);
        assert!((1..=MEMORY / BUFFERS / BUFFER_LEN_MIN).all(|downloads| of_all(downloads) <= MEMORY));
        assert!(of_all(200) < 40 << 20);
    }

    #[tokio::test]
    async fn a_buffer_comes_home_when_it_was_sent() {
        let mut buffers = Buffers::new();
        let mut taken = Vec::new();
        for _ in 0..BUFFERS {
            taken.push(Bytes::from_owner(buffers.take().await));
        }
        assert!(buffers.free.try_recv().is_err(), "all are away");
        let kept = taken.pop().map(|bytes| bytes.slice(0..0));
        taken.pop();
        assert_eq!(buffers.take().await.bytes, b"");
        drop(kept);
        assert_eq!(buffers.free.len(), 2);
    }
}
