//! Reads a whole archive and lists everything that is wrong with it.
//!
//! Each byte is read once and is either compared with what the manifest gives or covered by a member's digests, so there is no byte
//! whose change goes unseen. It goes on after damage and after read errors. The digest of the whole is computed on a second thread;
//! being sequential it bounds the time, so more threads would not help. Of a compressed archive that thread also decompresses, and
//! the digest is that of the compressed file; then its tables are compared too. Nothing is changed on disk.

use std::io;
use std::path::Path;

use icecore_io::{File, Fs};

use crate::Error;
use crate::compressed::ahead::{FramesAhead, with_frames};
use crate::contents::Contents;
use crate::format::layout::MANIFEST_NAME;
use crate::in_order::{InOrder, Supply};
use crate::plan::{Placed, Plan, TRAILER};
use crate::problem::Problem;
use crate::progress::{Progress, advance};
use crate::reader::{Reader, check_member};
use crate::store::{CHECKSUM_SUFFIX, read_checksum, side_path};
use crate::writer::hash::{Behind, with_digester};
use icecore_io::digest::{Hasher, Sha256Digest};

/// What [`verify`] found.
#[derive(Debug)]
#[must_use]
pub struct Report {
    /// Everything that is wrong, in the order of the archive. Empty if the archive is sound.
    pub problems: Vec<Problem>,
    /// Digest of the whole file as it is stored; `None` if some bytes could not be read (see [`Problem::Read`]).
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

/// Verifies an open archive, and the digest file beside it if there is one. Progress counts bytes of the tar.
///
/// Fails only with [`Error::Cancelled`]; whatever is wrong with the archive is in the report.
pub fn verify(fs: &dyn Fs, reader: &Reader, progress: &dyn Progress) -> Result<Report, Error> {
    let plan = reader.plan();
    progress.start(plan.archive_len());
    let (mut problems, sha256) = match reader.contents() {
        Contents::Plain(file, _) => {
            let (scanned, sha256) = with_digester(|digester| scan(plan, file.as_ref(), Behind::Digest(digester), progress));
            let (problems, unreadable_end) = scanned?;
            (problems, (unreadable_end == 0).then_some(sha256))
        }
        Contents::Compressed(file) => {
            let (scanned, pass) = with_frames(file, |frames| scan(plan, frames, Behind::Nothing(None), progress));
            let (mut problems, _) = scanned?;
            problems.extend(pass.tables);
            (problems, pass.sha256)
        }
    };
    problems.extend(check_side_file(fs, reader.path(), sha256));
    Ok(Report { problems, sha256, members: reader.manifest().len() as u64, bytes: reader.stored_len() })
}

/// The problems, and where the last bytes end that there are not; 0 if all are there.
fn scan(plan: &Plan, bytes: impl Bytes, behind: Behind, progress: &dyn Progress) -> Result<(Vec<Problem>, u64), Error> {
    let supply = LenientSupply { bytes, progress, unreadable_end: 0, problems: Vec::new() };
    let LenientSupply { problems, unreadable_end, .. } =
        Scan { plan, bytes: InOrder::new(supply, plan.archive_len(), behind) }.run()?;
    Ok((problems, unreadable_end))
}

/// The archive as a stream of bytes that is checked in order.
struct Scan<'a, B> {
    plan: &'a Plan,
    bytes: InOrder<LenientSupply<'a, B>>,
}

impl<'a, B: Bytes> Scan<'a, B> {
    fn run(mut self) -> Result<LenientSupply<'a, B>, Error> {
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
        Ok(self.bytes.finish())
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

/// Where the bytes are that can be had.
trait Bytes {
    /// Fills `room` with the bytes at `offset`, which is where the call before ended. Puts zeros where there are none, adds the
    /// problem, and returns where the next ones can be had.
    fn fill(&mut self, room: &mut [u8], offset: u64, problems: &mut Vec<Problem>) -> Option<u64>;
}

impl Bytes for &dyn File {
    fn fill(&mut self, room: &mut [u8], offset: u64, problems: &mut Vec<Problem>) -> Option<u64> {
        let source = self.read_exact_at(room, offset).err()?;
        room.fill(0);
        let len = room.len() as u64;
        problems.push(Problem::Read { offset, len, source });
        Some(offset + len)
    }
}

impl Bytes for FramesAhead {
    fn fill(&mut self, room: &mut [u8], offset: u64, problems: &mut Vec<Problem>) -> Option<u64> {
        self.fill(room, offset, problems)
    }
}

/// Gives all bytes, with zeros in place of those that cannot be had.
struct LenientSupply<'a, B> {
    bytes: B,
    progress: &'a dyn Progress,
    /// Where the last stretch of bytes ends that could not be had; 0 if there was none.
    unreadable_end: u64,
    problems: Vec<Problem>,
}

impl<B: Bytes> Supply for LenientSupply<'_, B> {
    fn fill(&mut self, room: &mut [u8], offset: u64) -> Result<(), Error> {
        if let Some(end) = self.bytes.fill(room, offset, &mut self.problems) {
            self.unreadable_end = end;
        }
        advance(self.progress, room.len() as u64)
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
