//! The note that all bytes of an archive were read back and found sound, `<key>.verified.json`.
//!
//! It is an object of its own, so that the index object is never written twice: nobody who deletes an archive can bring it back, and
//! nobody who notes something. It tells of one object under one ETag, made under one claim, and means nothing for any other. Anybody
//! who has read the archive may write it: whichever of two is left is true. FORMAT.md has the table.

use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use serde::{Deserialize, Serialize};

use super::super::{Result, StoreError, StoredArchive};
use super::S3Store;
use super::error::{Fault, S3Error};
use super::file::ObjectFile;
use super::id::Id;
use super::keys::Keys;
use super::records::Doing;

/// Longest note that is read, in bytes.
const LEN_MAX: u64 = 64 << 10;

/// The contents of the note. Unknown fields are ignored, so that later versions can add some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Verified {
    /// When the reading began, in seconds since 1970-01-01T00:00:00Z.
    pub(super) verified_at: u64,
    /// The ETag of what was read.
    pub(super) version: String,
    /// The claim under which it was made.
    pub(super) attempt: Id,
}

impl Verified {
    /// `None` if there is no note, or it cannot be understood.
    pub(super) fn read(store: &S3Store, keys: &Keys) -> Result<Option<Self>, S3Error> {
        let bytes = store.bucket.get(&keys.verified, LEN_MAX)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// When the reading began.
    pub(super) fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.verified_at)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// Does what [`note_read_back`](super::Store::note_read_back) promises.
pub(super) fn note(store: &S3Store, keys: &Keys, archive: &StoredArchive, sound_at: Option<SystemTime>) -> Result<()> {
    let Some(meta) = store.look_up(keys)?.filter(|meta| meta.info(archive.info.name.clone()) == archive.info) else {
        return Ok(());
    };
    let Some(sound_at) = sound_at else { return Ok(store.bucket.delete(&keys.verified)?) };
    // Without ETags there is nothing by which it could be recognised.
    let version = archive.file.as_any().downcast_ref().and_then(ObjectFile::version);
    let Some(version) = version.map(str::to_owned) else { return Ok(()) };
    let verified_at = sound_at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let bytes = serde_json::to_vec(&Verified { verified_at, version, attempt: meta.attempt }).map_err(|error| {
        let (object, reason) = (store.bucket.url(&keys.verified), error.to_string());
        StoreError::Object(S3Error { operation: "write", object, reason, fault: Fault::Other })
    })?;
    let id = store.records.new_id()?;
    store.records.write(id, &store.record(keys, Doing::Noting))?;
    let noted = store.bucket.put(&keys.verified, Bytes::from(bytes));
    // Who has deleted the archive meanwhile may have missed the note.
    match store.finish_noting(keys) {
        Ok(_) => store.records.remove(id),
        Err(error) => tracing::warn!("{error}; the next start tries again"),
    }
    Ok(noted?)
}
