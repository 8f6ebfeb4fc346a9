//! Work on many shards at once: what is answered and left behind is what one shard after the other would answer and leave.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{Fs, MemFs};
use icecore_storage::{Durability, PointId, Storage};

use crate::disk::{assert_no_orphans, files};
use crate::recorded::ROOT;
use crate::state::observe;
use crate::support::{adoption, config, dump, open, snapshot, stage, upsert_of};

const SHARDS: u32 = 6;

/// Two collections, each with segments in all of their shards.
fn filled() -> MemFs {
    let disk = MemFs::new();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    for (name, tag) in [("a", 1), ("b", 2)] {
        storage.create_collection(name, config(SHARDS, 2)).unwrap();
        storage.write(name, upsert_of(0..200, tag), Durability::Synced).unwrap();
    }
    storage.flush().unwrap();
    drop(storage);
    disk.fork()
}

fn open_on(disk: &MemFs) -> icecore_storage::Result<Storage> {
    open(&(Arc::new(disk.clone()) as Arc<dyn Fs>), Path::new(ROOT))
}

/// The segment files below a directory, in the order of shards.
fn segments(disk: &MemFs, below: &Path) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
    files(disk, below).into_keys().filter(is_segment).collect()
}

fn flip(disk: &MemFs, path: &Path, offset: u64) {
    let file = disk.open_write(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}

#[test]
fn a_start_finds_every_shard_in_its_place() {
    let disk = filled();
    let before = observe(&open_on(&disk).unwrap());
    assert_eq!(before.collections["a"].shards.len(), SHARDS as usize);
    for (name, collection) in &before.collections {
        let of_shard = |number: u32| collection.shards[number as usize].keys().all(|id| id.shard(SHARDS) == number);
        assert!((0..SHARDS).all(of_shard), "{name}");
    }
    assert_eq!(observe(&open_on(&disk).unwrap()), before);
}

#[test]
fn a_start_names_the_first_of_several_damaged_shards_and_removes_nothing() {
    for round in 0..20 {
        let disk = filled();
        let segments = segments(&disk, Path::new(ROOT));
        assert_eq!(segments.len(), 2 * SHARDS as usize);
        let damaged: Vec<&PathBuf> = segments.iter().skip(round % 5 + 1).step_by(2).collect();
        for path in &damaged {
            flip(&disk, path, 0);
        }
        let before = files(&disk, Path::new(ROOT));
        let error = open_on(&disk).unwrap_err();
        assert!(error.is_corrupt() && format!("{error:?}").contains(&*damaged[0].to_string_lossy()), "{error:?}");
        assert!(files(&disk, Path::new(ROOT)) == before, "a failed start changed a file");
    }
}

/// The bytes of a block are compared with its checksum after everything was opened, by whichever thread comes first.
#[test]
fn an_adoption_names_the_first_of_several_damaged_shards_and_leaves_nothing() {
    let disk = filled();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let storage = open_on(&disk).unwrap();
    let cut = snapshot(&storage, "a");
    let before = observe(&storage);
    for round in 0..20 {
        let staging = stage(&fs, &cut, &storage).unwrap();
        let staged = segments(&disk, staging.path());
        let first = round % 5;
        for path in &staged[first..] {
            // The first id.
            flip(&disk, path, 4096);
        }
        let highest = disk.list(&Path::new(ROOT).join("shards")).unwrap().len();
        let error = storage.adopt(adoption(&cut, &staging, |_| "c".into(), false)).unwrap_err();
        // Directories are given in the order of shards.
        let shard = format!("{:020}", 2 * SHARDS as usize + 1 + round * SHARDS as usize + first);
        assert!(error.is_corrupt() && format!("{error:?}").contains(&shard), "{shard}: {error:?}");
        assert_eq!(disk.list(&Path::new(ROOT).join("shards")).unwrap().len(), highest, "nothing stays");
    }
    let staging = stage(&fs, &cut, &storage).unwrap();
    storage.adopt(adoption(&cut, &staging, |_| "c".into(), false)).unwrap();
    drop(staging);
    let after = observe(&storage);
    assert_eq!(after.collections["c"], before.collections["a"]);
    assert_eq!(after.collections["a"], before.collections["a"]);
    drop((cut, storage));
    assert_no_orphans(&disk, Path::new(ROOT), "at the end");
    assert_eq!(observe(&open_on(&disk).unwrap()), after);
}

/// Logs of more than a mebibyte become segments while all shards are adopted at once.
#[test]
fn the_long_logs_of_all_shards_become_segments() {
    let disk = MemFs::new();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let storage = open_on(&disk).unwrap();
    storage.create_collection("a", config(SHARDS, 2)).unwrap();
    let text = "x".repeat(1100 * 1024);
    for shard in 0..SHARDS {
        let id = (0..).map(PointId::Num).find(|id| id.shard(SHARDS) == shard).unwrap();
        let mut large = crate::support::point(0, &[1.0, 2.0], &format!(r#"{{"text":"{text}"}}"#));
        large.id = id;
        crate::support::upsert(&storage, "a", vec![large]);
    }
    let cut = snapshot(&storage, "a");
    let staging = stage(&fs, &cut, &storage).unwrap();
    storage.adopt(adoption(&cut, &staging, |_| "b".into(), false)).unwrap();
    let shards = storage.info("b").unwrap().shards;
    assert!(shards.iter().all(|shard| shard.segments == 1 && shard.memtable_bytes == 0), "{shards:?}");
    assert_eq!(dump(&storage, "b"), dump(&storage, "a"));
}
