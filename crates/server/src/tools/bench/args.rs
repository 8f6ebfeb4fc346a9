//! What `icecore bench` is asked for. Every number has a bound, so that no run is without end.

use std::path::PathBuf;

use clap::Args;
use clap::value_parser;

/// Arguments of `icecore bench`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct BenchArgs {
    /// Where to measure: data, archives and restored data go into a new directory here, which is removed afterwards.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) dir: PathBuf,

    /// Archive this directory, as `icecore archive create` does, instead of a storage made for the purpose.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["size_mb", "dimensions", "payload_bytes", "shards", "collections"])]
    pub(super) from: Option<PathBuf>,

    /// How much data to make, in millions of bytes of vectors and payloads.
    #[arg(long, value_name = "MB", default_value_t = 1024, value_parser = value_parser!(u64).range(1..=1_000_000))]
    pub(super) size_mb: u64,

    /// Components of each vector.
    #[arg(long, value_name = "NUMBER", default_value_t = 768, value_parser = value_parser!(u32).range(1..=65_536))]
    pub(super) dimensions: u32,

    /// Bytes of each payload; 0 for none, and otherwise at least what its two fields take.
    #[arg(long, value_name = "BYTES", default_value_t = 256, value_parser = value_parser!(u32).range(0..=1_048_576))]
    pub(super) payload_bytes: u32,

    /// Shards of each collection.
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = value_parser!(u32).range(1..=256))]
    pub(super) shards: u32,

    /// Collections that the data is spread over.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = value_parser!(u32).range(1..=256))]
    pub(super) collections: u32,

    /// How often everything is measured, in alternation.
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = value_parser!(u32).range(1..=100))]
    pub(super) runs: u32,

    /// Ask the system to drop the files from its memory before each run, so that they are read from the disk.
    #[arg(long)]
    pub(super) cold: bool,

    /// Measure GNU tar with openssl, and with zstd where it is installed, on the same files.
    #[arg(long)]
    pub(super) against: bool,

    /// Print the result as JSON, with every single run.
    #[arg(long)]
    pub(super) json: bool,

    /// Make the data in this new directory and measure nothing: what the process does that this one starts.
    #[arg(long, value_name = "DIR", hide = true, conflicts_with = "from")]
    pub(super) fill: Option<PathBuf>,
}
