//! A shard's log in memory, for the tests of this module.

use std::path::{Path, PathBuf};

use icecore_io::{Fs, MemFs, read_file};

use crate::checksum::Hasher;
use crate::error::Result;
use crate::ids::{Lsn, ShardDirId};
use crate::wal::file::file_name;
use crate::wal::record::body_crc;
use crate::wal::recovery::{Recovered, Replayed, recover};
use crate::wal::writer::{Record, WalWriter, WriteFailure};

/// The log's directory.
pub(super) const DIR: &str = "wal";

/// A file system with an empty log directory.
pub(super) fn empty() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir(Path::new(DIR)).unwrap();
    fs
}

/// The path of the file that begins with `first_lsn`.
pub(super) fn path(first_lsn: u64) -> PathBuf {
    Path::new(DIR).join(file_name(Lsn(first_lsn)))
}

/// The contents of the file that begins with `first_lsn`.
pub(super) fn contents(fs: &dyn Fs, first_lsn: u64) -> Vec<u8> {
    read_file(fs, &path(first_lsn), 1 << 30).unwrap()
}

/// Header and records of the file of this writer; checks that there is nothing but room behind them.
pub(super) fn written(fs: &dyn Fs, writer: &WalWriter) -> Vec<u8> {
    let mut bytes = contents(fs, writer.first_lsn().0);
    let room = bytes.split_off(usize::try_from(writer.len()).unwrap());
    assert!(room.iter().all(|&byte| byte == 0));
    bytes
}

/// A log directory with one file of these contents.
pub(super) fn with_file(first_lsn: u64, bytes: &[u8]) -> MemFs {
    let fs = empty();
    put(&fs, first_lsn, bytes);
    fs
}

/// Adds a file.
pub(super) fn put(fs: &dyn Fs, first_lsn: u64, bytes: &[u8]) {
    fs.create_new(&path(first_lsn)).unwrap().write_all_at(bytes, 0).unwrap();
}

/// The body of a record, of another length and content for each.
pub(super) fn body(lsn: u64) -> Vec<u8> {
    (0..lsn % 19).map(|index| u8::try_from((lsn * 31 + index * 7) % 251).unwrap()).collect()
}

/// Appends `count` records with one call, not synced.
pub(super) fn append(writer: &mut WalWriter, count: u64) -> Result<(), WriteFailure> {
    let Lsn(last) = writer.last_lsn();
    let bodies: Vec<Vec<u8>> = (last + 1..=last + count).map(body).collect();
    append_bodies(writer, &bodies.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Appends these bodies with one call, not synced.
pub(super) fn append_bodies(writer: &mut WalWriter, bodies: &[&[u8]]) -> Result<(), WriteFailure> {
    let Lsn(last) = writer.last_lsn();
    let records: Vec<Record<'_>> =
        (last + 1..).zip(bodies).map(|(lsn, body)| Record { lsn: Lsn(lsn), body, body_crc: body_crc(body) }).collect();
    writer.append(&records)
}

/// A file without room that begins with `first_lsn` and has one synced batch of each of these numbers of records, and its length
/// after the header and after each batch.
pub(super) fn batches(first_lsn: u64, counts: &[u64]) -> (Vec<u8>, Vec<usize>) {
    let fs = empty();
    let mut writer = WalWriter::create(&fs, Path::new(DIR), Lsn(first_lsn)).unwrap();
    let mut ends = vec![usize::try_from(writer.len()).unwrap()];
    for &count in counts {
        append(&mut writer, count).unwrap();
        writer.sync().unwrap();
        ends.push(usize::try_from(writer.len()).unwrap());
    }
    (written(&fs, &writer), ends)
}

/// Recovers the log; also the numbers of the records that were applied, whose bodies are those of [`body`].
pub(super) fn recover_log(fs: &dyn Fs, flushed: u64) -> Result<(Vec<u64>, Recovered)> {
    let mut applied = Vec::new();
    let recovered = recover(fs, Path::new(DIR), ShardDirId(1), Lsn(flushed), &mut |record: Replayed<'_>| {
        let Lsn(lsn) = record.lsn;
        assert_eq!(record.body, body(lsn), "the body of record {lsn}");
        applied.push(lsn);
        Ok(())
    })?;
    Ok((applied, recovered))
}

/// Checks that the writer's running digest is the digest of header and records.
pub(super) fn check_digest(fs: &dyn Fs, writer: &WalWriter) {
    let mut hasher = Hasher::default();
    hasher.update(&written(fs, writer));
    assert_eq!(writer.mark().digest(), hasher.finish());
}
