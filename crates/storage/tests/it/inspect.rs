//! An inspection says what a storage says of itself, changes nothing, and reports damage beside all the rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use icecore_io::{Fs, MemFs, OsFs};
use icecore_storage::inspect::{StorageReport, Totals, inspect, is_storage};
use icecore_storage::{AliasAction, Durability, Scope, Storage};

use crate::disk::files;
use crate::support::{config, dump, open, upsert_of};

const ROOT: &str = "/storage";

/// Two collections, an alias, segments with dead points, and records that are only in the log.
fn filled(fs: &Arc<dyn Fs>) -> Storage {
    let storage = open(fs, Path::new(ROOT)).unwrap();
    storage.create_collection("a", config(2, 2)).unwrap();
    let create = AliasAction::Create { alias: "x".into(), collection: "a".into() };
    storage.update_aliases(&[create]).unwrap();
    storage.write("a", upsert_of(0..100, 1), Durability::Synced).unwrap();
    storage.flush().unwrap();
    storage.write("a", upsert_of(0..10, 2), Durability::Synced).unwrap();
    storage.write("a", upsert_of(200..220, 2), Durability::Synced).unwrap();
    storage.flush().unwrap();
    storage.create_collection("b", config(1, 2)).unwrap();
    storage.write("b", upsert_of(0..5, 3), Durability::Synced).unwrap();
    storage.write("b", upsert_of(5..9, 3), Durability::Synced).unwrap();
    storage
}

fn look(fs: &dyn Fs) -> StorageReport {
    inspect(fs, Path::new(ROOT)).unwrap()
}

fn mem() -> (MemFs, Arc<dyn Fs>) {
    let fs = MemFs::new();
    (fs.clone(), Arc::new(fs))
}

#[test]
fn a_storage_in_use_is_reported_as_it_is_and_stays_as_it_is() {
    let (mem, fs) = mem();
    let storage = filled(&fs);
    let before = files(&mem, Path::new(ROOT));
    let report = look(&mem);
    assert!(files(&mem, Path::new(ROOT)) == before, "nothing is changed");
    assert!(report.problems.is_empty(), "{:?}", report.problems);

    let [a, b] = report.collections.as_slice() else { panic!("{report:?}") };
    assert_eq!((a.name.as_str(), a.config.shard_number, b.name.as_str()), ("a", 2, "b"));
    assert_eq!(report.aliases["x"], "a");
    assert_eq!((a.totals.points, a.totals.dead, a.totals.records), (120, 10, 0));
    assert_eq!(a.totals.points, dump(&storage, "a").len() as u64);
    assert_eq!((b.totals.segments, b.totals.points, b.totals.records), (0, 0, 2));
    let shard = &a.shards[1];
    assert_eq!((shard.number, shard.segments.len()), (Some(1), 2));
    assert_eq!(shard.flushed_lsn, shard.last_lsn);
    let dense = shard.segments[0].sections.as_ref().unwrap().iter().find(|section| section.kind == "DENSE_F32").unwrap();
    assert_eq!((dense.vector.as_deref(), dense.dim, dense.count), (Some(""), 2, u64::from(shard.segments[0].rows)));
    assert_eq!(b.shards[0].last_lsn.map(|lsn| lsn.0), Some(2));

    // What is in the directory, but for documents and the lock, is what was counted.
    let counted = before
        .iter()
        .filter(|(path, _)| ["segments", "tombstones", "wal"].iter().any(|dir| path.parent().unwrap().ends_with(dir)));
    let bytes: u64 = counted.map(|(_, bytes)| bytes.len() as u64).sum();
    assert_eq!(report.totals.bytes, bytes);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["collections"][0]["shards"][1]["segments"][0]["id"], 1);
}

#[test]
fn an_archive_is_reported_as_the_storage_that_it_is_of() {
    let (mem, fs) = mem();
    let storage = filled(&fs);
    let snapshot = storage.snapshot(&Scope::Storage).unwrap();
    let len = |path: &str| snapshot.files.iter().find(|file| file.member == path).map(|file| file.digest.len);
    let of_archive = StorageReport::of_archive(snapshot.subject.clone(), len);
    assert!(of_archive.problems.is_empty(), "{:?}", of_archive.problems);
    let of_storage = look(&mem);
    for (archived, stored) in of_archive.collections.iter().zip(&of_storage.collections) {
        // Log files without records are in no archive.
        let known = |totals: Totals| Totals { bytes: 0, ..totals };
        assert_eq!((&archived.name, known(archived.totals)), (&stored.name, known(stored.totals)));
        let lsns = |shards: &[icecore_storage::inspect::ShardReport]| -> Vec<_> {
            shards.iter().map(|shard| (shard.flushed_lsn, shard.last_lsn)).collect()
        };
        assert_eq!(lsns(&archived.shards), lsns(&stored.shards));
    }
    assert_eq!(of_archive.totals.bytes, snapshot.files.iter().map(|file| file.digest.len).sum::<u64>());

    let nothing = StorageReport::of_archive(snapshot.subject.clone(), |_| None);
    assert_eq!(nothing.problems.len(), snapshot.files.len(), "{:?}", nothing.problems);
}

/// Replaces a file by what `change` makes of its bytes.
fn damage(fs: &MemFs, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = files(fs, path.parent().unwrap())[path].clone();
    change(&mut bytes);
    fs.remove_file(path).unwrap();
    fs.create_new(path).unwrap().write_all_at(&bytes, 0).unwrap();
}

fn find(fs: &MemFs, dir: &str) -> PathBuf {
    let found = files(fs, Path::new(ROOT)).into_keys().find(|path| path.parent().unwrap().ends_with(dir));
    found.unwrap_or_else(|| panic!("no file in {dir}"))
}

#[test]
fn damage_is_reported_with_its_place_and_the_rest_is_shown() {
    for (dir, change) in
        [("segments", "trailer"), ("tombstones", "flip"), ("wal", "header"), ("manifest", "flip"), ("segments", "gone")]
    {
        let (mem, fs) = mem();
        drop(filled(&fs));
        let path = find(&mem, dir);
        match change {
            "gone" => mem.remove_file(&path).unwrap(),
            "trailer" => damage(&mem, &path, |bytes| *bytes.last_mut().unwrap() ^= 1),
            "header" => damage(&mem, &path, |bytes| bytes.resize(100, 1)),
            _ => damage(&mem, &path, |bytes| bytes[40] ^= 1),
        }
        if change == "header" {
            damage(&mem, &path, |bytes| bytes[10] ^= 1);
        }
        let before = files(&mem, Path::new(ROOT));
        let report = look(&mem);
        assert!(files(&mem, Path::new(ROOT)) == before, "nothing is changed");
        let [problem] = report.problems.as_slice() else { panic!("{dir} {change}: {:?}", report.problems) };
        assert!(problem.to_string().contains(path.to_str().unwrap()), "{dir} {change}: {problem}");
        assert_eq!(report.collections.len(), 2, "{dir} {change}");
        assert_eq!(report.collections[1].totals.records, 2, "{dir} {change}: the other collection");
        assert!(report.collections[0].shards[1].flushed_lsn.is_some(), "{dir} {change}: the other shard");
    }
}

#[test]
fn without_a_catalog_the_shards_are_shown_without_names() {
    let (mem, fs) = mem();
    drop(filled(&fs));
    let path = find(&mem, "catalog");
    damage(&mem, &path, |bytes| bytes[40] ^= 1);
    for gone in [false, true] {
        if gone {
            mem.remove_file(&path).unwrap();
        }
        let report = look(&mem);
        assert_eq!((report.generation, report.collections.len(), report.unnamed.len()), (None, 0, 3));
        assert_eq!((report.totals.points, report.problems.len()), (120, 1), "{:?}", report.problems);
    }
}

#[test]
fn a_torn_end_is_no_problem() {
    let (mem, fs) = mem();
    drop(filled(&fs));
    let log = files(&mem, Path::new(ROOT)).into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "wal"));
    let (path, bytes) = log.max_by_key(|(_, bytes)| bytes.len()).unwrap();
    damage(&mem, &path, |bytes| bytes.extend([7; 33]));
    let report = look(&mem);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let file = &report.collections[1].shards[0].log[0];
    let tail = file.tail.as_ref().unwrap();
    assert_eq!((file.records, tail.offset + tail.len), (2, bytes.len() as u64 + 33));
    let room = &bytes[usize::try_from(tail.offset).unwrap()..];
    assert!(!room.is_empty() && room.iter().all(|&byte| byte == 0), "from the end of the records on");
}

#[test]
fn other_directories_are_no_storages() {
    let (mem, fs) = mem();
    drop(filled(&fs));
    assert!(is_storage(&mem, Path::new(ROOT)).unwrap());
    for other in ["/storage/shards", "/nowhere", "/storage/LOCK"] {
        assert!(!is_storage(&mem, Path::new(other)).unwrap(), "{other}");
    }
    assert!(inspect(&mem, Path::new("/nowhere")).is_err());
}

/// Flushes, compactions, new and dropped collections under the eyes of an inspection: it never takes them for damage.
#[test]
fn a_storage_that_changes_all_the_time_is_never_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let storage = open(&fs, dir.path()).unwrap();
    storage.create_collection("a", config(2, 2)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) || looks < 3 {
                let report = inspect(&OsFs, dir.path()).unwrap();
                assert!(report.problems.is_empty(), "{:?}", report.problems);
                assert!(report.collections.iter().any(|collection| collection.name == "a"));
                looks += 1;
            }
        });
        for round in 0..40 {
            storage.write("a", upsert_of(0..50, round), Durability::Synced).unwrap();
            storage.flush().unwrap();
            storage.create_collection("b", config(1, 2)).unwrap();
            storage.write("b", upsert_of(0..5, round), Durability::Buffered).unwrap();
            storage.delete_collection("b").unwrap();
        }
        done.store(true, Ordering::Relaxed);
        looks.join().unwrap();
    });
}
