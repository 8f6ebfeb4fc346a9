//! Reads from segments, and snapshots.

use std::cell::RefCell;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use icecore_benches::{Appender, Requests, must, open, scratch};
use icecore_io::{Fs, OsFs, Rng};
use icecore_storage::wal::record::RECORD_HEADER_LEN;
use icecore_storage::{Durability, PointId, Scope, Scroll, Select, Storage, WithVectors, codec};

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
