//! What people do without icecore: GNU tar with openssl, and with zstd, on the same files.
//!
//! Making is one pipe that writes the archive and its digest in one pass; restoring is the digest first, and then, if it is right, the
//! unpacking. What they make is synced afterwards, within the time, because icecore's is. They run as child processes, which
//! are waited for, and killed when the measurement is stopped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::fs::syncfs;
use serde_json::{Map, Value};

use super::error::{BenchError, Result};
use super::files::Files;
use super::step::Step;
use crate::shutdown::Shutdown;

/// The programs, each with the argument that makes it say its version.
const PROGRAMS: [(&str, &str); 4] = [("tar", "--version"), ("tee", "--version"), ("openssl", "version"), ("zstd", "--version")];
/// Time between two looks at children.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// The number of the signal that a terminal sends to all at its keyboard's interrupt.
const SIGINT: i32 = 2;
/// The longest line that is taken from a program, in bytes.
const LINE_LEN_MAX: u64 = 4096;

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

/// Runs programs, each reading what the one before it writes, until all have ended well; the beginning of what the last one says.
fn run(pipe: Vec<(&'static str, Command)>, shutdown: &Shutdown) -> Result<String> {
    let mut children = Children(Vec::new());
    let mut output: Option<ChildStdout> = None;
    for (program, mut command) in pipe {
        let input = output.take().map_or_else(Stdio::null, Stdio::from);
        let spawned = command.env("LC_ALL", "C").stdin(input).stdout(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|source| BenchError::Spawn { program, source })?;
        output = child.stdout.take();
        children.0.push((program, child));
    }
    children.wait(shutdown)?;
    let mut text = Vec::new();
    let (program, read) = ("the last program", output.map(|output| output.take(LINE_LEN_MAX).read_to_end(&mut text)));
    read.transpose().map_err(|source| BenchError::Spawn { program, source })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Running programs; those that still run when the value is dropped are killed.
struct Children(Vec<(&'static str, Child)>);

impl Children {
    /// Waits until all have ended, and fails if one has not ended well, or the measurement is stopped.
    fn wait(&mut self, shutdown: &Shutdown) -> Result<()> {
        loop {
            if shutdown.is_requested() {
                return Err(BenchError::Stopped);
            }
            let mut ended: Vec<(&'static str, ExitStatus)> = Vec::new();
            for (program, child) in &mut self.0 {
                let status = child.try_wait().map_err(|source| BenchError::Spawn { program, source })?;
                ended.extend(status.map(|status| (*program, status)));
            }
            if ended.len() == self.0.len() {
                return verdict(&ended);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            // One that has ended already needs neither.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Who ended by himself and not well is to blame, rather than those who broke off because of him.
fn verdict(ended: &[(&'static str, ExitStatus)]) -> Result<()> {
    if ended.iter().any(|(_, status)| status.signal() == Some(SIGINT)) {
        return Err(BenchError::Stopped);
    }
    let mut failed: Vec<_> = ended.iter().filter(|(_, status)| !status.success()).collect();
    failed.sort_by_key(|(_, status)| status.code().is_none());
    failed.first().map_or(Ok(()), |(program, status)| Err(BenchError::Program { program, status: *status }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::bench::files::OneFile;

    fn shell(script: &'static str) -> (&'static str, Command) {
        command("sh", ["-c", script].map(OsStr::new), [])
    }

    #[test]
    fn a_pipe_gives_what_its_last_program_says() {
        let shutdown = Shutdown::new();
        let text = run(vec![shell("echo a; echo b"), shell("cat"), shell("wc -l")], &shutdown).unwrap();
        assert_eq!(text.trim(), "2");
        assert_eq!(first_word("abc *stdin\n"), "abc");
        assert_eq!(first_word(""), "");
    }

    #[test]
    fn the_program_that_failed_is_named() {
        let shutdown = Shutdown::new();
        let missing = run(vec![command("icecore-no-such-program", [], [])], &shutdown);
        assert!(matches!(missing, Err(BenchError::Spawn { program: "icecore-no-such-program", .. })), "{missing:?}");
        assert!(version("icecore-no-such-program", "--version", &shutdown).unwrap().is_none());

        let (_, killed) = shell("kill -TERM $$");
        let failed = run(vec![("first", killed), ("second", shell("exit 3").1)], &shutdown);
        assert!(matches!(&failed, Err(BenchError::Program { program: "second", .. })), "{failed:?}");
        let interrupted = run(vec![shell("kill -INT $$")], &shutdown);
        assert!(matches!(interrupted, Err(BenchError::Stopped)), "{interrupted:?}");
    }

    #[test]
    fn a_stop_ends_what_runs() {
        let shutdown = Shutdown::new();
        shutdown.force();
        let stopped = run(vec![shell("exec sleep 600")], &shutdown);
        assert!(matches!(stopped, Err(BenchError::Stopped)), "{stopped:?}");
    }

    #[test]
    fn names_end_in_zeros() {
        let file = |name: &str| OneFile { relative: name.into(), len: 0 };
        assert_eq!(names(&Files::new("/r".into(), vec![file("-a"), file("b/c d")])), b"-a\0b/c d\0");
    }
}
