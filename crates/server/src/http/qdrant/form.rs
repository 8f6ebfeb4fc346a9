//! The body of a request with a form in parts (`multipart/form-data`): read to the end of the request, with bounded memory.
//!
//! The parser of the form stops at the form's closing delimiter, and it keeps a part's header in memory until it has all of it. So the
//! body is shared with it: what follows the form is read here, because only the end of the request shows that the client has sent all
//! that it announced; and what the parser was given and nobody has taken from a part is counted and limited. How long the parts
//! are is not limited here.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::multipart::Field;
use http_body::{Frame, SizeHint};

use crate::error::one_line;
use crate::http::envelope::{ApiError, ApiResult};
use crate::http::incoming::stalled;
use crate::http::limits;

/// Bytes of a form that are no content of its parts, at most. It leaves room for what the parser reads ahead: a few buffers of a
/// connection, of some 400 KiB each.
const FRAMING_LEN_MAX: u64 = 4 * 1024 * 1024;

/// The body of a request, which the parser of the form reads too.
#[derive(Clone)]
pub(super) struct FormBody(Arc<Mutex<CountedBody>>);

struct CountedBody {
    body: Body,
    /// Bytes that were read and are not known to be content.
    framing: u64,
}

/// A body with too much in it that is no content.
#[derive(Debug, thiserror::Error)]
#[error("the form has more than {FRAMING_LEN_MAX} bytes of headers, delimiters and the like")]
struct FramingTooLong;

impl FormBody {
    /// The body of a request, of which nothing was read yet.
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(CountedBody { body, framing: 0 })))
    }

    fn counted(&self) -> MutexGuard<'_, CountedBody> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next bytes of a part.
    pub(super) async fn chunk(&self, field: &mut Field<'_>) -> ApiResult<Option<Bytes>> {
        let chunk = field.chunk().await.map_err(|error| broken(&error))?;
        let len = chunk.as_ref().map_or(0, Bytes::len) as u64;
        let mut counted = self.counted();
        counted.framing = counted.framing.saturating_sub(len);
        Ok(chunk)
    }

    /// Reads the rest of a part, which nobody needs.
    pub(super) async fn skip(&self, mut field: Field<'_>) -> ApiResult<()> {
        while self.chunk(&mut field).await?.is_some() {}
        Ok(())
    }

    /// Reads what follows the form, to the end of the request.
    pub(super) async fn finish(mut self) -> ApiResult<()> {
        while let Some(frame) = poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await {
            frame.map_err(|error| broken(&error))?;
        }
        Ok(())
    }
}

impl HttpBody for FormBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut counted = self.counted();
        let polled = Pin::new(&mut counted.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            counted.framing += frame.data_ref().map_or(0, Bytes::len) as u64;
            if counted.framing > FRAMING_LEN_MAX {
                return Poll::Ready(Some(Err(axum::Error::new(FramingTooLong))));
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.counted().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.counted().body.size_hint()
    }
}

/// What a client is told of a form that cannot be read.
pub(super) fn broken(error: &(dyn Error + 'static)) -> ApiError {
    if stalled(error) {
        return limits::unreadable(error);
    }
    ApiError::bad_request(format!("Multipart error: {}", one_line(error)))
}
