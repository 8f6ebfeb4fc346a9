//! Where members go: the files and directories that one call makes below a root.
//!
//! Files are created new, never overwritten, at relative paths of ordinary components. All that a call makes is remembered, and
//! removed again unless the call succeeds. Reading and verifying the members is not done here.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use icecore_io::{File, FileKind, Fs};

use crate::Error;
use crate::format::manifest::{Manifest, MemberRef};
use crate::syncing::SYNCS_AT_ONCE;
use crate::workers;
use crate::writer::{FileSink, Sink};

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Files written.
    pub files: u64,
    /// Bytes of data in them.
    pub bytes: u64,
}

impl Unpacked {
    /// What there is when the jobs are done.
    pub(crate) fn by(jobs: &[Job]) -> Self {
        Self { files: jobs.len() as u64, bytes: jobs.iter().map(|job| job.len).sum() }
    }
}

/// What a tree has beside the data of its files.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Members that get the executable bits.
    pub(crate) executables: BTreeSet<String>,
    /// Directories to be made, whether there is a member in them or not.
    pub(crate) directories: Vec<PathBuf>,
}

/// One member to be written.
pub(crate) struct Job {
    pub(crate) index: usize,
    pub(crate) len: u64,
    executable: bool,
    path: PathBuf,
}

/// The members for which `select` gives a destination, in the order of the archive.
pub(crate) fn jobs(
    manifest: &Manifest,
    root: &Path,
    select: impl Fn(usize, MemberRef<'_>) -> Option<PathBuf>,
    extras: &Extras,
) -> Result<Vec<Job>, Error> {
    let mut jobs = Vec::new();
    for (index, member) in manifest.iter().enumerate() {
        if let Some(destination) = select(index, member) {
            check_destination(member, &destination)?;
            let executable = extras.executables.contains(member.path);
            jobs.push(Job { index, len: member.len, executable, path: root.join(destination) });
        }
    }
    Ok(jobs)
}

fn check_destination(member: MemberRef<'_>, path: &Path) -> Result<(), Error> {
    let ordinary = path.components().all(|component| matches!(component, Component::Normal(_)));
    if !ordinary || path.as_os_str().is_empty() {
        return Err(Error::Destination { member: member.path.to_owned(), path: path.to_owned() });
    }
    Ok(())
}

/// Fails if `needed` bytes are more than the file system has.
pub(crate) fn check_space(fs: &dyn Fs, root: &Path, needed: u64) -> Result<(), Error> {
    let free = fs.free_space(root).map_err(Error::io("measure the free space of", root))?;
    if free < needed {
        return Err(Error::NoSpace { path: root.to_owned(), needed, free });
    }
    Ok(())
}

/// The file of a member on its way.
pub(crate) struct MemberFile<'a> {
    fs: &'a dyn Fs,
    job: &'a Job,
    file: Arc<dyn File>,
    sink: FileSink,
}

impl<'a> MemberFile<'a> {
    /// Creates it, empty.
    pub(crate) fn create(made: &Made<'a>, job: &'a Job) -> Result<Self, Error> {
        let file = made.fs.create_new(&job.path).map_err(Error::io("create", &job.path))?;
        made.files.lock().unwrap_or_else(PoisonError::into_inner).push(job.path.clone());
        Ok(Self { fs: made.fs, job, sink: FileSink::new(Arc::clone(&file)), file })
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.write(bytes).map_err(Error::io("write", &self.job.path))
    }

    /// Starts the write-back of all that was written, so that [`MemberFile::finish`] has less to wait for.
    pub(crate) fn start_writeback(&mut self) -> Result<(), Error> {
        self.sink.start_writeback().map_err(Error::io("write", &self.job.path))
    }

    /// Makes the contents durable; the name is when [`Made::complete`] has returned.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.job.executable {
            make_executable(self.fs, &self.job.path)?;
        }
        self.file.sync_data().map_err(Error::io("sync", &self.job.path))
    }
}

/// Whoever may read the file may execute it, as after `chmod +x` under the process's umask.
fn make_executable(fs: &dyn Fs, path: &Path) -> Result<(), Error> {
    let mode = fs.metadata(path).map_err(Error::io("look at", path))?.mode;
    fs.set_mode(path, mode | (mode & 0o444) >> 2).map_err(Error::io("make executable", path))
}

/// Everything that one call has created. Dropping it removes that again, unless the call has succeeded.
pub(crate) struct Made<'a> {
    fs: &'a dyn Fs,
    /// Directories, each after the one that it is in.
    dirs: Vec<PathBuf>,
    files: Mutex<Vec<PathBuf>>,
    /// Directories in which something is new.
    changed: BTreeSet<PathBuf>,
    complete: bool,
}

impl<'a> Made<'a> {
    /// Nothing yet.
    pub(crate) fn new(fs: &'a dyn Fs) -> Self {
        Self { fs, dirs: Vec::new(), files: Mutex::new(Vec::new()), changed: BTreeSet::new(), complete: false }
    }

    /// Creates the directories that the jobs need, and `others` below the root.
    pub(crate) fn create_dirs(&mut self, root: &Path, jobs: &[Job], others: &[PathBuf]) -> Result<(), Error> {
        let mut needed = BTreeSet::new();
        let mut need = |dir: &Path| {
            for dir in dir.ancestors().take_while(|dir| *dir != root) {
                if !needed.insert(dir.to_owned()) {
                    break;
                }
            }
        };
        for parent in jobs.iter().filter_map(|job| job.path.parent()) {
            need(parent);
            self.changed.insert(parent.to_owned());
        }
        others.iter().for_each(|dir| need(&root.join(dir)));
        // In the order of the set a directory comes before what is in it.
        for dir in needed {
            match self.fs.create_dir(&dir) {
                Ok(()) => {
                    self.changed.extend(dir.parent().map(Path::to_owned));
                    self.changed.insert(dir.clone());
                    self.dirs.push(dir);
                }
                Err(error) => {
                    // A symbolic link is not good enough: what is below it is not below the root.
                    let is_dir = self.fs.metadata(&dir).is_ok_and(|found| found.kind == FileKind::Dir);
                    if !is_dir {
                        return Err(Error::io("create", dir)(error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the names durable, after the files are. From then on all of it stays.
    pub(crate) fn complete(mut self) -> Result<(), Error> {
        let changed: Vec<&PathBuf> = self.changed.iter().collect();
        workers::run(&changed, SYNCS_AT_ONCE, || (), |dir, ()| self.fs.sync_dir(dir).map_err(Error::io("sync", dir)))?;
        self.complete = true;
        Ok(())
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        // The call is failing already, and its error says why. A directory into which somebody else has put something stays.
        for path in self.files.get_mut().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = self.fs.remove_file(path);
        }
        for dir in self.dirs.iter().rev() {
            let _ = self.fs.remove_dir(dir);
        }
    }
}
