//! A snapshot on its way from a cluster into a store.
//!
//! The end of its bytes is a clean one only if their digest is the one that the cluster has told: a store that fails to read keeps
//! nothing, so nothing wrong is ever listed. Why reading has failed is kept, because the store tells no more than that it did.

use std::future::poll_fn;
use std::io::{self, Read};

use axum::body::Bytes;
use icecore_archive::{Hasher, Sha256Digest};

use super::super::ManagedError;
use super::Site;
use crate::error::AppError;
use crate::pipe::PipeReader;

/// The bytes as they come, to be read on the job's thread.
pub(super) struct Arrival<'a> {
    site: &'a Site<'a>,
    body: PipeReader,
    /// What is left of the chunk that is being read.
    chunk: Bytes,
    hasher: Hasher,
    /// The digest that the bytes have to have, if the cluster has told one.
    expected: Option<Sha256Digest>,
    failure: Option<AppError>,
}

impl<'a> Arrival<'a> {
    pub(super) fn new(site: &'a Site<'a>, body: PipeReader, expected: Option<Sha256Digest>) -> Self {
        Self { site, body, chunk: Bytes::new(), hasher: Hasher::default(), expected, failure: None }
    }

    /// Why reading has failed, if it has.
    pub(super) fn failure(self) -> Option<AppError> {
        self.failure
    }

    fn fail(&mut self, why: impl Into<AppError>) -> io::Error {
        self.failure = Some(why.into());
        io::Error::other("the snapshot did not arrive")
    }

    /// The next chunk; empty at the end.
    fn next(&mut self) -> io::Result<Bytes> {
        match self.site.wait(poll_fn(|context| self.body.poll_chunk(context))) {
            Ok(Ok(Some(chunk))) => {
                self.hasher.update(&chunk);
                Ok(chunk)
            }
            Ok(Ok(None)) => match (self.expected, self.hasher.clone().finish().sha256) {
                (Some(expected), actual) if expected != actual => {
                    Err(self.fail(ManagedError::OtherChecksum { expected, actual }))
                }
                _ => Ok(Bytes::new()),
            },
            Ok(Err(error)) => Err(self.fail(ManagedError::NotArrived { reason: error.to_string() })),
            Err(stopped) => Err(self.fail(stopped)),
        }
    }
}

impl Read for Arrival<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Ends: what sends them has no chunk that is empty but the end.
        if self.chunk.is_empty() {
            self.chunk = self.next()?;
        }
        let len = self.chunk.len().min(buffer.len());
        let taken = self.chunk.split_to(len);
        buffer.iter_mut().zip(taken).for_each(|(to, from)| *to = from);
        Ok(len)
    }
}
