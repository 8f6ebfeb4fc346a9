//! What people do without icecore: GNU tar with openssl, and with zstd, on the same files.
//!
//! Making is one pipe that writes the archive and its digest in one pass; restoring is the digest first, and then, if it is right, the
//! unpacking. What they make is synced afterwards, within the time, because icecore's is.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::syncfs;
use serde_json::{Map, Value};

use super::children::run;
use super::error::{BenchError, Result};
use super::files::Files;
use super::step::Step;
use crate::shutdown::Shutdown;

/// The programs, each with the argument that makes it say its version.
const PROGRAMS: [(&str, &str); 4] = [("tar", "--version"), ("tee", "--version"), ("openssl", "version"), ("zstd", "--version")];

/// The programs that are there, and the list of the files for them.
#[derive(Debug)]
pub(super) struct Against {
    root: PathBuf,
    list: PathBuf,
    /// The first line of what each says of its version.
    versions: Vec<(&'static str, String)>,
    shutdown: Shutdown,
}

/// An archive that they have made.
#[derive(Debug)]
pub(super) struct Packed {
    /// The file.
    pub(super) path: PathBuf,
    digest: String,
    compressed: bool,
}

impl Against {
    /// Looks which programs there are, and writes the list of the files to the new file `list`.
    pub(super) fn prepare(files: &Files, list: PathBuf, shutdown: Shutdown) -> Result<Self> {
        fs::write(&list, names(files)).map_err(BenchError::io("write", &list))?;
        let mut versions = Vec::new();
        for (program, argument) in PROGRAMS {
            if let Some(version) = version(program, argument, &shutdown)? {
                versions.push((program, version));
            }
        }
        Ok(Self { root: files.root().to_owned(), list, versions, shutdown })
    }

    /// The first program that a step needs and that is not there.
    pub(super) fn missing(&self, step: Step) -> Option<&'static str> {
        let there = |program: &str| self.versions.iter().any(|(name, _)| *name == program);
        step.programs().iter().find(|program| !there(program)).copied()
    }

    /// Which programs there are, for people.
    pub(super) fn describe(&self) -> String {
        let versions: Vec<&str> = self.versions.iter().map(|(_, version)| version.as_str()).collect();
        versions.join("; ")
    }

    /// Which there are, for programs: name to version.
    pub(super) fn facts(&self) -> Value {
        let versions = self.versions.iter().map(|(name, version)| ((*name).to_owned(), version.as_str().into()));
        Value::Object(versions.collect::<Map<_, _>>())
    }

    /// Makes an archive at `path`, and its digest.
    pub(super) fn create(&self, path: &Path, compressed: bool) -> Result<Packed> {
        let tar = command(
            "tar",
            ["--create", "--file", "-", "--no-recursion", "--null", "--directory"].map(OsStr::new),
            [self.root.as_os_str(), OsStr::new("--files-from"), self.list.as_os_str()],
        );
        let mut pipe = vec![tar];
        if compressed {
            pipe.push(command("zstd", ["-T0", "--quiet", "--stdout"].map(OsStr::new), []));
        }
        pipe.push(command("tee", [path.as_os_str()], []));
        pipe.push(command("openssl", ["dgst", "-sha256", "-r"].map(OsStr::new), []));
        let digest = first_word(&self.run(pipe)?);
        let file = File::open(path).map_err(BenchError::io("open", path))?;
        file.sync_all().map_err(BenchError::io("sync", path))?;
        Ok(Packed { path: path.to_owned(), digest, compressed })
    }

    /// Compares an archive's digest, and unpacks it into the directory `to`.
    pub(super) fn restore(&self, packed: &Packed, to: &Path) -> Result<()> {
        let Packed { path, digest, compressed } = packed;
        let openssl = command("openssl", ["dgst", "-sha256", "-r"].map(OsStr::new), [path.as_os_str()]);
        let found = first_word(&self.run(vec![openssl])?);
        if found != *digest {
            return Err(BenchError::Digest { path: path.clone(), expected: digest.clone(), found });
        }
        let from = if *compressed { OsStr::new("-") } else { path.as_os_str() };
        let tar = command("tar", ["--extract", "--directory"].map(OsStr::new), [to.as_os_str(), OsStr::new("--file"), from]);
        let mut pipe = Vec::new();
        if *compressed {
            pipe.push(command("zstd", ["--decompress", "--quiet", "--stdout"].map(OsStr::new), [path.as_os_str()]));
        }
        pipe.push(tar);
        self.run(pipe)?;
        sync_file_system(to)
    }

    /// Compresses a file to the new file `to`, durably, on so many threads; gives `to` back.
    pub(super) fn compress(&self, from: &Path, level: i32, threads: NonZeroUsize, to: PathBuf) -> Result<PathBuf> {
        let (level, threads) = (format!("-{level}"), format!("-T{threads}"));
        let options = [level.as_str(), &threads, "--quiet", "-o"].map(OsStr::new);
        self.run(vec![command("zstd", options, [to.as_os_str(), from.as_os_str()])])?;
        let file = File::open(&to).map_err(BenchError::io("open", &to))?;
        file.sync_all().map_err(BenchError::io("sync", &to))?;
        Ok(to)
    }

    fn run(&self, pipe: Vec<(&'static str, Command)>) -> Result<String> {
        run(pipe, &self.shutdown)
    }
}

/// Makes everything durable that was written to the file system of `dir`, by whomever.
pub(super) fn sync_file_system(dir: &Path) -> Result<()> {
    let opened = File::open(dir).map_err(BenchError::io("open", dir))?;
    syncfs(&opened).map_err(|error| BenchError::io("sync the file system of", dir)(error.into()))
}

/// The names of the files, each with a zero behind it, which no name has in it.
fn names(files: &Files) -> Vec<u8> {
    let mut names = Vec::new();
    for file in files.iter() {
        names.extend_from_slice(file.relative.as_os_str().as_bytes());
        names.push(0);
    }
    names
}

fn command<'a, const N: usize, const M: usize>(
    program: &'static str,
    options: [&'a OsStr; N],
    operands: [&'a OsStr; M],
) -> (&'static str, Command) {
    let mut command = Command::new(program);
    command.args(options).args(operands);
    (program, command)
}

/// What a program says of its version; `None` if there is no such program.
fn version(program: &'static str, argument: &str, shutdown: &Shutdown) -> Result<Option<String>> {
    match run(vec![command(program, [OsStr::new(argument)], [])], shutdown) {
        Ok(text) => Ok(Some(text.lines().next().unwrap_or(program).trim_matches(['*', ' ']).to_owned())),
        Err(BenchError::Spawn { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        // One that does not know the question is there all the same.
        Err(BenchError::Program { .. }) => Ok(Some(program.to_owned())),
        Err(error) => Err(error),
    }
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::bench::files::OneFile;

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        let shutdown = Shutdown::new();
        assert_eq!(version("icecore-no-such-program", "--version", &shutdown).unwrap(), None);
        // It fails, and is there.
        assert_eq!(version("false", "--no-such-argument", &shutdown).unwrap().as_deref(), Some("false"));
    }

    #[test]
    fn digests_are_the_first_word() {
        assert_eq!(first_word("abc *stdin\n"), "abc");
        assert_eq!(first_word(""), "");
    }

    #[test]
    fn names_end_in_zeros() {
        let file = |name: &str| OneFile { relative: name.into(), len: 0 };
        assert_eq!(names(&Files::new("/r".into(), vec![file("-a"), file("b/c d")])), b"-a\0b/c d\0");
    }
}
