//! Calls that fail: what is refused, what goes on, and that nothing changes or stays behind where nothing was done.

use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fault, Fs, MemFs, Operation as Call};
use icecore_storage::{AdoptedShard, Adoption, AliasAction, Durability, Error, ErrorKind, Operation, PointId, Scope, Storage};

use crate::disk::assert_no_orphans;
use crate::failing::{Bench, ENOSPC};
use crate::recorded::ROOT;
use crate::state::{Observed, observe};
use crate::support::{adoption, config, snapshot, stage, upsert_of};

/// Two collections with segments, tombstones and a log.
fn filled() -> MemFs {
    let bench = Bench::on(MemFs::new());
    let storage = &bench.storage;
    storage.create_collection("a", config(2, 2)).unwrap();
    storage.create_collection("b", config(1, 2)).unwrap();
    for tag in 0..4 {
        write(storage, "a", &upsert_of(tag * 3..tag * 3 + 8, tag)).unwrap();
        write(storage, "b", &upsert_of(tag..tag + 8, tag)).unwrap();
        storage.flush().unwrap();
    }
    write(storage, "a", &Operation::delete((0..8).map(PointId::Num).collect())).unwrap();
    write(storage, "a", &upsert_of(9..14, 9)).unwrap();
    bench.disk.fork()
}

fn write(storage: &Storage, name: &str, operation: &Operation) -> icecore_storage::Result<u64> {
    storage.write(name, operation.clone(), Durability::Synced)
}

#[test]
fn a_failed_sync_of_the_log_closes_one_shard_for_writes_until_a_restart() {
    let bench = Bench::on(filled());
    let before = bench.seen();
    // A point of shard 0 of "a", and one of shard 1.
    let id_in = |shard: u32| (100..).find(|id| PointId::Num(*id).shard(2) == shard).unwrap();
    let (first, second) = (id_in(0), id_in(1));
    bench.faults.inject(Fault::on(Call::SyncData).path_contains(".wal"));
    let error = write(&bench.storage, "a", &upsert_of(first..first + 1, 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    assert_eq!(bench.faults.fired(), 1);
    let error = write(&bench.storage, "a", &upsert_of(first..first + 1, 2)).unwrap_err();
    let Error::Poisoned { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("sync"), "{reason}");
    assert_eq!(bench.storage.info("a").unwrap().shards[0].poisoned.as_deref(), Some(reason.as_str()));
    assert!(bench.storage.flush().is_err());

    // Reads, the other shard and the other collection go on, and so do the names.
    write(&bench.storage, "a", &upsert_of(second..second + 1, 3)).unwrap();
    write(&bench.storage, "b", &upsert_of(0..4, 3)).unwrap();
    bench.storage.create_collection("c", config(1, 2)).unwrap();
    let seen = bench.seen();
    let cut = snapshot(&bench.storage, "a");
    stage(&bench.fs, &cut, &bench.storage)
        .and_then(|staging| bench.storage.adopt(adoption(&cut, &staging, |_| "copy".into(), false)))
        .unwrap();
    let copied = observe(&bench.storage).collections.remove("copy").unwrap();
    assert_eq!(copied.shards[0], before.collections["a"].shards[0], "cut at the last durable record");
    assert_eq!(copied.shards[1], seen.collections["a"].shards[1]);
    drop(cut);

    let bench = bench.restart();
    let mut after = bench.seen();
    assert_eq!(after.collections.remove("copy").unwrap(), copied);
    assert_eq!(after.collections["a"].shards[1], seen.collections["a"].shards[1]);
    assert_eq!(after.collections["b"], seen.collections["b"]);
    write(&bench.storage, "a", &upsert_of(first..first + 1, 4)).unwrap();
    bench.storage.flush().unwrap();
    assert_no_orphans(&bench.disk, Path::new(ROOT), "after the restart");
}

#[test]
fn a_write_that_fails_is_taken_back_and_the_next_one_works() {
    for (name, fault) in [
        ("full", Fault::on(Call::WriteAt).path_contains(".wal").errno(ENOSPC)),
        ("short", Fault::short_write(13).path_contains(".wal").errno(ENOSPC)),
    ] {
        let bench = Bench::on(filled());
        let before = bench.seen();
        bench.faults.inject(fault);
        let error = write(&bench.storage, "b", &upsert_of(0..9, 7)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
        assert_eq!(bench.seen(), before, "{name}");
        write(&bench.storage, "b", &upsert_of(2..11, 8)).unwrap();
        let after = bench.seen();
        let bench = bench.restart();
        assert_eq!(bench.seen(), after, "{name}");
        assert!(bench.storage.torn_tails().is_empty(), "{name}");
    }
}

#[test]
fn a_write_that_cannot_be_taken_back_closes_the_shard() {
    let bench = Bench::on(filled());
    let before = bench.seen();
    bench.faults.inject(Fault::short_write(100).path_contains(".wal"));
    bench.faults.inject(Fault::on(Call::SetLen).path_contains(".wal"));
    assert!(write(&bench.storage, "b", &upsert_of(0..9, 7)).is_err());
    let error = write(&bench.storage, "b", &upsert_of(0..9, 7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    assert_eq!(bench.seen(), before);
    let bench = bench.restart();
    assert_eq!(bench.seen(), before);
    assert_eq!(bench.storage.torn_tails().len(), 1);
}

/// What is done to a storage while its disk fails.
type Act = fn(&Bench) -> icecore_storage::Result<()>;

fn adopt_copy(bench: &Bench) -> icecore_storage::Result<()> {
    let cut = snapshot(&bench.storage, "a");
    let staging = unfaulted_stage(bench, &cut)?;
    bench.storage.adopt(adoption(&cut, &staging, |_| "copy".into(), false))
}

fn adopt_over(bench: &Bench) -> icecore_storage::Result<()> {
    let cut = snapshot(&bench.storage, "a");
    let staging = unfaulted_stage(bench, &cut)?;
    bench.storage.adopt(adoption(&cut, &staging, |_| "b".into(), true))
}

fn adopt_shard(bench: &Bench) -> icecore_storage::Result<()> {
    let cut = bench.storage.snapshot(&Scope::Shard { collection: "a".into(), shard: 1 })?;
    let staging = unfaulted_stage(bench, &cut)?;
    let from = cut.subject.collections[0].clone();
    let shards = vec![AdoptedShard { collection: "a".into(), from, staging }];
    bench.storage.adopt(Adoption { shards, ..Adoption::default() })
}

/// Unpacking is not the storage's, so it does not meet the faults.
fn unfaulted_stage(bench: &Bench, cut: &icecore_storage::Snapshot) -> icecore_storage::Result<Arc<icecore_storage::Staging>> {
    let digests = cut.files.iter().map(|file| (file.member.clone(), file.digest)).collect();
    let staging = Arc::new(bench.storage.stage(digests)?);
    let disk: Arc<dyn Fs> = Arc::new(bench.disk.clone());
    for file in &cut.files {
        crate::support::copy_member(&disk, &file.source, file.digest.len, &staging.path().join(&file.member));
    }
    Ok(staging)
}

const ACTS: [(&str, Act); 9] = [
    ("write", |bench| write(&bench.storage, "b", &upsert_of(50..60, 1)).map(drop)),
    ("flush", |bench| bench.storage.flush()),
    ("compact", |bench| bench.storage.compact()),
    ("create", |bench| bench.storage.create_collection("new", config(2, 2))),
    ("delete", |bench| bench.storage.delete_collection("b").map(drop)),
    ("alias", |bench| {
        let create = AliasAction::Create { collection: "a".into(), alias: "x".into() };
        bench.storage.update_aliases(&[create])
    }),
    ("adopt", adopt_copy),
    ("replace", adopt_over),
    ("adopt a shard", adopt_shard),
];

/// What the storage shows once the act is done.
fn done(disk: &MemFs, act: Act) -> Observed {
    let bench = Bench::on(disk.fork());
    act(&bench).unwrap();
    bench.seen()
}

fn closed_for_writes(bench: &Bench) -> bool {
    let shards = bench.storage.collections().into_iter().flat_map(|name| bench.storage.info(&name).unwrap().shards);
    let catalog = bench.storage.update_aliases(&[]).is_err();
    shards.into_iter().any(|shard| shard.poisoned.is_some()) || catalog
}

/// Every call of every kind, made to fail one at a time.
#[test]
fn a_failed_call_changes_nothing_or_is_known_to_be_uncertain() {
    let disk = filled();
    let mut fired = 0;
    for (name, act) in ACTS {
        let before = Bench::on(disk.fork()).seen();
        let after = done(&disk, act);
        for call in [
            Call::OpenRead,
            Call::OpenWrite,
            Call::CreateNew,
            Call::Metadata,
            Call::CreateDir,
            Call::List,
            Call::Rename,
            Call::RenameNoreplace,
            Call::RemoveFile,
            Call::RemoveDir,
            Call::SyncDir,
            Call::Len,
            Call::ReadAt,
            Call::WriteAt,
            Call::SyncData,
            Call::Map,
        ] {
            for nth in 1.. {
                let bench = Bench::on(disk.fork());
                let context = format!("{name}: {call:?} {nth}");
                bench.faults.inject(Fault::on(call).nth(nth).errno(if call == Call::WriteAt { ENOSPC } else { 5 }));
                let outcome = act(&bench);
                let came_up = bench.faults.fired() > 0;
                bench.faults.clear();
                check_outcome(bench, outcome, [&before, &after], act, &context);
                if !came_up {
                    break;
                }
                fired += 1;
            }
        }
    }
    println!("{fired} faults");
    assert!(fired > 300, "only {fired} faults");
}

fn check_outcome(bench: Bench, outcome: icecore_storage::Result<()>, [before, after]: [&Observed; 2], act: Act, context: &str) {
    let root = Path::new(ROOT);
    match outcome {
        Ok(()) => {
            assert_eq!(&bench.seen(), after, "{context}");
            let bench = bench.restart();
            assert_eq!(&bench.seen(), after, "{context}, restarted");
            assert_no_orphans(&bench.disk, root, context);
        }
        Err(_) if closed_for_writes(&bench) => {
            let bench = bench.restart();
            let seen = bench.seen();
            assert!(&seen == before || &seen == after, "{context}, restarted: neither before nor after: {seen:?}");
            assert_no_orphans(&bench.disk, root, &format!("{context}, restarted"));
            assert!(!closed_for_writes(&bench), "{context}, restarted");
        }
        Err(error) => {
            assert_eq!(&bench.seen(), before, "{context}: {error}");
            if !context.contains("Remove") {
                assert_no_orphans(&bench.disk, root, &format!("{context}: {error}"));
            }
            act(&bench).unwrap_or_else(|error| panic!("{context}, again: {error:?}"));
            assert_eq!(&bench.seen(), after, "{context}, again");
            let bench = bench.restart();
            assert_eq!(&bench.seen(), after, "{context}, again and restarted");
            assert_no_orphans(&bench.disk, root, &format!("{context}, again and restarted"));
        }
    }
}

#[test]
fn a_full_disk_at_any_byte_leaves_everything_as_it_was() {
    let disk = filled();
    // Adoptions are left out: their staging, which is not the storage's, would meet the full disk first.
    for (name, act) in &ACTS[..6] {
        let before = Bench::on(disk.fork()).seen();
        let after = done(&disk, *act);
        for free in (0..40_000).step_by(1777) {
            let bench = Bench::on(disk.fork());
            let context = format!("{name} with {free} bytes");
            bench.disk.set_free_space(free);
            let outcome = act(&bench);
            bench.disk.set_free_space(1 << 30);
            check_outcome(bench, outcome, [&before, &after], *act, &context);
        }
    }
}

/// A catalog that was renamed into place but whose directory could not be synced may or may not be there after a restart, so
/// nothing may be acknowledged that only one of the two would keep.
#[test]
fn after_an_uncertain_catalog_no_name_changes_and_no_acknowledged_write_is_lost() {
    for (name, act) in [("delete", ACTS[4].1), ("replace", ACTS[7].1), ("adopt a shard", ACTS[8].1), ("alias", ACTS[5].1)] {
        let bench = Bench::on(filled());
        bench.faults.inject(Fault::on(Call::SyncDir).path_contains("catalog"));
        act(&bench).unwrap_err();
        assert_eq!(bench.faults.fired(), 1, "{name}");
        let error = bench.storage.create_collection("later", config(1, 2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{name}: {error}");
        assert_eq!(bench.storage.delete_collection("a").unwrap_err().kind(), ErrorKind::Poisoned, "{name}");
        assert_eq!(bench.storage.update_aliases(&[]).unwrap_err().kind(), ErrorKind::Poisoned, "{name}");

        let mut acknowledged = Vec::new();
        for collection in ["a", "b"] {
            for id in 200..220 {
                if write(&bench.storage, collection, &upsert_of(id..id + 1, 1)).is_ok() {
                    acknowledged.push((collection, id));
                }
            }
        }
        assert!(acknowledged.len() >= 20, "{name}: what the change did not touch still takes writes");
        let bench = bench.restart();
        for (collection, id) in acknowledged {
            let found = bench.storage.retrieve(collection, &[PointId::Num(id)], &crate::support::ALL);
            assert_eq!(found.map(|found| found.len()).ok(), Some(1), "{name}: point {id} of {collection} was acknowledged");
        }
        bench.storage.create_collection("later", config(1, 2)).unwrap();
        assert_no_orphans(&bench.disk, Path::new(ROOT), name);
    }
}

/// A manifest whose rename took place names files that must not be removed, whatever its directory's sync said.
#[test]
fn an_uncertain_manifest_keeps_all_its_files_and_closes_the_shard() {
    for (name, act) in [("flush", ACTS[1].1), ("compact", ACTS[2].1)] {
        let bench = Bench::on(filled());
        let before = bench.seen();
        bench.faults.inject(Fault::on(Call::SyncDir).path_contains("manifest"));
        act(&bench).unwrap_err();
        assert_eq!(bench.faults.fired(), 1, "{name}");
        assert_eq!(bench.seen(), before, "{name}");
        assert!(closed_for_writes(&bench), "{name}");
        let bench = bench.restart();
        assert_eq!(bench.seen(), before, "{name}");
        assert!(bench.storage.scrub().is_empty());
        assert_no_orphans(&bench.disk, Path::new(ROOT), name);
    }
}
