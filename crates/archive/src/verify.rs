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
use crate::in_order::{InOrder, Supply};
use crate::plan::{Placed, Plan, TRAILER};
use crate::problem::Problem;
use crate::progress::{Progress, advance};
use crate::reader::{Reader, check_member};
use crate::store::{CHECKSUM_SUFFIX, read_checksum, side_path};
use crate::writer::hash::with_digester;
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
    let (scanned, sha256) = with_digester(|digester| {
        let supply = LenientSupply { reader, progress, unreadable_end: 0, problems: Vec::new() };
        Scan { plan: reader.plan(), bytes: InOrder::new(supply, reader.plan().archive_len(), digester) }.run()
    });
    let (mut problems, readable) = scanned?;
    let sha256 = readable.then_some(sha256);
    problems.extend(check_side_file(fs, reader.path(), sha256));
    Ok(Report { problems, sha256, members: reader.manifest().len() as u64, bytes: reader.plan().archive_len() })
}

/// The archive as a stream of bytes that is checked in order.
struct Scan<'a> {
    plan: &'a Plan,
    bytes: InOrder<LenientSupply<'a>>,
}

impl Scan<'_> {
    /// The problems, and whether all bytes could be read.
    fn run(mut self) -> Result<(Vec<Problem>, bool), Error> {
        let plan = self.plan;
        // Opening has read these, but only the bytes that are digested now are known to be those.
        if !self.equals(&plan.manifest_header())? | !self.equals(plan.manifest_bytes())? | !self.equals(&plan.digest_member())? {
            self.found(Problem::Header { member: MANIFEST_NAME.to_owned(), offset: 0 });
        }
        for placed in plan.placed() {
            self.member(&placed)?;
        }
        if !self.equals(&TRAILER)? {
            self.found(plan.trailer_problem());
        }
        let LenientSupply { problems, unreadable_end, .. } = self.bytes.finish();
        Ok((problems, unreadable_end == 0))
    }

    fn member(&mut self, placed: &Placed<'_>) -> Result<(), Error> {
        if !self.equals(&placed.headers())? {
            self.found(placed.header_problem());
        }
        let start = placed.data_offset;
        let mut hasher = Hasher::default();
        let mut left = placed.member.len;
        while left > 0 {
            let bytes = self.bytes.next(left)?;
            hasher.update(bytes);
            left -= bytes.len() as u64;
        }
        if self.bytes.supply.unreadable_end <= start {
            self.bytes.supply.problems.extend(check_member(placed.member, hasher));
        }
        if !self.equals(placed.padding())? {
            self.found(placed.padding_problem());
        }
        Ok(())
    }

    /// Whether the next bytes are `expected`. Bytes that cannot be read count as equal: they are a problem of their own.
    fn equals(&mut self, expected: &[u8]) -> Result<bool, Error> {
        let start = self.bytes.position();
        Ok(self.bytes.equals(expected)? || self.bytes.supply.unreadable_end > start)
    }

    fn found(&mut self, problem: Problem) {
        self.bytes.supply.problems.push(problem);
    }
}

/// Reads the file, with zeros in place of what cannot be read.
struct LenientSupply<'a> {
    reader: &'a Reader,
    progress: &'a dyn Progress,
    /// Where the last stretch of bytes ends that could not be read; 0 if there was none.
    unreadable_end: u64,
    problems: Vec<Problem>,
}

impl Supply for LenientSupply<'_> {
    fn fill(&mut self, room: &mut [u8], offset: u64) -> Result<(), Error> {
        let len = room.len() as u64;
        if let Err(source) = self.reader.file().read_exact_at(room, offset) {
            room.fill(0);
            self.unreadable_end = offset + len;
            self.problems.push(Problem::Read { offset, len, source });
        }
        advance(self.progress, len)
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
