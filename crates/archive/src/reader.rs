//! An archive in a file: its first two members are read, and say where every other byte has to be.
//!
//! Opening reads the manifest and its digest and compares the file's length; it does not look at members. An archive that opens
//! is one of ours and complete in length. A compressed one is read like any other (see [`compressed`](crate::compressed)): all offsets
//! here are those in the tar. Whether its data is sound is for [`verify`](crate::verify()) and
//! [`unpack`](crate::unpack()) to find out. How a manifest is read and refused is in [`opening`](crate::opening).

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{File, Fs};

use crate::Error;
use crate::compressed::Cursor;
use crate::contents::Contents;
use crate::foreign::{Foreign, Seen, identify};
use crate::format::manifest::{Manifest, MemberRef};
use crate::opening::{self, Input};
use crate::plan::{Placed, Plan, TRAILER};
use crate::problem::Problem;
use icecore_io::digest::{FileDigest, Hasher};

/// An open archive whose manifest has been checked.
#[derive(Debug)]
pub struct Reader {
    contents: Contents,
    path: PathBuf,
    plan: Plan,
}

impl Reader {
    /// Opens the archive at `path`, compressed or not.
    ///
    /// Fails with [`Error::NotTar`], [`Error::Foreign`] or [`Error::Layout`] if the file is something else, with
    /// [`Error::Truncated`], [`Error::TrailingBytes`], [`Error::ManifestDigest`] or [`Error::Damaged`] if it is not as it was
    /// written, and with a kind of `InvalidInput` if its manifest breaks a rule of the format.
    pub fn open(fs: &dyn Fs, path: &Path) -> Result<Self, Error> {
        let file = fs.open_read(path).map_err(Error::io("open", path))?;
        Self::from_file(file, path.to_owned())
    }

    /// Opens the archive in a file that is open already. `label` stands for it in errors and need not be a path; only
    /// [`verify`](crate::verify()) takes it for one, when it looks for the digest file beside the archive.
    ///
    /// Fails as [`Reader::open`] does.
    pub fn from_file(file: Arc<dyn File>, label: PathBuf) -> Result<Self, Error> {
        let contents = Contents::open(file, &label)?;
        let mut input = FileInput { contents: &contents, cursor: Cursor::default(), label: &label, offset: 0 };
        let plan = opening::open(&mut input, &label)?;
        Ok(Self { contents, path: label, plan })
    }

    /// The file, or what stands for it.
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

    /// Length of the file in bytes: of a compressed archive not that of the tar, which is the plan's.
    pub fn stored_len(&self) -> u64 {
        self.contents.stored_len()
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
        self.read_exact(&mut Cursor::default(), &mut bytes, placed.data_offset)?;
        let mut hasher = Hasher::default();
        hasher.update(&bytes);
        match check_member(member, hasher).into_iter().next() {
            Some(problem) => Err(self.damaged(problem)),
            None => Ok(Some(bytes)),
        }
    }

    /// Whether the file is that of a compressed archive.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.contents, Contents::Compressed(_))
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    pub(crate) fn read_exact(&self, cursor: &mut Cursor, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        self.contents.read_exact(cursor, &self.path, buffer, offset)
    }

    /// Whether two members are better read by one thread, one after the other.
    pub(crate) fn together(&self, one: usize, other: usize) -> bool {
        match (self.plan.header_offset(one), self.plan.header_offset(other)) {
            (Some(one), Some(other)) => self.contents.together(one, other),
            _ => false,
        }
    }

    /// Compares the headers of a member, and the zeros after its data.
    pub(crate) fn check_frame(&self, cursor: &mut Cursor, placed: &Placed<'_>) -> Result<(), Error> {
        if !self.equals_at(cursor, &placed.headers(), placed.header_offset)? {
            return Err(self.damaged(placed.header_problem()));
        }
        match self.equals_at(cursor, placed.padding(), placed.data_end())? {
            true => Ok(()),
            false => Err(self.damaged(placed.padding_problem())),
        }
    }

    /// Checks the zero blocks at the end.
    pub(crate) fn check_trailer(&self) -> Result<(), Error> {
        match self.equals_at(&mut Cursor::default(), &TRAILER, self.plan.trailer_offset())? {
            true => Ok(()),
            false => Err(self.damaged(self.plan.trailer_problem())),
        }
    }

    fn equals_at(&self, cursor: &mut Cursor, expected: &[u8], offset: u64) -> Result<bool, Error> {
        let mut actual = vec![0; expected.len()];
        self.read_exact(cursor, &mut actual, offset)?;
        Ok(actual == expected)
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
struct FileInput<'a> {
    contents: &'a Contents,
    cursor: Cursor,
    label: &'a Path,
    offset: u64,
}

impl Input for FileInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let len = usize::try_from(self.contents.len() - self.offset).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..len).unwrap_or_default();
        self.contents.read_exact(&mut self.cursor, self.label, buffer, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }

    fn whole_len(&self) -> Option<u64> {
        Some(self.contents.len())
    }

    fn identify(&mut self, _first: &[u8; 512]) -> Result<Foreign, Error> {
        let cursor = RefCell::new(Cursor::default());
        let read = |buffer: &mut [u8], offset| self.contents.read_exact(&mut cursor.borrow_mut(), self.label, buffer, offset);
        identify(read, self.contents.len(), Seen::Whole)
    }
}
