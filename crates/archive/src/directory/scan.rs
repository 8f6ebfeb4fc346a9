//! What there is below a directory: the files with all that must stay the same until they are archived, and the empty directories.
//!
//! Whatever could not be archived is refused here, by name, before anything is read: links and special files, names that no member
//! can have, more files than an archive can hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use icecore_io::{FileKind, Fs, Metadata};

use super::DirectorySubject;
use crate::Error;
use crate::format::layout::MEMBERS_MAX;
use crate::format::path::MemberPath;

/// Permission bit with which the owner of a file may execute it.
const OWNER_EXECUTE: u32 = 0o100;

/// A directory at one instant, more or less: scanning takes its time.
#[derive(Debug)]
pub struct Directory {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) root: PathBuf,
    /// In the order of the archive: by name in each directory.
    pub(super) files: Vec<Found>,
    pub(super) subject: DirectorySubject,
}

/// A file as the scan found it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) path: MemberPath,
    pub(super) len: u64,
    /// With the length, what tells that the file was changed or replaced.
    inode: u64,
    modified: SystemTime,
}

impl Directory {
    /// Notes everything below `root`, which is not a link itself.
    ///
    /// Fails with [`Error::NotArchivable`] for anything but files and directories, [`Error::Path`] for a name that no member can
    /// have, and [`Error::TooManyMembers`].
    pub fn scan(fs: Arc<dyn Fs>, root: &Path) -> Result<Self, Error> {
        let found = fs.metadata(root).map_err(Error::io("look at", root))?;
        if found.kind != FileKind::Dir {
            return Err(Error::NotArchivable { path: root.to_owned(), found: "not a directory" });
        }
        let mut directory = Self { fs, root: root.to_owned(), files: Vec::new(), subject: DirectorySubject::default() };
        directory.add_entries(root, "")?;
        // By bytes, and not directory by directory, so that the lists have one order whatever stands beside what.
        directory.subject.executables.sort_unstable();
        directory.subject.directories.sort_unstable();
        Ok(directory)
    }

    /// How many files it has.
    pub fn files(&self) -> u64 {
        self.files.len() as u64
    }

    /// Bytes in all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// What an archive of it says beside its members.
    pub fn subject(&self) -> &DirectorySubject {
        &self.subject
    }

    /// Adds what is in `dir`, whose path in the archive is `prefix`; whether there is anything. The depth of the recursion is bounded
    /// by the longest path that a member can have.
    fn add_entries(&mut self, dir: &Path, prefix: &str) -> Result<bool, Error> {
        let entries = self.fs.list(dir).map_err(Error::io("list", dir))?;
        let any = !entries.is_empty();
        for entry in entries {
            let path = if prefix.is_empty() { entry.name } else { format!("{prefix}/{}", entry.name) };
            let path = MemberPath::new(path.clone()).map_err(|rule| Error::Path { path, rule })?;
            let found = self.fs.metadata(&entry.path).map_err(Error::io("look at", &entry.path))?;
            match found.kind {
                FileKind::File => self.add_file(path, found)?,
                FileKind::Dir => {
                    if !self.add_entries(&entry.path, path.as_str())? {
                        self.subject.directories.push(path.to_string());
                    }
                }
                kind => {
                    let found = if kind == FileKind::Symlink { "a symbolic link" } else { "a special file" };
                    return Err(Error::NotArchivable { path: entry.path, found });
                }
            }
        }
        Ok(any)
    }

    fn add_file(&mut self, path: MemberPath, found: Metadata) -> Result<(), Error> {
        let count = self.files() + 1;
        if count > MEMBERS_MAX {
            return Err(Error::TooManyMembers { count, max: MEMBERS_MAX });
        }
        if found.mode & OWNER_EXECUTE != 0 {
            self.subject.executables.push(path.to_string());
        }
        self.files.push(Found { path, len: found.len, inode: found.inode, modified: found.modified });
        Ok(())
    }
}

impl Found {
    /// Fails if the file at `path` is not this one any more.
    pub(super) fn check(&self, path: &Path, now: std::io::Result<Metadata>) -> Result<(), Error> {
        let change = match now {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "it is gone",
            Err(error) => return Err(Error::io("look at", path)(error)),
            Ok(now) if now.kind != FileKind::File || now.inode != self.inode => "it was replaced",
            Ok(now) if now.len != self.len => "its length is another one",
            Ok(now) if now.modified != self.modified => "it was written to",
            Ok(_) => return Ok(()),
        };
        Err(Error::Changed { path: path.to_owned(), change })
    }
}
