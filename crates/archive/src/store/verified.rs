//! Notes beside an archive when it was verified.
//!
//! A note is about the file that was read. The archive may have been deleted since, and another may have got its name, so what is at
//! the name is compared again under the lock that everybody takes who gives a file this name or writes beside it. Whether the bytes
//! are sound is not looked at here.

use std::path::Path;
use std::time::SystemTime;

use icecore_io::{Existing, Fs, Metadata};

use super::attempt::Attempt;
use super::side::{META_SUFFIX, Meta, seconds, side_path};
use super::{ArchiveName, remove_if_there};
use crate::Error;

/// Notes in the side file that the archive was verified at `at`. Does nothing for an archive without one, or if somebody else is
/// writing files of this name.
pub fn record_verified(fs: &dyn Fs, dir: &Path, name: &ArchiveName, at: SystemTime) -> Result<(), Error> {
    note_verified(fs, dir, name, Some(at), &|_| true).map(drop)
}

/// Takes back what [`record_verified`] has noted, since the archive has proved to be damaged. Does nothing where that does.
pub fn record_damaged(fs: &dyn Fs, dir: &Path, name: &ArchiveName) -> Result<(), Error> {
    note_verified(fs, dir, name, None, &|_| true).map(drop)
}

/// Whether both are one file, unchanged. Other names of it, and their number, make no difference.
pub(crate) fn same_file(one: &Metadata, other: &Metadata) -> bool {
    let of = |file: &Metadata| (file.kind, file.len, file.inode, file.mode, file.modified);
    of(one) == of(other)
}

/// Notes it, or takes it back (`None`), if what is at the archive's name is the file that was read. Whether it was noted.
pub(crate) fn note_verified(
    fs: &dyn Fs,
    dir: &Path,
    name: &ArchiveName,
    verified_at: Option<SystemTime>,
    is_read: &dyn Fn(&Metadata) -> bool,
) -> Result<bool, Error> {
    let path = dir.join(name.as_str());
    if Meta::read(fs, &path)?.is_none() {
        return Ok(false);
    }
    // Two who write the same file at once would take each other's temporary away.
    let Some(attempt) = Attempt::begin(fs, dir, name).map_err(Error::io("create a temporary for", &path))? else {
        return Ok(false);
    };
    let noted = write(fs, &path, verified_at, is_read);
    attempt.remove(fs).map_err(Error::io("remove", attempt.path()))?;
    noted
}

/// Does it, for who may write files of this name.
fn write(fs: &dyn Fs, path: &Path, verified_at: Option<SystemTime>, is_read: &dyn Fn(&Metadata) -> bool) -> Result<bool, Error> {
    let Some(mut meta) = Meta::read(fs, path)? else {
        return Ok(false);
    };
    match fs.metadata(path).map_err(Error::io("look at", path)) {
        Ok(found) if is_read(&found) => {}
        Ok(_) | Err(Error::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    }
    meta.verified_at = verified_at.map(seconds);
    let side = side_path(path, META_SUFFIX);
    icecore_io::publish(fs, &side, &meta.to_bytes(), Existing::Replace)
        .map_err(|error| Error::io("write", &side)(error.into_source()))?;
    // Who has deleted the archive meanwhile may have missed the new file.
    let is_there = fs.exists(path).map_err(Error::io("look at", path))?;
    if !is_there {
        remove_if_there(fs, &side).map_err(Error::io("remove", &side))?;
    }
    Ok(is_there)
}
