//! Ratios of the archive's operations to the plain programs that bound them, on as many bytes as the caller wants.
//!
//! The other benchmarks measure one thing after another, which says little on a machine where other things run. Here operation and limit
//! take turns, each round in the other order, and what is printed is the median of the rounds' ratios: limit's time ÷ operation's time.
//!
//! `cargo bench -p icecore-benches --bench limits -- [--dir DIR] [--mib N] [--rounds N] [NAME…]`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use icecore_archive::{ArchiveName, MemberRef, Reader, StreamReader, create, unpack, verify};
use icecore_benches::{
    Files, copy, copy_each, must, scratch, sha256, sha256_of_parts_on_all_cores, sha256_on_all_cores, threads, together,
};
use icecore_io::{OsClock, OsFs};

const MIB: usize = 1 << 20;
/// How long the disk is left alone between two measurements.
const SETTLING_TIME: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    let fs = OsFs;
    let sources = scratch(&arguments.dir);
    let large = arguments.mib * MIB / 4;
    let one: Vec<usize> = [large; 4].into_iter().chain([4096; 12]).collect();
    // As small collections are: one segment, and a few files that are hardly anything.
    let many: Vec<usize> = (0..arguments.mib / 5).flat_map(|_| [5_000_000, 3000, 20_000, 200]).collect();
    for (shape, lens) in [("one large collection", one), ("many small collections", many)] {
        if !arguments.wants(shape) {
            continue;
        }
        let dir = sources.path().join(shape);
        std::fs::create_dir(&dir)?;
        let files = Files::create_with_lens(&fs, &dir, &lens)?;
        println!("{shape}: {} files, {} MiB, {} rounds", lens.len(), files.len >> 20, arguments.rounds);
        measure(&arguments, &fs, &files)?;
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

fn measure(arguments: &Arguments, fs: &OsFs, files: &Files) -> Result<(), Box<dyn Error>> {
    let name = ArchiveName::new("bench.snapshot")?;
    let clock = OsClock::new();
    let store = scratch(&arguments.dir);
    let created = create(fs, &clock, store.path(), &name, &files.plan, &files.source(fs), &())?;
    // It was written past the page cache, and the limits read what is in memory.
    std::io::copy(&mut std::fs::File::open(&created.path)?, &mut std::io::sink())?;
    let path = store.path().join(name.as_str());
    let select = |_: usize, member: MemberRef<'_>| Some(PathBuf::from(member.path));

    arguments.compare(
        "create",
        |dir| drop(must(create(fs, &clock, dir, &name, &files.plan, &files.source(fs), &()))),
        |dir| must(together(|| sha256(fs, &files.paths).map(drop), || copy(fs, &files.paths, &dir.join("copy")))),
    );
    let parts: Vec<(u64, u64)> = (0..files.plan.manifest().len())
        .filter_map(|index| Some((files.plan.data_offset(index)?, files.plan.manifest().get(index)?.len)))
        .collect();
    arguments.compare(
        "verify",
        |_| assert!(must(verify(fs, &must(Reader::open(fs, &path)), &())).is_sound()),
        |_| must(sha256_of_parts_on_all_cores(fs, &path, &parts)),
    );
    let digests_and_copies =
        |dir: &Path| must(together(|| sha256_on_all_cores(fs, &files.paths), || copy_each(fs, &files.paths, dir)));
    arguments.compare(
        "unpack",
        |dir| {
            let _ = must(unpack(&must(Reader::open(fs, &path)), fs, dir, select, threads(), &()));
        },
        digests_and_copies,
    );
    arguments.compare(
        "stream",
        |dir| {
            let reader = must(StreamReader::open(must(std::fs::File::open(&path)), Path::new("stream"), None));
            let _ = must(reader.unpack(fs, dir, select, &()));
        },
        |dir| must(together(|| sha256(fs, &files.paths).map(drop), || copy_each(fs, &files.paths, dir))),
    );
    Ok(())
}

/// Waits until the disk has done what removing the files has left it to do, which would slow down whoever comes next.
fn settle() {
    // Without the program the numbers are only less steady.
    let _ = std::process::Command::new("sync").status();
    std::thread::sleep(SETTLING_TIME);
}

/// What the command line says.
struct Arguments {
    /// Where the files are made: on the disk that is in question.
    dir: String,
    mib: usize,
    rounds: usize,
    /// Parts of the names of what is measured; all of it if there are none.
    names: Vec<String>,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut arguments = Self { dir: env!("CARGO_TARGET_TMPDIR").to_owned(), mib: 64, rounds: 5, names: Vec::new() };
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--dir" => arguments.dir = given.next().unwrap_or_default(),
                "--mib" => arguments.mib = given.next().unwrap_or_default().parse()?,
                "--rounds" => arguments.rounds = given.next().unwrap_or_default().parse()?,
                // Cargo adds it.
                "--bench" => {}
                _ => arguments.names.push(argument),
            }
        }
        Ok(arguments)
    }

    fn wants(&self, name: &str) -> bool {
        let shapes = ["one", "many"];
        let mut of_kind = self.names.iter().filter(|part| name.contains(' ') == shapes.contains(&part.as_str())).peekable();
        of_kind.peek().is_none() || of_kind.any(|part| name.contains(part.as_str()))
    }

    /// Runs both in turn, each in a directory of its own, whose making and removing is not measured.
    fn compare(&self, name: &str, operation: impl Fn(&Path), limit: impl Fn(&Path)) {
        if !self.wants(name) {
            return;
        }
        let time = |work: &dyn Fn(&Path)| {
            let dir = scratch(&self.dir);
            let start = Instant::now();
            work(dir.path());
            let elapsed = start.elapsed();
            drop(dir);
            settle();
            elapsed
        };
        let (mut ratios, mut times) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let (operation, limit) = match round % 2 {
                0 => (time(&operation), time(&limit)),
                _ => {
                    let limit = time(&limit);
                    (time(&operation), limit)
                }
            };
            ratios.push(limit.as_secs_f64() / operation.as_secs_f64());
            times.push((operation, limit));
        }
        ratios.sort_by(f64::total_cmp);
        let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let median = |mut of: Vec<Duration>| {
            of.sort();
            of.get(of.len() / 2).map_or(0, Duration::as_millis)
        };
        println!(
            "  {name}: ratio {} (of {}), operation {} ms, limit {} ms",
            shown.get(shown.len() / 2).map_or("", String::as_str),
            shown.join(" "),
            median(times.iter().map(|(operation, _)| *operation).collect()),
            median(times.iter().map(|(_, limit)| *limit).collect()),
        );
    }
}
