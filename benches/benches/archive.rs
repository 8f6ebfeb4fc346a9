//! Making, verifying and unpacking an archive of 64 MiB, beside the plain programs on the same bytes.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use icecore_archive::{ArchiveName, MemberRef, Reader, create, unpack, verify};
use icecore_benches::{
    Files, copy, copy_each, must, scratch, sha256, sha256_of_parts_on_all_cores, sha256_on_all_cores, threads, together,
};
use icecore_io::{OsClock, OsFs};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const FILE_COUNT: usize = 16;
const FILE_LEN: usize = 4 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).configure_from_args();
    let fs = OsFs;
    let sources = scratch(TMP);
    let files = Files::create(&fs, sources.path(), FILE_COUNT, FILE_LEN)?;
    making(&mut criterion, &fs, &files);
    reading(&mut criterion, &fs, &files)?;
    criterion.final_summary();
    Ok(())
}

/// The limit is one digest and one durable copy at once; each alone shows which of them it is.
fn making(criterion: &mut Criterion, fs: &OsFs, files: &Files) {
    let mut group = criterion.benchmark_group("archive create");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(files.len));
    let name = must(ArchiveName::new("bench.snapshot"));
    let clock = OsClock::new();
    group.bench_function("create", |bencher| {
        bencher.iter_batched(
            || scratch(TMP),
            |dir| {
                let made = must(create(fs, &clock, dir.path(), &name, &files.plan, &files.source(fs), &()));
                (dir, made)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("limit: digest and copy at once", |bencher| {
        bencher.iter_batched(
            || scratch(TMP),
            |dir| {
                let digest = || sha256(fs, &files.paths).map(drop);
                must(together(digest, || copy(fs, &files.paths, &dir.path().join("copy"))));
                dir
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("plain copy and sync", |bencher| {
        bencher.iter_batched(
            || scratch(TMP),
            |dir| {
                must(copy(fs, &files.paths, &dir.path().join("copy")));
                dir
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("plain sha256", |bencher| bencher.iter(|| must(sha256(fs, &files.paths))));
    group.finish();
}

/// The limit of unpacking is a durable copy of each member, while the members are digested on all cores.
fn reading(criterion: &mut Criterion, fs: &OsFs, files: &Files) -> Result<(), Box<dyn Error>> {
    let store = scratch(TMP);
    let name = ArchiveName::new("bench.snapshot")?;
    create(fs, &OsClock::new(), store.path(), &name, &files.plan, &files.source(fs), &())?;
    let path = store.path().join(name.as_str());

    let mut group = criterion.benchmark_group("archive verify");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(files.len));
    group.bench_function("open and verify", |bencher| {
        bencher.iter(|| {
            let report = must(verify(fs, &must(Reader::open(fs, &path)), &()));
            assert!(report.is_sound(), "{:?}", report.problems);
        });
    });
    let manifest = files.plan.manifest();
    let parts: Vec<(u64, u64)> =
        (0..manifest.len()).filter_map(|index| Some((files.plan.data_offset(index)?, manifest.get(index)?.len))).collect();
    group.bench_function("limit: sha256 of the members on all cores", |bencher| {
        bencher.iter(|| must(sha256_of_parts_on_all_cores(fs, &path, &parts)));
    });
    group.finish();

    let mut group = criterion.benchmark_group("archive unpack");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(files.len));
    for (label, threads) in [("unpack, all cores", threads()), ("unpack, one thread", NonZeroUsize::MIN)] {
        group.bench_function(label, |bencher| {
            bencher.iter_batched(
                || scratch(TMP),
                |dir| {
                    let select = |_: usize, member: MemberRef<'_>| Some(PathBuf::from(member.path));
                    must(unpack(&must(Reader::open(fs, &path)), fs, dir.path(), select, threads, &()));
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("limit: digests and copies at once", |bencher| {
        bencher.iter_batched(
            || scratch(TMP),
            |dir| {
                let digests = || sha256_on_all_cores(fs, &files.paths);
                must(together(digests, || copy_each(fs, &files.paths, dir.path())));
                dir
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    Ok(())
}
