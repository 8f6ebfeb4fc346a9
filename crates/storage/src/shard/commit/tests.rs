use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use icecore_io::{Clock, ManualClock, MemFs};

use super::*;
use crate::budget::Budget;
use crate::config::CollectionConfig;
use crate::engine::{Options, Storage};
use crate::error::ErrorKind;
use crate::ids::{PointId, ShardDirId};
use crate::manifest::ShardManifest;
use crate::op::Point;
use crate::refs::DirRef;
use crate::shard::{Origin, ShardSetup, create_dir};
use crate::snapshot::Scope;

#[test]
fn a_commit_that_panics_closes_the_shard_before_anybody_else_commits() {
    let fs = Arc::new(MemFs::new());
    let path = PathBuf::from("shard");
    create_dir(fs.as_ref(), &path, &ShardManifest::empty()).unwrap();
    let clock = Arc::new(ManualClock::new(Duration::ZERO));
    let setup = ShardSetup { fs: fs.clone(), clock, budget: Arc::new(Budget::new(1000)), waits: Arc::default() };
    let dir = DirRef::new(fs, path, Arc::default());
    let shard = Shard::open(&setup, ShardDirId(1), dir, Vec::new(), Origin::New).unwrap();

    let write = || PreparedWrite::new(Operation::delete(Vec::new()), Durability::Buffered).unwrap();
    let impossible = PreparedWrite { body: vec![0; codec::BODY_LEN_MAX + 1], ..write() };
    let ticket = shard.enqueue_write(impossible);
    assert!(catch_unwind(AssertUnwindSafe(|| shard.wait(&ticket))).is_err());
    let error = shard.wait(&shard.enqueue_write(write())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    assert_eq!(shard.wait(&ticket).unwrap_err().kind(), ErrorKind::Poisoned, "the lost write has an answer too");
}

/// A clock that goes on by ten microseconds whenever it is read.
#[derive(Debug, Default)]
struct Reads(AtomicU64);

impl Clock for Reads {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(10 * self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// A storage with a collection of two shards.
fn two_shards() -> (Arc<Reads>, Storage) {
    let clock = Arc::new(Reads::default());
    let options = Options { background: false, ..Options::default() };
    let storage = Storage::open(Arc::new(MemFs::new()), clock.clone(), Path::new("/db"), options).unwrap();
    let config = CollectionConfig {
        shard_number: 2,
        vectors: BTreeMap::new(),
        sparse_vectors: BTreeMap::new(),
        settings: serde_json::Value::Null,
    };
    storage.create_collection("c", config).unwrap();
    (clock, storage)
}

/// Points of both shards.
fn of_both() -> Operation {
    Operation::upsert((0..20).map(|id| Point { id: PointId::Num(id), vectors: Vec::new(), payload: String::new() }).collect())
}

/// Waits until something is so that another thread makes so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = icecore_io::OsClock::new();
    while !is_so() {
        assert!(begin.monotonic() < Duration::from_secs(60), "it never came: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_request_waits_for_all_its_logs_at_once() {
    let (clock, storage) = two_shards();
    let collection = storage.inner().state().resolve("c").unwrap().clone();
    let [first, second] = &collection.shards[..] else { panic!("two shards") };
    std::thread::scope(|scope| {
        let held = first.lock_committer();
        let before = clock.0.load(Ordering::SeqCst);
        let write = scope.spawn(|| storage.write("c", of_both(), Durability::Synced));
        until("the second shard is written and synced", || second.last_lsn() == Lsn(1) && !second.is_unsynced());
        // One for the age of the record in the second log, and one where the first is waited for.
        until("the first shard is waited for", || clock.0.load(Ordering::SeqCst) >= before + 2);
        assert_eq!(first.last_lsn(), Lsn(0));
        drop(held);
        assert_eq!(write.join().unwrap().unwrap(), 1);
    });
    let log = storage.waits().log;
    assert_eq!((log.count(), log.buckets[0]), (2, 1), "{log:?}");
    assert!(log.max >= Duration::from_micros(10) && log.sum == log.max, "{log:?}");
}

#[test]
fn a_snapshot_waits_for_all_its_logs_at_once() {
    let (_, storage) = two_shards();
    let collection = storage.inner().state().resolve("c").unwrap().clone();
    let [first, second] = &collection.shards[..] else { panic!("two shards") };
    storage.write("c", of_both(), Durability::Buffered).unwrap();
    assert!(first.is_unsynced() && second.is_unsynced());
    std::thread::scope(|scope| {
        let held = first.lock_committer();
        let snapshot = scope.spawn(|| storage.snapshot(&Scope::Collection("c".into())));
        until("the second shard is synced", || !second.is_unsynced());
        drop(held);
        let snapshot = snapshot.join().unwrap().unwrap();
        let lsns: Vec<Lsn> = snapshot.subject.collections[0].shards.iter().map(|shard| shard.lsn).collect();
        assert_eq!(lsns, [Lsn(1), Lsn(1)]);
    });
    assert!(!first.is_unsynced());
}

#[test]
fn a_wait_at_the_barrier_is_counted_there() {
    let (clock, storage) = two_shards();
    let collection = storage.inner().state().resolve("c").unwrap().clone();
    std::thread::scope(|scope| {
        let barrier = collection.close_barrier();
        let before = clock.0.load(Ordering::SeqCst);
        let write = scope.spawn(|| storage.write("c", of_both(), Durability::Synced));
        until("the barrier is waited for", || clock.0.load(Ordering::SeqCst) > before);
        drop(barrier);
        write.join().unwrap().unwrap();
    });
    let waits = storage.waits();
    assert_eq!((waits.barrier.count(), waits.barrier.buckets[0]), (1, 0), "{waits:?}");
    assert_eq!((waits.log.count(), waits.log.buckets[0]), (2, 2), "{waits:?}");
    assert_eq!((waits.memory.count(), waits.memory.buckets[0]), (1, 1), "{waits:?}");
}
