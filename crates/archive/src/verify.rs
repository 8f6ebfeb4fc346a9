//! Reads a whole archive and lists everything that is wrong with it.
//!
//! Each byte is read once and is either compared with what the manifest gives or covered by a member's digests, so there is no byte
//! whose change goes unseen. It goes on after damage and after read errors. The digest of the whole is computed on a second thread;
//! being sequential it bounds the time, so more threads would not help. Nothing is changed on disk.

use std::io;
use std::path::Path;

use icecore_io::Fs;

use crate::Error;
use crate::format::layout::MANIFEST_NAME;
use crate::plan::Placed;
use crate::problem::Problem;
use crate::progress::{Progress, advance};
use crate::reader::{Reader, check_member};
use crate::store::{CHECKSUM_SUFFIX, read_checksum, side_path};
use crate::writer::hash::{Buffer, Digester, with_digester};
use icecore_io::digest::{Hasher, Sha256Digest};

/// What [`verify`] found.
#[derive(Debug)]
#[must_use]
pub struct Report {
    /// Everything that is wrong, in the order of the archive. Empty if the archive is sound.
    pub problems: Vec<Problem>,
    /// Digest of the whole file; `None` if some bytes could not be read (see [`Problem::Read`]).
    pub sha256: Option<Sha256Digest>,
    /// Members, beside the manifest and its digest.
    pub members: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Verifies an open archive, and the digest file beside it if there is one. Progress counts bytes of the file.
///
/// Fails only with [`Error::Cancelled`]; whatever is wrong with the archive is in the report.
pub fn verify(fs: &dyn Fs, reader: &Reader, progress: &dyn Progress) -> Result<Report, Error> {
    progress.start(reader.plan().archive_len());
    let (scanned, sha256) = with_digester(|mut digester| {
        let buffer = digester.take();
        Scan { reader, digester, progress, buffer, at: 0, offset: 0, unreadable_end: 0, problems: Vec::new() }.run()
    });
    let (mut problems, readable) = scanned?;
    let sha256 = readable.then_some(sha256);
    problems.extend(check_side_file(fs, reader.path(), sha256));
    Ok(Report { problems, sha256, members: reader.manifest().len() as u64, bytes: reader.plan().archive_len() })
}

/// The archive as a stream of bytes that is checked in order.
struct Scan<'a> {
    reader: &'a Reader,
    digester: Digester,
    progress: &'a dyn Progress,
    buffer: Buffer,
    /// The next byte of the buffer.
    at: usize,
    /// The offset after the buffer's last byte.
    offset: u64,
    /// Where the last stretch of bytes ends that could not be read; 0 if there was none.
    unreadable_end: u64,
    problems: Vec<Problem>,
}

impl Scan<'_> {
    /// The problems, and whether all bytes could be read.
    fn run(mut self) -> Result<(Vec<Problem>, bool), Error> {
        let plan = self.reader.plan();
        let manifest = || MANIFEST_NAME.to_owned();
        // Opening has read these, but only the bytes that are digested now are known to be those.
        if !self.equals(&plan.manifest_header())? | !self.equals(plan.manifest_bytes())? | !self.equals(&plan.digest_member())? {
            self.problems.push(Problem::Header { member: manifest(), offset: 0 });
        }
        for placed in plan.placed() {
            self.member(&placed)?;
        }
        if !self.equals(&[0; 1024])? {
            self.problems.push(Problem::Trailer { offset: plan.trailer_offset() });
        }
        self.digester.give(self.buffer);
        Ok((self.problems, self.unreadable_end == 0))
    }

    fn member(&mut self, placed: &Placed<'_>) -> Result<(), Error> {
        let path = placed.member.path;
        if !self.equals(&placed.headers())? {
            self.problems.push(Problem::Header { member: path.to_owned(), offset: placed.header_offset });
        }
        let start = placed.data_offset;
        let mut hasher = Hasher::default();
        let mut left = placed.member.len;
        while left > 0 {
            let bytes = self.next(left)?;
            hasher.update(bytes);
            left -= bytes.len() as u64;
        }
        if self.unreadable_end <= start {
            self.problems.extend(check_member(placed.member, hasher));
        }
        let zeros = [0; 512];
        if !self.equals(zeros.get(..placed.padding_len()).unwrap_or(&zeros))? {
            self.problems.push(Problem::Padding { member: path.to_owned(), offset: placed.data_end() });
        }
        Ok(())
    }

    /// Whether the next bytes are `expected`. Bytes that cannot be read count as equal: they are a problem of their own.
    fn equals(&mut self, mut expected: &[u8]) -> Result<bool, Error> {
        let start = self.offset - (self.buffer.filled().len() - self.at) as u64;
        let mut equal = true;
        while !expected.is_empty() {
            let actual = self.next(expected.len() as u64)?;
            let (now, later) = expected.split_at(actual.len());
            equal &= actual == now;
            expected = later;
        }
        Ok(equal || self.unreadable_end > start)
    }

    /// The next bytes of the archive: at least one, at most `max`.
    fn next(&mut self, max: u64) -> Result<&[u8], Error> {
        if self.at == self.buffer.filled().len() {
            self.refill()?;
        }
        let rest = self.buffer.filled().get(self.at..).unwrap_or_default();
        let len = usize::try_from(max).unwrap_or(usize::MAX).min(rest.len());
        self.at += len;
        Ok(rest.get(..len).unwrap_or_default())
    }

    fn refill(&mut self) -> Result<(), Error> {
        let mut next = self.digester.take();
        let left = usize::try_from(self.reader.plan().archive_len() - self.offset).unwrap_or(usize::MAX);
        let len = next.room().len().min(left);
        assert!(len > 0, "the scan goes past the end of its plan");
        let room = next.room().get_mut(..len).unwrap_or_default();
        if let Err(source) = self.reader.file().read_exact_at(room, self.offset) {
            room.fill(0);
            self.unreadable_end = self.offset + len as u64;
            self.problems.push(Problem::Read { offset: self.offset, len: len as u64, source });
        }
        next.fill(len);
        self.offset += len as u64;
        self.at = 0;
        self.digester.give(std::mem::replace(&mut self.buffer, next));
        advance(self.progress, len as u64)
    }
}

fn check_side_file(fs: &dyn Fs, archive: &Path, actual: Option<Sha256Digest>) -> Option<Problem> {
    let path = side_path(archive, CHECKSUM_SUFFIX);
    match read_checksum(fs, &path) {
        Ok(expected) => {
            let actual = actual.filter(|actual| *actual != expected)?;
            Some(Problem::Checksum { path, expected, actual })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => Some(Problem::ChecksumFile { path, source }),
    }
}
