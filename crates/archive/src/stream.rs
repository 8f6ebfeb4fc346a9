//! An archive that arrives in order and cannot be read twice, such as the body of a request: verified and unpacked in one pass.
//!
//! No byte goes unchecked, be its member selected or not: it is compared with what the manifest gives, or covered by its member's
//! digests, and the digest of the whole is computed on a thread beside. So `Ok` says what [`verify`](crate::verify()) and
//! [`unpack`](crate::unpack()) together say of a file. Memory is bounded by buffers and the manifest. Whether the whole is the one
//! that the sender meant is not known here: the caller compares the digest, and throws its root away if it is another.

use std::io::{self, Read};
use std::iter::Peekable;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use icecore_io::Fs;

use crate::Error;
use crate::foreign::{Foreign, Seen, identify};
use crate::format::manifest::{Manifest, MemberRef};
use crate::in_order::{InOrder, Supply};
use crate::opening::{self, Input};
use crate::plan::{Placed, Plan, TRAILER};
use crate::problem::Problem;
use crate::progress::{Progress, advance};
use crate::reader::check_member;
use crate::target::{Extras, Job, Made, MemberFile, Unpacked, check_space, jobs};
use crate::writer::hash::{BUFFER_LEN, with_digester};
use icecore_io::digest::{Hasher, Sha256Digest};

/// What is read of a stream that is no archive of ours to say what it is, beside its first header, in bytes.
const FOREIGN_LEN_MAX: usize = 1 << 20;
/// Files that wait to be synced while the stream goes on, at most.
const UNSYNCED_MAX: usize = 16;

/// An archive that arrives in order.
#[derive(Debug)]
pub struct StreamReader<R> {
    intake: Intake<R>,
    plan: Plan,
}

/// What [`StreamReader::unpack`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Streamed {
    /// What was written.
    pub unpacked: Unpacked,
    /// Digest of the whole stream.
    pub sha256: Sha256Digest,
}

impl<R: Read> StreamReader<R> {
    /// Reads the manifest and its digest. `label` stands for the archive in errors and need not be a path. `len` is the length that
    /// the sender has announced, if any; it is compared as soon as the manifest is known, before anything can be unpacked.
    ///
    /// Fails as [`Reader::open`](crate::Reader::open) does; of a stream that is something else at most 1 MiB is read to say what.
    pub fn open(input: R, label: &Path, len: Option<u64>) -> Result<Self, Error> {
        let mut intake = Intake { input, label: label.to_owned(), announced: len };
        let plan = opening::open(&mut intake, label)?;
        Ok(Self { intake, plan })
    }

    /// What the archive is called in errors.
    pub fn label(&self) -> &Path {
        &self.intake.label
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
    /// has to exist. Progress counts all bytes of the stream.
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
        let Self { mut intake, plan } = self;
        let jobs = jobs(plan.manifest(), root, select, &Extras::default())?;
        let unpacked = Unpacked::by(&jobs);
        check_space(fs, root, unpacked.bytes)?;
        progress.start(plan.archive_len());

        let mut made = Made::new(fs);
        made.create_dirs(root, &jobs, &[])?;
        let (received, sha256) = with_digester(|digester| {
            let supply = StreamSupply { intake: &mut intake, progress, archive_len: plan.archive_len() };
            let bytes = InOrder::new(supply, plan.archive_len(), digester);
            with_syncing(|unsynced| Pass { plan: &plan, made: &made, jobs: jobs.iter().peekable(), bytes, unsynced }.run())
        });
        received?;
        intake.expect_end(plan.archive_len())?;
        made.complete()?;
        Ok(Streamed { unpacked, sha256 })
    }
}

/// Runs `work` beside a thread that finishes the files given to it, so that the stream does not wait for the disk at each file's end.
fn with_syncing<'a>(work: impl FnOnce(SyncSender<MemberFile<'a>>) -> Result<(), Error>) -> Result<(), Error> {
    thread::scope(|scope| {
        let (unsynced, finished) = sync_channel::<MemberFile<'a>>(UNSYNCED_MAX);
        let thread = scope.spawn(move || finished.into_iter().try_for_each(MemberFile::finish));
        let worked = work(unsynced);
        let synced = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        // If both failed, the work has perhaps only noticed that the thread did.
        synced.and(worked)
    })
}

/// One pass over a stream, from its first member on.
struct Pass<'a, 'p, R> {
    plan: &'a Plan,
    made: &'a Made<'p>,
    /// The jobs to come.
    jobs: Peekable<slice::Iter<'p, Job>>,
    bytes: InOrder<StreamSupply<'a, R>>,
    unsynced: SyncSender<MemberFile<'p>>,
}

impl<R: Read> Pass<'_, '_, R> {
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

    fn member(&mut self, placed: &Placed<'_>) -> Result<(), Error> {
        if !self.bytes.equals(&placed.headers())? {
            return Err(self.damaged(placed.header_problem()));
        }
        let job = self.jobs.next_if(|job| job.index == placed.index);
        let mut file = job.map(|job| MemberFile::create(self.made, job)).transpose()?;
        let mut hasher = Hasher::default();
        let mut left = placed.member.len;
        while left > 0 {
            let bytes = self.bytes.next(left)?;
            hasher.update(bytes);
            if let Some(file) = &mut file {
                file.write(bytes)?;
            }
            left -= bytes.len() as u64;
        }
        if !self.bytes.equals(placed.padding())? {
            return Err(self.damaged(placed.padding_problem()));
        }
        if let Some(problem) = check_member(placed.member, hasher).into_iter().next() {
            return Err(self.damaged(problem));
        }
        match file {
            // The thread at the other end stops only with an error, which is returned in place of this one.
            Some(file) => self.unsynced.send(file).map_err(|_| Error::Cancelled),
            None => Ok(()),
        }
    }

    fn damaged(&self, source: Problem) -> Error {
        Error::Damaged { path: self.bytes.supply.intake.label.clone(), source }
    }
}

/// The part of a stream that has to be there: its end before the archive's is an error.
struct StreamSupply<'a, R> {
    intake: &'a mut Intake<R>,
    progress: &'a dyn Progress,
    archive_len: u64,
}

impl<R: Read> Supply for StreamSupply<'_, R> {
    fn fill(&mut self, mut room: &mut [u8], mut offset: u64) -> Result<(), Error> {
        while !room.is_empty() {
            let read = self.intake.read_some(room)?;
            if read == 0 {
                return Err(Error::Truncated { path: self.intake.label.clone(), expected: self.archive_len, actual: offset });
            }
            room = room.split_at_mut(read).1;
            offset += read as u64;
            // After every read, so that a stream that trickles can be stopped before a buffer is full.
            advance(self.progress, read as u64)?;
        }
        Ok(())
    }
}

/// The stream itself.
#[derive(Debug)]
struct Intake<R> {
    input: R,
    label: PathBuf,
    announced: Option<u64>,
}

impl<R: Read> Intake<R> {
    /// Reads at least one byte, or none at the end.
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.input.read(buffer) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Not `Error::io`: whatever the stream reports, it does not say that a file is missing.
                Err(source) => return Err(Error::Io { action: "read", path: self.label.clone(), source }),
            }
        }
    }

    /// Reads the one byte more that tells whether the stream goes on.
    fn expect_end(&mut self, archive_len: u64) -> Result<(), Error> {
        match self.read_some(&mut [0])? {
            0 => Ok(()),
            more => {
                Err(Error::TrailingBytes { path: self.label.clone(), expected: archive_len, actual: archive_len + more as u64 })
            }
        }
    }
}

impl<R: Read> Input for Intake<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.read_some(room)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    fn whole_len(&self) -> Option<u64> {
        self.announced
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
        identify(read, beginning.len() as u64, seen).map_err(Error::io("read", &self.label))
    }
}
