//! Replays the log of a shard after a start, and makes its last file ready to be appended to.
//!
//! A file is created only after the one before it was synced, so only the last one may have a torn tail (see
//! [`crate::wal::tail`]) or a torn header; anything invalid elsewhere is damage and an error. The manifest's flushed LSN is the
//! last of some file. Nothing on the disk changes before everything has been read and applied; what was read counts as durable
//! only after the syncs at the end, because a process that was killed leaves bytes that no sync has covered.
//!
//! Applying records is the caller's, and so is removing the files that recovery finds obsolete.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{File, FileKind, Fs};

use crate::error::{Error, Result, on};
use crate::ids::{Lsn, ShardDirId};
use crate::wal::file::{FIRST_LSN_MAX, parse_file_name};
use crate::wal::reader::{Next, WalReader, WalRecord};
use crate::wal::room::Room;
use crate::wal::tail;
use crate::wal::writer::{WalMark, WalWriter};

/// A record that recovery hands to the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replayed<'a> {
    /// The first LSN of the file it stands in, which is what belongs in one memtable.
    pub(crate) file: Lsn,
    /// That file.
    pub(crate) path: &'a Path,
    /// Where in the file it begins, to be named if its body cannot be decoded.
    pub(crate) offset: u64,
    /// Its number.
    pub(crate) lsn: Lsn,
    /// Its body, still encoded.
    pub(crate) body: &'a [u8],
}

/// A log file whose records are not in segments.
#[derive(Debug, Clone)]
pub(crate) struct WalFile {
    /// The number in its name.
    pub(crate) first_lsn: Lsn,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its last record (the number before `first_lsn` if it has none), length and digest.
    pub(crate) end: WalMark,
}

/// What was cut off the last file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// Where it was cut; 0 if its header was torn and has been written again.
    pub offset: u64,
    /// How many bytes were dropped.
    pub len: u64,
    /// What was wrong with them.
    pub reason: String,
}

/// The log after recovery.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The files in order; the last is the one that `writer` appends to.
    pub(crate) files: Vec<WalFile>,
    /// Files all of whose records are flushed: not read, to be removed.
    pub(crate) obsolete: Vec<PathBuf>,
    /// Goes on behind the last record; everything before is durable.
    pub(crate) writer: WalWriter,
    /// What was dropped, to be logged.
    pub(crate) torn: Option<TornTail>,
}

/// A file of the directory listing.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) first_lsn: Lsn,
    pub(super) path: PathBuf,
}

/// How the replay of one file ended.
enum Replay {
    /// With its last record, or with a tail that has to be cut off behind it.
    Read { file: Arc<dyn File>, end: WalMark, torn: Option<TornTail> },
    /// It was not created completely.
    NotCreated { file: Arc<dyn File>, torn: TornTail },
}

/// Reads the log in `dir`, calls `apply` for every record after `flushed` in order, and prepares the last file for appending; a
/// directory without files gets its first one.
///
/// Errors: [`Error::WalCorrupt`] or [`Error::Malformed`] for damage, for names that are no log files, and for a `flushed` that is
/// not the last record of a file; [`Error::WalGap`] for missing records; [`Error::FormatVersion`]; whatever `apply` returns.
pub(crate) fn recover(
    fs: &dyn Fs,
    dir: &Path,
    shard: ShardDirId,
    flushed: Lsn,
    apply: &mut dyn FnMut(Replayed<'_>) -> Result<()>,
) -> Result<Recovered> {
    if flushed >= FIRST_LSN_MAX {
        return Err(malformed(dir, format!("no log goes on behind record {flushed}")));
    }
    let mut live = list(fs, dir)?;
    let mut obsolete = take_obsolete(&mut live, flushed);
    let Some(last) = live.pop() else {
        return start(fs, dir, flushed, obsolete);
    };

    let mut files = Vec::new();
    let mut expected = flushed.next();
    for listed in live {
        check_start(&listed, shard, expected, flushed)?;
        let Replay::Read { end, torn: None, .. } = replay(fs, &listed, Place::Earlier, apply)? else {
            return Err(malformed(&listed.path, "its header is missing, and a later log file exists".to_owned()));
        };
        expected = end.lsn().next();
        files.push(WalFile { first_lsn: listed.first_lsn, path: listed.path, end });
    }
    if files.is_empty() && last.first_lsn <= flushed {
        check_flushed(fs, &last, flushed)?;
        obsolete.push(last.path);
        return start(fs, dir, flushed, obsolete);
    }
    check_start(&last, shard, expected, flushed)?;
    let Listed { first_lsn, path } = &last;
    let (writer, torn) = match replay(fs, &last, Place::Last, apply)? {
        Replay::Read { file, end, torn } => {
            if torn.is_some() {
                file.set_len(end.len()).map_err(on("truncate", path))?;
            }
            file.sync_data().map_err(on("sync", path))?;
            fs.sync_dir(dir).map_err(on("sync", dir))?;
            let room = Room::of(file.as_ref()).map_err(on("get the length of", path))?;
            (WalWriter::resume(file, path.clone(), *first_lsn, end, room), torn)
        }
        Replay::NotCreated { file, torn } => {
            file.set_len(0).map_err(on("truncate", path))?;
            (WalWriter::begin(fs, dir, file, path, *first_lsn).map_err(on("write the header of", path))?, Some(torn))
        }
    };
    files.push(WalFile { first_lsn: last.first_lsn, path: last.path, end: writer.mark() });
    Ok(Recovered { files, obsolete, writer, torn })
}

/// The log files of the directory, by their first LSN.
fn list(fs: &dyn Fs, dir: &Path) -> Result<Vec<Listed>> {
    let entries = fs.list(dir).map_err(on("list", dir))?;
    // Names have a fixed number of digits: their order is that of the LSNs.
    entries
        .into_iter()
        .map(|entry| {
            let kind = fs.metadata(&entry.path).map_err(on("get the metadata of", &entry.path))?.kind;
            match parse_file_name(&entry.name) {
                Some(first_lsn) if kind == FileKind::File => Ok(Listed { first_lsn, path: entry.path }),
                _ => Err(malformed(&entry.path, "nothing but log files belongs in this directory".to_owned())),
            }
        })
        .collect()
}

/// Takes out the files in front of the one that begins right after the flushed records.
pub(super) fn take_obsolete(files: &mut Vec<Listed>, flushed: Lsn) -> Vec<PathBuf> {
    let live = files.iter().rposition(|file| file.first_lsn <= flushed.next()).unwrap_or(0);
    files.drain(..live).map(|file| file.path).collect()
}

/// The log of a shard that has no records that are not flushed, and no file to go on with.
fn start(fs: &dyn Fs, dir: &Path, flushed: Lsn, obsolete: Vec<PathBuf>) -> Result<Recovered> {
    let writer = WalWriter::create(fs, dir, flushed.next())?;
    let file = WalFile { first_lsn: writer.first_lsn(), path: writer.path().to_owned(), end: writer.mark() };
    Ok(Recovered { files: vec![file], obsolete, writer, torn: None })
}

/// Checks that a file begins with the record that the one before it, or the manifest, leaves off at.
pub(super) fn check_start(file: &Listed, shard: ShardDirId, expected: Lsn, flushed: Lsn) -> Result<()> {
    let actual = file.first_lsn;
    if actual > expected {
        Err(Error::WalGap { shard, expected, actual })
    } else if actual == expected {
        Ok(())
    } else if actual <= flushed {
        Err(not_a_boundary(file, flushed))
    } else {
        Err(malformed(&file.path, format!("it begins with record {actual}, which the file before it has as well")))
    }
}

/// Checks that the last file, which begins with a flushed record, ends with the last of them.
fn check_flushed(fs: &dyn Fs, file: &Listed, flushed: Lsn) -> Result<()> {
    match replay(fs, file, Place::Last, &mut |_| Ok(()))? {
        Replay::Read { end, .. } if end.lsn() == flushed => Ok(()),
        _ => Err(not_a_boundary(file, flushed)),
    }
}

/// Where a file stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Another one follows.
    Earlier,
    /// It is the last, which may end torn.
    Last,
}

/// Applies the records of one file. Changes nothing on the disk.
fn replay(fs: &dyn Fs, listed: &Listed, place: Place, apply: &mut dyn FnMut(Replayed<'_>) -> Result<()>) -> Result<Replay> {
    let path = &listed.path;
    let file = match place {
        Place::Earlier => fs.open_read(path),
        Place::Last => fs.open_write(path),
    };
    let file = file.map_err(on("open", path))?;
    let Some(mut reader) = WalReader::open(Arc::clone(&file), path, listed.first_lsn)? else {
        let len = file.len().map_err(on("get the length of", path))?;
        let reason = "the file has no intact header and no records".to_owned();
        return Ok(Replay::NotCreated { file, torn: TornTail { path: path.clone(), offset: 0, len, reason } });
    };
    let torn = loop {
        match reader.next()? {
            Next::Record(WalRecord { lsn, offset, body }) => apply(Replayed { file: listed.first_lsn, path, offset, lsn, body })?,
            Next::End => break None,
            Next::Invalid(invalid) if place == Place::Earlier => {
                return Err(invalid.into_error(path, "a later log file exists"));
            }
            Next::Invalid(invalid) => {
                let window = reader.window();
                if let Some(proof) = tail::later_batch(window, &invalid).map_err(on("read", path))? {
                    return Err(
                        invalid.into_error(path, &format!("the record at {proof} was written after this one was durable"))
                    );
                }
                let len = window.file_len() - invalid.offset;
                break Some(TornTail { path: path.clone(), offset: invalid.offset, len, reason: invalid.defect.to_string() });
            }
        }
    };
    Ok(Replay::Read { file, end: reader.mark(), torn })
}

fn not_a_boundary(file: &Listed, flushed: Lsn) -> Error {
    malformed(
        &file.path,
        format!(
            "the manifest says that records up to {flushed} are flushed, which is not where this file or the one before it ends"
        ),
    )
}

fn malformed(path: &Path, reason: String) -> Error {
    Error::Malformed { path: path.to_owned(), offset: 0, reason }
}

#[cfg(test)]
mod tests;
