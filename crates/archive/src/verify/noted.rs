//! What the files beside an archive say about it.
//!
//! `<name>.checksum` says which file it is about by the digest of the whole; `<name>.meta.json` says it also by the digest of the
//! manifest, which is known as soon as the archive is open. Neither has to be there. One that is about a file of another length is
//! not believed, as in listings.

use std::io;
use std::path::PathBuf;

use icecore_io::Fs;
use icecore_io::digest::Sha256Digest;

use crate::plan::Plan;
use crate::problem::Problem;
use crate::reader::Reader;
use crate::store::{CHECKSUM_SUFFIX, META_SUFFIX, Meta, read_checksum, side_path};

/// The files beside one archive.
pub(super) struct Noted {
    checksum_path: PathBuf,
    /// `NotFound` if there is none.
    checksum: io::Result<Sha256Digest>,
    meta_path: PathBuf,
    meta: Option<Meta>,
}

impl Noted {
    /// Reads them.
    pub(super) fn read(fs: &dyn Fs, reader: &Reader) -> Self {
        let path = reader.path();
        let checksum_path = side_path(path, CHECKSUM_SUFFIX);
        let checksum = read_checksum(fs, &checksum_path);
        // What cannot be read shows nothing, so that the digest file has to be compared.
        let meta = Meta::read(fs, path).ok().flatten().filter(|meta| meta.size == reader.stored_len());
        Self { checksum_path, checksum, meta_path: side_path(path, META_SUFFIX), meta }
    }

    /// Whether there is a digest of the whole to compare with.
    pub(super) fn has_checksum(&self) -> bool {
        self.checksum.is_ok()
    }

    /// The digest of the tar of this plan: of the one archive that its manifest makes. `None` if the files do not agree about that.
    pub(super) fn sha256(&self, plan: &Plan) -> Option<Sha256Digest> {
        let meta = self.meta.as_ref().filter(|meta| meta.manifest_sha256 == Some(plan.manifest_sha256()))?;
        let agree = match &self.checksum {
            Ok(checksum) => *checksum == meta.sha256,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        agree.then_some(meta.sha256)
    }

    /// In what they differ from the archive of this plan, whose digest is `actual` as far as it is known.
    pub(super) fn problems(self, plan: &Plan, actual: Option<Sha256Digest>) -> Vec<Problem> {
        let mut problems = Vec::new();
        match (self.checksum, actual) {
            (Ok(expected), Some(actual)) if actual != expected => {
                problems.push(Problem::Checksum { path: self.checksum_path, expected, actual });
            }
            (Err(source), _) if source.kind() != io::ErrorKind::NotFound => {
                problems.push(Problem::ChecksumFile { path: self.checksum_path, source });
            }
            _ => {}
        }
        let (expected, actual) = (self.meta.and_then(|meta| meta.manifest_sha256), plan.manifest_sha256());
        if let Some(expected) = expected.filter(|expected| *expected != actual) {
            problems.push(Problem::NotedManifest { path: self.meta_path, expected, actual });
        }
        problems
    }
}
