//! How much of a request is read into memory, and what a client is told of a body that cannot be read.
//!
//! A body over the limit is refused without being kept: by its `Content-Length` before anything of it is read, otherwise at the
//! first byte too many. What the client still sends is dropped as all unread bodies are (`incoming`).

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;

use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::StatusCode;

use super::envelope::{ApiError, ApiResult};
use super::incoming::stalled;
use crate::error::one_line;

/// Bytes that are reserved on the word of a `Content-Length` alone.
const RESERVED_MAX: usize = 1024 * 1024;

/// Reads a body of up to `limit` bytes.
pub(super) async fn read_body(request: Request, limit: usize) -> ApiResult<Vec<u8>> {
    let mut body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(ApiError::payload(format!(
            "JSON payload ({announced} bytes) is larger than allowed (limit: {limit} bytes)."
        )));
    }
    let mut bytes = Vec::with_capacity(announced.min(RESERVED_MAX));
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame.map_err(|error| unreadable(&error))?.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(ApiError::payload(format!("JSON payload has exceeded limit ({limit} bytes).")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Refuses an upload that is announced to be longer than `limit` bytes.
pub(super) fn check_announced(request: &Request, limit: u64) -> ApiResult<()> {
    let announced = request.body().size_hint().lower();
    if announced > limit { Err(too_long(announced, limit)) } else { Ok(()) }
}

/// The error for an upload of `len` bytes, or at least so many.
pub(super) fn too_long(len: u64, limit: u64) -> ApiError {
    ApiError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        message: format!("Payload error: the upload ({len} bytes) is larger than allowed (limit: {limit} bytes)"),
    }
}

/// What a client is told whose body could not be read to its end: 408 if it stopped sending, else 400.
pub(super) fn unreadable(error: &(dyn Error + 'static)) -> ApiError {
    if stalled(error) {
        ApiError::timeout("the body of the request was not sent in time")
    } else {
        ApiError::payload(format!("the body ended early: {}", one_line(error)))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::Body;

    use super::*;

    fn request(body: impl Into<Body>) -> Request {
        Request::new(body.into())
    }

    #[tokio::test]
    async fn a_body_of_just_the_limit_is_read_whole() {
        assert_eq!(read_body(request("12345"), 5).await.unwrap(), b"12345");
    }

    #[tokio::test]
    async fn a_longer_body_is_refused_with_both_numbers() {
        let error = read_body(request("123456"), 5).await.unwrap_err();
        assert_eq!(error.status.as_u16(), 400);
        assert_eq!(error.message, "Payload error: JSON payload (6 bytes) is larger than allowed (limit: 5 bytes).");
    }

    #[tokio::test]
    async fn what_a_body_hides_of_its_length_is_counted() {
        // An adapter that says nothing of the length, as a chunked body.
        struct Hidden(Body);
        impl axum::body::HttpBody for Hidden {
            type Data = axum::body::Bytes;
            type Error = axum::Error;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
                Pin::new(&mut self.0).poll_frame(context)
            }
        }
        let hidden = |text: &'static str| request(Body::new(Hidden(Body::from(text))));
        assert_eq!(read_body(hidden("12345"), 5).await.unwrap(), b"12345");
        let error = read_body(hidden("123456"), 5).await.unwrap_err();
        assert_eq!(error.message, "Payload error: JSON payload has exceeded limit (5 bytes).");
    }

    #[test]
    fn who_stops_sending_is_told_so_and_others_what_happened() {
        let error = |kind| unreadable(&axum::Error::new(axum::Error::new(io::Error::new(kind, "cause"))));
        assert_eq!(error(io::ErrorKind::TimedOut).status.as_u16(), 408);
        let reset = error(io::ErrorKind::ConnectionReset);
        assert_eq!((reset.status.as_u16(), reset.message.contains("cause")), (400, true));
    }
}
