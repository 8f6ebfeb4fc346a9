//! Looks through a log without changing it, while another process may be appending to it.
//!
//! Reads what recovery would read and calls damage what recovery would call damage, but goes on behind it with the next file. An
//! invalid end of the last file is no damage: it is torn, or being written. Bodies are not decoded.
//!
//! Records that are written over the room of the last file while it is read may be found without those before them, which looks like
//! damage. So damage in that file is believed only if it is still there at a second look.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{FileKind, Fs};

use super::file::{file_name, parse_file_name};
use super::reader::{Next, WalReader};
use super::recovery::{Listed, check_start, take_obsolete};
use super::tail;
use crate::error::{Error, Result, on};
use crate::ids::{Lsn, ShardDirId};

/// A log file whose records are not in segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SurveyedFile {
    /// The number in its name.
    pub(crate) first_lsn: Lsn,
    /// Valid records.
    pub(crate) records: u64,
    /// Its length, with its room.
    pub(crate) bytes: u64,
    /// What follows the last valid record.
    pub(crate) tail: Option<Tail>,
}

/// Bytes that are no whole record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Where they begin.
    pub(crate) offset: u64,
    /// How many there are.
    pub(crate) len: u64,
    /// What is wrong with them.
    pub(crate) reason: String,
}

/// How often the last file is looked at: what is damaged is so at the second look too.
const LOOKS_MAX: usize = 5;

/// The files of a log from the first record behind `flushed` on, in order; damage goes to `problems`.
pub(crate) fn survey(fs: &dyn Fs, dir: &Path, shard: ShardDirId, flushed: Lsn, problems: &mut Vec<Error>) -> Vec<SurveyedFile> {
    let mut listed = list(fs, dir, problems);
    // Their records are in segments.
    drop(take_obsolete(&mut listed, flushed));
    let mut expected = flushed.next();
    if listed.is_empty() {
        let reason = format!("this log file is missing, and with it all records after {flushed}");
        problems.push(Error::Malformed { path: dir.join(file_name(expected)), offset: 0, reason });
    }
    let last = listed.len().saturating_sub(1);
    let mut files = Vec::with_capacity(listed.len());
    for (index, listed) in listed.into_iter().enumerate() {
        problems.extend(check_start(&listed, shard, expected, flushed).err());
        let found = if index == last { read_last(fs, &listed, problems) } else { read(fs, &listed, false, problems) };
        match found {
            Ok(file) => {
                expected = Lsn(file.first_lsn.0.saturating_add(file.records));
                files.push(file);
            }
            Err(error) => problems.push(error),
        }
    }
    files
}

/// The log files of the directory, by their first LSN.
fn list(fs: &dyn Fs, dir: &Path, problems: &mut Vec<Error>) -> Vec<Listed> {
    let entries = match fs.list(dir).map_err(on("list", dir)) {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(error);
            return Vec::new();
        }
    };
    let mut files = Vec::with_capacity(entries.len());
    for entry in entries {
        let kind = fs.metadata(&entry.path).map_err(on("get the metadata of", &entry.path)).map(|found| found.kind);
        match (parse_file_name(&entry.name), kind) {
            (_, Err(error)) => problems.push(error),
            (Some(first_lsn), Ok(FileKind::File)) => files.push(Listed { first_lsn, path: entry.path }),
            _ => problems.push(malformed(entry.path, 0, "nothing but log files belongs in this directory")),
        }
    }
    files
}

/// Reads the last file, to which somebody may be appending.
fn read_last(fs: &dyn Fs, listed: &Listed, problems: &mut Vec<Error>) -> Result<SurveyedFile> {
    let mut found = Vec::new();
    let mut file = read(fs, listed, true, &mut found)?;
    for _ in 1..LOOKS_MAX {
        if found.is_empty() {
            break;
        }
        let before = file.records;
        found.clear();
        file = read(fs, listed, true, &mut found)?;
        if file.records == before {
            problems.append(&mut found);
            break;
        }
    }
    Ok(file)
}

/// Reads one file. Damage in it is a problem, and what stands before it is counted; an error is a file that cannot be read.
fn read(fs: &dyn Fs, listed: &Listed, is_last: bool, problems: &mut Vec<Error>) -> Result<SurveyedFile> {
    let Listed { first_lsn, path } = listed;
    let file = fs.open_read(path).map_err(on("open", path))?;
    let bytes = file.len().map_err(on("get the length of", path))?;
    let mut surveyed = SurveyedFile { first_lsn: *first_lsn, records: 0, bytes, tail: None };
    let mut reader = match WalReader::open(Arc::clone(&file), path, *first_lsn) {
        Ok(Some(reader)) => reader,
        Ok(None) if is_last => {
            let reason = "the file has no intact header and no records".to_owned();
            surveyed.tail = Some(Tail { offset: 0, len: bytes, reason });
            return Ok(surveyed);
        }
        Ok(None) => {
            problems.push(malformed(path.clone(), 0, "its header is missing, and a later log file exists"));
            return Ok(surveyed);
        }
        Err(error) => {
            problems.push(error);
            return Ok(surveyed);
        }
    };
    loop {
        match reader.next() {
            Ok(Next::Record(_)) => surveyed.records += 1,
            Ok(Next::End) => break,
            Ok(Next::Invalid(invalid)) if !is_last => {
                problems.push(invalid.into_error(path, "a later log file exists"));
                break;
            }
            Ok(Next::Invalid(invalid)) => {
                let window = reader.window();
                match tail::later_batch(window, &invalid).map_err(on("read", path))? {
                    Some(proof) => {
                        let evidence = format!("the record at {proof} was written after this one was durable");
                        problems.push(invalid.into_error(path, &evidence));
                    }
                    None => {
                        let len = window.file_len() - invalid.offset;
                        surveyed.tail = Some(Tail { offset: invalid.offset, len, reason: invalid.defect.to_string() });
                    }
                }
                break;
            }
            Err(error) => {
                problems.push(error);
                break;
            }
        }
    }
    Ok(surveyed)
}

fn malformed(path: PathBuf, offset: u64, reason: &str) -> Error {
    Error::Malformed { path, offset, reason: reason.to_owned() }
}
