//! The main job: points are stored, read in order, kept over restarts, cut and restored.

use std::path::Path;
use std::sync::Arc;

use icecore_io::{CrashKind, Fs, ManualClock, MemFs, OsFs, RecordingFs};
use icecore_storage::{Adoption, AliasAction, Durability, Error, OnExisting, Operation, Options, PointId, Storage};

use crate::support::{adoption, config, dump, open, point, restore, snapshot, stage, upsert};

fn with_each_disk(test: impl Fn(Arc<dyn Fs>, &Path)) {
    test(Arc::new(MemFs::new()), Path::new("/db"));
    let dir = tempfile::tempdir().unwrap();
    test(Arc::new(OsFs::new()), &dir.path().join("db"));
}

fn filled(fs: &Arc<dyn Fs>, path: &Path) -> Storage {
    let storage = open(fs, path).unwrap();
    storage.create_collection("c", config(2, 2)).unwrap();
    for round in 0..5u64 {
        let points = (0..50u64).map(|id| point(id + round * 10, &[id as f32, round as f32], &format!("{{\"r\":{round}}}")));
        upsert(&storage, "c", points.collect());
        if round % 2 == 0 {
            storage.flush().unwrap();
        }
    }
    let ids = (0..90).step_by(7).map(PointId::Num).collect();
    storage.write("c", Operation::delete(ids), Durability::Synced).unwrap();
    let ids = (1..90).step_by(7).map(PointId::Num).collect();
    storage.write("c", Operation::set_payload(ids, r#"{"s":true}"#), Durability::Buffered).unwrap();
    storage
}

#[test]
fn points_are_scrolled_in_order_whatever_was_flushed_or_compacted() {
    with_each_disk(|fs, path| {
        let storage = filled(&fs, path);
        let before = dump(&storage, "c");
        assert_eq!(before.len() as u64, storage.count("c", None).unwrap());
        assert_eq!(before.len(), 90 - 13);
        assert!(before.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(before[0].payload, r#"{"r":0,"s":true}"#);
        storage.flush().unwrap();
        assert_eq!(dump(&storage, "c"), before, "flushed");
        storage.compact().unwrap();
        assert_eq!(dump(&storage, "c"), before, "compacted");
        assert_eq!(storage.count("c", None).unwrap(), before.len() as u64);
        assert_eq!(storage.scrub().len(), 0);
    });
}

#[test]
fn a_restart_finds_everything() {
    with_each_disk(|fs, path| {
        let storage = filled(&fs, path);
        let before = dump(&storage, "c");
        assert!(matches!(open(&fs, path), Err(Error::Locked { .. })), "one process at a time");
        drop(storage);
        let storage = open(&fs, path).unwrap();
        assert_eq!(dump(&storage, "c"), before, "replayed");
        storage.flush().unwrap();
        storage.close().unwrap();
        drop(storage);
        let storage = open(&fs, path).unwrap();
        assert_eq!(dump(&storage, "c"), before, "flushed");
        assert_eq!(storage.count("c", None).unwrap(), before.len() as u64);
    });
}

#[test]
fn a_snapshot_is_restored_under_other_names_and_replaces_only_by_force() {
    with_each_disk(|fs, path| {
        let storage = filled(&fs, path);
        let cut = snapshot(&storage, "c");
        let before = dump(&storage, "c");
        upsert(&storage, "c", vec![point(1000, &[1.0, 1.0], "")]);
        storage.flush().unwrap();
        storage.compact().unwrap();
        assert!(storage.pinned_bytes() > 0, "the cut keeps what was compacted");

        restore(&fs, &cut, &storage, |_| "copy".into(), false).unwrap();
        assert_eq!(dump(&storage, "copy"), before);
        assert!(matches!(restore(&fs, &cut, &storage, |_| "copy".into(), false), Err(Error::CollectionExists { .. })));
        restore(&fs, &cut, &storage, |name| name.into(), true).unwrap();
        assert_eq!(dump(&storage, "c"), before);
        drop(cut);
        assert_eq!(storage.pinned_bytes(), 0);
        upsert(&storage, "c", vec![point(2000, &[1.0, 1.0], "")]);
        drop(storage);
        let storage = open(&fs, path).unwrap();
        assert_eq!(dump(&storage, "copy"), before);
        assert_eq!(storage.count("c", None).unwrap(), before.len() as u64 + 1);
    });
}

#[test]
fn names_and_aliases_change_in_one_commit() {
    with_each_disk(|fs, path| {
        let storage = filled(&fs, path);
        storage.create_collection("d", config(1, 3)).unwrap();
        assert!(matches!(storage.create_collection("d", config(1, 3)), Err(Error::CollectionExists { .. })));
        let alias = |collection: &str| AliasAction::Create { collection: collection.into(), alias: "a".into() };
        storage.update_aliases(&[alias("c")]).unwrap();
        assert_eq!(storage.count("a", None).unwrap(), storage.count("c", None).unwrap());
        storage.update_aliases(&[AliasAction::Delete { alias: "a".into() }, alias("missing")]).unwrap_err();
        assert_eq!(storage.resolve("a").unwrap(), "c", "none of the actions was made");
        storage.update_aliases(&[alias("d")]).unwrap();
        assert!(!storage.delete_collection("a").unwrap(), "an alias of d");
        assert!(storage.delete_collection("d").unwrap());
        assert!(!storage.delete_collection("d").unwrap());
        assert!(storage.aliases().is_empty());
        drop(storage);
        assert_eq!(open(&fs, path).unwrap().collections(), ["c"]);
    });
}

#[test]
fn two_snapshots_of_an_unchanged_collection_are_the_same() {
    with_each_disk(|fs, path| {
        let storage = filled(&fs, path);
        let describe = |storage: &Storage| {
            let cut = snapshot(storage, "c");
            let files: Vec<_> = cut.files.iter().map(|file| (file.member.clone(), file.digest)).collect();
            (cut.subject, files)
        };
        let first = describe(&storage);
        storage.create_collection("other", config(1, 1)).unwrap();
        assert_eq!(describe(&storage), first);
        drop(storage);
        assert_eq!(describe(&open(&fs, path).unwrap()), first, "after a restart");
    });
}

#[test]
fn wrong_input_is_named_and_changes_nothing() {
    with_each_disk(|fs, path| {
        let storage = filled(&fs, path);
        let before = dump(&storage, "c");
        let write = |points| storage.write("c", Operation::upsert(points), Durability::Synced);
        assert!(matches!(write(vec![point(1, &[1.0], "")]), Err(Error::VectorDimension { expected: 2, actual: 1, .. })));
        assert!(matches!(write(vec![point(1, &[1.0, f32::INFINITY], "")]), Err(Error::VectorNotFinite { .. })));
        assert!(matches!(write(vec![point(1, &[1.0, 2.0], "[1]")]), Err(Error::PayloadNotObject { .. })));
        let mut named = point(1, &[1.0, 2.0], "");
        named.vectors[0].name = "x".into();
        assert!(matches!(write(vec![named]), Err(Error::VectorName { .. })));
        assert!(matches!(storage.count("nothing", None), Err(Error::CollectionNotFound { .. })));
        let missing = Operation::set_payload(vec![PointId::Num(5000)], "{}");
        assert!(matches!(storage.write("c", missing, Durability::Synced), Err(Error::PointNotFound { .. })));
        assert_eq!(dump(&storage, "c"), before);
    });
}

/// Once a start that found several log files flushed the last of them, which goes on being written: it was removed, and what was
/// acknowledged later with it.
#[test]
fn a_start_with_several_log_files_goes_on_with_the_last() {
    let recorder = RecordingFs::new(Arc::new(MemFs::new()));
    let recorded: Arc<dyn Fs> = Arc::new(recorder.clone());
    let path = Path::new("/db");
    let storage = open(&recorded, path).unwrap();
    storage.create_collection("c", config(1, 2)).unwrap();
    upsert(&storage, "c", vec![point(1, &[1.0, 1.0], "")]);
    storage.flush().unwrap();
    drop(storage);
    // Every place at which the process can end inside the flush, with a write behind it.
    let mut replay = recorder.replay();
    let mut several = 0;
    loop {
        let fs: Arc<dyn Fs> = Arc::new(replay.image(CrashKind::Kill));
        if fs.exists(&path.join("catalog/00000000000000000002")).unwrap() {
            let logs = fs.list(&path.join("shards/00000000000000000001/wal")).unwrap().len();
            let storage = open(&fs, path).unwrap();
            upsert(&storage, "c", vec![point(2, &[2.0, 2.0], "")]);
            let before = dump(&storage, "c");
            drop(storage);
            let storage = open(&fs, path).unwrap();
            several += usize::from(logs > 1);
            storage.flush().unwrap();
            upsert(&storage, "c", vec![point(3, &[3.0, 3.0], "")]);
            drop(storage);
            let storage = open(&fs, path).unwrap();
            assert_eq!(dump(&storage, "c").len(), before.len() + 1, "cut at {}", replay.position());
        }
        if !replay.advance() {
            break;
        }
    }
    assert!(several > 0, "a cut left two log files");
}

#[test]
fn points_that_are_replaced_again_and_again_do_not_grow_the_log_without_end() {
    let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
    let options = Options { background: false, memtable_bytes_max: 64 * 1024, ..Options::default() };
    let clock = Arc::new(ManualClock::new(std::time::Duration::ZERO));
    let storage = Storage::open(fs.clone(), clock, Path::new("/db"), options).unwrap();
    storage.create_collection("c", config(1, 2)).unwrap();
    let payload = format!(r#"{{"a":"{}"}}"#, "x".repeat(5000));
    for _ in 0..100 {
        upsert(&storage, "c", vec![point(1, &[1.0, 1.0], &payload)]);
    }
    let bytes: u64 = snapshot(&storage, "c").files.iter().map(|file| file.digest.len).sum();
    assert!(bytes < 200_000, "{bytes} bytes for one point");
    assert_eq!(storage.count("c", None).unwrap(), 1);
}

#[test]
fn only_a_collection_of_the_same_shape_is_replaced_where_that_is_asked_for() {
    with_each_disk(|fs, path| {
        let storage = filled(&fs, path);
        let cut = snapshot(&storage, "c");
        let before = dump(&storage, "c");
        let adopt = |name: &str| {
            let staging = stage(&fs, &cut, &storage).unwrap();
            let existing = OnExisting::ReplaceAlike;
            storage.adopt(Adoption { existing, ..adoption(&cut, &staging, |_| name.into(), false) })
        };
        adopt("new").unwrap();
        upsert(&storage, "c", vec![point(1000, &[1.0, 1.0], "")]);
        let dirs = |storage: &Storage| storage.info("c").unwrap().shards.iter().map(|shard| shard.dir).collect::<Vec<_>>();
        let old = dirs(&storage);
        adopt("c").unwrap();
        assert_eq!(dump(&storage, "c"), before);
        assert!(dirs(&storage).iter().all(|dir| !old.contains(dir)), "each restore makes directories of its own");

        let shards = storage.info("c").unwrap().shards.len() as u32;
        for (name, other, said) in [("wide", config(shards, 3), "vectors"), ("many", config(shards + 1, 2), "shard number")] {
            storage.create_collection(name, other).unwrap();
            let error = adopt(name).unwrap_err();
            assert!(matches!(&error, Error::Incompatible { reason } if reason.contains(said)), "{error}");
            assert_eq!(storage.count(name, None).unwrap(), 0, "nothing has changed");
        }
    });
}
