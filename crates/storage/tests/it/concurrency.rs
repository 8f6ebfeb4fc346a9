//! Writers, readers, cuts, flushes, compactions and replacements at once, on a real disk and with the storage's own threads.
//!
//! Each client writes batches that touch all shards, one after another, and puts the number of the batch into every point. In
//! whatever a snapshot holds, the points of a client then say which batches are in it: a beginning of the client's sequence,
//! wholly, and at least up to the last one that was answered before the snapshot was asked for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use icecore_io::{Fs, OsClock, OsFs};
use icecore_storage::{Durability, Error, Operation, Options, PointId, Record, Scope, Snapshot, Storage};

use crate::disk::assert_no_orphans;
use crate::support::{config, dump, point, restore};

const CLIENTS: u64 = 4;
const BATCHES: u64 = 120;
/// Points of a client that every upsert writes.
const POINTS: u64 = 16;
/// More points of a client, which come and go.
const EXTRAS: u64 = 8;
const SHARDS: u32 = 3;

fn open(fs: &Arc<dyn Fs>, path: &Path) -> Storage {
    // All points together take more than twice as much, so flushes must come up.
    let options = Options { memtable_bytes_max: 32 * 1024, flush_interval: Duration::from_millis(20), ..Options::default() };
    Storage::open(fs.clone(), Arc::new(OsClock::new()), path, options).unwrap()
}

fn first_id(client: u64) -> u64 {
    client * 1000
}

/// Writes all points of the client, so that each of them names the last batch.
fn batch(client: u64, number: u64) -> Operation {
    upsert(client, number, POINTS)
}

fn upsert(client: u64, number: u64, count: u64) -> Operation {
    let payload = format!(r#"{{"batch":{number},"fill":"{}"}}"#, "x".repeat(1000));
    let points = (0..count).map(|id| point(first_id(client) + id, &[number as f32, client as f32], &payload));
    Operation::upsert(points.collect())
}

/// A client's request of this number: an upsert, sometimes of the extras too, or a deletion of the extras.
fn request(client: u64, number: u64) -> Operation {
    match number % 7 {
        3 => upsert(client, number, POINTS + EXTRAS),
        6 => Operation::delete((0..EXTRAS).map(|id| PointId::Num(first_id(client) + POINTS + id)).collect()),
        _ => batch(client, number),
    }
}

/// The request that the extras are of once `number` requests have been made; 0 if there are none.
fn extras_after(number: u64) -> u64 {
    (0..=number).rev().find(|number| matches!(number % 7, 3 | 6)).filter(|number| number % 7 == 3).unwrap_or(0)
}

/// How many requests of a client are in what was read; each is there wholly.
fn requests_in(records: &[Record], client: u64, context: &str) -> u64 {
    let last = batch_of(records, client, 0..POINTS, context);
    let extras = batch_of(records, client, POINTS..POINTS + EXTRAS, context);
    if extras == extras_after(last) {
        return last;
    }
    // A deletion does not show in the other points.
    assert_eq!((last + 1) % 7, 6, "{context}: client {client} is at {last}, its extras at {extras}");
    assert_eq!(extras, 0, "{context}: client {client}");
    last + 1
}

/// The request that these points of a client are of, all of them the same; 0 if there are none.
fn batch_of(records: &[Record], client: u64, ids: std::ops::Range<u64>, context: &str) -> u64 {
    let all = PointId::Num(first_id(client) + ids.start)..PointId::Num(first_id(client) + ids.end);
    let batches: Vec<u64> = records.iter().filter(|record| all.contains(&record.id)).map(number_in).collect();
    let Some(first) = batches.first() else { return 0 };
    assert_eq!(batches.len() as u64, ids.end - ids.start, "{context}: client {client}");
    assert!(batches.iter().all(|batch| batch == first), "{context}: client {client} has parts of the batches {batches:?}");
    *first
}

fn number_in(record: &Record) -> u64 {
    serde_json::from_str::<serde_json::Value>(&record.payload).unwrap()["batch"].as_u64().unwrap()
}

/// A scratch directory with a storage to write to and one to restore into.
struct Bench {
    fs: Arc<dyn Fs>,
    dir: tempfile::TempDir,
    main: Storage,
    copies: Storage,
    answered: Vec<AtomicU64>,
    writing: AtomicU64,
}

impl Bench {
    fn new() -> Self {
        let fs: Arc<dyn Fs> = Arc::new(OsFs::new());
        let dir = tempfile::tempdir().unwrap();
        let main = open(&fs, &dir.path().join("main"));
        let copies = open(&fs, &dir.path().join("copies"));
        main.create_collection("c", config(SHARDS, 2)).unwrap();
        let answered = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
        Self { fs, dir, main, copies, answered, writing: AtomicU64::new(CLIENTS) }
    }

    /// Writes all requests of a client, noting each answer.
    fn write_all(&self, client: u64) {
        let _ends = EndsOne(&self.writing);
        for number in 1..=BATCHES {
            let durability = if number % 3 == 0 { Durability::Synced } else { Durability::Buffered };
            self.main.write("c", request(client, number), durability).unwrap();
            self.answered[usize::try_from(client).unwrap()].store(number, Ordering::Release);
        }
    }

    fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Acquire) > 0
    }

    fn answered(&self) -> Vec<u64> {
        self.answered.iter().map(|number| number.load(Ordering::Acquire)).collect()
    }

    /// Restores a snapshot beside and checks what is in it.
    fn check(&self, cut: &Snapshot, before: &[u64], after: &[u64], number: u64) {
        let name = format!("copy {number}");
        restore(&self.fs, cut, &self.copies, |_| name.clone(), false).unwrap();
        let records = dump(&self.copies, &name);
        for (client, (before, after)) in (0..).zip(before.iter().zip(after)) {
            let found = requests_in(&records, client, &name);
            assert!(found >= *before, "{name}: client {client} is at {found}, but {before} was answered before the cut");
            assert!(found <= after + 1, "{name}: client {client} is at {found}, but had only asked for {}", after + 1);
        }
        assert!(self.copies.delete_collection(&name).unwrap());
    }

    /// After everything: nothing is pinned and no file is left over.
    fn finish(self, expected: &BTreeMap<String, usize>) {
        let Self { fs, dir, main, copies, .. } = self;
        for (storage, name) in [(main, "main"), (copies, "copies")] {
            storage.close().unwrap();
            assert_eq!(storage.pinned_bytes(), 0, "{name}");
            let path = dir.path().join(name);
            assert_no_orphans(fs.as_ref(), &path, name);
            drop(storage);
            let again = open(&fs, &path);
            assert!(again.torn_tails().is_empty() && again.scrub().is_empty(), "{name}");
            if name == "main" {
                let counts = again.collections().into_iter().map(|name| (name.clone(), dump(&again, &name).len()));
                assert_eq!(counts.collect::<BTreeMap<_, _>>(), *expected);
            }
        }
    }
}

#[test]
fn every_snapshot_under_load_holds_whole_batches_and_all_that_was_answered() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let bench = &bench;
            scope.spawn(move || bench.write_all(client));
        }
        let cuts = |scope_of: &(dyn Fn() -> Scope + Sync), first: u64| {
            let mut number = first;
            // At least one after the last answer, which must then hold everything.
            let mut again = true;
            while again {
                again = bench.is_writing();
                let before = bench.answered();
                let cut = bench.main.snapshot(&scope_of()).unwrap();
                let after = bench.answered();
                bench.check(&cut, &before, &after, number);
                number += 1;
            }
        };
        scope.spawn(move || cuts(&|| Scope::Collection("c".into()), 0));
        scope.spawn(move || cuts(&|| Scope::Storage, 1_000_000));
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = [0; CLIENTS as usize];
                while bench.is_writing() {
                    let records = dump(&bench.main, "c");
                    assert!(records.windows(2).all(|pair| pair[0].id < pair[1].id), "in order, none twice");
                    for client in 0..CLIENTS {
                        let id = PointId::Num(first_id(client));
                        let last = records.iter().find(|record| record.id == id).map_or(0, number_in);
                        let seen = &mut seen[usize::try_from(client).unwrap()];
                        assert!(last >= *seen, "client {client} went back from {seen} to {last}");
                        *seen = last;
                    }
                }
            });
        }
    });
    let records = dump(&bench.main, "c");
    for client in 0..CLIENTS {
        assert_eq!(requests_in(&records, client, "at the end"), BATCHES);
    }
    let segments: u64 = bench.main.info("c").unwrap().shards.iter().map(|shard| shard.segments).sum();
    assert!(segments > 0, "the memtables were flushed");
    bench.main.flush().unwrap();
    bench.main.compact().unwrap();
    assert_eq!(dump(&bench.main, "c"), records);
    bench.finish(&BTreeMap::from([("c".into(), records.len())]));
}

/// One client fewer, however it ends.
struct EndsOne<'a>(&'a AtomicU64);

impl Drop for EndsOne<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Ends the other threads of a test with the one that holds it, so that a failed assertion is seen and not waited for.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Replaces the collection again and again under load: each write is answered, and one that was asked for after a replacement
/// and answered is in what took the place.
///
/// Writers that waited for room once kept the replaced collection, whose memtables were all the room there was, and waited for
/// ever: the memory limit here is so small that they meet.
#[test]
fn a_replacement_under_load_loses_no_write_that_came_after_it() {
    let bench = Bench::new();
    let template = bench.main.snapshot(&Scope::Collection("c".into())).unwrap();
    let done = AtomicBool::new(false);
    // The replacements that have returned: what is asked for after the last one must be found.
    let replaced = Mutex::new(0u64);
    let last: Vec<Mutex<(u64, Option<u64>)>> = (0..CLIENTS).map(|_| Mutex::new((0, None))).collect();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (bench, done, replaced, last) = (&bench, &done, &replaced, &last);
            scope.spawn(move || {
                let _ends = EndsAll(done);
                for number in 1.. {
                    if done.load(Ordering::Acquire) {
                        break;
                    }
                    let epoch = *replaced.lock().unwrap();
                    let durability = if number % 2 == 0 { Durability::Synced } else { Durability::Buffered };
                    bench.main.write("c", batch(client, number), durability).unwrap();
                    *last[usize::try_from(client).unwrap()].lock().unwrap() = (epoch, Some(number));
                }
            });
        }
        scope.spawn(|| {
            let _ends = EndsAll(&done);
            for epoch in 1..=20 {
                restore(&bench.fs, &template, &bench.main, |name| name.into(), true).unwrap();
                *replaced.lock().unwrap() = epoch;
            }
            // The clients go on until each has an answer of this epoch.
            while !done.load(Ordering::Acquire) && last.iter().any(|last| last.lock().unwrap().0 < 20) {
                std::thread::yield_now();
            }
        });
    });
    let records = dump(&bench.main, "c");
    for client in 0..CLIENTS {
        let (_, number) = *last[usize::try_from(client).unwrap()].lock().unwrap();
        assert_eq!(Some(batch_of(&records, client, 0..POINTS, "at the end")), number);
    }
    drop(template);
    bench.finish(&BTreeMap::from([("c".into(), records.len())]));
}

/// Deletes and creates the collection under load: each write is answered, with an error only while there is none.
#[test]
fn a_deletion_under_load_answers_every_write() {
    let bench = Bench::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (bench, done) = (&bench, &done);
            scope.spawn(move || {
                let mut answered = 0;
                for number in 1.. {
                    match bench.main.write("c", batch(client, number), Durability::Synced) {
                        Ok(_) => answered += 1,
                        Err(Error::CollectionNotFound { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    if done.load(Ordering::Acquire) && answered > 0 {
                        break;
                    }
                }
            });
        }
        scope.spawn(|| {
            let _ends = EndsAll(&done);
            for _ in 0..15 {
                assert!(bench.main.delete_collection("c").unwrap());
                bench.main.create_collection("c", config(SHARDS, 2)).unwrap();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                match bench.main.snapshot(&Scope::Collection("c".into())) {
                    Ok(cut) => {
                        for file in &cut.files {
                            let source = bench.fs.open_read(&file.source).unwrap();
                            assert!(source.len().unwrap() >= file.digest.len, "{}", file.member);
                        }
                    }
                    Err(Error::CollectionNotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    });
    let records = dump(&bench.main, "c");
    for client in 0..CLIENTS {
        batch_of(&records, client, 0..POINTS, "at the end");
    }
    bench.finish(&BTreeMap::from([("c".into(), records.len())]));
}
