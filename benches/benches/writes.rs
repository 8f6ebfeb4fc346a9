//! Writes through the whole engine, beside appending the same bytes to a file.
//!
//! The background work runs as in the server: flushes and compactions of what is written take their part of the disk and the cores.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use icecore_benches::{Appender, Requests, config, must, open, scratch};
use icecore_io::{Fs, OsFs};
use icecore_storage::wal::record::RECORD_HEADER_LEN;
use icecore_storage::{Durability, codec};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
/// Components of the vectors where the cost of a record is measured, not that of its data.
const SMALL_DIM: usize = 4;
/// Different points that a benchmark writes.
const IDS: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    for points in [1, 1000] {
        writes(&mut criterion, "wal append", SMALL_DIM, points, Durability::Buffered)?;
        writes(&mut criterion, "wal append", SMALL_DIM, points, Durability::Synced)?;
    }
    for dim in [64, 256] {
        writes(&mut criterion, "upsert", dim, 1000, Durability::Synced)?;
    }
    for shards in [1, 2, 4] {
        over_shards(&mut criterion, shards)?;
    }
    criterion.final_summary();
    Ok(())
}

/// Requests of `points` points, by the engine and as bare bytes. A sync of the bare file is the limit of a durable write.
fn writes(criterion: &mut Criterion, what: &str, dim: usize, points: u64, durability: Durability) -> Result<(), Box<dyn Error>> {
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let dir = scratch(TMP);
    let storage = open(fs.clone(), &dir.path().join("storage"), dim)?;
    let mut requests = Requests::new(dim, points, IDS);
    let bytes = vec![1; RECORD_HEADER_LEN + codec::encode(&requests.make())?.len()];

    let mut group = criterion.benchmark_group(format!("{what} {durability:?}, {dim} components"));
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(points));
    // A large request is made right before it is written: its points are in the cache, as they are in a server that has just read them.
    let batch = if points == 1 { BatchSize::SmallInput } else { BatchSize::PerIteration };
    group.bench_function(BenchmarkId::new("Storage::write", points), |bencher| {
        bencher.iter_batched(|| requests.make(), |request| must(storage.write("points", request, durability)), batch);
    });
    storage.close()?;
    let mut appender = Appender::create(fs.as_ref(), &dir.path().join("bare"))?;
    group.bench_function(BenchmarkId::new("limit: plain append", points), |bencher| {
        bencher.iter(|| must(appender.append(&bytes, durability == Durability::Synced)));
    });
    group.finish();
    Ok(())
}

/// Synced requests of points that belong to all shards of a collection. The limit is the sync of one bare file.
fn over_shards(criterion: &mut Criterion, shards: u32) -> Result<(), Box<dyn Error>> {
    const POINTS: u64 = 64;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let dir = scratch(TMP);
    let storage = open(fs.clone(), &dir.path().join("storage"), SMALL_DIM)?;
    storage.create_collection("shards", config(SMALL_DIM, shards))?;
    let mut requests = Requests::new(SMALL_DIM, POINTS, IDS);
    let bytes = vec![1; RECORD_HEADER_LEN + codec::encode(&requests.make())?.len()];

    let mut group = criterion.benchmark_group(format!("upsert over shards, {shards}"));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("Storage::write", |bencher| {
        let write = |request| must(storage.write("shards", request, Durability::Synced));
        bencher.iter_batched(|| requests.make(), write, BatchSize::PerIteration);
    });
    storage.close()?;
    let mut appender = Appender::create(fs.as_ref(), &dir.path().join("bare"))?;
    group.bench_function("limit: plain append", |bencher| bencher.iter(|| must(appender.append(&bytes, true))));
    group.finish();
    Ok(())
}
