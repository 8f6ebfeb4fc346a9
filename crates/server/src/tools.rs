//! `icecore archive …`: looks into archives without a server.
//!
//! Results go to standard output, as text or as one JSON object; progress and errors to standard error.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use icecore_archive::{Reader, Report, unpack, verify};
use icecore_io::{Fs, OsFs};
use serde_json::json;

use crate::cli::ArchiveCommand;
use crate::error::one_line;
use crate::report::Reporter;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] icecore_archive::Error),
    /// The archive is damaged; the problems have been printed.
    #[error("{path:?} is damaged, in {count} place{}", if *.count == 1 { "" } else { "s" })]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// The directory has something in it.
    #[error("{path:?} is not empty; give a directory that does not exist yet")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("{operation} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Standard output is closed or full.
    #[error("write the result")]
    Output(#[from] io::Error),
}

/// Runs a command.
pub(crate) fn run(command: ArchiveCommand) -> Result<(), ToolError> {
    let fs = OsFs;
    let mut out = io::stdout().lock();
    match command {
        ArchiveCommand::Verify { file, json } => run_verify(&fs, &file, json, &mut out),
        ArchiveCommand::List { file, json } => run_list(&fs, &file, json, &mut out),
        ArchiveCommand::Extract { file, dir, json } => run_extract(&fs, &file, &dir, json, &mut out),
    }
}

fn run_verify(fs: &dyn Fs, file: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let checked = open(fs, file).and_then(|reader| Ok(verify(fs, &reader, &Reporter::new("verifying", None))?));
    if json {
        let problems = match &checked {
            Ok(report) => report.problems.iter().map(|problem| one_line(problem)).collect(),
            Err(error) => vec![one_line(error)],
        };
        let report = checked.as_ref().ok();
        let object = json!({
            "file": file.to_string_lossy(),
            "sound": problems.is_empty(),
            "problems": problems,
            "members": report.map(|report| report.members),
            "bytes": report.map(|report| report.bytes),
            "sha256": report.and_then(|report| report.sha256).map(|digest| digest.to_string()),
        });
        writeln!(out, "{object}")?;
    }
    let report = checked?;
    if !json {
        print_report(file, &report, out)?;
    }
    match report.problems.len() {
        0 => Ok(()),
        count => Err(ToolError::Damaged { path: file.to_owned(), count }),
    }
}

fn print_report(file: &Path, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for problem in &report.problems {
        writeln!(out, "{}", one_line(problem))?;
    }
    if let (true, Some(sha256)) = (report.is_sound(), report.sha256) {
        writeln!(out, "{}: sound, {} members, {} bytes, SHA-256 {sha256}", file.display(), report.members, report.bytes)?;
    }
    Ok(())
}

fn run_list(fs: &dyn Fs, file: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let reader = open(fs, file)?;
    let (plan, manifest) = (reader.plan(), reader.manifest());
    if json {
        let member = |member: icecore_archive::MemberRef<'_>| {
            let (sha256, crc32c) = (member.sha256.to_string(), member.crc32c.to_string());
            json!({ "path": member.path, "len": member.len, "sha256": sha256, "crc32c": crc32c })
        };
        let object = json!({
            "file": file.to_string_lossy(),
            "bytes": plan.archive_len(),
            "manifest_sha256": plan.manifest_sha256().to_string(),
            "subject": manifest.subject(),
            "members": manifest.iter().map(member).collect::<Vec<_>>(),
        });
        writeln!(out, "{object}")?;
        return Ok(());
    }
    for member in manifest.iter() {
        writeln!(out, "{:>14}  {}  {}", member.len, member.sha256, member.path)?;
    }
    writeln!(out, "{} members, {} bytes of data, {} bytes in all", manifest.len(), plan.data_len(), plan.archive_len())?;
    Ok(())
}

fn run_extract(fs: &dyn Fs, file: &Path, dir: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let reader = open(fs, file)?;
    let created = match fs.create_dir(dir) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(source) => {
            return Err(ToolError::Io { operation: "create", path: dir.to_owned(), source });
        }
    };
    let listed = fs.list(dir).map_err(|source| ToolError::Io { operation: "list", path: dir.to_owned(), source })?;
    if !listed.is_empty() {
        return Err(ToolError::NotEmpty { path: dir.to_owned() });
    }
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let reporter = Reporter::new("extracting", None);
    let unpacked = match unpack(&reader, fs, dir, |_, member| Some(PathBuf::from(member.path)), threads, &reporter) {
        Ok(unpacked) => unpacked,
        Err(error) => {
            if created {
                // The command is failing already, and its error says why.
                let _ = fs.remove_dir(dir);
            }
            return Err(error.into());
        }
    };
    reporter.finish();
    if json {
        let object = json!({
            "file": file.to_string_lossy(),
            "dir": dir.to_string_lossy(),
            "files": unpacked.files,
            "bytes": unpacked.bytes,
        });
        writeln!(out, "{object}")?;
    } else {
        writeln!(out, "{}: {} files, {} bytes, all verified", dir.display(), unpacked.files, unpacked.bytes)?;
    }
    Ok(())
}

/// Opens an archive that may be given by a symbolic link.
fn open(fs: &dyn Fs, file: &Path) -> Result<Reader, ToolError> {
    let path = file.canonicalize().map_err(|source| ToolError::Io { operation: "open", path: file.to_owned(), source })?;
    Ok(Reader::open(fs, &path)?)
}
