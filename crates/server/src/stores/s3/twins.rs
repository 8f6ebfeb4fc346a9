//! Which archive of a place has the very bytes that a new one would get, so that the server can copy it.
//!
//! An archive is trusted for what it was found to be: all of its bytes were read back and had the digest that was noted when it was
//! made here, not too long ago; its object still has the ETag that it had then; and its manifest is compared byte for byte. Nothing is
//! read back for the sake of a copy, because that costs as much as sending the bytes again. Whatever does not hold, and whatever
//! fails, makes it none that is copied; that is no error. See docs/adr/0012.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use icecore_archive::{ArchiveName, ErrorKind, Plan, Reader, Sha256Digest, Sharing, Source};
use object_store::ObjectMeta;

use super::super::Result;
use super::S3Store;
use super::blocks::Budget;
use super::copying::Original;
use super::error::S3Error;
use super::file::ObjectFile;
use super::keys::{self, Keys};
use super::verified::Verified;
use crate::error::one_line;
use crate::usecases::naming::Place;

/// Archives that are looked at: those that were noted to be sound last.
const CANDIDATES_MAX: usize = 16;

/// What a new archive will be.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) place: &'a Place,
    pub(super) plan: &'a Plan,
    pub(super) source: &'a dyn Source,
    pub(super) sharing: Sharing<'a>,
}

/// An archive with the same bytes.
pub(super) struct Twin {
    pub(super) original: Original,
    /// Digest of the whole.
    pub(super) sha256: Sha256Digest,
}

/// One of those that were verified last, if there is one.
pub(super) fn find(store: &S3Store, wanted: Wanted<'_>) -> Option<Twin> {
    search(store, wanted).unwrap_or_else(|error| {
        tracing::debug!("cannot look for an archive to be copied: {}", one_line(&error));
        None
    })
}

fn search(store: &S3Store, wanted: Wanted<'_>) -> Result<Option<Twin>> {
    let dir = keys::dir(&store.prefix, wanted.place)?;
    let objects = store.bucket.list(&dir, Some("/"))?;
    let by_key: HashMap<&str, &ObjectMeta> = objects.iter().map(|object| (object.location.as_ref(), object)).collect();
    let of_its_length = objects.iter().filter(|object| object.size == wanted.plan.archive_len());
    let mut candidates: Vec<_> = of_its_length.filter_map(|object| Candidate::new(&dir, object, &by_key)).collect();
    candidates.sort_by_key(|candidate| Reverse(candidate.noted.last_modified));
    for candidate in candidates.into_iter().take(CANDIDATES_MAX) {
        let twin = candidate.check(store, wanted)?;
        if twin.as_ref().is_some_and(|twin| twin.has_manifest_of(store, wanted)) {
            return Ok(twin);
        }
    }
    Ok(None)
}

/// An archive that is not compressed, with all that has to be beside it.
struct Candidate<'a> {
    keys: Keys,
    object: &'a ObjectMeta,
    index: &'a ObjectMeta,
    noted: &'a ObjectMeta,
}

impl<'a> Candidate<'a> {
    fn new(dir: &str, object: &'a ObjectMeta, by_key: &HashMap<&str, &'a ObjectMeta>) -> Option<Self> {
        let key = object.location.as_ref();
        key.strip_prefix(dir)?.parse().ok().filter(|name: &ArchiveName| !name.is_compressed())?;
        let keys = Keys::of(key)?;
        let [index, noted] = [&keys.meta, &keys.verified].map(|key| by_key.get(key.as_ref()).copied());
        Some(Self { object, index: index?, noted: noted?, keys })
    }

    /// Reads what is beside the archive. `None` if any of it speaks against a copy.
    fn check(self, store: &S3Store, wanted: Wanted<'_>) -> Result<Option<Twin>> {
        let Self { keys, object, index, noted: _ } = self;
        let (Some(meta), Some(verified)) = (store.read_meta(index)?, Verified::read(store, &keys)?) else { return Ok(None) };
        let is_the_same = meta.size == object.size
            && meta.uncompressed_size.is_none()
            && meta.manifest_sha256.is_some_and(|digest| digest == wanted.plan.manifest_sha256().to_string());
        let is_as_it_was = verified.attempt == meta.attempt && object.e_tag.as_ref() == Some(&verified.version);
        if !is_the_same || !is_as_it_was || !wanted.sharing.counts(verified.time(), store.clock.now()) {
            return Ok(None);
        }
        let original = Original { key: keys.data, version: verified.version, len: object.size };
        Ok(Some(Twin { original, sha256: meta.sha256 }))
    }
}

impl Twin {
    /// Opens the archive and compares its manifest. False also if it is damaged, which is told.
    fn has_manifest_of(&self, store: &S3Store, wanted: Wanted<'_>) -> bool {
        let Original { key, version, len } = self.original.clone();
        let label = PathBuf::from(store.bucket.url(&key));
        // Only its beginning is read, so no more than that is fetched.
        let file = ObjectFile::new(store.bucket.clone(), key, len, Some(version), Budget::of(0));
        match Reader::from_file(Arc::new(file), label) {
            Ok(reader) => wanted.sharing.has_manifest_of(&reader, wanted.plan),
            Err(error) => {
                // That the server does not give it says nothing of the archive.
                if error.kind() != ErrorKind::NotFound && S3Error::find(&error).is_none() {
                    (wanted.sharing.damaged)(&error);
                }
                false
            }
        }
    }
}
