//! Takes members out of an archive into files, verifying them on the way.
//!
//! Only the members that the caller selects are read, each once: its headers and padding are compared with what the manifest gives,
//! its data is digested while it is written. Files are created new, never overwritten, and only below the root. After `Ok` every
//! file and directory is durable; after an error everything that the call created is removed again.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use icecore_io::{FileKind, Fs};

use crate::Error;
use crate::format::manifest::MemberRef;
use crate::progress::{Progress, advance};
use crate::reader::{Reader, check_member};
use crate::workers;
use crate::writer::start_writeback;
use icecore_io::digest::Hasher;

/// Bytes after which a file's write-back is started.
const WRITEBACK_LEN: u64 = 8 << 20;

/// What [`unpack`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Files written.
    pub files: u64,
    /// Bytes of data in them.
    pub bytes: u64,
}

/// Writes the members for which `select` gives a destination to files below `root`, on `threads` threads. Progress counts bytes of
/// data. `root` has to exist; a destination is a relative path of ordinary components, and missing directories are created.
///
/// Fails with [`Error::NoSpace`] before anything is written if the file system is too full, [`Error::Destination`] for a path that
/// leaves the root, [`Error::AlreadyExists`] if there is anything at a destination (or two members have the same), and
/// [`Error::Damaged`] if the archive is not what its manifest says.
pub fn unpack(
    reader: &Reader,
    fs: &dyn Fs,
    root: &Path,
    select: impl Fn(usize, MemberRef<'_>) -> Option<PathBuf>,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Unpacked, Error> {
    unpack_with(reader, fs, root, select, &Extras::default(), threads, progress)
}

/// What a tree has beside the data of its files.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Members that get the executable bits.
    pub(crate) executables: BTreeSet<String>,
    /// Directories to be made, whether there is a member in them or not.
    pub(crate) directories: Vec<PathBuf>,
}

/// [`unpack`] with what else the tree has.
pub(crate) fn unpack_with(
    reader: &Reader,
    fs: &dyn Fs,
    root: &Path,
    select: impl Fn(usize, MemberRef<'_>) -> Option<PathBuf>,
    extras: &Extras,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Unpacked, Error> {
    let mut jobs = Vec::new();
    for (index, member) in reader.manifest().iter().enumerate() {
        if let Some(destination) = select(index, member) {
            check_destination(member, &destination)?;
            let executable = extras.executables.contains(member.path);
            jobs.push(Job { index, len: member.len, executable, path: root.join(destination) });
        }
    }
    let done = Unpacked { files: jobs.len() as u64, bytes: jobs.iter().map(|job| job.len).sum() };
    let free = fs.free_space(root).map_err(Error::io("measure the free space of", root))?;
    if free < done.bytes {
        return Err(Error::NoSpace { path: root.to_owned(), needed: done.bytes, free });
    }
    progress.start(done.bytes);
    reader.check_trailer()?;

    let mut made = Made { fs, dirs: Vec::new(), files: Mutex::new(Vec::new()), complete: false };
    let changed_dirs = made.create_dirs(root, &jobs, &extras.directories)?;
    workers::run(&jobs, threads, |job, buffer| write_member(reader, &made, job, buffer, progress))?;
    for dir in &changed_dirs {
        fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    }
    made.complete = true;
    Ok(done)
}

/// One member to be written.
struct Job {
    index: usize,
    len: u64,
    executable: bool,
    path: PathBuf,
}

fn check_destination(member: MemberRef<'_>, path: &Path) -> Result<(), Error> {
    let ordinary = path.components().all(|component| matches!(component, Component::Normal(_)));
    if !ordinary || path.as_os_str().is_empty() {
        return Err(Error::Destination { member: member.path.to_owned(), path: path.to_owned() });
    }
    Ok(())
}

fn write_member(reader: &Reader, made: &Made<'_>, job: &Job, buffer: &mut [u8], progress: &dyn Progress) -> Result<(), Error> {
    let Some(placed) = reader.plan().place(job.index) else {
        return Ok(());
    };
    reader.check_frame(&placed)?;
    let file = made.fs.create_new(&job.path).map_err(Error::io("create", &job.path))?;
    made.files.lock().unwrap_or_else(PoisonError::into_inner).push(job.path.clone());
    let mut hasher = Hasher::default();
    let (mut offset, mut writeback_offset) = (0, 0);
    while offset < job.len {
        let len = usize::try_from(job.len - offset).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = buffer.get_mut(..len).unwrap_or_default();
        reader.read_exact(bytes, placed.data_offset + offset)?;
        hasher.update(bytes);
        file.write_all_at(bytes, offset).map_err(Error::io("write", &job.path))?;
        offset += len as u64;
        if offset - writeback_offset >= WRITEBACK_LEN {
            start_writeback(file.as_ref(), writeback_offset, offset - writeback_offset).map_err(Error::io("write", &job.path))?;
            writeback_offset = offset;
        }
        advance(progress, len as u64)?;
    }
    if let Some(problem) = check_member(placed.member, hasher).into_iter().next() {
        return Err(reader.damaged(problem));
    }
    if job.executable {
        make_executable(made.fs, &job.path)?;
    }
    file.sync_data().map_err(Error::io("sync", &job.path))
}

/// Whoever may read the file may execute it, as after `chmod +x` under the process's umask.
fn make_executable(fs: &dyn Fs, path: &Path) -> Result<(), Error> {
    let mode = fs.metadata(path).map_err(Error::io("look at", path))?.mode;
    fs.set_mode(path, mode | (mode & 0o444) >> 2).map_err(Error::io("make executable", path))
}

/// Everything that one call has created. Dropping it removes that again, unless the call has succeeded.
struct Made<'a> {
    fs: &'a dyn Fs,
    /// Directories, each after the one that it is in.
    dirs: Vec<PathBuf>,
    files: Mutex<Vec<PathBuf>>,
    complete: bool,
}

impl Made<'_> {
    /// Creates the directories that the jobs need, and `others` below the root; gives those in which something is new.
    fn create_dirs(&mut self, root: &Path, jobs: &[Job], others: &[PathBuf]) -> Result<BTreeSet<PathBuf>, Error> {
        let mut needed = BTreeSet::new();
        let mut changed = BTreeSet::new();
        let mut need = |dir: &Path| {
            for dir in dir.ancestors().take_while(|dir| *dir != root) {
                if !needed.insert(dir.to_owned()) {
                    break;
                }
            }
        };
        for parent in jobs.iter().filter_map(|job| job.path.parent()) {
            need(parent);
            changed.insert(parent.to_owned());
        }
        others.iter().for_each(|dir| need(&root.join(dir)));
        // In the order of the set a directory comes before what is in it.
        for dir in needed {
            match self.fs.create_dir(&dir) {
                Ok(()) => {
                    changed.extend(dir.parent().map(Path::to_owned));
                    changed.insert(dir.clone());
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
        Ok(changed)
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
