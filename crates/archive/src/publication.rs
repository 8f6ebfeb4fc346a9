//! The steps by which an archive becomes visible, in the order in which a crash may interrupt them.
//!
//! First the archive's bytes and the side files are made durable under temporary names, then the side files under their own; the
//! archive's name comes last and replaces nothing: a rename of what was written, or a link to the file of an equal archive. So an archive that is
//! there is complete and has its side files. What was made is taken back in the other order, unless the caller keeps it. Who writes
//! the bytes, and which archive is equal, is not known here.

use std::io;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use icecore_io::digest::Sha256Digest;
use icecore_io::publish::temp_path;
use icecore_io::{Clock, Existing, File, Fs, PublishError, publish_synced, rename_synced, write_temp};

use crate::Error;
use crate::sharing::Twin;
use crate::store::{
    ARCHIVE_MODE, Attempt, CHECKSUM_SUFFIX, FileNote, META_SUFFIX, Meta, checksum_bytes, remove_if_there, seconds, side_path,
};
use crate::writer::Written;

/// What is known of an archive before it is written.
pub(crate) struct About {
    /// Length of the tar, if it is compressed.
    pub(crate) uncompressed_size: Option<u64>,
    /// Digest of the manifest, if anybody has read it.
    pub(crate) manifest_sha256: Option<Sha256Digest>,
}

/// Everything that one creation has made. Dropping it removes that again, unless it is to be kept.
pub(crate) struct Publication<'a> {
    fs: &'a dyn Fs,
    dir: &'a Path,
    /// The archive's name.
    path: &'a Path,
    attempt: &'a Attempt,
    /// Whether the archive's name is this creation's.
    is_named: bool,
    /// Side files that do not have their names yet.
    side_temps: Vec<PathBuf>,
    side_files: Vec<PathBuf>,
    kept: bool,
}

impl<'a> Publication<'a> {
    /// Of the archive that is to be at `path`, in `dir`. Nothing has been made yet but the attempt's temporary.
    pub(crate) fn new(fs: &'a dyn Fs, dir: &'a Path, path: &'a Path, attempt: &'a Attempt) -> Self {
        let (side_temps, side_files) = (Vec::new(), Vec::new());
        Self { fs, dir, path, attempt, is_named: false, side_temps, side_files, kept: false }
    }

    /// The archive's name.
    pub(crate) fn path(&self) -> &'a Path {
        self.path
    }

    /// Fails with [`Error::AlreadyExists`] if one of the names is taken.
    pub(crate) fn check_names(&self) -> Result<(), Error> {
        let path = self.path;
        for taken in [path, &side_path(path, CHECKSUM_SUFFIX), &side_path(path, META_SUFFIX)] {
            if self.fs.exists(taken).map_err(Error::io("look at", taken))? {
                return Err(Error::AlreadyExists { path: taken.to_owned() });
            }
        }
        Ok(())
    }

    /// The temporary, emptied and open for writing.
    fn open(&self) -> Result<(&'a Path, Arc<dyn File>), Error> {
        let temp = self.attempt.path();
        let file = self.attempt.open(self.fs).map_err(Error::io("open", temp))?;
        Ok((temp, file))
    }

    /// Writes the archive with `write`, which gets an empty file and its path, and publishes it with its side files.
    pub(crate) fn write(
        &mut self,
        clock: &dyn Clock,
        about: About,
        write: impl FnOnce(&Arc<dyn File>, &Path) -> Result<Written, Error>,
    ) -> Result<Meta, Error> {
        let (temp, file) = self.open()?;
        let written = write(&file, temp)?;
        // Before the sync, so that one sync covers both where the file system keeps them together.
        self.fs.set_mode(temp, ARCHIVE_MODE).map_err(Error::io("make read-only", temp))?;
        let noted = self.fs.metadata(temp).map_err(Error::io("look at", temp))?;
        let meta = Meta {
            created_at: seconds(clock.now()),
            size: written.len,
            uncompressed_size: about.uncompressed_size,
            sha256: written.sha256,
            manifest_sha256: about.manifest_sha256,
            file: FileNote::of(&noted),
            verified_at: None,
        };
        self.publish_side_files(&meta, Some(&file))?;
        self.rename(noted.inode)?;
        Ok(meta)
    }

    /// Keeps what was made.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    /// Makes the archive's bytes durable, if they are new, and the side files with their names.
    pub(crate) fn publish_side_files(&mut self, meta: &Meta, archive: Option<&Arc<dyn File>>) -> Result<(), Error> {
        self.write_side_files(meta, archive)?;
        self.rename_side_files()
    }

    /// Writes the side files under temporary names. Each sync ends with a flush of the disk's cache; those that are asked for at once
    /// are one.
    fn write_side_files(&mut self, meta: &Meta, archive: Option<&Arc<dyn File>>) -> Result<(), Error> {
        let fs = self.fs;
        let contents = [(CHECKSUM_SUFFIX, checksum_bytes(meta.sha256)), (META_SUFFIX, meta.to_bytes())];
        let side_files = contents.map(|(suffix, bytes)| (side_path(self.path, suffix), bytes));
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
    fn rename_side_files(&mut self) -> Result<(), Error> {
        for path in [CHECKSUM_SUFFIX, META_SUFFIX].map(|suffix| side_path(self.path, suffix)) {
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

    /// Takes the side files back, as if they had not been published.
    pub(crate) fn remove_side_files(&mut self) -> Result<(), Error> {
        for path in &self.side_files {
            remove_if_there(self.fs, path).map_err(Error::io("remove", path))?;
        }
        self.side_files.clear();
        Ok(())
    }

    /// Gives the archive, which has this inode number, its name.
    fn rename(&mut self, inode: u64) -> Result<(), Error> {
        let path = self.path;
        match publish_synced(self.fs, self.attempt.path(), path, Existing::Keep) {
            Ok(()) => Ok(()),
            Err(PublishError::NotPublished(error)) => {
                // Over a network a rename can be done and its answer be lost.
                if self.fs.metadata(path).is_ok_and(|found| found.inode == inode) {
                    self.is_named = true;
                }
                Err(Error::io("publish", path)(error))
            }
            Err(PublishError::Uncertain(error)) => {
                self.is_named = true;
                Err(Error::io("make durable", path)(error))
            }
        }
    }

    /// Makes the archive's name another one of the twin's file, and makes it durable. False, and no such name, if that cannot be.
    pub(crate) fn link(&mut self, twin: &Twin<'_>) -> Result<bool, Error> {
        let path = self.path;
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
        self.is_named = true;
        let linked = self.fs.metadata(path).map_err(Error::io("look at", path))?;
        // The twin may have been deleted, and another archive have got its name, or somebody may have changed it.
        if !twin.is(&linked) {
            self.fs.remove_file(path).map_err(Error::io("remove", path))?;
            self.is_named = false;
            return Ok(false);
        }
        let temp = self.attempt.path();
        self.attempt.remove(self.fs).map_err(Error::io("remove", temp))?;
        self.fs.sync_dir(self.dir).map_err(Error::io("make durable", path))?;
        Ok(true)
    }
}

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // The call is failing already, and its error says why. What cannot be removed here is removed by the next sweep, and the
        // archive goes first, so that it is never there without its side files.
        if self.is_named {
            let _ = remove_if_there(self.fs, self.path);
        }
        for path in self.side_files.iter().chain(&self.side_temps) {
            let _ = remove_if_there(self.fs, path);
        }
        let _ = self.attempt.remove(self.fs);
        let _ = self.fs.sync_dir(self.dir);
    }
}
