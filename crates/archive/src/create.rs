//! Makes an archive in a directory: complete under its name, or not there at all.
//!
//! The archive is written under a temporary, locked name and synced, its side files beside it; then these get their names, which are
//! made durable; then the archive's rename, which never overwrites, commits. Where an equal archive may be shared, its file gets the
//! new name at that moment, instead of a copy. Whatever fails, everything that the call made is removed again; after a crash
//! [`sweep`](crate::sweep()) does that. Which names archives get is the caller's business, and which archives may be shared is
//! decided in [`sharing`](crate::sharing).

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
use crate::progress::{Progress, advance};
use crate::sharing::{Sharing, Twin, twins};
use crate::store::{
    ARCHIVE_MODE, ArchiveName, Attempt, CHECKSUM_SUFFIX, FileNote, META_SUFFIX, Meta, checksum_bytes, remove_if_there, seconds,
    side_path, time,
};
use crate::writer::{Compression, FileSink, Source, Written, write_archive, write_compressed};
use icecore_io::digest::Sha256Digest;

/// What the side files and the directory may take beside the archive, in bytes.
const SIDE_FILES_LEN: u64 = 64 << 10;

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
    /// Whether it is another name of an archive that was there, and nothing was copied.
    pub shared: bool,
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
    /// Whether it may share the file of an equal archive. A compressed one never does.
    pub sharing: Option<Sharing<'a>>,
}

/// Makes the archive `name` in `dir`, with its side files; a copy, not compressed. See [`create_draft`].
pub fn create(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    plan: &Plan,
    source: &dyn Source,
    progress: &dyn Progress,
) -> Result<Created, Error> {
    create_draft(fs, clock, dir, name, Draft { plan, source, compression: None, sharing: None }, progress)
}

/// Makes the archive `name` in `dir`, with its side files. After `Ok` all of it is durable.
///
/// Fails with [`Error::ArchiveName`] if the name ends in `.zst` and the archive is not to be compressed, or the other way round; with
/// [`Error::AlreadyExists`] if there is an archive or a side file of that name, or somebody is making one: it stays as it
/// is; with [`Error::NoSpace`] before anything is written if the file system is too full, even for an archive that may become
/// shorter, but not for one that is shared; and otherwise as [`write_archive`] and [`write_compressed`] do. After an error nothing of the new archive is left, except
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
    if name.is_compressed() != draft.compression.is_some() {
        let rule = "it must end in `.zst` if the archive is compressed, and only then";
        return Err(Error::ArchiveName { name: name.to_string(), rule });
    }
    let needed = draft.len_max().saturating_add(SIDE_FILES_LEN);
    check_space(fs, dir, needed, if draft.may_share().is_some() { SIDE_FILES_LEN } else { needed })?;
    let path = dir.join(name.as_str());
    let Some(attempt) = Attempt::begin(fs, dir, name).map_err(Error::io("create a temporary for", &path))? else {
        return Err(Error::AlreadyExists { path });
    };
    let mut made =
        Made { fs, dir, archive: None, side_temps: Vec::new(), side_files: Vec::new(), attempt: &attempt, committed: false };
    let result = made.make(clock, &path, draft, progress);
    made.committed = result.is_ok();
    result
}

impl Draft<'_> {
    /// The longest that the file can become.
    fn len_max(&self) -> u64 {
        match self.compression {
            Some(_) => file_len_max(self.plan.archive_len()),
            None => self.plan.archive_len(),
        }
    }

    /// How the archive may share another's file.
    fn may_share(&self) -> Option<Sharing<'_>> {
        self.sharing.filter(|_| self.compression.is_none())
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

/// Fails if there are less than `least` bytes free; the error says that `needed` are needed.
fn check_space(fs: &dyn Fs, dir: &Path, needed: u64, least: u64) -> Result<(), Error> {
    let free = fs.free_space(dir).map_err(Error::io("measure the free space of", dir))?;
    if free < least {
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
    fn make(&mut self, clock: &dyn Clock, path: &Path, draft: Draft<'_>, progress: &dyn Progress) -> Result<Created, Error> {
        for taken in [path, &side_path(path, CHECKSUM_SUFFIX), &side_path(path, META_SUFFIX)] {
            if self.fs.exists(taken).map_err(Error::io("look at", taken))? {
                return Err(Error::AlreadyExists { path: taken.to_owned() });
            }
        }
        let Some(sharing) = draft.may_share() else {
            return self.copy(clock, path, draft, progress);
        };
        if let Some(created) = self.share(clock, path, draft, sharing, progress)? {
            return Ok(created);
        }
        let needed = draft.len_max().saturating_add(SIDE_FILES_LEN);
        check_space(self.fs, self.dir, needed, needed)?;
        self.copy(clock, path, draft, progress)
    }

    /// Writes the archive.
    fn copy(&mut self, clock: &dyn Clock, path: &Path, draft: Draft<'_>, progress: &dyn Progress) -> Result<Created, Error> {
        let temp = self.attempt.path();
        let file = self.attempt.open(self.fs).map_err(Error::io("open", temp))?;
        let written = draft.write(&file, temp, progress)?;
        // Before the sync, so that one sync covers both where the file system keeps them together.
        self.fs.set_mode(temp, ARCHIVE_MODE).map_err(Error::io("make read-only", temp))?;
        let noted = self.fs.metadata(temp).map_err(Error::io("look at", temp))?;
        let meta = Meta {
            created_at: seconds(clock.now()),
            size: written.len,
            uncompressed_size: draft.compression.map(|_| draft.plan.archive_len()),
            sha256: written.sha256,
            manifest_sha256: draft.plan.manifest_sha256(),
            file: FileNote::of(&noted),
            verified_at: None,
        };
        self.write_side_files(path, &meta, Some(&file))?;
        self.publish(path)?;
        self.commit(path, noted.inode)?;
        Ok(created(path, &meta, false))
    }

    /// Gives the file of an equal archive the new name. `None` if there is none that may be shared, or none that can be linked; then
    /// nothing is left of the attempt.
    fn share(
        &mut self,
        clock: &dyn Clock,
        path: &Path,
        draft: Draft<'_>,
        sharing: Sharing<'_>,
        progress: &dyn Progress,
    ) -> Result<Option<Created>, Error> {
        let fs = self.fs;
        // Reading an archive back is cheaper than a copy, reading several is not.
        let mut may_verify = true;
        for mut twin in twins(fs, self.dir, draft.plan) {
            if !twin.has_manifest_of(fs, draft.plan, sharing) {
                continue;
            }
            if !twin.is_fresh(clock.now(), sharing.reverify_after) {
                let is_sound = std::mem::take(&mut may_verify) && twin.verify(fs, clock, sharing, progress)?;
                if !is_sound {
                    continue;
                }
            }
            // Nothing is left to copy. Whoever wants it stopped is heard all the same.
            progress.start(0);
            advance(progress, 0)?;
            draft.source.check_unchanged()?;
            let meta = Meta { created_at: seconds(clock.now()), ..twin.meta().clone() };
            self.write_side_files(path, &meta, None)?;
            self.publish(path)?;
            if self.link(&twin, path)? {
                return Ok(Some(created(path, &meta, true)));
            }
            self.unpublish()?;
        }
        Ok(None)
    }

    /// Writes the side files under temporary names, and makes them and the archive's bytes durable. Each sync ends with a flush of the
    /// disk's cache; those that are asked for at once are one.
    fn write_side_files(&mut self, path: &Path, meta: &Meta, archive: Option<&Arc<dyn File>>) -> Result<(), Error> {
        let fs = self.fs;
        let contents = [(CHECKSUM_SUFFIX, checksum_bytes(meta.sha256)), (META_SUFFIX, meta.to_bytes())];
        let side_files = contents.map(|(suffix, bytes)| (side_path(path, suffix), bytes));
        thread::scope(|scope| {
            let others = side_files
                .each_ref()
                .map(|(path, bytes)| scope.spawn(move || write_temp(fs, path, bytes).map_err(Error::io("write", path))));
            let synced = archive.map_or(Ok(()), |archive| archive.sync_data());
            let mut result = synced.map_err(Error::io("sync", self.attempt.path()));
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
    fn publish(&mut self, path: &Path) -> Result<(), Error> {
        for path in [CHECKSUM_SUFFIX, META_SUFFIX].map(|suffix| side_path(path, suffix)) {
            match rename_synced(self.fs, &temp_path(&path), &path, Existing::Keep) {
                Ok(()) => self.side_files.push(path),
                Err(PublishError::NotPublished(error)) => return Err(Error::io("publish", path)(error)),
                Err(PublishError::Uncertain(error)) => {
                    self.side_files.push(path.clone());
                    return Err(Error::io("publish", path)(error));
                }
            }
        }
        self.side_temps.clear();
        self.fs.sync_dir(self.dir).map_err(Error::io("sync", self.dir))
    }

    /// Takes the side files back.
    fn unpublish(&mut self) -> Result<(), Error> {
        for path in self.side_files.drain(..) {
            remove_if_there(self.fs, &path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    /// Makes the archive's name another one of the twin's file, and makes it durable. False, and no such name, if that cannot be.
    fn link(&mut self, twin: &Twin, path: &Path) -> Result<bool, Error> {
        if let Err(error) = self.fs.link(twin.path(), path) {
            // Over a network a link can be made and its answer be lost. What was there before is another matter.
            let is_made =
                error.kind() != io::ErrorKind::AlreadyExists && self.fs.metadata(path).is_ok_and(|found| twin.is(&found));
            match error.kind() {
                _ if is_made => {}
                io::ErrorKind::TooManyLinks
                | io::ErrorKind::CrossesDevices
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::Unsupported
                | io::ErrorKind::NotFound => return Ok(false),
                _ => return Err(Error::io("link", path)(error)),
            }
        }
        self.archive = Some(path.to_owned());
        let linked = self.fs.metadata(path).map_err(Error::io("look at", path))?;
        // The twin may have been deleted, and another archive have got its name, or somebody may have changed it.
        if !twin.is(&linked) {
            self.fs.remove_file(path).map_err(Error::io("remove", path))?;
            self.archive = None;
            return Ok(false);
        }
        let temp = self.attempt.path();
        self.attempt.remove(self.fs).map_err(Error::io("remove", temp))?;
        self.fs.sync_dir(self.dir).map_err(Error::io("make durable", path))?;
        Ok(true)
    }

    /// Gives the archive, which has this inode number, its name.
    fn commit(&mut self, path: &Path, inode: u64) -> Result<(), Error> {
        match publish_synced(self.fs, self.attempt.path(), path, Existing::Keep) {
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

fn created(path: &Path, meta: &Meta, shared: bool) -> Created {
    Created {
        path: path.to_owned(),
        len: meta.size,
        sha256: meta.sha256,
        manifest_sha256: meta.manifest_sha256,
        created_at: time(meta.created_at),
        shared,
    }
}

/// Reserves blocks where the file system can, so that a full disk shows now.
fn reserve(file: &Arc<dyn File>, len: u64) -> io::Result<()> {
    match file.allocate(0, len) {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}
