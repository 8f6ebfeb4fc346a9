//! Makes an archive in a directory: complete under its name, or not there at all.
//!
//! The archive is written under a temporary, locked name and synced, its side files beside it; then these get their names, which are
//! made durable; then the archive's rename, which never overwrites, commits. Whatever fails, everything that the call made is removed again; after a crash
//! [`sweep`](crate::sweep()) does that. Which names archives get is the caller's business.

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use icecore_io::publish::temp_path;
use icecore_io::{Clock, Existing, File, Fs, PublishError, publish_synced, rename_synced, write_temp};

use crate::Error;
use crate::format::frames::file_len_max;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::store::{
    ArchiveName, Attempt, CHECKSUM_SUFFIX, META_SUFFIX, Meta, checksum_bytes, remove_if_there, seconds, side_path, time,
};
use crate::writer::{Compression, FileSink, Source, Written, write_archive, write_compressed};
use icecore_io::digest::Sha256Digest;

/// What the side files and the directory may take beside the archive, in bytes.
const SIDE_FILES_LEN: u64 = 64 << 10;
/// Permission bits of a finished archive: nobody changes it any more.
const ARCHIVE_MODE: u32 = 0o444;

/// A finished, durable archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// Digest of the whole file.
    pub sha256: Sha256Digest,
    /// Digest of the manifest.
    pub manifest_sha256: Sha256Digest,
    /// When it was made, in whole seconds.
    pub created_at: SystemTime,
}

/// What an archive is made of, and in which form.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// Its layout.
    pub plan: &'a Plan,
    /// Its members' data.
    pub source: &'a dyn Source,
    /// Whether it is compressed.
    pub compression: Option<Compression>,
}

/// Makes the archive `name` in `dir`, with its side files, and does not compress it. See [`create_draft`].
pub fn create(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    plan: &Plan,
    source: &dyn Source,
    progress: &dyn Progress,
) -> Result<Created, Error> {
    create_draft(fs, clock, dir, name, Draft { plan, source, compression: None }, progress)
}

/// Makes the archive `name` in `dir`, with its side files. After `Ok` all of it is durable.
///
/// Fails with [`Error::ArchiveName`] if the name ends in `.zst` and the archive is not to be compressed, or the other way round; with
/// [`Error::AlreadyExists`] if there is an archive or a side file of that name, or somebody is making one: it stays as it
/// is; with [`Error::NoSpace`] before anything is written if the file system is too full, even for an archive that may become
/// shorter; and otherwise as [`write_archive`] and [`write_compressed`] do. After an error nothing of the new archive is left, except
/// a side file that the system refuses to remove, or of which it said that it could not be made: that is for
/// [`sweep`](crate::sweep()).
pub fn create_draft(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    draft: Draft<'_>,
    progress: &dyn Progress,
) -> Result<Created, Error> {
    draft.check_name(name)?;
    let about = About {
        len_max: draft.len_max(),
        uncompressed_size: draft.compression.map(|_| draft.plan.archive_len()),
        manifest_sha256: Some(draft.plan.manifest_sha256()),
    };
    let path = dir.join(name.as_str());
    let meta = make(fs, clock, dir, name, about, |file, temp| draft.write(file, temp, progress))?;
    Ok(Created {
        path,
        len: meta.size,
        sha256: meta.sha256,
        manifest_sha256: draft.plan.manifest_sha256(),
        created_at: time(meta.created_at),
    })
}

/// What is known of an archive before it is written.
pub(crate) struct About {
    /// The longest that the file can become.
    pub(crate) len_max: u64,
    /// Length of the tar, if it is compressed.
    pub(crate) uncompressed_size: Option<u64>,
    /// Digest of the manifest, if anybody has read it.
    pub(crate) manifest_sha256: Option<Sha256Digest>,
}

/// Makes the archive `name` of what `write` puts into an empty file, and says what its index file holds.
pub(crate) fn make(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    about: About,
    write: impl FnOnce(&Arc<dyn File>, &Path) -> Result<Written, Error>,
) -> Result<Meta, Error> {
    check_space(fs, dir, about.len_max)?;
    let path = dir.join(name.as_str());
    let Some(attempt) = Attempt::begin(fs, dir, name).map_err(Error::io("create a temporary for", &path))? else {
        return Err(Error::AlreadyExists { path });
    };
    let mut made =
        Made { fs, dir, archive: None, side_temps: Vec::new(), side_files: Vec::new(), attempt: &attempt, committed: false };
    let result = made.make(clock, &path, about, write);
    made.committed = result.is_ok();
    result
}

impl Draft<'_> {
    /// Whether the name says rightly if the archive is compressed; [`Error::ArchiveName`] if not.
    pub fn check_name(&self, name: &ArchiveName) -> Result<(), Error> {
        if name.is_compressed() == self.compression.is_some() {
            return Ok(());
        }
        let rule = "it must end in `.zst` if the archive is compressed, and only then";
        Err(Error::ArchiveName { name: name.to_string(), rule })
    }

    /// The longest that the file can become, in bytes; of an archive that is not compressed, its length.
    pub fn len_max(&self) -> u64 {
        match self.compression {
            Some(_) => file_len_max(self.plan.archive_len()),
            None => self.plan.archive_len(),
        }
    }

    /// Writes the archive to an empty file.
    fn write(&self, file: &Arc<dyn File>, path: &Path, progress: &dyn Progress) -> Result<Written, Error> {
        let mut sink = FileSink::new(Arc::clone(file));
        match self.compression {
            // Nothing is reserved: the length is not known.
            Some(compression) => write_compressed(self.plan, self.source, &mut sink, compression, progress),
            None => {
                reserve(file, self.plan.archive_len()).map_err(Error::io("reserve space for", path))?;
                write_archive(self.plan, self.source, &mut sink, progress)
            }
        }
    }
}

fn check_space(fs: &dyn Fs, dir: &Path, len: u64) -> Result<(), Error> {
    let needed = len.saturating_add(SIDE_FILES_LEN);
    let free = fs.free_space(dir).map_err(Error::io("measure the free space of", dir))?;
    if free < needed {
        return Err(Error::NoSpace { path: dir.to_owned(), needed, free });
    }
    Ok(())
}

/// Everything that one call has made. Dropping it removes that again, unless the call has succeeded.
struct Made<'a> {
    fs: &'a dyn Fs,
    dir: &'a Path,
    attempt: &'a Attempt,
    /// The archive under its final name.
    archive: Option<PathBuf>,
    /// Side files that do not have their names yet.
    side_temps: Vec<PathBuf>,
    side_files: Vec<PathBuf>,
    committed: bool,
}

impl Made<'_> {
    fn make(
        &mut self,
        clock: &dyn Clock,
        path: &Path,
        about: About,
        write: impl FnOnce(&Arc<dyn File>, &Path) -> Result<Written, Error>,
    ) -> Result<Meta, Error> {
        let checksum_path = side_path(path, CHECKSUM_SUFFIX);
        let meta_path = side_path(path, META_SUFFIX);
        for taken in [path, &checksum_path, &meta_path] {
            if self.fs.exists(taken).map_err(Error::io("look at", taken))? {
                return Err(Error::AlreadyExists { path: taken.to_owned() });
            }
        }
        let temp = self.attempt.path();
        let file = self.attempt.open(self.fs).map_err(Error::io("open", temp))?;
        let written = write(&file, temp)?;
        // Before the sync, so that one sync covers both where the file system keeps them together.
        self.fs.set_mode(temp, ARCHIVE_MODE).map_err(Error::io("make read-only", temp))?;
        let meta = Meta {
            created_at: seconds(clock.now()),
            size: written.len,
            uncompressed_size: about.uncompressed_size,
            sha256: written.sha256,
            manifest_sha256: about.manifest_sha256,
            verified_at: None,
        };
        let side_files = [(checksum_path, checksum_bytes(written.sha256)), (meta_path, meta.to_bytes())];
        self.sync(&file, &side_files)?;
        self.publish(side_files.map(|(path, _)| path))?;
        self.commit(path)?;
        Ok(meta)
    }

    /// Makes the archive's bytes durable, and those of the side files, all under temporary names. Each sync ends with a flush of the
    /// disk's cache; those that are asked for at once are one.
    fn sync(&mut self, archive: &Arc<dyn File>, side_files: &[(PathBuf, Vec<u8>); 2]) -> Result<(), Error> {
        let fs = self.fs;
        thread::scope(|scope| {
            let others = side_files
                .each_ref()
                .map(|(path, bytes)| scope.spawn(move || write_temp(fs, path, bytes).map_err(Error::io("write", path))));
            let mut result = archive.sync_data().map_err(Error::io("sync", self.attempt.path()));
            for other in others {
                match other.join().unwrap_or_else(|panic| resume_unwind(panic)) {
                    Ok(temp) => self.side_temps.push(temp),
                    Err(error) => result = result.and(Err(error)),
                }
            }
            result
        })
    }

    /// Gives the side files their names, and makes these durable.
    fn publish(&mut self, side_files: [PathBuf; 2]) -> Result<(), Error> {
        for path in side_files {
            match rename_synced(self.fs, &temp_path(&path), &path, Existing::Keep) {
                Ok(()) => self.side_files.push(path),
                Err(PublishError::NotPublished(error)) => return Err(Error::io("publish", path)(error)),
                Err(PublishError::Uncertain(error)) => {
                    self.side_files.push(path.clone());
                    return Err(Error::io("publish", path)(error));
                }
            }
        }
        self.fs.sync_dir(self.dir).map_err(Error::io("sync", self.dir))
    }

    /// Gives the archive its name.
    fn commit(&mut self, path: &Path) -> Result<(), Error> {
        let temp = self.attempt.path();
        let inode = self.fs.metadata(temp).map_err(Error::io("look at", temp))?.inode;
        match publish_synced(self.fs, temp, path, Existing::Keep) {
            Ok(()) => Ok(()),
            Err(PublishError::NotPublished(error)) => {
                // Over a network a rename can be done and its answer be lost.
                if self.fs.metadata(path).is_ok_and(|found| found.inode == inode) {
                    self.archive = Some(path.to_owned());
                }
                Err(Error::io("publish", path)(error))
            }
            Err(PublishError::Uncertain(error)) => {
                self.archive = Some(path.to_owned());
                Err(Error::io("make durable", path)(error))
            }
        }
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // The call is failing already, and its error says why. What cannot be removed here is removed by the next sweep, and the
        // archive goes first, so that it is never there without its side files.
        for path in self.archive.iter().chain(&self.side_files).chain(&self.side_temps) {
            let _ = remove_if_there(self.fs, path);
        }
        let _ = self.attempt.remove(self.fs);
        let _ = self.fs.sync_dir(self.dir);
    }
}

/// Reserves blocks where the file system can, so that a full disk shows now.
pub(crate) fn reserve(file: &Arc<dyn File>, len: u64) -> io::Result<()> {
    match file.allocate(0, len) {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}
