//! `GET /api/v1/events`: the messages of [`live`](super::live) as server-sent events (source: WHATWG HTML, §9.2).
//!
//! A comment goes out from time to time, so that whoever is gone is noticed. The body ends with the server.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use tokio::sync::mpsc;
use tokio::time::interval;

use super::described::JOBS;
use super::live::{BEAT, Feed};
use crate::app::App;
use crate::http::openapi::{Door, Operation};

/// Events between the listener's connection and the rest; beyond that the messages wait where they are bounded.
const BUFFERED: usize = 16;

/// The route, and what it means.
pub(super) fn routes() -> Door {
    let operation = Operation::new(JOBS, "live_events", "What happens to jobs, as server-sent events")
        .media("text/event-stream", "Messages like those of the WebSocket, until the client or the server ends.");
    Door::new().get("/events", events, operation)
}

async fn events(State(app): State<Arc<App>>) -> Response {
    let feed = match Feed::open(app) {
        Ok(feed) => feed,
        Err(error) => return error.into_response(),
    };
    let (sender, events) = mpsc::channel(BUFFERED);
    tokio::spawn(pump(feed, sender));
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::new(Stream(events))).into_response()
}

/// Carries messages into the body until nobody reads it or the server ends.
async fn pump(mut feed: Feed, sender: mpsc::Sender<Bytes>) {
    let mut beats = interval(BEAT);
    loop {
        let event = tokio::select! {
            message = feed.next() => match message {
                Some(text) => format!("data: {text}\n\n"),
                None => return,
            },
            _ = beats.tick() => ":\n\n".to_owned(),
            () = sender.closed() => return,
        };
        if sender.send(event.into()).await.is_err() {
            return;
        }
    }
}

/// The body.
struct Stream(mpsc::Receiver<Bytes>);

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
