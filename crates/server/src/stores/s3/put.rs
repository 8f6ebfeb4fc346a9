//! Makes one archive in a bucket: listed when it is complete, or gone without a trace.
//!
//! Servers differ in what they do with conditional requests: some ignore them in silence. So no write relies on them. The right to a
//! name is a claim: an object with a key of its own, written before it is looked who else has one. Of two who claim one name at
//! least one sees the other, and goes back; often both. While the only claim is ours, nobody else writes to the keys of that name.
//! The index object comes last and is read back. See docs/adr/0008.

use std::sync::atomic::Ordering;

use super::id::Id;
use axum::body::Bytes;
use icecore_archive::{ArchiveName, Progress, Sink, Written};

use super::super::{ArchiveInfo, Result, StoreError};
use super::S3Store;
use super::copying::Original;
use super::error::{Fault, S3Error};
use super::keys::Keys;
use super::meta::{META_LEN_MAX, Meta};
use super::records::{Doing, Record};
use super::sweep::Made;
use super::twins::{self, Twin, Wanted};
use super::upload::{Parts, Upload};

/// What is known of an archive before it is written.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) name: &'a ArchiveName,
    /// The longest that it can become, if anybody knows.
    pub(super) len_max: Option<u64>,
    /// Length of the tar, if it is compressed here.
    pub(super) uncompressed_size: Option<u64>,
    /// Digest of the manifest, if there is one that was read.
    pub(super) manifest_sha256: Option<icecore_archive::Sha256Digest>,
    /// How an equal one may be copied instead.
    pub(super) wanted: Option<Wanted<'a>>,
}

/// An attempt to make an archive under a name.
struct Attempt<'a> {
    store: &'a S3Store,
    keys: &'a Keys,
    id: Id,
    record: Record,
}

/// Makes the archive that `write` puts into a sink.
pub(super) fn put(
    store: &S3Store,
    keys: &Keys,
    about: About<'_>,
    progress: &dyn Progress,
    write: impl FnOnce(&mut dyn Sink) -> Result<Written, icecore_archive::Error>,
) -> Result<ArchiveInfo> {
    let id = store.records.new_id()?;
    let doing = Doing::Making { owned: false, upload: None };
    let record = store.record(keys, doing);
    store.records.write(id, &record)?;
    let mut attempt = Attempt { store, keys, id, record };
    let made = attempt.make(about, progress, write);
    match &made {
        // Listed and durable. What is left of the attempt does no harm, and goes at the next start.
        Ok(_) => attempt.release(),
        Err(_) => attempt.undo(),
    }
    made
}

impl Attempt<'_> {
    fn make(
        &mut self,
        about: About<'_>,
        progress: &dyn Progress,
        write: impl FnOnce(&mut dyn Sink) -> Result<Written, icecore_archive::Error>,
    ) -> Result<ArchiveInfo> {
        let exists = || StoreError::Exists { name: about.name.clone() };
        if !self.claim()? {
            return Err(exists());
        }
        self.note(true, None)?;
        let copied = about.wanted.map_or(Ok(None), |wanted| self.copy(wanted, progress))?;
        let written = match copied {
            Some(copied) => copied,
            None => self.send(about.len_max, progress, write)?,
        };
        self.check_size(written.len)?;

        let bucket = &self.store.bucket;
        bucket.put(&self.keys.checksum, Bytes::from(written.sha256.to_string()))?;
        let created = self.store.clock.now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let meta = Meta {
            created_at: created,
            size: written.len,
            uncompressed_size: about.uncompressed_size,
            sha256: written.sha256,
            manifest_sha256: about.manifest_sha256.map(|digest| digest.to_string()),
            verified_at: None,
            attempt: self.id,
        };
        let bytes = serde_json::to_vec(&meta).map_err(|error| self.wrong(&error.to_string()))?;
        bucket.put(&self.keys.meta, Bytes::from(bytes))?;
        match bucket.get(&self.keys.meta, META_LEN_MAX)?.as_deref().and_then(Meta::parse) {
            Some(read) if read == meta => Ok(meta.info(about.name.clone())),
            // Only where a server shows objects to nobody but their writer at first.
            Some(_) => {
                self.note(false, None)?;
                Err(exists())
            }
            None => Err(self.wrong("its index object is not there after it was written").into()),
        }
    }

    /// Claims the name. Whether nobody else does, and there is no such archive.
    fn claim(&self) -> Result<bool> {
        let bucket = &self.store.bucket;
        bucket.put(&self.keys.claim(self.id), Bytes::new())?;
        let mut is_mine = false;
        for found in bucket.list(self.keys.data.as_ref(), None)? {
            match self.keys.claimed_by(&found.location) {
                Some(id) if id == self.id => is_mine = true,
                Some(_) => return Ok(false),
                None if found.location == self.keys.data || found.location == self.keys.meta => return Ok(false),
                None => {}
            }
        }
        match is_mine {
            true => Ok(true),
            false => Err(self.wrong("the server does not list an object that it has just taken").into()),
        }
    }

    /// Has the server copy an equal archive that was found sound. `None` if there is none, or it cannot be copied; then nothing is left
    /// of the attempt.
    fn copy(&mut self, wanted: Wanted<'_>, progress: &dyn Progress) -> Result<Option<Written>> {
        let (store, keys) = (self.store, self.keys);
        let Some(Twin { original, sha256 }) = twins::find(store, wanted) else { return Ok(None) };
        // Nothing is left to send. Whoever wants it stopped is heard all the same.
        progress.start(0);
        if progress.advance(0).is_break() {
            return Err(StoreError::Archive(icecore_archive::Error::Cancelled));
        }
        wanted.source.check_unchanged().map_err(StoreError::Archive)?;
        let Original { key, version, len } = original.clone();
        let mut begun = |upload: &str| self.note(true, Some(upload.to_owned()));
        let mut upload = Upload::new(&store.copying, &keys.data, Parts::of(Some(len), store.part_len_min), progress, &mut begun);
        let copied = upload.copy(original).and_then(|()| upload.finish());
        if let Err(StoreError::Archive(_)) = copied {
            if let Err(error) = upload.abort() {
                tracing::warn!("{error}; the next start tries again");
            }
            return copied.map(|()| None);
        }
        // Its ETag says what became of it; also where an answer was lost.
        let found = store.bucket.head(&keys.data)?;
        if found.as_ref().is_some_and(|found| found.size == len && found.e_tag.as_deref() == Some(&version)) {
            tracing::debug!("{} is a copy of {}", store.bucket.url(&keys.data), store.bucket.url(&key));
            return Ok(Some(Written { len, sha256 }));
        }
        upload.abort()?;
        if found.is_some() {
            store.bucket.delete(&keys.data)?;
        }
        let reason = match copied {
            Err(error) => error.to_string(),
            Ok(()) => {
                let is_as_it_was = store.bucket.head(&key)?.is_some_and(|now| now.e_tag.as_deref() == Some(&version));
                // Where ETags do not follow from the bytes, no copy can be known for one.
                store.copies.fetch_and(!is_as_it_was, Ordering::Relaxed);
                "the copy has another ETag".to_owned()
            }
        };
        tracing::info!("{} is sent: cannot copy {}: {reason}", store.bucket.url(&keys.data), store.bucket.url(&key));
        Ok(None)
    }

    /// Sends the archive itself.
    fn send(
        &mut self,
        len_max: Option<u64>,
        progress: &dyn Progress,
        write: impl FnOnce(&mut dyn Sink) -> Result<Written, icecore_archive::Error>,
    ) -> Result<Written> {
        let (store, keys) = (self.store, self.keys);
        let mut begun = |upload: &str| self.note(true, Some(upload.to_owned()));
        let mut upload = Upload::new(&store.bucket, &keys.data, Parts::of(len_max, store.part_len_min), progress, &mut begun);
        let sent = write(&mut upload).map_err(|error| upload.failure().unwrap_or(StoreError::Archive(error)));
        let sent = sent.and_then(|written| match upload.finish() {
            Ok(()) => Ok(written),
            // An answer can be lost, and the object be there; nobody else can have written it.
            Err(error) => match store.bucket.head(&keys.data) {
                Ok(Some(found)) if found.size == written.len => Ok(written),
                _ => Err(error),
            },
        });
        if sent.is_err()
            && let Err(error) = upload.abort()
        {
            tracing::warn!("{error}; the next start tries again");
        }
        sent
    }

    fn check_size(&self, expected: u64) -> Result<()> {
        match self.store.bucket.head(&self.keys.data)? {
            Some(found) if found.size == expected => Ok(()),
            Some(found) => Err(self.wrong(&format!("{expected} bytes were sent, the object has {}", found.size)).into()),
            None => Err(self.wrong("the object is not there after it was sent").into()),
        }
    }

    /// Notes how far the attempt is.
    fn note(&mut self, owned: bool, upload: Option<String>) -> Result<()> {
        self.record.doing = Doing::Making { owned, upload };
        self.store.records.write(self.id, &self.record)
    }

    /// Lets go of the name. If an upload was begun, perhaps another one was before it, whose answer was lost.
    fn release(&self) {
        let store = self.store;
        let is_upload = matches!(&self.record.doing, Doing::Making { upload: Some(_), .. });
        let aborted = if is_upload { store.abort_uploads(self.keys, None).map(drop) } else { Ok(()) };
        match aborted.and_then(|()| store.bucket.delete(&self.keys.claim(self.id))) {
            Ok(()) => self.store.records.remove(self.id),
            Err(error) => tracing::warn!("{error}; the next start tries again"),
        }
    }

    /// Removes what the attempt has made. What cannot be removed now goes at the next start.
    fn undo(&self) {
        match self.store.finish_making(self.id, &self.record, self.keys, Made::Remove) {
            Ok(_) => self.store.records.remove(self.id),
            Err(error) => tracing::warn!("{error}; the next start tries again"),
        }
    }

    fn wrong(&self, reason: &str) -> S3Error {
        let object = self.store.bucket.url(&self.keys.data);
        S3Error { operation: "keep", object, reason: reason.to_owned(), fault: Fault::Other }
    }
}
