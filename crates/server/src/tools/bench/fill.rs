//! Fills the storage that is measured.
//!
//! This is done by a process of its own, which is this program again: what filling takes of memory is gone when measuring begins, and
//! the measured process has opened its storage as a server does that was started again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use icecore_archive::Progress;
use icecore_io::{OsClock, OsFs};
use icecore_storage::{CollectionConfig, DenseParams, Distance, Durability, Storage};
use serde_json::json;

use super::args::BenchArgs;
use super::children;
use super::error::{BenchError, Result};
use super::points::Points;
use super::results::MEGABYTE;
use crate::config::Config;
use crate::report::Reporter;
use crate::shutdown::Shutdown;

/// What the process is called in errors.
const NAME: &str = "the process that makes the data";

/// Has another process make a storage in `path`.
pub(super) fn fill_elsewhere(args: &BenchArgs, path: &Path, shutdown: &Shutdown) -> Result<()> {
    let program = std::env::current_exe().map_err(|source| BenchError::Spawn { program: NAME, source })?;
    let mut command = Command::new(program);
    command.args(arguments(args, path));
    children::run(vec![(NAME, command)], shutdown).map(drop)
}

/// The arguments with which this program fills a storage.
fn arguments(args: &BenchArgs, path: &Path) -> Vec<OsString> {
    let BenchArgs { size_mb, dimensions, payload_bytes, shards, collections, .. } = args;
    let numbers = [
        ("--size-mb", *size_mb),
        ("--dimensions", u64::from(*dimensions)),
        ("--payload-bytes", u64::from(*payload_bytes)),
        ("--shards", u64::from(*shards)),
        ("--collections", u64::from(*collections)),
    ];
    let mut arguments: Vec<OsString> = vec!["bench".into(), "--fill".into(), path.into()];
    arguments.extend(numbers.into_iter().flat_map(|(name, number)| [name.into(), number.to_string().into()]));
    arguments
}

/// The bytes of points that these arguments ask for.
pub(super) fn bytes_wanted(args: &BenchArgs) -> u64 {
    args.size_mb.saturating_mul(MEGABYTE)
}

/// Makes a storage in `path`, with its collections and their points. It is closed afterwards, and nothing is left to flush or compact.
pub(super) fn fill(args: &BenchArgs, path: &Path, shutdown: &Shutdown) -> Result<()> {
    let options = Config::default().storage.options();
    let storage = Storage::open(Arc::new(OsFs), Arc::new(OsClock::new()), path, options)?;
    let vectors = BTreeMap::from([(String::new(), DenseParams::new(args.dimensions as usize, Distance::Dot))]);
    let config = CollectionConfig { shard_number: args.shards, vectors, sparse_vectors: BTreeMap::new(), settings: json!({}) };
    let mut points = Points::new(args.dimensions as usize, args.payload_bytes as usize);
    let collections = u64::from(args.collections);
    let each = bytes_wanted(args).div_ceil(points.len() * collections);
    let reporter = Reporter::new("making data", Some(shutdown.clone()));
    reporter.start(each * collections * points.len());
    for number in 0..collections {
        let collection = format!("bench-{number}");
        storage.create_collection(&collection, config.clone())?;
        let mut next = 0;
        while next < each {
            let ids = next..each.min(next + points.per_request());
            next = ids.end;
            let bytes = (ids.end - ids.start) * points.len();
            storage.write(&collection, points.request(ids), Durability::Buffered)?;
            if reporter.advance(bytes).is_break() {
                return Err(BenchError::Stopped);
            }
        }
    }
    storage.flush()?;
    storage.compact()?;
    Ok(storage.close()?)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command as Subcommand};

    fn parse(arguments: Vec<OsString>) -> BenchArgs {
        let cli = Cli::try_parse_from([vec!["icecore".into()], arguments].concat()).unwrap();
        let Some(Subcommand::Bench(args)) = cli.command else { panic!("{cli:?}") };
        args
    }

    #[test]
    fn the_other_process_is_asked_for_the_same_data() {
        let line = "bench --size-mb 9 --dimensions 8 --payload-bytes 7 --shards 6 --collections 5 --json";
        let args = parse(line.split(' ').map(OsString::from).collect());
        let path = Path::new("/a b/storage");
        let expected = BenchArgs { json: false, fill: Some(path.to_owned()), ..args.clone() };
        assert_eq!(parse(arguments(&args, path)), expected);
    }

    #[test]
    fn a_storage_has_all_its_points_in_segments() {
        let dir = tempfile::tempdir().unwrap();
        let line = "bench --size-mb 1 --dimensions 250 --payload-bytes 0 --shards 2 --collections 2";
        let args = parse(line.split(' ').map(OsString::from).collect());
        fill(&args, dir.path(), &Shutdown::new()).unwrap();
        let storage = Storage::open(Arc::new(OsFs), Arc::new(OsClock::new()), dir.path(), Default::default()).unwrap();
        for collection in ["bench-0", "bench-1"] {
            assert_eq!(storage.count(collection, None).unwrap(), 500, "{collection}");
        }
        assert_eq!(storage.memtable_bytes(), 0);
    }
}
