//! The body of an answer that is another server's: it comes through a pipe, and is kept nowhere.
//!
//! It has the announced length or ends as an error, which ends the connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};

use crate::clusters::Fetched;

/// A body that passes through.
#[derive(Debug)]
pub(super) struct Passing {
    arriving: Fetched,
    passed: u64,
}

impl Passing {
    /// The body of what arrives.
    pub(super) fn new(arriving: Fetched) -> Self {
        Self { arriving, passed: 0 }
    }
}

impl HttpBody for Passing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.arriving.body.poll_chunk(context).map(|next| {
            let chunk = next.transpose()?;
            Some(chunk.map(|chunk| {
                self.passed = self.passed.saturating_add(chunk.len() as u64);
                Frame::data(chunk)
            }))
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.arriving.len.map_or_else(SizeHint::default, |len| SizeHint::with_exact(len.saturating_sub(self.passed)))
    }
}
