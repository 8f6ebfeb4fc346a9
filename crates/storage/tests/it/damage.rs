//! Damage to what was durable: files that are gone, cut, or have a flipped bit.
//!
//! The storage answers with what was written or with an error that names the file, never with anything else and never with fewer
//! points; a start that fails removes nothing. The one exception is the end of the log: a damaged last batch looks just as a
//! torn one does, so there the shard may be in the state before it.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{Fault, FaultFs, Fs, MemFs, Operation as Call, read_file};
use icecore_storage::{Durability, Error, Operation, PointId, Storage};

use crate::disk::files;
use crate::recorded::ROOT;
use crate::state::{Points, apply, points_of};
use crate::support::{ALL, config, dump, open, scroll, upsert_of};

/// A disk with every kind of file, and what is on it.
struct Filled {
    disk: MemFs,
    /// The states of the only shard of "a" from the last flush on, the newest last.
    logged: Vec<Points>,
    /// "b" is all in segments.
    sealed: Points,
}

fn filled() -> Filled {
    let disk = MemFs::new();
    let faulty = FaultFs::new(Arc::new(disk.clone()));
    let faults = faulty.faults();
    let fs: Arc<dyn Fs> = Arc::new(faulty);
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    let (mut logged, mut sealed) = (vec![Points::new()], Points::new());
    storage.create_collection("a", config(1, 2)).unwrap();
    storage.create_collection("b", config(1, 2)).unwrap();
    let write = |name: &str, operation: Operation| storage.write(name, operation, Durability::Synced).unwrap();
    let mut log = |operation: Operation| {
        let mut points = logged.last().unwrap().clone();
        assert!(apply(&mut points, &operation));
        logged.push(points);
        write("a", operation);
    };
    for tag in 0..2 {
        let operation = upsert_of(tag..tag + 40, tag);
        assert!(apply(&mut sealed, &operation));
        write("b", operation);
        log(upsert_of(tag..tag + 4, tag));
        storage.flush().unwrap();
    }
    let delete = Operation::delete((0..6).map(PointId::Num).collect());
    assert!(apply(&mut sealed, &delete));
    write("b", delete);
    storage.flush().unwrap();
    // A memtable that is frozen but cannot be flushed leaves a log file that is not the last.
    for tag in 2..6 {
        log(upsert_of(tag..tag + 5, tag));
    }
    faults.inject(Fault::on(Call::CreateNew).path_contains(".seg").errno(28));
    storage.flush().unwrap_err();
    for tag in 6..9 {
        log(upsert_of(tag..tag + 5, tag));
    }
    drop(storage);
    let logged = logged.split_off(2);
    Filled { disk: disk.fork(), logged, sealed }
}

fn shards(filled: &Filled) -> (PathBuf, PathBuf) {
    let dir = Path::new(ROOT).join("shards");
    let mut names = filled.disk.list(&dir).unwrap().into_iter().map(|entry| entry.path);
    (names.next().unwrap(), names.next().unwrap())
}

/// The texts of an error and its causes.
fn text(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

/// Whether an error says where the damage is: the file, for one that is gone also its directory, and for records that are gone
/// the shard that misses them.
fn names(error: &Error, path: &Path) -> bool {
    let text = text(error);
    let shard = path.components().nth(3).map(|part| part.as_os_str().to_string_lossy().into_owned());
    let in_text = |path: &Path| text.contains(&*path.to_string_lossy());
    let gap = matches!(error, Error::WalGap { .. }) && shard.is_some_and(|shard| text.contains(&shard));
    gap || in_text(path) || path.parent().is_some_and(in_text)
}

/// What a collection answers: everything, or an error that names the file.
fn read(storage: &Storage, name: &str, damaged: &Path, context: &str) -> Option<Points> {
    let mut records = Vec::new();
    let mut from = None;
    loop {
        match storage.scroll(name, &scroll(from, 9)) {
            Ok(page) => {
                records.extend(page.records);
                match page.next {
                    Some(next) => from = Some(next),
                    None => return Some(points_of(&records)),
                }
            }
            Err(error) => {
                assert!(error.is_corrupt() && names(&error, damaged), "{context}: {}", text(&error));
                return None;
            }
        }
    }
}

/// Opens a damaged disk and compares all that it answers. `log_end` is set if the end of the log of "a" was damaged.
fn check(filled: &Filled, disk: &MemFs, damaged: &Path, log_end: bool, context: &str) {
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let before = files(disk, Path::new(ROOT));
    let storage = match open(&fs, Path::new(ROOT)) {
        Ok(storage) => storage,
        Err(error) => {
            assert!(names(&error, damaged), "{context}: {}", text(&error));
            assert!(error.is_corrupt() || matches!(error, Error::Io { .. }), "{context}: {}", text(&error));
            let mut after = files(disk, Path::new(ROOT));
            // The lock file may be new.
            after.entry(Path::new(ROOT).join("LOCK")).or_default();
            let mut before = before;
            before.entry(Path::new(ROOT).join("LOCK")).or_default();
            assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{context}: removed");
            assert!(after == before, "{context}: a failed start changed a file");
            return;
        }
    };
    if let Some(points) = read(&storage, "b", damaged, context) {
        assert_eq!(points, filled.sealed, "{context}");
    }
    if let Some(points) = read(&storage, "a", damaged, context) {
        if log_end {
            assert!(filled.logged.contains(&points), "{context}: no state of the log: {points:?}");
        } else {
            assert_eq!(Some(&points), filled.logged.last(), "{context}");
        }
    }
    for (name, points) in [("b", &filled.sealed), ("a", filled.logged.last().unwrap())] {
        for (id, point) in points {
            match storage.retrieve(name, &[*id], &ALL) {
                Ok(found) if log_end => assert!(found.len() <= 1, "{context}"),
                Ok(found) => assert_eq!(points_of(&found), BTreeMap::from([(*id, point.clone())]), "{context}"),
                Err(error) => assert!(error.is_corrupt() && names(&error, damaged), "{context}: {}", text(&error)),
            }
        }
    }
}

/// The last log file of "a", whose end may be taken for a torn one.
fn last_log(filled: &Filled) -> PathBuf {
    let logs = filled.disk.list(&shards(filled).0.join("wal")).unwrap();
    assert_eq!(logs.len(), 2, "an older log file and the last");
    logs[1].path.clone()
}

#[test]
fn a_missing_file_is_an_error_or_changes_nothing() {
    let filled = filled();
    let last = last_log(&filled);
    for path in files(&filled.disk, Path::new(ROOT)).keys() {
        let disk = filled.disk.fork();
        disk.remove_file(path).unwrap();
        check(&filled, &disk, path, *path == last, &format!("without {}", path.display()));
    }
    for path in [shards(&filled).0, shards(&filled).1] {
        for part in ["", "manifest", "segments", "tombstones", "wal"] {
            let (disk, path) = (filled.disk.fork(), path.join(part));
            disk.remove_dir_all(&path).unwrap();
            check(&filled, &disk, &path, false, &format!("without {}", path.display()));
        }
    }
}

#[test]
fn a_shard_without_any_log_file_is_damaged_and_not_empty() {
    let filled = filled();
    // All of "a" that is not flushed stands in the log.
    for shard in [shards(&filled).0, shards(&filled).1] {
        let disk = filled.disk.fork();
        for log in disk.list(&shard.join("wal")).unwrap() {
            disk.remove_file(&log.path).unwrap();
        }
        let fs: Arc<dyn Fs> = Arc::new(disk);
        let error = open(&fs, Path::new(ROOT)).unwrap_err();
        assert!(error.is_corrupt() && names(&error, &shard.join("wal")), "{}", text(&error));
    }
}

#[test]
fn a_cut_file_is_an_error_or_a_torn_end_of_the_log() {
    let filled = filled();
    let last = last_log(&filled);
    for (path, bytes) in files(&filled.disk, Path::new(ROOT)) {
        let len = bytes.len();
        for keep in [0, 1, 31, 63, 64, 65, len / 2, len.saturating_sub(4096), len.saturating_sub(8), len.saturating_sub(1)] {
            if keep < len {
                let disk = filled.disk.fork();
                disk.open_write(&path).unwrap().set_len(keep as u64).unwrap();
                let context = format!("{} cut to {keep} of {len}", path.display());
                check(&filled, &disk, &path, path == last, &context);
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_never_served() {
    let filled = filled();
    let last = last_log(&filled);
    for (path, bytes) in files(&filled.disk, Path::new(ROOT)) {
        // Every byte of small files, and of large ones those that hold something or stand beside such.
        let telling = |offset: &usize| bytes.len() < 300 || bytes[*offset] != 0 || offset.is_multiple_of(509);
        for (count, offset) in (0..bytes.len()).filter(telling).enumerate() {
            if bytes.len() > 4096 && count % 7 != 0 {
                continue;
            }
            let disk = filled.disk.fork();
            flip(&disk, &path, offset, count);
            let context = format!("{} flipped at {offset}", path.display());
            check(&filled, &disk, &path, path == last, &context);
        }
    }
}

fn flip(disk: &MemFs, path: &Path, offset: usize, bit: usize) {
    let file = disk.open_write(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset as u64).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], offset as u64).unwrap();
}

/// Damage that comes while the storage is open is found by the scrub wherever it is, padding included, and by the next start.
#[test]
fn the_scrub_finds_every_flipped_bit_of_a_segment() {
    let filled = filled();
    let segments = filled.disk.list(&shards(&filled).1.join("segments")).unwrap();
    let path = &segments.last().unwrap().path;
    let len = read_file(&filled.disk, path, 1 << 20).unwrap().len();
    for offset in (0..len).step_by(97).chain([1, 63, 64, 4095, 4096, len - 64, len - 1]) {
        let disk = filled.disk.fork();
        let fs: Arc<dyn Fs> = Arc::new(disk.clone());
        let storage = open(&fs, Path::new(ROOT)).unwrap();
        assert!(storage.scrub().is_empty(), "intact");
        flip(&disk, path, offset, offset);
        let problems = storage.scrub();
        assert!(!problems.is_empty(), "offset {offset} of {len}");
        assert!(problems.iter().all(|problem| problem.is_corrupt() && names(problem, path)), "{problems:?}");
    }
}

/// A bad disk that hands out wrong bytes without an error, at the reads of the start and at those of a scrub.
#[test]
fn wrong_bytes_of_a_read_are_noticed() {
    let filled = filled();
    for (path, bytes) in files(&filled.disk, Path::new(ROOT)) {
        for offset in [0, 9, 40, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            if path == last_log(&filled) || offset >= bytes.len() {
                continue;
            }
            let faulty = FaultFs::new(Arc::new(filled.disk.fork()));
            faulty.faults().corrupt(path.to_string_lossy(), offset as u64, 0x10);
            let fs: Arc<dyn Fs> = Arc::new(faulty);
            let context = format!("{} read wrong at {offset}", path.display());
            match open(&fs, Path::new(ROOT)) {
                Err(error) => assert!(names(&error, &path), "{context}: {}", text(&error)),
                Ok(storage) => {
                    let found = [read(&storage, "a", &path, &context), read(&storage, "b", &path, &context)];
                    let [a, b] = &found;
                    assert!(a.as_ref().is_none_or(|points| Some(points) == filled.logged.last()), "{context}");
                    assert!(b.as_ref().is_none_or(|points| *points == filled.sealed), "{context}");
                    if path.extension().is_some_and(|extension| extension == "seg") {
                        assert!(!storage.scrub().is_empty(), "{context}");
                    }
                }
            }
        }
    }
}

/// A damaged segment closes neither reads of other points nor other collections, and a flush over it loses nothing.
#[test]
fn damage_in_one_segment_leaves_the_rest_in_use() {
    let filled = filled();
    let disk = filled.disk.fork();
    let segment = disk.list(&shards(&filled).1.join("segments")).unwrap()[0].path.clone();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    // The first section holds the ids.
    flip(&disk, &segment, 4096, 0);
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    assert!(storage.scroll("b", &scroll(None, 1)).unwrap_err().is_corrupt());
    assert_eq!(points_of(&dump(&storage, "a")), *filled.logged.last().unwrap());
    storage.write("b", upsert_of(1000..1003, 1), Durability::Synced).unwrap();
    assert_eq!(storage.retrieve("b", &[PointId::Num(1001)], &ALL).unwrap().len(), 1);
    let error = storage.flush().unwrap_err();
    assert!(error.is_corrupt() && names(&error, &segment), "{}", text(&error));
    assert!(storage.write("b", upsert_of(2000..2001, 1), Durability::Synced).is_err(), "it could never be flushed");
    storage.write("a", upsert_of(0..1, 1), Durability::Synced).unwrap();
    drop(storage);
    flip(&disk, &segment, 4096, 0);
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    assert_eq!(storage.retrieve("b", &[PointId::Num(1001)], &ALL).unwrap().len(), 1, "acknowledged before");
    storage.flush().unwrap();
}
