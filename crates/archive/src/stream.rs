//! An archive that arrives in order and cannot be read twice, such as the body of a request: verified and unpacked in one pass.
//!
//! No byte goes unchecked, be its member selected or not: it is compared with what the manifest gives, or covered by its member's
//! digests, which are computed on a thread beside, and the digest of the whole on another. So `Ok` says what [`verify`](crate::verify()) and
//! [`unpack`](crate::unpack()) together say of a file. A compressed stream is decompressed on the way (see
//! [`compressed::stream`](crate::compressed::stream)). Memory is bounded by buffers and the manifest. Whether the whole is the one
//! that the sender meant is not known here: the caller compares the digest, and throws its root away if it is another.

use std::io::Read;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::slice;

use icecore_io::Fs;

use crate::Error;
use crate::checking::{Unchecked, with_checking};
use crate::compressed::stream::Decoder;
use crate::foreign::{Foreign, Seen, identify, is_zstd};
use crate::format::manifest::{Manifest, MemberRef};
use crate::in_order::{InOrder, Supply};
use crate::intake::{Intake, read_full};
use crate::opening::{self, Input};
use crate::plan::{Placed, Plan, TRAILER};
use crate::problem::Problem;
use crate::progress::{Progress, advance};
use crate::syncing::with_syncing;
use crate::target::{Extras, Job, Made, MemberFile, Unpacked, check_space, jobs};
use crate::writer::buffer::{BUFFER_COUNT, BUFFER_LEN, Pool};
use crate::writer::hash::{Behind, Digester, Digesting};
use icecore_io::digest::Sha256Digest;

/// What is read of a stream that is no archive of ours to say what it is, beside its first header, in bytes.
const FOREIGN_LEN_MAX: usize = 1 << 20;

/// An archive that arrives in order.
#[derive(Debug)]
pub struct StreamReader<R> {
    bytes: Bytes<R>,
    /// The digest of a compressed stream, begun with its first byte.
    digesting: Option<Digesting>,
    plan: Plan,
}

/// What [`StreamReader::unpack`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Streamed {
    /// What was written.
    pub unpacked: Unpacked,
    /// Digest of the whole stream as it arrived.
    pub sha256: Sha256Digest,
}

impl<R: Read> StreamReader<R> {
    /// Reads the manifest and its digest. `label` stands for the archive in errors and need not be a path. `len` is the length that
    /// the sender has announced, if any; it is compared as soon as the manifest is known, before anything can be unpacked, or at the
    /// end of a compressed stream, whose length the manifest does not tell.
    ///
    /// Fails as [`Reader::open`](crate::Reader::open) does; of a stream that is something else at most 1 MiB is read to say what. A
    /// compressed stream may come from any program: it needs no seek table.
    pub fn open(input: R, label: &Path, len: Option<u64>) -> Result<Self, Error> {
        let mut intake = Intake::new(input, label, len);
        let (mut bytes, digesting) = match is_zstd(&intake.peek()?) {
            true => {
                let (decoder, digesting) = Decoder::new(intake)?;
                (Bytes::Compressed(Box::new(decoder)), Some(digesting))
            }
            false => (Bytes::Plain(intake), None),
        };
        let plan = opening::open(&mut bytes, label)?;
        Ok(Self { bytes, digesting, plan })
    }

    /// What the archive is called in errors.
    pub fn label(&self) -> &Path {
        self.bytes.label()
    }

    /// Everything that the manifest says, and where.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The members and the subject.
    pub fn manifest(&self) -> &Manifest {
        self.plan.manifest()
    }

    /// Reads to the end of the stream, and writes the members for which `select` gives a destination to files below `root`, which
    /// has to exist. Progress counts all bytes of the tar.
    ///
    /// After `Ok` everything is verified and durable. Fails as [`unpack`](crate::unpack()) does, and with [`Error::Truncated`] or
    /// [`Error::TrailingBytes`] if the stream does not end where the archive does; then nothing of it is left below `root`.
    pub fn unpack(
        self,
        fs: &dyn Fs,
        root: &Path,
        select: impl Fn(usize, MemberRef<'_>) -> Option<PathBuf>,
        progress: &dyn Progress,
    ) -> Result<Streamed, Error> {
        let Self { mut bytes, digesting, plan } = self;
        let jobs = jobs(plan.manifest(), root, select, &Extras::default())?;
        let unpacked = Unpacked::by(&jobs);
        check_space(fs, root, unpacked.bytes)?;
        progress.start(plan.archive_len());

        let mut made = Made::new(fs);
        made.create_dirs(root, &jobs, &[])?;
        let pool = Pool::new(BUFFER_LEN, BUFFER_COUNT);
        let (behind, digesting) = match digesting {
            Some(digesting) => (Behind::Nothing(pool), digesting),
            None => {
                let (digester, digesting) = Digester::start(pool);
                (Behind::Digest(digester), digesting)
            }
        };
        let label = bytes.label().to_owned();
        let damaged = |source| Error::Damaged { path: label.clone(), source };
        let supply = StreamSupply { bytes: &mut bytes, progress, archive_len: plan.archive_len() };
        let walk = InOrder::new(supply, 0..plan.archive_len(), behind);
        with_syncing(|unsynced| {
            with_checking(unsynced, damaged, |unchecked| {
                Pass { plan: &plan, made: &made, jobs: jobs.iter().peekable(), bytes: walk, unchecked }.run()
            })
        })?;
        bytes.expect_end(plan.archive_len(), progress)?;
        made.complete()?;
        Ok(Streamed { unpacked, sha256: digesting.finish() })
    }
}

/// One pass over a stream, from its first member on.
struct Pass<'a, 'p, R> {
    plan: &'a Plan,
    made: &'a Made<'p>,
    /// The jobs to come.
    jobs: Peekable<slice::Iter<'p, Job>>,
    bytes: InOrder<StreamSupply<'a, R>>,
    unchecked: Unchecked<'a, 'p>,
}

impl<'a, R: Read> Pass<'a, '_, R> {
    fn run(mut self) -> Result<(), Error> {
        // These were read when the stream was opened, and compared with all that they can be.
        let plan = self.plan;
        for bytes in [&plan.manifest_header(), plan.manifest_bytes(), &plan.digest_member()] {
            for piece in bytes.chunks(BUFFER_LEN) {
                self.bytes.begin_with(piece);
                advance(self.bytes.supply.progress, piece.len() as u64)?;
            }
        }
        for placed in plan.placed() {
            self.member(&placed)?;
        }
        if !self.bytes.equals(&TRAILER)? {
            return Err(self.damaged(plan.trailer_problem()));
        }
        self.bytes.finish();
        Ok(())
    }

    fn member(&mut self, placed: &Placed<'a>) -> Result<(), Error> {
        if !self.bytes.equals(&placed.headers())? {
            return Err(self.damaged(placed.header_problem()));
        }
        let job = self.jobs.next_if(|job| job.index == placed.index);
        let mut file = job.map(|job| MemberFile::create(self.made, job)).transpose()?;
        let mut left = placed.member.len;
        while left > 0 {
            let piece = self.bytes.next_shared(left)?;
            left -= piece.bytes().len() as u64;
            if let Some(file) = &mut file {
                file.write(piece.bytes())?;
            }
            self.unchecked.piece(piece)?;
        }
        // Before the padding, so that what is damaged first is reported.
        self.unchecked.end(placed.member, file)?;
        if !self.bytes.equals(placed.padding())? {
            return Err(self.damaged(placed.padding_problem()));
        }
        Ok(())
    }

    fn damaged(&self, source: Problem) -> Error {
        Error::Damaged { path: self.bytes.supply.bytes.label().to_owned(), source }
    }
}

/// The part of a stream that has to be there: its end before the archive's is an error.
struct StreamSupply<'a, R> {
    bytes: &'a mut Bytes<R>,
    progress: &'a dyn Progress,
    archive_len: u64,
}

impl<R: Read> Supply for StreamSupply<'_, R> {
    fn fill(&mut self, mut room: &mut [u8], mut offset: u64) -> Result<(), Error> {
        while !room.is_empty() {
            let read = self.bytes.read_some(room, self.progress)?;
            if read == 0 {
                let path = self.bytes.label().to_owned();
                return Err(Error::Truncated { path, expected: self.archive_len, actual: offset });
            }
            room = room.split_at_mut(read).1;
            offset += read as u64;
            // After every read, so that a stream that trickles can be stopped before a buffer is full.
            advance(self.progress, read as u64)?;
        }
        Ok(())
    }
}

/// The bytes of the archive.
#[derive(Debug)]
enum Bytes<R> {
    /// As they arrive.
    Plain(Intake<R>),
    /// Decompressed.
    Compressed(Box<Decoder<R>>),
}

impl<R: Read> Bytes<R> {
    fn label(&self) -> &Path {
        match self {
            Self::Plain(intake) => intake.label(),
            Self::Compressed(decoder) => decoder.intake().label(),
        }
    }

    /// Reads at least one byte, or none at the end.
    fn read_some(&mut self, buffer: &mut [u8], progress: &dyn Progress) -> Result<usize, Error> {
        match self {
            Self::Plain(intake) => intake.read_some(buffer),
            Self::Compressed(decoder) => decoder.read_some(buffer, progress),
        }
    }

    /// Reads the one byte more that tells whether the stream goes on after the archive, and what belongs to its compression.
    fn expect_end(self, archive_len: u64, progress: &dyn Progress) -> Result<(), Error> {
        match self {
            Self::Plain(mut intake) => match intake.read_some(&mut [0])? {
                0 => Ok(()),
                more => Err(Error::TrailingBytes {
                    path: intake.label().to_owned(),
                    expected: archive_len,
                    actual: archive_len + more as u64,
                }),
            },
            Self::Compressed(decoder) => decoder.expect_end(archive_len, progress),
        }
    }
}

impl<R: Read> Input for Bytes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        // The length of a manifest is limited, and so is what may come without any of it.
        read_full(buffer, |room| self.read_some(room, &()))
    }

    fn whole_len(&self) -> Option<u64> {
        match self {
            Self::Plain(intake) => intake.announced(),
            Self::Compressed(_) => None,
        }
    }

    fn identify(&mut self, first: &[u8; 512]) -> Result<Foreign, Error> {
        let mut beginning = vec![0; first.len() + FOREIGN_LEN_MAX];
        let (head, rest) = beginning.split_at_mut(first.len());
        head.copy_from_slice(first);
        let more = self.read(rest)?;
        let seen = if more < rest.len() { Seen::Whole } else { Seen::Beginning };
        beginning.truncate(first.len() + more);
        let read = |buffer: &mut [u8], offset: u64| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            beginning.get(start..).unwrap_or_default().read_exact(buffer)
        };
        identify(read, beginning.len() as u64, seen).map_err(Error::io("read", self.label()))
    }
}
