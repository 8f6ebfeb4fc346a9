//! Reads a part of a file into a body.
//!
//! A thread is taken for each read alone, and only for a few reads at a time, so that slow clients cost a task each and the threads
//! stay with those who need them. A read that fails, and a file that ends early, end the body as an error.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use icecore_io::File;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;

use super::body::{self, Buffers};
use crate::metrics::Download;

/// Reads at a time, of all downloads of the process together.
static READS: Semaphore = Semaphore::const_new(16);

/// The body that carries these bytes of the file. Has to be called on a thread of the runtime, blocking ones included.
pub(super) fn body(file: Arc<dyn File>, bytes: Range<u64>, download: Download) -> Body {
    let (sender, receiver) = body::channel();
    let len = bytes.end.saturating_sub(bytes.start);
    tokio::spawn(read(file, bytes, sender));
    body::body(receiver, len, download)
}

/// Reads buffer by buffer until the end, an error, or the client's departure.
async fn read(file: Arc<dyn File>, bytes: Range<u64>, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut buffers = Buffers::new();
    let mut offset = bytes.start;
    while offset < bytes.end {
        let mut buffer = buffers.take().await;
        if sender.is_closed() {
            return;
        }
        let want = usize::try_from(bytes.end - offset).unwrap_or(buffer.len).min(buffer.len);
        let permit = READS.acquire().await;
        let source = Arc::clone(&file);
        let reading = spawn_blocking(move || {
            let _permit = permit;
            buffer.bytes.resize(want, 0);
            source.read_exact_at(&mut buffer.bytes, offset).map(|()| Bytes::from_owner(buffer))
        });
        let chunk = reading.await.unwrap_or_else(|_| Err(io::Error::other("the reading thread panicked")));
        if let Err(error) = &chunk {
            tracing::error!(offset, "a download failed: {error}");
        }
        let failed = chunk.is_err();
        // A send fails only if the client is gone.
        if sender.send(chunk).await.is_err() || failed {
            return;
        }
        offset += want as u64;
    }
}
