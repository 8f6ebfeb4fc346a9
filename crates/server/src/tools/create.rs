//! `icecore archive create`: an archive of any directory that is not ours.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_archive::{ArchiveName, Directory};
use icecore_io::{Clock, Fs, OsClock, OsFs};
use serde_json::json;

use super::{ToolError, resolve, threads};
use crate::report::{Reporter, throughput};

/// Archives `dir` as `file`.
pub(super) fn run(dir: &Path, file: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let (fs, clock) = (Arc::new(OsFs), OsClock::new());
    let started = clock.monotonic();
    let root = resolve(dir)?;
    let (parent, name) = destination(file)?;
    if parent.starts_with(&root) {
        return Err(ToolError::Inside { path: file.to_owned(), dir: dir.to_owned() });
    }
    let is_storage = icecore_storage::inspect::is_storage(fs.as_ref(), &root);
    if is_storage.map_err(|source| ToolError::Io { operation: "look into", path: dir.to_owned(), source })? {
        return Err(ToolError::IsStorage { path: dir.to_owned() });
    }
    // Before hours of hashing; whoever makes such a file meanwhile is noticed too.
    let path = parent.join(name.as_str());
    if fs.exists(&path).map_err(|source| ToolError::Io { operation: "look at", path: path.clone(), source })? {
        return Err(icecore_archive::Error::AlreadyExists { path }.into());
    }

    let directory = Directory::scan(fs.clone(), &root)?;
    let hashing = Reporter::new("hashing", None);
    let plan = directory.plan(threads(), &hashing)?;
    hashing.finish();
    let copying = Reporter::new("archiving", None);
    let created = icecore_archive::create(fs.as_ref(), &clock, &parent, &name, &plan, &directory, &copying)
        .map_err(|error| directory.explain(error))?;
    copying.finish();

    let time = clock.monotonic().saturating_sub(started);
    let subject = directory.subject();
    if json {
        let object = json!({
            "file": file.to_string_lossy(),
            "dir": dir.to_string_lossy(),
            "files": directory.files(),
            "data_bytes": directory.bytes(),
            "executables": subject.executables.len(),
            "empty_directories": subject.directories.len(),
            "bytes": created.len,
            "sha256": created.sha256.to_string(),
            "manifest_sha256": created.manifest_sha256.to_string(),
            "seconds": time.as_secs_f64(),
        });
        writeln!(out, "{object}")?;
    } else {
        let (files, empty) = (directory.files(), subject.directories.len());
        let (throughput, sha256) = (throughput(created.len, time), created.sha256);
        let file = file.display();
        writeln!(out, "{file}: {files} files, {empty} empty directories, {throughput}, SHA-256 {sha256}")?;
    }
    Ok(())
}

/// The directory of the archive, symbolic links followed, and the archive's name in it.
fn destination(file: &Path) -> Result<(PathBuf, ArchiveName), ToolError> {
    let no_name = || ToolError::NoFileName { path: file.to_owned() };
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(no_name)?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((resolve(parent)?, ArchiveName::unlisted(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_directory_and_a_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (parent, name) = destination(&dir.path().join("a.tar")).unwrap();
        assert_eq!((parent, name.as_str()), (root.clone(), "a.tar"));
        let (parent, _) = destination(Path::new("a.snapshot")).unwrap();
        assert_eq!(parent, Path::new(".").canonicalize().unwrap());
        for wrong in ["..", "x/..", "/", "", ".hidden", "a.checksum", "a\n"] {
            assert!(destination(&dir.path().join(wrong)).is_err() || wrong.is_empty(), "{wrong:?}");
        }
        assert!(matches!(destination(&root.join("nowhere/a.tar")), Err(ToolError::Io { .. })));
    }

    #[test]
    fn an_archive_inside_its_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let inside = run(dir.path(), &dir.path().join("a.tar"), false, &mut Vec::new());
        assert!(matches!(inside, Err(ToolError::Inside { .. })));
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let linked = tempfile::tempdir().unwrap();
        let link = linked.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("sub"), &link).unwrap();
        let through_a_link = run(dir.path(), &link.join("a.tar"), false, &mut Vec::new());
        assert!(matches!(through_a_link, Err(ToolError::Inside { .. })));
    }
}
