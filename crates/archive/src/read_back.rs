//! Reads an archive back after it was made, and notes beside it that its bytes are sound, so that equal ones may share them.
//!
//! What is read is one file with one note beside it. As soon as either is another (the archive was deleted, another has got its name,
//! somebody else has verified it), going on is of no use, and nothing is said about what was read until then. One thread reads, for
//! nobody waits for the result. Which archives are read back, and when, is the caller's business.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use icecore_io::{Clock, Fs, Metadata};

use crate::progress::Progress;
use crate::reader::Reader;
use crate::store::{ArchiveName, META_SUFFIX, Meta, note_verified, same_file, side_path};
use crate::verify::{VerifyOptions, WholeDigest, verify_with};
use crate::{Error, ErrorKind};

/// What reading an archive back has shown.
#[derive(Debug)]
#[must_use]
pub enum ReadBack {
    /// Every byte is as it was meant.
    Sound {
        /// Length of the file in bytes.
        bytes: u64,
        /// Whether that could be noted. If not, whoever wants to share the archive has to read it again.
        noted: Result<(), Error>,
    },
    /// It is not what was made. It stays as it is, and nothing is noted.
    Damaged(Error),
    /// It is not there, has no side file that is about it, or has been verified by somebody else; before or meanwhile.
    Unneeded,
}

/// Reads the archive `name` of `dir` back, unless it was verified before. Progress counts bytes of the tar.
///
/// Fails with [`Error::Cancelled`], or if the system does not let the archive be looked at.
pub fn read_back(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    progress: &dyn Progress,
) -> Result<ReadBack, Error> {
    let Some(pair) = Pair::find(fs, dir.join(name.as_str()))? else { return Ok(ReadBack::Unneeded) };
    let begun = clock.now();
    let damaged = match pair.damage(fs, progress) {
        // Whatever has come out of it, it is about something that is not there any more.
        _ if !pair.is_there(fs) => return Ok(ReadBack::Unneeded),
        damaged => damaged?,
    };
    if let Some(error) = damaged {
        return Ok(ReadBack::Damaged(error));
    }
    let noted = note_verified(fs, dir, name, Some(begun), &|found| same_file(found, &pair.file));
    if !pair.has_archive(fs) {
        return Ok(ReadBack::Unneeded);
    }
    Ok(ReadBack::Sound { bytes: pair.file.len, noted: noted.map(drop) })
}

/// An archive and the note beside it, as they were when the reading began.
struct Pair {
    path: PathBuf,
    file: Metadata,
    side: PathBuf,
    note: Metadata,
}

impl Pair {
    /// `None` if there is nothing to do.
    fn find(fs: &dyn Fs, path: PathBuf) -> Result<Option<Self>, Error> {
        let side = side_path(&path, META_SUFFIX);
        let look = |path: &Path| match fs.metadata(path).map_err(Error::io("look at", path)) {
            Err(Error::NotFound { .. }) => Ok(None),
            found => found.map(Some),
        };
        // The note is read after it was looked at: one that replaces it meanwhile is another.
        let (Some(file), Some(note)) = (look(&path)?, look(&side)?) else { return Ok(None) };
        let is_wanted = Meta::read(fs, &path)?.is_some_and(|meta| meta.size == file.len && meta.verified_at.is_none());
        Ok(is_wanted.then_some(Self { path, file, side, note }))
    }

    /// Reads all bytes; the first thing that is wrong.
    fn damage(&self, fs: &dyn Fs, progress: &dyn Progress) -> Result<Option<Error>, Error> {
        let reader = match Reader::open(fs, &self.path) {
            Ok(reader) => reader,
            Err(error) => {
                return match error.kind() {
                    ErrorKind::Io | ErrorKind::Cancelled => Err(error),
                    _ => Ok(Some(error)),
                };
            }
        };
        let options = VerifyOptions { threads: NonZeroUsize::MIN, whole: WholeDigest::IfNeeded };
        let report = verify_with(fs, &reader, options, &Watching { pair: self, fs, progress })?;
        Ok(report.problems.into_iter().next().map(|problem| reader.damaged(problem)))
    }

    fn has_archive(&self, fs: &dyn Fs) -> bool {
        fs.metadata(&self.path).is_ok_and(|found| same_file(&found, &self.file))
    }

    fn is_there(&self, fs: &dyn Fs) -> bool {
        self.has_archive(fs) && fs.metadata(&self.side).is_ok_and(|found| same_file(&found, &self.note))
    }
}

/// Ends the reading when it is of no use any more.
struct Watching<'a> {
    pair: &'a Pair,
    fs: &'a dyn Fs,
    progress: &'a dyn Progress,
}

impl Progress for Watching<'_> {
    fn start(&self, total: u64) {
        self.progress.start(total);
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        self.progress.advance(bytes)?;
        match self.pair.is_there(self.fs) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }
}
