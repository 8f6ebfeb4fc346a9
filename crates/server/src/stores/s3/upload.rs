//! Sends an archive to a bucket while it is made, or has the server copy one: a multipart upload of a bounded number of parts in flight.
//!
//! What fits into one part is one request, and no upload is begun. Parts are as long as it takes to need no more than 10,000, which
//! is what a server accepts. Whoever drops an upload without [`finish`](Upload::finish) has to [`abort`](Upload::abort) it, or
//! its parts stay at the server. Each part is signed and carries its SHA-256, so a server that checks either refuses damage.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use icecore_archive::{Progress, Sink};
use object_store::PutPayload;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use tokio::task::JoinSet;

use super::super::{Result, StoreError};
use super::bucket::Bucket;
use super::copying::{Copying, Original};
use super::error::{Fault, S3Error};

/// Shortest part but for the last, in bytes. Servers want 5 MiB or more.
pub(super) const PART_LEN_MIN: usize = 8 << 20;
/// Parts that a server accepts (source: Amazon's limits of multipart uploads).
const PARTS_MAX: u64 = 10_000;
/// Of an archive whose length is not known, so many parts have one length, and the next ones twice that.
const PARTS_OF_ONE_LEN: usize = 1000;
/// Bytes in flight; of longer parts it is one at a time.
const IN_FLIGHT_LEN: usize = 32 << 20;
/// How often a waiting upload asks whether it has to stop.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// How long parts are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parts {
    /// All of this length, in bytes.
    Equal(usize),
    /// Longer and longer, beginning with this length.
    Growing(usize),
}

impl Parts {
    /// For an archive of at most `len` bytes, if that is known: multiples of `part_len_min`, or of a MiB if that is shorter.
    pub(super) fn of(len: Option<u64>, part_len_min: usize) -> Self {
        let Some(len) = len else { return Self::Growing(part_len_min) };
        let needed = usize::try_from(len.div_ceil(PARTS_MAX)).unwrap_or(usize::MAX).max(part_len_min);
        Self::Equal(needed.checked_next_multiple_of(part_len_min.min(1 << 20)).unwrap_or(usize::MAX))
    }

    fn len(self, index: usize) -> usize {
        match self {
            Self::Equal(len) => len,
            // Ten doublings: no server accepts more parts, and 8 GiB parts do not fit anywhere.
            Self::Growing(first) => first << (index / PARTS_OF_ONE_LEN).min(10),
        }
    }
}

/// An archive on its way to a bucket.
pub(super) struct Upload<'a> {
    bucket: &'a Bucket,
    key: &'a Path,
    parts: Parts,
    progress: &'a dyn Progress,
    /// Told the id of the upload before the first part is sent.
    begun: &'a mut dyn FnMut(&str) -> Result<()>,
    /// The part that is being filled.
    part: Vec<u8>,
    id: Option<String>,
    /// Those that were sent, in order; `None` while they are in flight.
    sent: Vec<Option<PartId>>,
    in_flight: JoinSet<(usize, Result<PartId, S3Error>)>,
    failure: Option<StoreError>,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        bucket: &'a Bucket,
        key: &'a Path,
        parts: Parts,
        progress: &'a dyn Progress,
        begun: &'a mut dyn FnMut(&str) -> Result<()>,
    ) -> Self {
        let (part, sent) = (Vec::new(), Vec::new());
        Self { bucket, key, parts, progress, begun, part, id: None, sent, in_flight: JoinSet::new(), failure: None }
    }

    /// Ends the object with what was written. On an error it may be there or not; [`abort`](Self::abort) has to follow.
    pub(super) fn finish(&mut self) -> Result<()> {
        if self.id.is_none() {
            return Ok(self.bucket.put(self.key, Bytes::from(std::mem::take(&mut self.part)))?);
        }
        if !self.part.is_empty() {
            self.send()?;
        }
        while !self.in_flight.is_empty() {
            self.wait()?;
        }
        let (Some(id), Some(parts)) = (&self.id, self.sent.iter().cloned().collect::<Option<Vec<_>>>()) else {
            return Err(self.broken("a part was lost").into());
        };
        let completed = self.bucket.client.complete_multipart(self.key, id, parts);
        let completed = self.bucket.runtime.block_on(completed).map_err(self.bucket.error("complete the upload of", self.key));
        Ok(completed.map(drop)?)
    }

    /// Takes everything back that was sent and has not become an object.
    pub(super) fn abort(&mut self) -> Result<()> {
        self.part = Vec::new();
        // The tasks are waited for, so that no part arrives after the end of its upload.
        self.bucket.runtime.block_on(self.in_flight.shutdown());
        match self.id.take() {
            Some(id) => Ok(abort(self.bucket, self.key, &id)?),
            None => Ok(()),
        }
    }

    /// Why a write failed, once; what the writer of the archive knows of it is that its sink failed.
    pub(super) fn failure(&mut self) -> Option<StoreError> {
        self.failure.take()
    }

    /// Makes the object of the bytes of another one, by the server, in the parts in which they would be sent. [`finish`](Self::finish)
    /// has to follow.
    pub(super) fn copy(&mut self, original: Original) -> Result<()> {
        let copying = Arc::new(Copying::new(self.bucket, original, self.key)?);
        let (mut start, end) = (0, copying.len());
        while start < end {
            // A server may be too fast for anybody ever to wait for it.
            if self.progress.advance(0).is_break() {
                return Err(StoreError::Archive(icecore_archive::Error::Cancelled));
            }
            let len = self.parts.len(self.sent.len());
            let range = start..end.min(start + len as u64);
            start = range.end;
            let copying = Arc::clone(&copying);
            self.start(len, |id, index| async move { copying.part(&id, index, range).await })?;
        }
        Ok(())
    }

    /// Sends the part that was filled.
    fn send(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.part);
        let (bucket, key) = (self.bucket.clone(), self.key.clone());
        self.start(bytes.len(), |id, index| async move {
            let sent = bucket.client.put_part(&key, &id, index, PutPayload::from(Bytes::from(bytes))).await;
            sent.map_err(bucket.error("send a part of", &key))
        })
    }

    /// Starts with the next part, of `len` bytes, once there is room for it in flight. `part` is given the id of the upload and the
    /// part's number from 0.
    fn start<F>(&mut self, len: usize, part: impl FnOnce(String, usize) -> F) -> Result<()>
    where
        F: Future<Output = Result<PartId, S3Error>> + Send + 'static,
    {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => self.begin()?,
        };
        let room = (IN_FLIGHT_LEN / len.max(1)).max(1);
        while self.in_flight.len() >= room {
            self.wait()?;
        }
        let index = self.sent.len();
        self.sent.push(None);
        let sending = part(id, index);
        self.in_flight.spawn_on(async move { (index, sending.await) }, &self.bucket.runtime);
        Ok(())
    }

    fn begin(&mut self) -> Result<String> {
        let created = self.bucket.client.create_multipart(self.key);
        let id = self.bucket.runtime.block_on(created).map_err(self.bucket.error("begin the upload of", self.key))?;
        // Known here before it is noted, so that it is aborted if that fails.
        self.id = Some(id.clone());
        (self.begun)(&id)?;
        Ok(id)
    }

    /// Waits until a part has arrived, or the end is asked for.
    fn wait(&mut self) -> Result<()> {
        loop {
            let joined =
                self.bucket.runtime.block_on(async { tokio::time::timeout(ASK_INTERVAL, self.in_flight.join_next()).await });
            match joined {
                Ok(None) => return Ok(()),
                Ok(Some(Ok((index, Ok(part))))) => {
                    if let Some(slot) = self.sent.get_mut(index) {
                        *slot = Some(part);
                    }
                    return Ok(());
                }
                Ok(Some(Ok((_, Err(error))))) => return Err(error.into()),
                Ok(Some(Err(_))) => return Err(self.broken("the thread that sent a part has ended").into()),
                Err(_) => {
                    if self.progress.advance(0).is_break() {
                        return Err(StoreError::Archive(icecore_archive::Error::Cancelled));
                    }
                }
            }
        }
    }

    fn broken(&self, reason: &str) -> S3Error {
        S3Error { operation: "upload", object: self.bucket.url(self.key), reason: reason.to_owned(), fault: Fault::Other }
    }
}

impl Sink for Upload<'_> {
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let len = self.parts.len(self.sent.len());
            if self.part.capacity() == 0 {
                self.part.reserve_exact(len);
            }
            let (now, later) = bytes.split_at(bytes.len().min(len - self.part.len()));
            self.part.extend_from_slice(now);
            bytes = later;
            if self.part.len() == len
                && let Err(error) = self.send()
            {
                let text = error.to_string();
                self.failure = Some(error);
                return Err(io::Error::other(text));
            }
        }
        Ok(())
    }
}

/// Aborts an upload. One that is not there, or has become an object, is no error.
pub(super) fn abort(bucket: &Bucket, key: &Path, id: &str) -> Result<(), S3Error> {
    let id = id.to_owned();
    let aborted =
        bucket.runtime.block_on(bucket.client.abort_multipart(key, &id)).map_err(bucket.error("abort the upload of", key));
    match aborted {
        Err(error) if error.fault != Fault::NoObject => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_long_enough_for_the_servers_limit() {
        for len in [0, 1, 8 << 20, 80 << 30, 1 << 40, 5 << 40] {
            let Parts::Equal(part_len) = Parts::of(Some(len), PART_LEN_MIN) else { panic!("{len}") };
            assert!(part_len >= PART_LEN_MIN && len.div_ceil(part_len as u64) <= PARTS_MAX, "{len}: {part_len}");
        }
        let Parts::Equal(short) = Parts::of(Some(80 << 30), PART_LEN_MIN) else { panic!() };
        assert_eq!(short, 9 << 20);
        let growing: u64 = (0..10_000).map(|index| Parts::Growing(PART_LEN_MIN).len(index) as u64).sum();
        assert!(growing > 5 << 40, "the longest object that servers keep");
    }
}
