//! `icecore bench`: what a backup costs on this machine, beside what it costs plain programs on the same files.
//!
//! Everything is made in one new directory, which goes away whatever happens. The limits are measured in the same rounds as what they
//! bound, so that a machine that gets slower meanwhile does so for both. Nothing is judged here: a slow machine is a result.

mod against;
mod args;
mod cache;
mod children;
mod directory;
mod error;
mod files;
mod fill;
mod limit;
mod machine;
mod made;
mod memory;
mod points;
mod report;
mod results;
mod scratch;
mod stages;
mod step;
mod subject;

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use icecore_io::{Clock, Fs, OsClock, OsFs};
use serde_json::json;

use self::against::Against;
use self::cache::PageCache;
use self::directory::Tree;
use self::error::Result;
use self::machine::Machine;
use self::made::Made;
use self::report::{Report, megabytes};
use self::results::Results;
use self::scratch::Scratch;
use self::stages::Stages;
use self::subject::Subject;
use super::{ToolError, resolve};
use crate::report::Reporter;
use crate::shutdown::Shutdown;
use crate::{logging, serve};

pub(crate) use args::BenchArgs;
pub(crate) use error::BenchError;

/// What is logged meanwhile: each run, and what goes wrong. Parts of a run would be too much to read.
const LOG_LEVEL: &str = "warn,icecore::tools::bench=info,icecore::shutdown=info";
/// The version that the numbers are of.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Measures, and writes the result to `out`.
pub(super) fn run(args: &BenchArgs, out: &mut dyn Write) -> Result<()> {
    logging::init(LOG_LEVEL)?;
    serve::raise_file_limit();
    // For signals, and because an open server needs one. What is measured does not run on it.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| BenchError::Process { what: "start the runtime", source })?;
    let _inside = runtime.enter();
    let shutdown = Shutdown::new();
    shutdown.listen().map_err(|source| BenchError::Process { what: "listen for signals", source })?;
    if let Some(path) = &args.fill {
        return fill::fill(args, path, &shutdown);
    }
    let report = measure(args, &shutdown)?;
    let written = match args.json {
        true => writeln!(out, "{}", report.json()),
        false => report.print(out),
    };
    Ok(written.map_err(ToolError::Output)?)
}

/// Makes the data, measures everything, and removes what was made.
fn measure(args: &BenchArgs, shutdown: &Shutdown) -> Result<Report> {
    let (fs, clock): (Arc<dyn Fs>, Arc<dyn Clock>) = (Arc::new(OsFs), Arc::new(OsClock::new()));
    let dir = resolve(&args.dir)?;
    let from = args.from.as_deref().map(resolve).transpose()?;
    let scratch = Scratch::create(fs.as_ref(), &dir)?;
    // It goes before the directory that it is in.
    let subject = subject(args, from, &fs, &clock, &scratch, shutdown)?;
    let files = subject.files();
    let cache = if args.cold { PageCache::dropping(&files.paths())? } else { PageCache::Warm };
    let against = match args.against {
        true => Some(Against::prepare(files, scratch.join("files.list"), shutdown.clone())?),
        false => None,
    };

    let mut results = Results::new(files.bytes());
    let stages = Stages {
        fs: fs.as_ref(),
        clock: clock.as_ref(),
        scratch: &scratch,
        subject: subject.as_ref(),
        cache,
        against: against.as_ref(),
        shutdown,
    };
    for number in 0..args.runs {
        stages.round(number, args.runs, &mut results)?;
    }

    let machine = Machine::look(&dir);
    let report = report(args, &machine, subject.as_ref(), cache, against.as_ref(), &results);
    drop(subject);
    scratch.remove()?;
    Ok(report)
}

/// What is archived: a directory that there is, or a storage that is made now.
fn subject(
    args: &BenchArgs,
    from: Option<PathBuf>,
    fs: &Arc<dyn Fs>,
    clock: &Arc<dyn Clock>,
    scratch: &Scratch<'_>,
    shutdown: &Shutdown,
) -> Result<Box<dyn Subject>> {
    match from {
        Some(root) => {
            let reporter = Reporter::new("reading data", Some(shutdown.clone()));
            let (fs, clock) = (Arc::clone(fs), Arc::clone(clock));
            Ok(Box::new(Tree::read(fs, clock, root, scratch.path().to_owned(), copies(args), &reporter)?))
        }
        None => Ok(Box::new(Made::make(args, scratch.path(), copies(args), shutdown)?)),
    }
}

/// How often the data is on the disk at the worst time: an archive, what is being written, and one to spare; the data itself where it is
/// made; the archives of the other programs.
fn copies(args: &BenchArgs) -> u64 {
    3 + u64::from(args.from.is_none()) + if args.against { 2 } else { 0 }
}

fn report(
    args: &BenchArgs,
    machine: &Machine,
    subject: &dyn Subject,
    cache: PageCache,
    against: Option<&Against>,
    results: &Results,
) -> Report {
    let files = subject.files();
    let development = cfg!(debug_assertions);
    let [computer, disk] = machine.describe();
    let build = if development { ", a development build: its times mean nothing" } else { "" };
    let mut head = vec![
        ("icecore", format!("{VERSION}{build}")),
        ("machine", computer),
        ("disk", disk),
        ("data", format!("{} in {} files: {}", megabytes(files.bytes()), files.count(), subject.describe())),
        ("page cache", cache.describe()),
    ];
    head.extend(against.map(|against| ("against", against.describe())));
    let mut data = subject.facts();
    data["bytes"] = files.bytes().into();
    data["files"] = files.count().into();
    let facts = json!({
        "version": VERSION,
        "development_build": development,
        "machine": machine.facts(),
        "data": data,
        "page_cache": cache.name(),
        "against": against.map(Against::facts),
        "rounds": args.runs,
    });
    Report { head, facts, rows: results.rows() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn parse(arguments: &[&str]) -> Result<BenchArgs, clap::Error> {
        Ok(Line::try_parse_from([&["bench"], arguments].concat())?.args)
    }

    #[test]
    fn arguments_are_bounded_and_a_directory_needs_none_of_the_data() {
        assert_eq!(parse(&[]).unwrap().size_mb, 1024);
        assert!(parse(&["--from", "x", "--cold", "--against", "--json", "--runs", "1"]).is_ok());
        for wrong in [
            &["--from", "x", "--size-mb", "1"][..],
            &["--from", "x", "--shards", "1"],
            &["--size-mb", "0"],
            &["--runs", "0"],
            &["--runs", "101"],
            &["--dimensions", "0"],
            &["--shards", "257"],
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_space_that_is_needed_counts_what_is_there_at_one_time() {
        let copies = |arguments: &[&str]| super::copies(&parse(arguments).unwrap());
        assert_eq!((copies(&[]), copies(&["--from", "x"]), copies(&["--against"])), (4, 3, 6));
    }
}
