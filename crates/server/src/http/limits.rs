//! How much of a request is read.
//!
//! A body over the limit is refused without being kept. Up to [`DRAINED_MAX`] bytes of it are still read and dropped, so that
//! the client, which may look for the answer only after sending all, finds the answer rather than a reset connection.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::HttpBody as _;
use axum::extract::Request;

use super::envelope::{ApiError, ApiResult};

/// Bytes over the limit that are read and dropped before the answer.
const DRAINED_MAX: usize = 128 * 1024 * 1024;

/// Bytes that are reserved on the word of a `Content-Length` alone.
const RESERVED_MAX: usize = 1024 * 1024;

/// Reads a body of up to `limit` bytes.
pub(super) async fn read_body(request: Request, limit: usize) -> ApiResult<Vec<u8>> {
    let mut body = request.into_body();
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = Vec::with_capacity(announced.min(limit).min(RESERVED_MAX));
    let mut read = 0_usize;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| ApiError::payload(format!("the body ended early: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        read = read.saturating_add(data.len());
        if read <= limit {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
            if read > limit.saturating_add(DRAINED_MAX) {
                break;
            }
        }
    }
    if read > limit {
        let size = read.max(announced);
        return Err(ApiError::payload(format!("JSON payload ({size} bytes) is larger than allowed (limit: {limit} bytes).")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(body: &'static [u8]) -> Request {
        Request::new(Body::from(body))
    }

    #[tokio::test]
    async fn a_body_of_just_the_limit_is_read_whole() {
        assert_eq!(read_body(request(b"12345"), 5).await.unwrap(), b"12345");
    }

    #[tokio::test]
    async fn a_longer_body_is_refused_with_both_numbers() {
        let error = read_body(request(b"123456"), 5).await.unwrap_err();
        assert_eq!(error.status.as_u16(), 400);
        assert_eq!(error.message, "Payload error: JSON payload (6 bytes) is larger than allowed (limit: 5 bytes).");
    }
}
