//! Bodies that are not read, and bodies that do not come.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::Multipart;
use axum::middleware::from_fn_with_state;
use axum::routing::post;
use http_body::Frame;
use tokio::sync::oneshot;

use super::*;
use crate::config::Secret;
use crate::http::envelope::ApiError;
use crate::http::incoming::{DISCARDED_MAX, guarded};
use crate::http::limits::unreadable;

const PIECE: Bytes = Bytes::from_static(&[b' '; 64 * 1024]);

/// What is known of a body from outside.
struct Watched {
    read: Arc<AtomicU64>,
    dropped: oneshot::Receiver<()>,
}

impl Watched {
    /// How much was read until nobody could read any more.
    async fn read_in_the_end(self) -> u64 {
        self.dropped.await.unwrap_err();
        self.read.load(Ordering::Relaxed)
    }
}

/// A body of so many times this piece, and then its end, or nothing.
struct Source {
    piece: Bytes,
    pieces: u64,
    ends: bool,
    read: Arc<AtomicU64>,
    _dropped: oneshot::Sender<()>,
}

impl HttpBody for Source {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(left) = self.pieces.checked_sub(1) else {
            return if self.ends { Poll::Ready(None) } else { Poll::Pending };
        };
        self.pieces = left;
        self.read.fetch_add(self.piece.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

fn source(pieces: u64, ends: bool) -> (Body, Watched) {
    source_of(PIECE, pieces, ends)
}

fn source_of(piece: Bytes, pieces: u64, ends: bool) -> (Body, Watched) {
    let (read, (sender, dropped)) = (Arc::new(AtomicU64::new(0)), oneshot::channel());
    let source = Source { piece, pieces, ends, read: Arc::clone(&read), _dropped: sender };
    (Body::new(source), Watched { read, dropped })
}

fn guarded_server() -> Server {
    Server::configured(Arc::new(MemFs::new()), |service| service.api_key = Some(Secret::new("all")))
}

#[tokio::test(start_paused = true)]
async fn who_stops_sending_is_told_so_and_cut_off() {
    let server = Server::with_collection().await;
    for pieces in [0, 3] {
        let (body, watched) = source(pieces, false);
        let reply = server.send(Method::PUT, "/collections/c/points", body).await;
        assert_eq!(reply.error(), (408, "Timeout: the body of the request was not sent in time".to_owned()));
        assert_eq!(reply.headers[header::CONNECTION], "close");
        assert_eq!(watched.read_in_the_end().await, pieces * PIECE.len() as u64);
    }
}

/// A file that is uploaded in parts, as a handler finds it.
#[tokio::test(start_paused = true)]
async fn who_stops_sending_a_file_is_told_so_too() {
    let upload = async |mut multipart: Multipart| -> Result<(), ApiError> {
        let mut field = multipart.next_field().await.map_err(|error| unreadable(&error))?.unwrap();
        while field.chunk().await.map_err(|error| unreadable(&error))?.is_some() {}
        Ok(())
    };
    let layer = from_fn_with_state(Duration::from_secs(60), guarded);
    let router = Router::new().route("/", post(upload)).layer(layer);
    let head = "--x\r\ncontent-disposition: form-data; name=\"snapshot\"; filename=\"a\"\r\n\r\nbytes";
    let (body, watched) = source_of(head.into(), 1, false);
    let request = Request::post("/").header(header::CONTENT_TYPE, "multipart/form-data; boundary=x").body(body).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()[header::CONNECTION]),
        (StatusCode::REQUEST_TIMEOUT, &"close".parse().unwrap())
    );
    assert_eq!(watched.read_in_the_end().await, head.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_client_sends_is_read_and_dropped() {
    let server = guarded_server();
    let (body, watched) = source(100, true);
    let reply = server.send(Method::POST, "/collections/c/snapshots/upload", body).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.headers[header::CONNECTION], "close");
    assert_eq!(watched.read_in_the_end().await, 100 * PIECE.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_that_never_ends_is_cut_off() {
    let server = guarded_server();
    let (body, watched) = source(u64::MAX, true);
    assert_eq!(server.send(Method::PUT, "/collections/c/points", body).await.status, StatusCode::UNAUTHORIZED);
    let read = watched.read_in_the_end().await;
    assert!((DISCARDED_MAX..=DISCARDED_MAX + PIECE.len() as u64).contains(&read), "{read}");
    let (silent, watched) = source(2, false);
    assert_eq!(server.send(Method::PUT, "/collections/c/points", silent).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(watched.read_in_the_end().await, 2 * PIECE.len() as u64);
}

#[tokio::test]
async fn who_asks_before_sending_is_not_told_to_send_in_vain() {
    let server = guarded_server();
    let (body, watched) = source(100, true);
    let request = Request::put("/collections/c/points").header(header::EXPECT, "100-continue").body(body).unwrap();
    let reply = server.request(request).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.headers[header::CONNECTION], "close");
    assert_eq!(watched.read_in_the_end().await, 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_read_away() {
    let server = Server::with_collection().await;
    let (body, watched) = source(100, true);
    let reply = server.send(Method::PUT, "/collections/c/points", body).await;
    assert_eq!(reply.error(), (400, "Payload error: JSON payload has exceeded limit (1048576 bytes).".to_owned()));
    assert_eq!(reply.headers[header::CONNECTION], "close");
    assert_eq!(watched.read_in_the_end().await, 100 * PIECE.len() as u64);
}

#[tokio::test]
async fn a_body_that_was_read_keeps_the_connection() {
    let server = Server::with_collection().await;
    for body in [Body::from(r#"{"ids": [1]}"#), Body::from("{"), Body::empty()] {
        let reply = server.send(Method::POST, "/collections/c/points", body).await;
        assert!(!reply.headers.contains_key(header::CONNECTION), "{:?}", reply.headers);
    }
}
