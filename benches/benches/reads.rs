//! Reads from segments, snapshots, starts and adoptions.

use std::cell::RefCell;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use icecore_benches::{Appender, Requests, config, copy_tree, crc32c_on_all_cores, must, open, scratch};
use icecore_io::{Fs, MemFs, OsClock, OsFs, Rng};
use icecore_storage::wal::record::RECORD_HEADER_LEN;
use icecore_storage::{
    AdoptedCollection, Adoption, Durability, Options, PointId, Scope, Scroll, Select, Snapshot, Staging, Storage, WithVectors,
    codec,
};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const DIM: usize = 64;
const POINTS: u64 = 20_000;
const PAGE: u64 = 1000;
const ALL: Select = Select { payload: true, vectors: WithVectors::All };

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let dir = scratch(TMP);
    let storage = open(fs.clone(), &dir.path().join("storage"), DIM)?;
    let mut requests = Requests::new(DIM, PAGE, POINTS);
    for _ in 0..POINTS / PAGE {
        storage.write("points", requests.make(), Durability::Buffered)?;
    }
    storage.flush()?;
    points(&mut criterion, &storage);
    snapshots(&mut criterion, &storage, fs.as_ref(), &dir.path().join("bare"))?;
    storage.close()?;
    starts(&mut criterion)?;
    for shards in [1, 4] {
        adoptions(&mut criterion, shards)?;
        snapshots_of_shards(&mut criterion, shards)?;
    }
    criterion.final_summary();
    Ok(())
}

/// Points with payload and vector, in order and at random; both from files that are in the page cache.
fn points(criterion: &mut Criterion, storage: &Storage) {
    let mut rng = Rng::new(2);
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(PAGE));
    let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
    group.bench_function("scroll", |bencher| {
        bencher.iter_batched(
            || PointId::Num(rng.below(POINTS - PAGE)),
            |from| {
                let page = must(storage.scroll("points", &Scroll { from: Some(from), limit: page, filter: None, select: ALL }));
                assert!(page.next.is_some(), "a page is not full");
                page
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("retrieve", |bencher| {
        bencher.iter_batched(
            || (0..PAGE).map(|_| PointId::Num(rng.below(POINTS))).collect::<Vec<_>>(),
            |ids| must(storage.retrieve("points", &ids, &ALL)),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// A snapshot of a collection that nobody writes to, and one behind a buffered write, which it has to sync: the limit of that is the sync
/// of the same bytes at the end of a bare file.
fn snapshots(criterion: &mut Criterion, storage: &Storage, fs: &dyn Fs, bare: &Path) -> Result<(), Box<dyn Error>> {
    let scope = Scope::Collection("points".into());
    let mut requests = Requests::new(DIM, 1, POINTS);
    let bytes = vec![1; RECORD_HEADER_LEN + codec::encode(&requests.make())?.len()];
    let appender = RefCell::new(Appender::create(fs, bare)?);

    let mut group = criterion.benchmark_group("snapshot of a collection");
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("of synced points", |bencher| bencher.iter(|| must(storage.snapshot(&scope))));
    group.bench_function("behind a buffered write", |bencher| {
        bencher.iter_batched(
            || must(storage.write("points", requests.make(), Durability::Buffered)),
            |_| must(storage.snapshot(&scope)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("limit: plain sync behind a write", |bencher| {
        bencher.iter_batched(
            || must(appender.borrow_mut().append(&bytes, false)),
            |()| must(appender.borrow_mut().append(&[], true)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    Ok(())
}

/// A storage without threads of its own, which neither flush nor merge what a benchmark made.
fn open_quiet(fs: Arc<dyn Fs>, path: &Path) -> icecore_storage::Result<Storage> {
    let options = Options { background: false, memtable_bytes_max: u64::MAX / 4, ..Options::default() };
    Storage::open(fs, Arc::new(OsClock::new()), path, options)
}

/// Starts with 1,000 segments: all in one shard, and spread over 40.
fn starts(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    const SEGMENTS: u32 = 1000;
    let mut group = criterion.benchmark_group("start with 1000 segments");
    group.sampling_mode(SamplingMode::Flat);
    for (collections, shards) in [(1, 1), (10, 4)] {
        // Made in memory, where nothing has to wait for a disk.
        let memory: Arc<dyn Fs> = Arc::new(MemFs::new());
        let made = open_quiet(memory.clone(), Path::new("/storage"))?;
        for collection in 0..collections {
            let name = collection.to_string();
            made.create_collection(&name, config(4, shards))?;
            let mut requests = Requests::new(4, 16, 1 << 40);
            for _ in 0..SEGMENTS / (collections * shards) {
                made.write(&name, requests.make(), Durability::Buffered)?;
                made.flush()?;
            }
        }
        made.close()?;
        drop(made);
        let dir = scratch(TMP);
        let path = dir.path().join("storage");
        copy_tree(memory.as_ref(), Path::new("/storage"), &OsFs, &path)?;
        // Whatever a first start finds to do is done.
        drop(open_quiet(Arc::new(OsFs), &path)?);
        group.bench_function(format!("in {} shards", collections * shards), |bencher| {
            bencher.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        let begin = Instant::now();
                        let storage = must(open_quiet(Arc::new(OsFs), &path));
                        let time = begin.elapsed();
                        drop(storage);
                        time
                    })
                    .sum()
            });
        });
    }
    group.finish();
    Ok(())
}

/// Adoptions of 128 MiB that are in the page cache. The limit is a CRC32C of all files on all cores.
fn adoptions(criterion: &mut Criterion, shards: u32) -> Result<(), Box<dyn Error>> {
    const WIDE: usize = 1024;
    const SEGMENTS: u32 = 4;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let dir = scratch(TMP);
    let storage = open_quiet(fs.clone(), &dir.path().join("storage"))?;
    storage.create_collection("points", config(WIDE, shards))?;
    let mut requests = Requests::new(WIDE, PAGE, 1 << 40);
    for _ in 0..SEGMENTS {
        for _ in 0..8 {
            storage.write("points", requests.make(), Durability::Buffered)?;
        }
        storage.flush()?;
    }
    let snapshot = storage.snapshot(&Scope::Collection("points".into()))?;
    let paths: Vec<_> = snapshot.files.iter().map(|file| file.source.clone()).collect();
    scrubs(criterion, fs.as_ref(), &storage, &snapshot, shards);

    let mut group = criterion.benchmark_group(format!("adopt 128 MiB, {shards} shards"));
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Bytes(snapshot.files.iter().map(|file| file.digest.len).sum()));
    group.bench_function("Storage::adopt", |bencher| {
        bencher.iter_batched(
            || {
                must(storage.delete_collection("adopted"));
                must(staged(fs.as_ref(), &storage, &snapshot))
            },
            |adoption| must(storage.adopt(adoption)),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("limit: plain CRC32C", |bencher| {
        bencher.iter(|| must(crc32c_on_all_cores(fs.as_ref(), &paths)));
    });
    group.finish();
    Ok(())
}

/// Scrubs of everything in the storage, which is what the snapshot has: 128 MiB in the page cache. The limit is a CRC32C of all files on
/// all cores.
fn scrubs(criterion: &mut Criterion, fs: &dyn Fs, storage: &Storage, snapshot: &Snapshot, shards: u32) {
    let segments = snapshot.files.iter().filter(|file| file.member.ends_with(".seg"));
    let (paths, lens): (Vec<_>, Vec<_>) = segments.map(|file| (file.source.clone(), file.digest.len)).unzip();

    let mut group = criterion.benchmark_group(format!("scrub 128 MiB, {shards} shards"));
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Bytes(lens.iter().sum()));
    group.bench_function("Storage::scrub", |bencher| bencher.iter(|| assert!(storage.scrub().is_empty(), "damage")));
    group.bench_function("limit: plain CRC32C", |bencher| bencher.iter(|| must(crc32c_on_all_cores(fs, &paths))));
    group.finish();
}

/// The adoption of a snapshot as the collection `adopted`. Segments never change, so links are as good as copies.
fn staged(fs: &dyn Fs, storage: &Storage, snapshot: &Snapshot) -> icecore_storage::Result<Adoption> {
    let staging: Arc<Staging> =
        Arc::new(storage.stage(snapshot.files.iter().map(|file| (file.member.clone(), file.digest)).collect())?);
    for file in &snapshot.files {
        let target = staging.path().join(&file.member);
        must(target.parent().map_or(Ok(()), |parent| fs.create_dir_all(parent)));
        must(fs.link(&file.source, &target));
    }
    let from = snapshot.subject.collections[0].clone();
    let collections = vec![AdoptedCollection { name: "adopted".into(), from, staging }];
    Ok(Adoption { collections, ..Adoption::default() })
}

/// A snapshot behind a buffered write to all shards.
fn snapshots_of_shards(criterion: &mut Criterion, shards: u32) -> Result<(), Box<dyn Error>> {
    let dir = scratch(TMP);
    let storage = open_quiet(Arc::new(OsFs), &dir.path().join("storage"))?;
    storage.create_collection("points", config(4, shards))?;
    let (mut requests, scope) = (Requests::new(4, 64, 1000), Scope::Collection("points".into()));
    criterion.bench_function(&format!("snapshot over shards, {shards}"), |bencher| {
        bencher.iter_batched(
            || must(storage.write("points", requests.make(), Durability::Buffered)),
            |_| must(storage.snapshot(&scope)),
            BatchSize::PerIteration,
        );
    });
    Ok(())
}
