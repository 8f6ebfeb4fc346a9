//! Opens an archive: reads its first two members, and knows from them where every other byte has to be.
//!
//! Opening reads the manifest and its digest and compares the file's length; it does not look at members. An archive that opens
//! is one of ours and complete in length. Whether its data is sound is for [`verify`](crate::verify()) and
//! [`unpack`](crate::unpack()) to find out. Nothing is allocated by a size that was not checked against the file's length first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{File, Fs};

use crate::Error;
use crate::foreign::{Foreign, identify, is_zstd};
use crate::format::layout::{
    DIGEST_NAME, MANIFEST_LEN_MAX, MANIFEST_NAME, TRAILER_LEN, digest_header, manifest_header, padding_len, prelude_len,
};
use crate::format::manifest::{Manifest, MemberRef, ParseError};
use crate::format::tar::{BLOCK_LEN, NAME_SIZE, RawHeader, has_magic};
use crate::format::version::LAYOUT;
use crate::plan::{Placed, Plan};
use crate::problem::Problem;
use icecore_io::digest::{FileDigest, Hasher, Sha256Digest};

/// An open archive whose manifest has been checked.
#[derive(Debug)]
pub struct Reader {
    file: Arc<dyn File>,
    path: PathBuf,
    plan: Plan,
}

impl Reader {
    /// Opens the archive at `path`.
    ///
    /// Fails with [`Error::NotTar`], [`Error::Foreign`] or [`Error::Layout`] if the file is something else, with
    /// [`Error::Truncated`], [`Error::TrailingBytes`], [`Error::ManifestDigest`] or [`Error::Damaged`] if it is not as it was
    /// written, and with a kind of `InvalidInput` if its manifest breaks a rule of the format.
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<Self, Error> {
        let file = fs.open_read(path).map_err(Error::io("open", path))?;
        let file_len = file.len().map_err(Error::io("measure", path))?;
        let opening = Opening { file: file.as_ref(), path, file_len };
        let manifest_len = opening.manifest_len()?;
        let bytes = opening.manifest(manifest_len)?;
        let manifest = Manifest::parse(&bytes).map_err(|error| opening.refused(error))?;
        let plan = Plan::from_manifest(manifest, bytes)
            .map_err(|source| Error::ManifestRule { path: path.to_owned(), source: Box::new(source) })?;
        let expected = plan.archive_len();
        if file_len < expected {
            return Err(Error::Truncated { path: path.to_owned(), expected, actual: file_len });
        }
        if file_len > expected {
            return Err(Error::TrailingBytes { path: path.to_owned(), expected, actual: file_len });
        }
        Ok(Self { file, path: path.to_owned(), plan })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that the manifest says, and where.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The members and the subject.
    pub fn manifest(&self) -> &Manifest {
        self.plan.manifest()
    }

    /// Reads and verifies the whole data of one small member.
    ///
    /// `None` if there is no member at `index`. Fails with [`Error::Damaged`] if the data is not what the manifest says. The caller
    /// bounds the length by looking at the manifest first: it is allocated at once.
    pub fn read_member(&self, index: usize) -> Result<Option<Vec<u8>>, Error> {
        let Some(placed) = self.plan.place(index) else {
            return Ok(None);
        };
        let member = placed.member;
        let len = usize::try_from(member.len)
            .map_err(|_| self.io_error("allocate memory for", std::io::ErrorKind::OutOfMemory.into()))?;
        let mut bytes = vec![0; len];
        self.read_exact(&mut bytes, placed.data_offset)?;
        let mut hasher = Hasher::default();
        hasher.update(&bytes);
        match check_member(member, hasher).into_iter().next() {
            Some(problem) => Err(self.damaged(problem)),
            None => Ok(Some(bytes)),
        }
    }

    pub(crate) fn file(&self) -> &dyn File {
        self.file.as_ref()
    }

    pub(crate) fn read_exact(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", &self.path))
    }

    /// Compares the headers of a member, and the zeros after its data.
    pub(crate) fn check_frame(&self, placed: &Placed<'_>) -> Result<(), Error> {
        let expected = placed.headers();
        let mut actual = vec![0; expected.len()];
        self.read_exact(&mut actual, placed.header_offset)?;
        if actual != expected {
            return Err(self.damaged(Problem::Header { member: placed.member.path.to_owned(), offset: placed.header_offset }));
        }
        let mut padding = vec![0; placed.padding_len()];
        self.read_exact(&mut padding, placed.data_end())?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.damaged(Problem::Padding { member: placed.member.path.to_owned(), offset: placed.data_end() }));
        }
        Ok(())
    }

    /// Checks the zero blocks at the end.
    pub(crate) fn check_trailer(&self) -> Result<(), Error> {
        let mut trailer = [1; 1024];
        self.read_exact(&mut trailer, self.plan.trailer_offset())?;
        if trailer.iter().any(|byte| *byte != 0) {
            return Err(self.damaged(Problem::Trailer { offset: self.plan.trailer_offset() }));
        }
        Ok(())
    }

    pub(crate) fn damaged(&self, source: Problem) -> Error {
        Error::Damaged { path: self.path.clone(), source }
    }

    fn io_error(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}

/// What is wrong with the data that a hasher has seen.
pub(crate) fn check_member(member: MemberRef<'_>, hasher: Hasher) -> Vec<Problem> {
    let FileDigest { sha256, crc32c, .. } = hasher.finish();
    let mut problems = Vec::new();
    if sha256 != member.sha256 {
        problems.push(Problem::Sha256 { member: member.path.to_owned(), expected: member.sha256, actual: sha256 });
    }
    if crc32c != member.crc32c {
        problems.push(Problem::Crc32c { member: member.path.to_owned(), expected: member.crc32c, actual: crc32c });
    }
    problems
}

/// A file that may be an archive.
struct Opening<'a> {
    file: &'a dyn File,
    path: &'a Path,
    file_len: u64,
}

impl Opening<'_> {
    /// The manifest's length, from a first header that is exactly ours.
    fn manifest_len(&self) -> Result<u64, Error> {
        let mut block = [0; 512];
        let available = usize::try_from(self.file_len).unwrap_or(usize::MAX).min(block.len());
        self.read(block.get_mut(..available).unwrap_or_default(), 0)?;
        if is_zstd(&block) {
            return Err(self.foreign(Foreign::Zstd));
        }
        let ours = block.get(..NAME_SIZE).is_some_and(|name| name.starts_with(MANIFEST_NAME.as_bytes()));
        if available < block.len() {
            return match ours {
                true => Err(self.truncated(BLOCK_LEN)),
                false => Err(self.not_tar()),
            };
        }
        match RawHeader::parse(&block) {
            Some(header) if block == manifest_header(header.size) => Ok(header.size),
            Some(_) => Err(self.foreign(identify(self.file, self.file_len).map_err(Error::io("read", self.path))?)),
            None if ours || has_magic(&block) => {
                Err(self.damaged(Problem::Header { member: MANIFEST_NAME.to_owned(), offset: 0 }))
            }
            None => Err(self.not_tar()),
        }
    }

    /// The manifest, whose digest stands in the second member.
    fn manifest(&self, manifest_len: u64) -> Result<Vec<u8>, Error> {
        if manifest_len > MANIFEST_LEN_MAX {
            let source = Box::new(Error::ManifestTooLong { len: manifest_len, max: MANIFEST_LEN_MAX });
            return Err(Error::ManifestRule { path: self.path.to_owned(), source });
        }
        let least = prelude_len(manifest_len) + TRAILER_LEN;
        if self.file_len < least {
            return Err(self.truncated(least));
        }
        let mut bytes = vec![0; usize::try_from(manifest_len).unwrap_or(0)];
        self.read(&mut bytes, BLOCK_LEN)?;

        let padding_offset = BLOCK_LEN + manifest_len;
        let mut padding = vec![0; usize::try_from(padding_len(manifest_len)).unwrap_or(0)];
        self.read(&mut padding, padding_offset)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.damaged(Problem::Padding { member: MANIFEST_NAME.to_owned(), offset: padding_offset }));
        }
        let header_offset = padding_offset + padding_len(manifest_len);
        let mut header = [0; 512];
        self.read(&mut header, header_offset)?;
        if header != digest_header() {
            return Err(self.damaged(Problem::Header { member: DIGEST_NAME.to_owned(), offset: header_offset }));
        }
        let offset = header_offset + BLOCK_LEN;
        let mut block = [0; 512];
        self.read(&mut block, offset)?;
        let (digits, padding) = block.split_at(Sha256Digest::HEX_LEN);
        if padding.iter().any(|byte| *byte != 0) {
            let offset = offset + digits.len() as u64;
            return Err(self.damaged(Problem::Padding { member: DIGEST_NAME.to_owned(), offset }));
        }
        let expected = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let Some(expected) = expected else {
            return Err(self.damaged(Problem::ManifestDigestText { offset }));
        };
        let actual = Sha256Digest::of(&bytes);
        if actual != expected {
            return Err(Error::ManifestDigest { path: self.path.to_owned(), expected, actual });
        }
        Ok(bytes)
    }

    fn refused(&self, error: ParseError) -> Error {
        let path = self.path.to_owned();
        match error {
            ParseError::Layout(found) => Error::Layout { path, found, known: LAYOUT },
            ParseError::Json(source) => Error::Manifest { path, source },
            ParseError::Form(offset) => Error::ManifestForm { path, offset },
            ParseError::Rule(source) => Error::ManifestRule { path, source: Box::new(source) },
        }
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.file.read_exact_at(buffer, offset).map_err(Error::io("read", self.path))
    }

    fn truncated(&self, expected: u64) -> Error {
        Error::Truncated { path: self.path.to_owned(), expected, actual: self.file_len }
    }

    fn not_tar(&self) -> Error {
        Error::NotTar { path: self.path.to_owned(), len: self.file_len }
    }

    fn foreign(&self, foreign: Foreign) -> Error {
        Error::Foreign { path: self.path.to_owned(), foreign }
    }

    fn damaged(&self, source: Problem) -> Error {
        Error::Damaged { path: self.path.to_owned(), source }
    }
}
