//! Ends what a record tells of: removes the rest of an archive that was not finished, or of one that was being deleted.
//!
//! All of it can be done again. What is at a key is removed only if it is known to be this server's: while its claim is the only
//! one, or by its ETag.

use super::id::Id;

use super::super::Result;
use super::S3Store;
use super::error::S3Error;
use super::keys::Keys;
use super::meta::{META_LEN_MAX, Meta};
use super::records::{Doing, Record};
use super::{upload, uploads};

/// What becomes of an archive that an attempt has made completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It stays: the crash came after it was listed.
    Keep,
    /// It goes too: its making has failed, and somebody was told so.
    Remove,
}

impl S3Store {
    /// Ends what former runs have left, each by itself: one that fails is tried again at the next start. Says how many objects and
    /// uploads went.
    pub(super) fn sweep_records(&self) -> Result<usize> {
        let mut removed = 0;
        for (id, record) in self.records.left_over()? {
            if record.bucket != self.bucket.name() || record.endpoint != self.options.endpoint {
                // Of another store, which looks after it.
                continue;
            }
            let Some(keys) = Keys::of(&record.key) else { continue };
            let ended = match &record.doing {
                Doing::Making { .. } => self.finish_making(id, &record, &keys, Made::Keep),
                Doing::Deleting { version } => self.finish_deleting(version.as_deref(), &keys),
                Doing::Noting => self.finish_noting(&keys),
            };
            match ended {
                Ok(count) => {
                    removed += count;
                    self.records.remove(id);
                }
                Err(error) => tracing::warn!("cannot remove what is left of an unfinished snapshot: {error}"),
            }
        }
        Ok(removed)
    }

    /// Removes what an attempt has made. The claim goes last: until then the name is ours. Says how many objects and uploads went.
    pub(super) fn finish_making(&self, id: Id, record: &Record, keys: &Keys, made: Made) -> Result<usize, S3Error> {
        let Doing::Making { owned, upload } = &record.doing else { return Ok(0) };
        let mut removed = 0;
        if *owned {
            removed += self.abort_uploads(keys, upload.as_deref())?;
            if made == Made::Remove || !self.is_made(id, keys)? {
                removed += self.remove_objects(keys)?;
            }
        }
        self.bucket.delete(&keys.claim(id))?;
        Ok(removed)
    }

    /// Aborts the upload that is known, and those of a name that is ours whose ids nobody has learned. Says how many.
    pub(super) fn abort_uploads(&self, keys: &Keys, known: Option<&str>) -> Result<usize, S3Error> {
        let mut aborted = 0;
        if let Some(id) = known {
            upload::abort(&self.bucket, &keys.data, id)?;
            aborted += 1;
        }
        for id in uploads::of_key(&self.bucket, &keys.data)? {
            upload::abort(&self.bucket, &keys.data, &id)?;
            aborted += 1;
        }
        Ok(aborted)
    }

    /// Whether the attempt has made an archive.
    fn is_made(&self, id: Id, keys: &Keys) -> Result<bool, S3Error> {
        let meta = self.bucket.get(&keys.meta, META_LEN_MAX)?;
        let is_its = meta.is_some_and(|meta| Meta::parse(&meta).is_some_and(|meta| meta.attempt == id));
        Ok(is_its && self.bucket.head(&keys.data)?.is_some())
    }

    /// Removes what is left of an archive after its index object.
    pub(super) fn finish_deleting(&self, version: Option<&str>, keys: &Keys) -> Result<usize, S3Error> {
        if self.bucket.head(&keys.meta)?.is_some() {
            // It did not come to that, or it is another archive.
            return Ok(0);
        }
        match self.bucket.head(&keys.data)? {
            Some(found) if found.e_tag.as_deref() == version => self.remove_objects(keys),
            _ => Ok(0),
        }
    }

    /// Removes the note that an archive was read back, if the archive was deleted meanwhile. Says how many objects went.
    pub(super) fn finish_noting(&self, keys: &Keys) -> Result<usize, S3Error> {
        if self.bucket.head(&keys.meta)?.is_some() || self.bucket.head(&keys.verified)?.is_none() {
            return Ok(0);
        }
        self.bucket.delete(&keys.verified)?;
        Ok(1)
    }

    /// Deletes the objects of an archive: first what makes it listed, last what keeps its name taken. Says how many there were.
    fn remove_objects(&self, keys: &Keys) -> Result<usize, S3Error> {
        let mut removed = 0;
        for key in [&keys.meta, &keys.verified, &keys.checksum, &keys.data] {
            if self.bucket.head(key)?.is_some() {
                self.bucket.delete(key)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
