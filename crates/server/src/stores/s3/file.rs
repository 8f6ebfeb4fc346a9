//! An object as a file: read in blocks, a few of which are kept, and ahead of whoever reads in order.
//!
//! Every block is asked for with the ETag that the object had when it was opened, so bytes of two objects are never mixed: a read
//! of an object that was replaced or deleted fails. Any number of threads may read; a block is fetched once for all of them.
//! Memory is bounded by the number of blocks, whatever the lengths and however many are open; where no block finds a place, exactly
//! what is read is fetched. Nothing can be written.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use icecore_io::{File, Mapping};
use object_store::path::Path;
use tokio::time::timeout;

use super::blocks::{BLOCK_LEN, Blocks, Budget, Wanted};
use super::bucket::Bucket;
use super::error::{Fault, S3Error};

/// How long a block may take before it is asked for again.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Times that a block is asked for, beside what the client repeats itself.
const FETCHES_MAX: usize = 3;

/// An open object.
pub(super) struct ObjectFile {
    shared: Arc<Shared>,
}

struct Shared {
    bucket: Bucket,
    key: Path,
    len: u64,
    version: Option<String>,
    blocks: Mutex<Blocks>,
    /// A block has arrived, or cannot be had.
    arrived: Condvar,
}

impl ObjectFile {
    /// The object at `key` as it was looked at: `len` bytes under the ETag `version`.
    pub(super) fn new(bucket: Bucket, key: Path, len: u64, version: Option<String>, budget: Budget) -> Self {
        let blocks = Mutex::new(Blocks::new(budget));
        Self { shared: Arc::new(Shared { bucket, key, len, version, blocks, arrived: Condvar::new() }) }
    }

    /// The ETag of the bytes; `None` if the server gives none.
    pub(super) fn version(&self) -> Option<&str> {
        self.shared.version.as_deref()
    }

    /// The block of this number, waited for; `None` if there is no place for it.
    fn block(&self, index: u64) -> Result<Option<Bytes>, S3Error> {
        let shared = &self.shared;
        let mut blocks = shared.lock();
        loop {
            match blocks.want(index) {
                Wanted::Here(bytes) => {
                    for ahead in blocks.ahead(index, shared.len.div_ceil(BLOCK_LEN)) {
                        Shared::fetch(shared, ahead);
                    }
                    return Ok(Some(bytes));
                }
                Wanted::NoPlace => return Ok(None),
                Wanted::Failed(error) => return Err(error),
                Wanted::Missing => Shared::fetch(shared, index),
                Wanted::OnItsWay | Wanted::NoRoom => {
                    blocks = shared.arrived.wait(blocks).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl ObjectFile {
    /// Bytes that are fetched for one read, and not kept: at most as many as a block has.
    fn part(&self, offset: u64, len: usize) -> Result<Bytes, S3Error> {
        let shared = &self.shared;
        let end = shared.len.min(offset.saturating_add(BLOCK_LEN.min(len as u64)));
        shared.bucket.runtime.block_on(fetch(&shared.bucket, &shared.key, offset..end, shared.version.as_deref()))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to fetch a block that is marked as on its way.
    fn fetch(shared: &Arc<Self>, index: u64) {
        let weak = Arc::downgrade(shared);
        let (bucket, key, version, len) = (shared.bucket.clone(), shared.key.clone(), shared.version.clone(), shared.len);
        let start = index * BLOCK_LEN;
        let range = start..len.min(start + BLOCK_LEN);
        shared.bucket.runtime.spawn(async move {
            let fetched = fetch(&bucket, &key, range, version.as_deref()).await;
            // Nobody may want it any more.
            if let Some(shared) = weak.upgrade() {
                shared.lock().arrived(index, fetched);
                shared.arrived.notify_all();
            }
        });
    }
}

/// Asks for a part of an object until it comes, or a failure will not pass.
async fn fetch(bucket: &Bucket, key: &Path, range: std::ops::Range<u64>, version: Option<&str>) -> Result<Bytes, S3Error> {
    let mut attempt = 1;
    loop {
        let error = match timeout(FETCH_TIMEOUT, bucket.get_range(key, range.clone(), version)).await {
            Ok(Ok(bytes)) => return Ok(bytes),
            Ok(Err(error)) => error,
            Err(_) => S3Error {
                operation: "read",
                object: bucket.url(key),
                reason: format!("no answer within {} seconds", FETCH_TIMEOUT.as_secs()),
                fault: Fault::Unavailable,
            },
        };
        if attempt == FETCHES_MAX || error.fault != Fault::Unavailable {
            return Err(error);
        }
        attempt += 1;
    }
}

impl fmt::Debug for ObjectFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ObjectFile").field(&self.shared.bucket.url(&self.shared.key)).finish()
    }
}

impl File for ObjectFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.shared.len)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.shared.len || buf.is_empty() {
            return Ok(0);
        }
        let (bytes, start) = match self.block(offset / BLOCK_LEN)? {
            Some(block) => (block, usize::try_from(offset % BLOCK_LEN).unwrap_or(usize::MAX)),
            None => (self.part(offset, buf.len())?, 0),
        };
        let from = bytes.get(start..).unwrap_or_default();
        let len = from.len().min(buf.len());
        let (to, _) = buf.split_at_mut(len);
        to.copy_from_slice(from.get(..len).unwrap_or_default());
        Ok(len)
    }

    fn write_at(&self, _buf: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn clone_range(&self, _source: &dyn File, _source_offset: u64, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn copy_range(&self, _source: &dyn File, _source_offset: u64, _offset: u64, _len: u64) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn start_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn map(&self) -> io::Result<Mapping> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn try_lock(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
