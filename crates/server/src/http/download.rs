//! Streams an archive to a client.
//!
//! The body has exactly the announced length or none: a read that fails, and a file that ends early, end the connection instead
//! of the body, so that no client takes a part for the whole. Never compressed, so that the client gets the bytes whose digest
//! the list shows. Ranges and conditions are not looked at.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use icecore_io::File;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use crate::stores::StoredArchive;

/// Bytes of one read.
const CHUNK_LEN: usize = 512 * 1024;

/// Chunks that wait for the client while the next one is read.
const CHUNKS_AHEAD: usize = 1;

/// The response that carries an archive. Has to be called on a thread of the runtime, blocking ones included.
pub(super) fn response(archive: StoredArchive) -> Response {
    let StoredArchive { info, tag, file } = archive;
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let len = info.size;
    tokio::spawn(read(file, len, sender));
    let mut response = Body::new(FileBody { receiver, remaining: len }).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    if let Ok(value) = HeaderValue::from_str(&disposition(info.name.as_str())) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    let tag = info.sha256.map_or(tag, |digest| digest.to_string());
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        headers.insert(header::ETAG, value);
    }
    response
}

/// Reads the file and sends it chunk by chunk until its end, an error, or the client's departure. A blocking thread is taken for
/// each read alone, so that slow clients do not keep the threads that everything else needs.
async fn read(file: Arc<dyn File>, len: u64, sender: mpsc::Sender<io::Result<Bytes>>) {
    let mut offset = 0;
    while offset < len {
        let want = usize::try_from(len - offset).unwrap_or(CHUNK_LEN).min(CHUNK_LEN);
        let source = Arc::clone(&file);
        let reading = spawn_blocking(move || {
            let mut chunk = vec![0; want];
            source.read_exact_at(&mut chunk, offset).map(|()| Bytes::from(chunk))
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

/// A body of a known length that arrives from another task.
struct FileBody {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    remaining: u64,
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.receiver.poll_recv(context).map(|received| match received {
            Some(Ok(chunk)) => {
                self.remaining = self.remaining.saturating_sub(chunk.len() as u64);
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => Some(Err(error)),
            // The reader ended without the last chunk.
            None if self.remaining > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// The value of `Content-Disposition` for a file name, with the exact name beside an ASCII one where they differ (RFC 6266).
fn disposition(name: &str) -> String {
    let plain = |character: char| (character.is_ascii_graphic() || character == ' ') && !matches!(character, '"' | '\\');
    let ascii: String = name.chars().map(|character| if plain(character) { character } else { '_' }).collect();
    if ascii == name {
        return format!("attachment; filename=\"{ascii}\"");
    }
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[test]
    fn file_names_are_quoted_safely() {
        assert_eq!(disposition("a b-1.snapshot"), "attachment; filename=\"a b-1.snapshot\"");
        assert_eq!(disposition("ü\".x"), "attachment; filename=\"__.x\"; filename*=UTF-8''%C3%BC%22.x");
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error() {
        let (sender, receiver) = mpsc::channel(2);
        sender.send(Ok(Bytes::from_static(b"half"))).await.unwrap();
        drop(sender);
        let body = Body::new(FileBody { receiver, remaining: 8 });
        assert!(to_bytes(body, 100).await.is_err());
    }

    #[tokio::test]
    async fn a_complete_body_is_delivered() {
        let (sender, receiver) = mpsc::channel(2);
        sender.send(Ok(Bytes::from_static(b"whole"))).await.unwrap();
        drop(sender);
        let body = Body::new(FileBody { receiver, remaining: 5 });
        assert_eq!(to_bytes(body, 100).await.unwrap(), "whole");
    }
}
