//! The stages that archives and segments are made of, each alone and in memory where it can be: where the time of a slow operation may go.

use std::error::Error;
use std::hint::black_box;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use icecore_archive::{
    Compression, Crc32c, Hasher, Member, MemberPath, Plan, Sha256Digest, Sink, write_archive, write_compressed,
};
use icecore_benches::{Files, Requests, copy, must, open, scratch, threads};
use icecore_io::{File, Fs, MemFs, OsFs};
use icecore_storage::{Durability, codec};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const MIB: usize = 1 << 20;
/// Bytes of the stages that compute.
const DATA_LEN: usize = 16 * MIB;
/// Members of an archive that is hardly anything but headers.
const SMALL_MEMBERS: usize = 10_000;
/// Points of a segment, and of the request that is decoded.
const POINTS: u64 = 10_000;
/// Components of a vector.
const DIM: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    digests(&mut criterion);
    framing(&mut criterion)?;
    writing(&mut criterion)?;
    points(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}

/// The digests alone, and both together as they are kept of a segment.
fn digests(criterion: &mut Criterion) {
    let data = vec![7; DATA_LEN];
    let mut group = criterion.benchmark_group("stage digest");
    group.throughput(Throughput::Bytes(DATA_LEN as u64));
    group.bench_function("SHA-256", |bencher| bencher.iter(|| Sha256Digest::of(black_box(&data))));
    group.bench_function("CRC32C", |bencher| bencher.iter(|| Crc32c::of(black_box(&data))));
    group.bench_function("both", |bencher| {
        bencher.iter(|| {
            let mut hasher = Hasher::default();
            hasher.update(black_box(&data));
            hasher.finish()
        });
    });
    group.finish();
}

/// The plan of an archive of small members, and its headers: what an archive costs beside its data.
fn framing(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
    fs.create_new(Path::new("empty"))?;
    let members = || -> Vec<Member> {
        let member = |index: usize| Member {
            path: must(MemberPath::new(format!("collections/0000/shards/0/segments/{index:08}.seg"))),
            len: 0,
            sha256: Sha256Digest::of(b""),
            crc32c: Crc32c::of(b""),
        };
        (0..SMALL_MEMBERS).map(member).collect()
    };
    let plan = Plan::new(serde_json::Value::Null, members())?;
    let source = |_: usize| -> io::Result<Arc<dyn File>> { fs.open_read(Path::new("empty")) };

    let mut group = criterion.benchmark_group("stage framing");
    group.throughput(Throughput::Elements(SMALL_MEMBERS as u64));
    group.bench_function("Plan::new", |bencher| {
        bencher.iter_batched(members, |members| must(Plan::new(serde_json::Value::Null, members)), BatchSize::LargeInput);
    });
    group.bench_function("write_archive of empty members", |bencher| {
        bencher.iter(|| must(write_archive(&plan, &source, &mut Nowhere, &())));
    });
    group.finish();
    Ok(())
}

/// An archive's data on its way to nowhere, as it is and compressed, and a durable copy.
fn writing(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let (fs, dir) = (OsFs, scratch(TMP));
    let files = Files::create_points(&fs, dir.path(), 8, 4 * MIB)?;

    let mut group = criterion.benchmark_group("stage archive to nowhere");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(files.len));
    group.bench_function("write_archive", |bencher| {
        bencher.iter(|| must(write_archive(&files.plan, &files.source(&fs), &mut Nowhere, &())));
    });
    for (label, threads) in [("write_compressed, one thread", NonZeroUsize::MIN), ("write_compressed, all cores", threads())] {
        let compression = Compression::new(3, threads)?;
        group.bench_function(label, |bencher| {
            bencher.iter(|| must(write_compressed(&files.plan, &files.source(&fs), &mut Nowhere, compression, &())));
        });
    }
    group.bench_function("plain copy and sync", |bencher| {
        bencher.iter_batched(
            || scratch(TMP),
            |dir| {
                must(copy(&fs, &files.paths, &dir.path().join("copy")));
                dir
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    Ok(())
}

/// A memtable becomes a segment; a record of the log becomes an operation.
fn points(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group("stage points");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(POINTS));
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let dir = scratch(TMP);
    let storage = open(fs, &dir.path().join("storage"), DIM)?;
    let mut requests = Requests::new(DIM, POINTS, POINTS);
    group.bench_function("seal a segment, synced", |bencher| {
        bencher.iter_batched(
            || must(storage.write("points", requests.make(), Durability::Buffered)),
            |_| must(storage.flush()),
            BatchSize::PerIteration,
        );
    });
    storage.close()?;
    let body = codec::encode(&requests.make())?;
    group.bench_function("decode an upsert of the log", |bencher| bencher.iter(|| codec::decode(black_box(&body)).is_ok()));
    group.finish();
    Ok(())
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        black_box(bytes);
        Ok(())
    }
}
