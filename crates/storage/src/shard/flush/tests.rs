use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use icecore_io::{CrashKind, Fault, FaultFs, Fs, ManualClock, MemFs, Operation as Call, RecordingFs};

use super::*;
use crate::config::CollectionConfig;
use crate::engine::{Durability, Options, Storage};
use crate::op::{Operation, Point};

fn open(fs: Arc<dyn Fs>) -> Result<Storage> {
    let options = Options { background: false, ..Options::default() };
    Storage::open(fs, Arc::new(ManualClock::new(Duration::ZERO)), Path::new("/db"), options)
}

fn create(storage: &Storage) -> Arc<Shard> {
    let config = CollectionConfig {
        shard_number: 1,
        vectors: BTreeMap::new(),
        sparse_vectors: BTreeMap::new(),
        settings: serde_json::Value::Null,
    };
    storage.create_collection("c", config).unwrap();
    storage.inner().state().resolve("c").unwrap().shards[0].clone()
}

fn write(storage: &Storage, id: u64, durability: Durability) -> Result<u64> {
    let point = Point { id: PointId::Num(id), vectors: Vec::new(), payload: String::new() };
    storage.write("c", Operation::upsert(vec![point]), durability)
}

/// Between the moment when a file takes writes and the sync of its name there is room for every kind of write, and for a flush. The
/// marks say how many points are durable, in tens, and how many were written.
#[test]
fn a_crash_around_a_log_file_whose_name_is_not_durable_loses_nothing_that_was_acknowledged() {
    let fs = RecordingFs::new(Arc::new(MemFs::new()));
    let storage = open(Arc::new(fs.clone())).unwrap();
    let shard = create(&storage);
    let begin = fs.ops().len();
    write(&storage, 0, Durability::Synced).unwrap();
    fs.mark(11);
    // A synced write names the file.
    shard.switch_log().unwrap();
    write(&storage, 1, Durability::Buffered).unwrap();
    fs.mark(12);
    write(&storage, 2, Durability::Synced).unwrap();
    fs.mark(33);
    // A freeze of the file does.
    shard.switch_log().unwrap();
    write(&storage, 3, Durability::Buffered).unwrap();
    fs.mark(34);
    shard.switch_log().unwrap();
    fs.mark(44);
    // A flush does, before its manifest needs the file.
    write(&storage, 4, Durability::Buffered).unwrap();
    fs.mark(45);
    while shard.flush_oldest().unwrap() {}
    write(&storage, 5, Durability::Buffered).unwrap();
    fs.mark(46);
    storage.snapshot(&crate::Scope::Storage).map(drop).unwrap();
    fs.mark(66);
    shard.switch_log().unwrap();
    shard.name_log().unwrap();
    drop(storage);

    let mut replay = fs.replay();
    replay.advance_to(begin);
    loop {
        let position = replay.position();
        let seed = position as u64;
        let (durable, written) = replay.marks().last().map_or((0, 0), |mark| (mark / 10, mark % 10));
        let kinds = (0..8).map(|n| CrashKind::PowerLossRandom { seed: 8 * seed + n });
        let kinds = kinds.chain([CrashKind::Kill, CrashKind::KillTorn { seed }, CrashKind::PowerLossMin]);
        for kind in kinds {
            let context = format!("{kind:?} before operation {position}, {:?}", replay.next_op());
            let image = Arc::new(replay.image(kind));
            let storage = open(image.clone()).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            let count = storage.count("c", None).unwrap();
            let least = if matches!(kind, CrashKind::Kill | CrashKind::KillTorn { .. }) { written } else { durable };
            assert!((least..=written + 1).contains(&count), "{context}: {count} of {least}..={written} points");
            assert!(
                (0..count)
                    .all(|id| storage.inner().state().resolve("c").unwrap().shards[0].get(PointId::Num(id)).unwrap().is_some())
            );
            let next = storage.inner().state().resolve("c").unwrap().shards[0].path().join(layout::NEXT_LOG);
            assert!(!image.exists(&next).unwrap(), "{context}: the file that was prepared is still there");
            write(&storage, count, Durability::Synced).unwrap();
            storage.flush().unwrap();
            drop(storage);
            assert_eq!(open(image).unwrap().count("c", None).unwrap(), count + 1, "{context}");
        }
        if !replay.advance() {
            break;
        }
    }
}

#[test]
fn a_next_log_file_that_cannot_be_made_leaves_the_log_as_it_is() {
    for (fault, poisons) in [
        (Fault::on(Call::CreateNew).path_contains(layout::NEXT_LOG).errno(28), false),
        (Fault::on(Call::WriteAt).path_contains(layout::NEXT_LOG).errno(28), false),
        (Fault::on(Call::SyncData).path_contains(layout::NEXT_LOG), false),
        (Fault::on(Call::RenameNoreplace).path_contains(layout::NEXT_LOG), false),
        (Fault::on(Call::SyncDir).path_contains(layout::WAL), true),
    ] {
        let disk = MemFs::new();
        let fs = FaultFs::new(Arc::new(disk.clone()));
        let faults = fs.faults();
        let storage = open(Arc::new(fs)).unwrap();
        let shard = create(&storage);
        write(&storage, 0, Durability::Synced).unwrap();
        let context = format!("{fault:?}");
        faults.inject(fault);
        storage.flush().unwrap_err();
        assert_eq!(faults.fired(), 1, "{context}");
        assert!(!disk.exists(&shard.path().join(layout::NEXT_LOG)).unwrap(), "{context}");
        assert_eq!(write(&storage, 1, Durability::Synced).is_err(), poisons, "{context}");
        assert_eq!(storage.flush().is_err(), poisons, "{context}");
        drop((shard, storage));
        let storage = open(Arc::new(disk)).unwrap();
        write(&storage, 1, Durability::Synced).unwrap();
        assert_eq!(storage.count("c", None).unwrap(), 2, "{context}");
    }
}
