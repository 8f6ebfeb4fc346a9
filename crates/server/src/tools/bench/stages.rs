//! Does the steps of a round and takes their times.
//!
//! The clock runs for what a step is about and nothing else: places are made before, and what was written is checked, removed and its
//! removal written back afterwards, so that no step begins with work that another one has left to the disk.

use std::path::{Path, PathBuf};

use icecore_archive::{Compression, Progress, Reader};
use icecore_io::{Clock, Fs, Share, in_background};

use super::against::{Against, Packed, sync_file_system};
use super::cache::PageCache;
use super::error::{BenchError, Result};
use super::limit::Plain;
use super::memory::Sampler;
use super::results::{Results, Run};
use super::scratch::Scratch;
use super::step::{Step, of_round};
use super::subject::{Subject, delete_archive};
use crate::error::one_line;
use crate::report::Reporter;
use crate::shutdown::Shutdown;
use crate::tools::threads;

/// The level that both compress with: the default one of `zstd`.
const COMPRESSION_LEVEL: i32 = 3;

/// What all steps share.
#[derive(Clone, Copy)]
pub(super) struct Stages<'a> {
    /// The file system.
    pub(super) fs: &'a dyn Fs,
    /// What takes the times.
    pub(super) clock: &'a dyn Clock,
    /// Where things are made.
    pub(super) scratch: &'a Scratch<'a>,
    /// What is archived.
    pub(super) subject: &'a dyn Subject,
    /// How runs begin.
    pub(super) cache: PageCache,
    /// The programs to compare with, if that is asked for.
    pub(super) against: Option<&'a Against>,
    /// Tells when to stop.
    pub(super) shutdown: &'a Shutdown,
}

/// The archives of one round.
#[derive(Debug, Default)]
struct Archives {
    own: Option<PathBuf>,
    tar: Option<Packed>,
    zstd: Option<Packed>,
}

impl Stages<'_> {
    /// Does all steps once, in the round `number` of `rounds`, the first being 0, and adds their runs.
    pub(super) fn round(self, number: u32, rounds: u32, results: &mut Results) -> Result<()> {
        let mut archives = Archives::default();
        for step in of_round(number) {
            match self.against {
                None if !step.programs().is_empty() => continue,
                None => {}
                Some(against) => {
                    if let Some(program) = against.missing(step) {
                        results.miss(step, program);
                        continue;
                    }
                }
            }
            let run = self.step(step, &mut archives)?;
            tracing::info!("round {} of {rounds}: {} {:.3} s", number + 1, step.name(), run.seconds);
            results.add(step, run);
            sync_file_system(self.scratch.path())?;
        }
        if let Some(own) = &archives.own {
            delete_archive(self.fs, own)?;
        }
        archives.tar.iter().chain(&archives.zstd).try_for_each(|packed| self.scratch.discard(&packed.path))
    }

    fn step(self, step: Step, archives: &mut Archives) -> Result<Run> {
        let reporter = Reporter::new(step.name(), Some(self.shutdown.clone()));
        let plain = Plain::new(self.fs, self.subject.files(), &reporter);
        let mut read = self.subject.files().paths();
        read.extend(archives.own.clone());
        read.extend([&archives.tar, &archives.zstd].into_iter().flatten().map(|packed| packed.path.clone()));
        self.cache.prepare(&read, &reporter)?;
        match step {
            Step::Digest => self.timed(|| plain.digest()).map(|(run, ())| run),
            Step::Copy => self.to_file(|target| plain.copy(target)),
            Step::CreateLimit => self.to_file(|target| plain.digest_and_copy(target)),
            Step::VerifyLimit => self.timed(|| plain.digest_on_all_cores()).map(|(run, ())| run),
            Step::RestoreLimit => self.to_dir(|target| plain.digest_and_copy_each(target)),
            Step::Create => {
                let (run, archive) = self.making(|| self.subject.create(None, &reporter))?;
                archives.own = Some(archive);
                Ok(run)
            }
            Step::VerifyNew => {
                let archive = made(&archives.own);
                self.timed(|| in_background(Share::Least, || self.subject.read_back(archive))).map(|(run, ())| run)
            }
            Step::CreateAgain => self.make_and_delete(|| self.subject.create(None, &reporter)),
            Step::CreateCompressed => {
                let compression = Compression::new(COMPRESSION_LEVEL, threads())?;
                self.make_and_delete(|| self.subject.create(Some(compression), &reporter))
            }
            Step::CompressedLimit => {
                let (tar, target) = (&made(&archives.tar).path, self.scratch.join("compressed"));
                let (run, target) = self.making(|| self.others().compress(tar, COMPRESSION_LEVEL, threads(), target))?;
                self.scratch.discard(&target)?;
                Ok(Run { memory: None, ..run })
            }
            Step::Verify => {
                let archive = made(&archives.own);
                self.timed(|| verify(self.fs, archive, &reporter)).map(|(run, ())| run)
            }
            Step::Restore => self.restore(made(&archives.own).as_path(), &reporter),
            Step::TarCreate => self.pack(&mut archives.tar, "files.tar", false),
            Step::ZstdCreate => self.pack(&mut archives.zstd, "files.tar.zst", true),
            Step::TarRestore => self.unpack(made(&archives.tar)),
            Step::ZstdRestore => self.unpack(made(&archives.zstd)),
        }
    }

    /// Times what makes a file, and notes its length.
    fn making(self, work: impl FnOnce() -> Result<PathBuf>) -> Result<(Run, PathBuf)> {
        let (run, path) = self.timed(work)?;
        Ok((Run { file_bytes: Some(self.len(&path)?), ..run }, path))
    }

    fn len(self, path: &Path) -> Result<u64> {
        Ok(self.fs.metadata(path).map_err(BenchError::io("look at", path))?.len)
    }

    /// Times what makes an archive that nobody needs.
    fn make_and_delete(self, work: impl FnOnce() -> Result<PathBuf>) -> Result<Run> {
        let (run, archive) = self.making(work)?;
        delete_archive(self.fs, &archive)?;
        Ok(run)
    }

    fn restore(self, archive: &Path, progress: &dyn Progress) -> Result<Run> {
        let to = self.scratch.join("restored");
        let (run, restored) = self.timed(|| self.subject.restore(archive, &to, progress))?;
        restored.check()?;
        // A storage has its files open, and a thread that may be looking at them.
        drop(restored);
        self.scratch.discard(&to)?;
        Ok(run)
    }

    fn pack(self, place: &mut Option<Packed>, name: &str, compressed: bool) -> Result<Run> {
        let (run, packed) = self.timed(|| self.others().create(&self.scratch.join(name), compressed))?;
        let file_bytes = Some(self.len(&packed.path)?);
        *place = Some(packed);
        Ok(Run { memory: None, file_bytes, ..run })
    }

    fn unpack(self, packed: &Packed) -> Result<Run> {
        let run = self.to_dir(|target| self.others().restore(packed, target))?;
        Ok(Run { memory: None, ..run })
    }

    fn others(&self) -> &Against {
        self.against.unwrap_or_else(|| unreachable!("a round leaves out the steps of other programs without them"))
    }

    /// Times a program that writes a new file, and removes it.
    fn to_file(self, work: impl FnOnce(&Path) -> Result<()>) -> Result<Run> {
        let target = self.scratch.join("copy");
        let (run, ()) = self.timed(|| work(&target))?;
        self.scratch.discard(&target)?;
        Ok(run)
    }

    /// Times a program that writes into an empty directory, and removes it.
    fn to_dir(self, work: impl FnOnce(&Path) -> Result<()>) -> Result<Run> {
        let target = self.scratch.create_dir("copies")?;
        let (run, ()) = self.timed(|| work(&target))?;
        self.scratch.discard(&target)?;
        Ok(run)
    }

    fn timed<T>(self, work: impl FnOnce() -> Result<T>) -> Result<(Run, T)> {
        if self.shutdown.is_requested() {
            return Err(BenchError::Stopped);
        }
        let sampler = Sampler::start();
        let start = self.clock.monotonic();
        let done = work();
        let time = self.clock.monotonic().saturating_sub(start);
        let memory = sampler.and_then(Sampler::stop);
        Ok((Run { seconds: time.as_secs_f64(), memory, file_bytes: None }, done?))
    }
}

/// What an earlier group of the round has made.
fn made<T>(archive: &Option<T>) -> &T {
    archive.as_ref().unwrap_or_else(|| unreachable!("a round makes archives before it reads them"))
}

fn verify(fs: &dyn Fs, archive: &Path, progress: &dyn Progress) -> Result<()> {
    let report = icecore_archive::verify(fs, &Reader::open(fs, archive)?, progress)?;
    match report.problems.first() {
        None => Ok(()),
        Some(problem) => Err(BenchError::Damaged { path: archive.to_owned(), problem: one_line(problem) }),
    }
}
