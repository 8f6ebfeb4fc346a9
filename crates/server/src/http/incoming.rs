//! Bodies of requests as handlers get them: who stops sending is an error, and what a handler leaves unread is read away.
//!
//! Every body of every route goes through [`guarded`], so a handler just reads, or does not. While it waits for the client, the
//! client has [`idle_timeout`] for each piece; then the body fails with `TimedOut` ([`stalled`]). A handler may
//! answer without having read all, as every refusal does. Then the client may still be sending and look for the answer only after
//! that, so up to [`DISCARDED_MAX`] bytes are read and dropped, within [`DISCARD_TIME`], beside the answer, which does not wait;
//! and the connection is closed, because what follows on it is not the next request. Nothing that is dropped is kept or written.
//!
//! A client that asked by `Expect: 100-continue` whether to send at all is not told to just to have its body dropped.
//!
//! How large a body may be is not decided here (`limits`).
//!
//! [`idle_timeout`]: crate::config::Service::idle_timeout

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep, timeout};

/// Bytes of an unread body that are read and dropped at most.
pub(super) const DISCARDED_MAX: u64 = 128 * 1024 * 1024;

/// How long an unread body is read at most.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Gives the handler a body that is [`Incoming`], and closes the connection if it was not read to its end.
pub(super) async fn guarded(State(idle): State<Duration>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let invited = !request.headers().contains_key(header::EXPECT);
    let ended = Arc::new(AtomicBool::new(false));
    let guard = Arc::clone(&ended);
    let request = request.map(|body| Body::new(Incoming { body, idle, deadline: None, invited, failed: false, ended: guard }));
    let mut response = next.run(request).await;
    if !ended.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether a body could not be read because the client stopped sending, however deep that stands in the causes.
pub(super) fn stalled(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The body of a request on its way to a handler.
struct Incoming {
    body: Body,
    idle: Duration,
    /// When the client will have sent nothing for too long; set again with each piece.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Whether the client sends, or waits to be asked to.
    invited: bool,
    failed: bool,
    /// Whether everything was read, as the response has to know.
    ended: Arc<AtomicBool>,
}

impl Incoming {
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let idle = self.idle;
        self.deadline.get_or_insert_with(|| Box::pin(sleep(idle))).as_mut().poll(context)
    }
}

impl HttpBody for Incoming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.invited = true;
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                self.deadline = None;
                match &frame {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => self.failed = true,
                    None => self.ended.store(true, Ordering::Relaxed),
                }
                if self.body.is_end_stream() {
                    self.ended.store(true, Ordering::Relaxed);
                }
                Poll::Ready(frame)
            }
            Poll::Pending => self.poll_idle(context).map(|()| {
                self.failed = true;
                let text = format!("the client sent nothing for {} seconds", self.idle.as_secs_f64());
                Some(Err(axum::Error::new(io::Error::new(io::ErrorKind::TimedOut, text))))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.invited || self.failed || self.ended.load(Ordering::Relaxed) {
            return;
        }
        // Without a runtime there is no connection either.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(discard(std::mem::take(&mut self.body)));
        }
    }
}

/// Reads a body and keeps nothing of it, until its end or the limits.
async fn discard(mut body: Body) {
    let mut left = DISCARDED_MAX;
    let reading = async {
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let len = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(len) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Either way there is nobody left to tell.
    let _ = timeout(DISCARD_TIME, reading).await;
}
