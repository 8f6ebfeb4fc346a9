//! A body that is read by two: by the parser of a form until the form ends, and then to the request's end.
//!
//! A form can be whole in a request that is not, and its parser stops where the form does. Only the end of the body shows that the
//! client has sent all that it announced.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use super::envelope::{ApiError, ApiResult};
use super::limits;

/// Bytes that may follow the end of a form; they mean nothing (RFC 2046, section 5.1.1).
const EPILOGUE_LEN_MAX: usize = 64 * 1024;

/// The body of a request, which can be read on once the form in it has ended.
#[derive(Debug, Clone)]
pub(super) struct SharedBody(Arc<Mutex<Body>>);

impl SharedBody {
    /// Takes the body over.
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what follows the form. A form can be whole in a request that is not: only its end shows that the client has sent all
    /// that it announced.
    pub(super) async fn finish(mut self) -> ApiResult<()> {
        let mut len = 0;
        while let Some(frame) = poll_fn(|context| Pin::new(&mut self).poll_frame(context)).await {
            let frame = frame.map_err(|error| limits::unreadable(&error))?;
            len += frame.data_ref().map_or(0, Bytes::len);
            if len > EPILOGUE_LEN_MAX {
                return Err(ApiError::bad_request(format!(
                    "Multipart error: more than {EPILOGUE_LEN_MAX} bytes follow the end of the form"
                )));
            }
        }
        Ok(())
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}
