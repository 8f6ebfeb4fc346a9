//! A directory of archives: what is in it, how one goes, and what a crash left behind.
//!
//! An archive `<name>` has two side files, `<name>.checksum` and `<name>.meta.json`. They are published before it and deleted after
//! it, so the archive's own name is what decides: it is there, or it is not. While an archive is made it is called
//! `.<name>.tmp`, and that file is locked. Creating one is [`create`](crate::create())'s work.

mod attempt;
mod name;
mod side;
mod sweep;
mod verified;

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use icecore_io::{FileKind, Fs};

use crate::Error;
use icecore_io::digest::Sha256Digest;

pub(crate) use attempt::Attempt;
pub use name::{ARCHIVE_NAME_LEN_MAX, ARCHIVE_SUFFIX, ArchiveName, COMPRESSED_SUFFIX};
pub(crate) use side::{CHECKSUM_SUFFIX, FileNote, META_SUFFIX, Meta, checksum_bytes, read_checksum, seconds, side_path, time};
pub use sweep::{Swept, sweep};
pub(crate) use verified::{note_verified, same_file};
pub use verified::{record_damaged, record_verified};

/// Permission bits of a finished archive: nobody changes it any more.
pub(crate) const ARCHIVE_MODE: u32 = 0o444;

/// An archive in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: ArchiveName,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// Length of the tar, if the archive is compressed and the side files say.
    pub uncompressed_len: Option<u64>,
    /// When it was made; for a file without side files, when it was last changed.
    pub created_at: SystemTime,
    /// Digest of the whole, if the side files say.
    pub sha256: Option<Sha256Digest>,
    /// Digest of the manifest, if the side files say.
    pub manifest_sha256: Option<Sha256Digest>,
    /// When all of its bytes were last read back and found sound, if ever.
    pub verified_at: Option<SystemTime>,
    /// Whether the file has other names too (hard links), and so takes no space of its own.
    pub shared: bool,
}

/// The archives in `dir`, sorted by name. No archive is opened.
///
/// An archive that was copied there without side files is listed with what the file system knows of it, as is one whose length is
/// not the one in its side file: then that file is about another archive. A file that is not named as archives are is not listed.
pub fn list(fs: &dyn Fs, dir: &Path) -> Result<Vec<Stored>, Error> {
    let mut found = Vec::new();
    for entry in fs.list(dir).map_err(Error::io("list", dir))? {
        let Ok(name) = entry.name.parse() else { continue };
        match stored(fs, dir, name) {
            // It was deleted since the directory was read.
            Err(Error::NotFound { .. }) => {}
            other => found.extend(other?),
        }
    }
    Ok(found)
}

/// One archive of `dir`, as [`list`] gives it. [`Error::NotFound`] if it is not there.
pub fn find(fs: &dyn Fs, dir: &Path, name: &ArchiveName) -> Result<Stored, Error> {
    stored(fs, dir, name.clone())?.ok_or_else(|| Error::NotFound { path: dir.join(name.as_str()) })
}

/// Deletes an archive and its side files. [`Error::NotFound`] if there is no such archive, which is what a directory, a link or a
/// special file of its name means too; side files without one are for [`sweep`].
///
/// The archive goes first. After an error it may or may not be gone; what is left of the side files goes with the next [`sweep`].
pub fn delete(fs: &dyn Fs, dir: &Path, name: &ArchiveName) -> Result<(), Error> {
    let path = dir.join(name.as_str());
    if fs.metadata(&path).map_err(Error::io("look at", &path))?.kind != FileKind::File {
        return Err(Error::NotFound { path });
    }
    fs.remove_file(&path).map_err(Error::io("remove", &path))?;
    fs.sync_dir(dir).map_err(Error::io("sync", dir))?;
    for suffix in [META_SUFFIX, CHECKSUM_SUFFIX] {
        let side = side_path(&path, suffix);
        remove_if_there(fs, &side).map_err(Error::io("remove", &side))?;
    }
    fs.sync_dir(dir).map_err(Error::io("sync", dir))
}

fn stored(fs: &dyn Fs, dir: &Path, name: ArchiveName) -> Result<Option<Stored>, Error> {
    let path = dir.join(name.as_str());
    let file = fs.metadata(&path).map_err(Error::io("look at", &path))?;
    if file.kind != FileKind::File {
        return Ok(None);
    }
    let shared = file.links > 1;
    let meta = Meta::read(fs, &path)?.filter(|meta| meta.size == file.len);
    let stored = match meta {
        Some(meta) => Stored {
            name,
            path,
            len: file.len,
            uncompressed_len: meta.uncompressed_size,
            created_at: time(meta.created_at),
            sha256: Some(meta.sha256),
            manifest_sha256: meta.manifest_sha256,
            verified_at: meta.verified_at.map(time),
            shared,
        },
        None => {
            // A digest file that is missing or is none gives no digest; `verify` reports the latter.
            let sha256 = read_checksum(fs, &side_path(&path, CHECKSUM_SUFFIX)).ok();
            Stored {
                name,
                path,
                len: file.len,
                uncompressed_len: None,
                created_at: file.modified,
                sha256,
                manifest_sha256: None,
                verified_at: None,
                shared,
            }
        }
    };
    Ok(Some(stored))
}

/// Removes a file; whether there was one.
pub(crate) fn remove_if_there(fs: &dyn Fs, path: &Path) -> io::Result<bool> {
    match fs.remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
