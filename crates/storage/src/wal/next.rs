//! A log file that is made before it is needed, so that beginning it costs one short sync and no change of a directory's contents that
//! has to reach the disk first.
//!
//! It lies beside the directory of the log under a name of its own, where recovery never reads it, because the first LSN is known only when
//! the file before it ends. Then its header is written and synced, which may be done while the file before it is synced, and only when both
//! are durable it gets the name of a log file, so that no file of that name ever has records behind a torn header, or behind records that
//! are lost. That name is the caller's to sync, before anything in the file counts as durable. A crash may leave the file where it was
//! made; opening the shard removes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{File, Fs};

use crate::error::{Result, on};
use crate::ids::Lsn;
use crate::wal::file::{HEADER_LEN, file_name};
use crate::wal::writer::{WalWriter, undo};

/// A file that will be a log file. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct NextLog<'a> {
    fs: &'a dyn Fs,
    path: PathBuf,
    file: Arc<dyn File>,
    /// It has the name of a log file.
    begun: bool,
}

/// One that has its header.
#[derive(Debug)]
pub(crate) struct Headed<'a> {
    next: NextLog<'a>,
    writer: WalWriter,
}

impl<'a> NextLog<'a> {
    /// Makes the file at `path`, in place of one that was left over there, with room for the header.
    pub(crate) fn create(fs: &'a dyn Fs, path: PathBuf) -> Result<Self> {
        remove(fs, &path)?;
        let file = fs.create_new(&path).map_err(on("create", &path))?;
        let next = Self { fs, path, file, begun: false };
        next.file.write_all_at(&[0; HEADER_LEN], 0).map_err(on("write", &next.path))?;
        next.file.sync_data().map_err(on("sync", &next.path))?;
        Ok(next)
    }

    /// Makes it the file of the log in `dir` that begins with `first_lsn`, durably but for its name.
    pub(crate) fn head(self, dir: &Path, first_lsn: Lsn) -> Result<Headed<'a>> {
        let path = dir.join(file_name(first_lsn));
        let writer = WalWriter::head(self.file.clone(), path, first_lsn).map_err(on("write the header of", &self.path))?;
        Ok(Headed { next: self, writer })
    }
}

impl Headed<'_> {
    /// Gives it its name, which is not durable yet. The file before it must have been synced.
    ///
    /// After an error there is no such file; [`Error::Poisoned`] if that is not sure, because a file that might come back
    /// after a crash would contradict whatever were appended to the one before it.
    pub(crate) fn begin(self, dir: &Path) -> Result<WalWriter> {
        let Self { mut next, writer } = self;
        let path = writer.path();
        match next.fs.rename_noreplace(&next.path, path) {
            Ok(()) => {
                next.begun = true;
                Ok(writer)
            }
            // Not this call's file.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(on("move to", path)(error)),
            // It may have been moved although the answer is an error.
            Err(error) => Err(undo(next.fs, dir, path, "move to", error)),
        }
    }
}

impl Drop for NextLog<'_> {
    fn drop(&mut self) {
        if !self.begun {
            // What cannot be removed now is removed when the shard is opened, or by the next attempt.
            let _ = self.fs.remove_file(&self.path);
        }
    }
}

/// Removes what a crash, or an attempt that failed, left of one.
pub(crate) fn remove(fs: &dyn Fs, path: &Path) -> Result<()> {
    if fs.exists(path).map_err(on("look for", path))? { fs.remove_file(path).map_err(on("remove", path)) } else { Ok(()) }
}
