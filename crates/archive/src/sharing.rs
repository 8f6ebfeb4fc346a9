//! Which archive of a directory has the very bytes that a new one would get, so that one file can be both.
//!
//! An archive is trusted for what it was found to be, not for what its side file says: it has to be one that was made here and is
//! unchanged since, as far as the file system can tell, its manifest is compared byte for byte, and all of its bytes have been read
//! back not too long ago, or are now. Whatever does not hold makes it none that is shared; that is no error, because a copy can
//! always be made. Compressed archives are never shared: their bytes do not follow from their manifest. Making the link is the work
//! of [`create_draft`](crate::create_draft).

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use icecore_io::{Clock, FileKind, Fs, Metadata};

use crate::plan::Plan;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::reader::Reader;
use crate::store::{
    ARCHIVE_MODE, ArchiveName, CHECKSUM_SUFFIX, FileNote, META_SUFFIX, Meta, note_verified, read_checksum, same_file, seconds,
    side_path, time,
};
use crate::verify::{VerifyOptions, WholeDigest, verify_with};
use crate::{Error, ErrorKind};

/// How a new archive may become another name (a hard link) of an equal one beside it.
#[derive(Clone, Copy)]
pub struct Sharing<'a> {
    /// For how long it counts that all bytes of an archive were read back and found sound. Those of an archive that was not verified
    /// within this time are read first, and then it is noted; with zero they are read every time.
    pub reverify_after: Duration,
    /// Told of an archive that proves to be damaged; it is not shared then, and otherwise left as it is.
    pub damaged: &'a (dyn Fn(&Error) + Sync),
}

impl Sharing<'_> {
    /// Whether it counts at `now` that all bytes were read back at `verified_at`. A time that is still to come says nothing.
    pub fn counts(&self, verified_at: SystemTime, now: SystemTime) -> bool {
        now.duration_since(verified_at).is_ok_and(|age| age < self.reverify_after)
    }

    /// Whether an archive, beside which the manifest of `plan` is noted, has it byte for byte. If not it is damaged, which is told.
    pub fn has_manifest_of(&self, archive: &Reader, plan: &Plan) -> bool {
        if archive.plan().manifest_bytes() == plan.manifest_bytes() {
            return true;
        }
        let (expected, actual) = (plan.manifest_sha256(), archive.plan().manifest_sha256());
        let path = side_path(archive.path(), META_SUFFIX);
        (self.damaged)(&archive.damaged(Problem::NotedManifest { path, expected, actual }));
        false
    }
}

/// An archive that is as the plan wants the new one, as far as its side files and the file system say.
pub(crate) struct Twin<'a> {
    fs: &'a dyn Fs,
    sharing: Sharing<'a>,
    is_fresh: bool,
    name: ArchiveName,
    path: PathBuf,
    file: Metadata,
    meta: Meta,
}

/// The archives in `dir` that may be shared, one for each file: those that need not be verified at `now` first, and of the others the
/// newest. None if the directory cannot be read: then making a copy will fail for the same reason, or not need it.
pub(crate) fn twins<'a>(fs: &'a dyn Fs, dir: &Path, plan: &Plan, now: SystemTime, sharing: Sharing<'a>) -> Vec<Twin<'a>> {
    let entries = fs.list(dir).unwrap_or_default();
    let names = entries.into_iter().filter_map(|entry| entry.name.parse::<ArchiveName>().ok());
    let mut twins: Vec<Twin<'_>> = names.filter_map(|name| Twin::find(fs, dir, name, plan, now, sharing)).collect();
    twins.sort_by_key(|twin| Reverse((twin.is_fresh.then_some(twin.meta.verified_at), twin.meta.created_at)));
    let mut inodes = Vec::new();
    twins.retain(|twin| {
        let is_new = !inodes.contains(&twin.file.inode);
        inodes.push(twin.file.inode);
        is_new
    });
    twins
}

impl<'a> Twin<'a> {
    /// The archive of this name, if nothing that can be known without opening it speaks against it.
    fn find(fs: &'a dyn Fs, dir: &Path, name: ArchiveName, plan: &Plan, now: SystemTime, sharing: Sharing<'a>) -> Option<Self> {
        let path = dir.join(name.as_str());
        let file = fs.metadata(&path).ok()?;
        let is_like_it =
            !name.is_compressed() && file.kind == FileKind::File && file.mode == ARCHIVE_MODE && file.len == plan.archive_len();
        if !is_like_it {
            return None;
        }
        let meta = Meta::read(fs, &path).ok().flatten()?;
        let is_the_same = meta.size == file.len
            && meta.uncompressed_size.is_none()
            && meta.manifest_sha256 == Some(plan.manifest_sha256())
            && meta.file.is_some()
            && meta.file == FileNote::of(&file)
            && read_checksum(fs, &side_path(&path, CHECKSUM_SUFFIX)).is_ok_and(|checksum| checksum == meta.sha256);
        let is_fresh = meta.verified_at.is_some_and(|at| sharing.counts(time(at), now));
        is_the_same.then_some(Self { fs, sharing, is_fresh, name, path, file, meta })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is beside it.
    pub(crate) fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether this is what the file system says of the file that was looked at, and of no other.
    pub(crate) fn is(&self, found: &Metadata) -> bool {
        same_file(&self.file, found)
    }

    /// Whether all bytes were read back within the time that counts.
    pub(crate) fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Opens the archive and compares its manifest. False also if it is damaged, which is told.
    pub(crate) fn has_manifest_of(&self, plan: &Plan) -> bool {
        match Reader::open(self.fs, &self.path) {
            Ok(reader) => self.sharing.has_manifest_of(&reader, plan),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    (self.sharing.damaged)(&error);
                }
                false
            }
        }
    }

    /// Reads all bytes back, on all cores, and notes that they are sound. False if they are not, which is told. Fails only with
    /// [`Error::Cancelled`].
    pub(crate) fn verify(&mut self, clock: &dyn Clock, progress: &dyn Progress) -> Result<bool, Error> {
        let (fs, begun) = (self.fs, clock.now());
        let Ok(reader) = Reader::open(fs, &self.path) else { return Ok(false) };
        let options = VerifyOptions { whole: WholeDigest::IfNeeded, ..VerifyOptions::default() };
        let report = verify_with(fs, &reader, options, progress)?;
        if let Some(problem) = report.problems.into_iter().next() {
            (self.sharing.damaged)(&reader.damaged(problem));
            return Ok(false);
        }
        self.meta.verified_at = Some(seconds(begun));
        let dir = self.path.parent().unwrap_or(Path::new(""));
        // It only saves the next one the work: what has just been read is sound whether that can be noted or not.
        let _ = note_verified(fs, dir, &self.name, Some(begun), &|found| self.is(found));
        Ok(true)
    }
}
