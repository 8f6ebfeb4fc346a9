//! `icecore archive verify`, `list` and `extract`: what an archive holds, and whether it is sound.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use icecore_archive::{DirectorySubject, Report, unpack, unpack_directory};
use icecore_io::Fs;
use serde_json::json;

use super::table::printable;
use super::{ToolError, open, threads};
use crate::error::one_line;
use crate::report::Reporter;
use crate::usecases::sets::{self, Set};

/// Reads all of an archive.
pub(super) fn verify(fs: &dyn Fs, file: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let checked = open(fs, file).and_then(|reader| Ok(icecore_archive::verify(fs, &reader, &Reporter::new("verifying", None))?));
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

/// Shows the manifest.
pub(super) fn list(fs: &dyn Fs, file: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
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
    if sets::is_set(manifest) {
        let set = Set::of(manifest).map_err(|reason| ToolError::SetRule { path: file.to_owned(), reason })?;
        return list_set(&set, out).map_err(ToolError::from);
    }
    let directory = DirectorySubject::of(manifest)?.unwrap_or_default();
    for member in manifest.iter() {
        let executable = directory.executables.binary_search_by(|path| path.as_str().cmp(member.path)).is_ok();
        // As `ls -F` shows them.
        writeln!(out, "{:>14}  {}  {}{}", member.len, member.sha256, member.path, if executable { "*" } else { "" })?;
    }
    for empty in &directory.directories {
        writeln!(out, "{:>14}  {:64}  {empty}/", "-", "-")?;
    }
    writeln!(out, "{} members, {} bytes of data, {} bytes in all", manifest.len(), plan.data_len(), plan.archive_len())?;
    Ok(())
}

/// Lists what a set stands for: the archives by their paths in a store, and the aliases.
fn list_set(set: &Set, out: &mut dyn Write) -> io::Result<()> {
    for archive in &set.archives {
        // Not refused: the set was checked.
        let dirs = archive.place(&set.cluster).dirs().unwrap_or_default().join("/");
        writeln!(out, "{:>14}  {}  {}", archive.len, archive.sha256, printable(&format!("{dirs}/{}", archive.name)))?;
    }
    for (alias, collection) in &set.aliases {
        writeln!(out, "{:>14}  {:64}  {} -> {}", "-", "alias", printable(alias), printable(collection))?;
    }
    let (archives, cluster) = (set.archives.len(), printable(&set.cluster));
    writeln!(out, "a set of {archives} archives of cluster {cluster}, {} bytes in all; it holds none of them itself", set.bytes())
}

/// Unpacks all members, and what else the archive of a directory holds.
pub(super) fn extract(fs: &dyn Fs, file: &Path, dir: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let reader = open(fs, file)?;
    if sets::is_set(reader.manifest()) {
        return Err(ToolError::Set { path: file.to_owned() });
    }
    let directory = DirectorySubject::of(reader.manifest())?;
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
    let reporter = Reporter::new("extracting", None);
    let unpacked = match &directory {
        Some(subject) => unpack_directory(&reader, subject, fs, dir, threads(), &reporter),
        None => unpack(&reader, fs, dir, |_, member| Some(PathBuf::from(member.path)), threads(), &reporter),
    };
    let unpacked = match unpacked {
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
