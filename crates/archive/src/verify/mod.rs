//! Reads a whole archive and lists everything that is wrong with it.
//!
//! Each byte is read once and is either compared with what the manifest gives or covered by a member's digests, so there is no byte
//! whose change goes unseen. That needs no digest of the whole, and members are checked on all cores. Whether the archive is the one
//! that the files beside it are about is another question: an archive is a function of its manifest, so one that is as its manifest
//! says, and whose manifest has the digest that `<name>.meta.json` notes, is the one that was made. Only where this does not answer
//! is the whole digested too, in order, which keeps two cores busy and no more. A compressed file is no function of the manifest: it
//! is always read in order, and digested and decompressed on a second thread. Nothing is changed on disk.

mod noted;
mod runs;
mod scan;

use std::num::NonZeroUsize;
use std::thread;

use icecore_io::Fs;
use icecore_io::digest::Sha256Digest;

use crate::Error;
use crate::compressed::ahead::with_frames;
use crate::contents::Contents;
use crate::problem::Problem;
use crate::progress::Progress;
use crate::reader::Reader;
use crate::writer::hash::{Behind, with_digester};
use noted::Noted;
use scan::Scan;

/// What [`verify`] found.
#[derive(Debug)]
#[must_use]
pub struct Report {
    /// Everything that is wrong, in the order of the archive. Empty if the archive is sound.
    pub problems: Vec<Problem>,
    /// Digest of the whole file as it is stored. Computed, or taken from the files beside the archive if they prove to be about it.
    /// `None` if some bytes could not be read (see [`Problem::Read`]), and where it was not computed: for an archive that is not
    /// sound, or if [`WholeDigest::IfNeeded`] did not need it.
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

/// When the SHA-256 of a whole archive is computed, which is sequential and so slower than verifying its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WholeDigest {
    /// If there is a `.checksum` beside the archive, and `.meta.json` does not show that it is about this archive.
    IfNeeded,
    /// Also if there is no such file: the report on a sound archive has the digest.
    #[default]
    Always,
}

/// How an archive is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Threads, the caller's included.
    pub threads: NonZeroUsize,
    /// Whether the digest of the whole is wanted.
    pub whole: WholeDigest,
}

/// All cores, and the digest of the whole.
impl Default for VerifyOptions {
    fn default() -> Self {
        Self { threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN), whole: WholeDigest::default() }
    }
}

/// [`verify_with`] the default options.
pub fn verify(fs: &dyn Fs, reader: &Reader, progress: &dyn Progress) -> Result<Report, Error> {
    verify_with(fs, reader, VerifyOptions::default(), progress)
}

/// Verifies an open archive, and compares it with what the files beside it say. Progress counts bytes of the tar.
///
/// Fails only with [`Error::Cancelled`]; whatever is wrong with the archive is in the report.
pub fn verify_with(fs: &dyn Fs, reader: &Reader, options: VerifyOptions, progress: &dyn Progress) -> Result<Report, Error> {
    let plan = reader.plan();
    let noted = Noted::read(fs, reader);
    progress.start(plan.archive_len());
    let (mut problems, sha256) = match reader.contents() {
        Contents::Plain(file, _) => match noted.sha256(plan) {
            Some(sha256) => {
                let problems = runs::check(plan, file.as_ref(), options.threads, progress)?;
                let is_sound = problems.is_empty();
                (problems, is_sound.then_some(sha256))
            }
            None if options.whole == WholeDigest::Always || noted.has_checksum() => {
                let (scanned, sha256) = with_digester(|digester| {
                    let mut scan = Scan::new(file.as_ref(), 0..plan.archive_len(), Behind::Digest(digester), progress);
                    scan.archive(plan).map(|()| {
                        let scanned = scan.finish();
                        (scanned.problems, scanned.complete)
                    })
                });
                let (problems, complete) = scanned?;
                (problems, complete.then_some(sha256))
            }
            None => (runs::check(plan, file.as_ref(), options.threads, progress)?, None),
        },
        Contents::Compressed(file) => {
            let (scanned, pass) = with_frames(file, |frames| {
                let mut scan = Scan::new(frames, 0..plan.archive_len(), Behind::default(), progress);
                scan.archive(plan).map(|()| scan.finish().problems)
            });
            let mut problems = scanned?;
            problems.extend(pass.tables);
            (problems, pass.sha256)
        }
    };
    problems.extend(noted.problems(plan, sha256));
    Ok(Report { problems, sha256, members: reader.manifest().len() as u64, bytes: reader.stored_len() })
}
