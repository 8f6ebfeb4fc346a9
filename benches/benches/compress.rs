//! Compressing an archive of 64 MiB of points and reading it again, beside the program `zstd` on the same tar.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput};
use icecore_archive::{Compression, FileSink, MemberRef, Reader, Written, unpack, verify, write_archive, write_compressed};
use icecore_benches::{Files, must, scratch, threads};
use icecore_io::{Fs, OsFs};

const TMP: &str = env!("CARGO_TARGET_TMPDIR");
const FILE_COUNT: usize = 16;
const FILE_LEN: usize = 4 << 20;
const LEVEL: i32 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).configure_from_args();
    let fs = OsFs;
    let dir = scratch(TMP);
    let files = Files::create_points(&fs, dir.path(), FILE_COUNT, FILE_LEN)?;
    let tar = dir.path().join("bench.tar");
    write_archive(&files.plan, &files.source(&fs), &mut FileSink::new(fs.create_new(&tar)?), &())?;
    let has_program = Command::new("zstd").arg("--version").output().is_ok();

    let archive = dir.path().join("bench.tar.zst");
    let written = compress(&fs, &files, &archive)?;
    print!("{} bytes become {}", files.plan.archive_len(), written.len);
    if has_program {
        let theirs = dir.path().join("theirs.zst");
        zstd(&["-3", "-f"], &tar, &theirs)?;
        let their_len = fs.metadata(&theirs)?.len;
        print!(", those of zstd {their_len}");
    }
    println!();

    compressing(&mut criterion, &fs, &files, has_program.then_some(&tar));
    reading(&mut criterion, &fs, &files, &archive, has_program);
    criterion.final_summary();
    Ok(())
}

/// Compresses the files into a new file, and does not sync it: `zstd` does not either.
fn compress(fs: &OsFs, files: &Files, target: &Path) -> Result<Written, icecore_archive::Error> {
    let compression = Compression::new(LEVEL, threads())?;
    let mut sink = FileSink::new(must(fs.create_new(target)));
    write_compressed(&files.plan, &files.source(fs), &mut sink, compression, &())
}

/// Runs the program.
fn zstd(arguments: &[&str], from: &Path, to: &Path) -> std::io::Result<()> {
    let status =
        Command::new("zstd").arg("-q").arg(format!("-T{}", threads())).args(arguments).arg(from).arg("-o").arg(to).status()?;
    if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("zstd: {status}"))) }
}

fn compressing(criterion: &mut Criterion, fs: &OsFs, files: &Files, tar: Option<&PathBuf>) {
    let mut group = criterion.benchmark_group("compress");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(files.plan.archive_len()));
    group.bench_function("write_compressed", |bencher| {
        bencher.iter_batched(
            || scratch(TMP),
            |dir| {
                let written = must(compress(fs, files, &dir.path().join("archive")));
                (dir, written)
            },
            BatchSize::PerIteration,
        );
    });
    if let Some(tar) = tar {
        group.bench_function("limit: zstd", |bencher| {
            bencher.iter_batched(
                || scratch(TMP),
                |dir| {
                    must(zstd(&[&format!("-{LEVEL}")], tar, &dir.path().join("archive")));
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn reading(criterion: &mut Criterion, fs: &OsFs, files: &Files, archive: &Path, has_program: bool) {
    let mut group = criterion.benchmark_group("decompress");
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(files.plan.archive_len()));
    group.bench_function("open and verify", |bencher| {
        bencher.iter(|| {
            let report = must(verify(fs, &must(Reader::open(fs, archive)), &()));
            assert!(report.is_sound(), "{:?}", report.problems);
        });
    });
    for (label, threads) in [("unpack, all cores", threads()), ("unpack, one thread", NonZeroUsize::MIN)] {
        group.bench_function(label, |bencher| {
            bencher.iter_batched(
                || scratch(TMP),
                |dir| {
                    let select = |_: usize, member: MemberRef<'_>| Some(PathBuf::from(member.path));
                    must(unpack(&must(Reader::open(fs, archive)), fs, dir.path(), select, threads, &()));
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    if has_program {
        group.bench_function("plain zstd -d", |bencher| {
            bencher.iter_batched(
                || scratch(TMP),
                |dir| {
                    must(zstd(&["-d"], archive, &dir.path().join("tar")));
                    dir
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}
