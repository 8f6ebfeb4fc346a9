//! What the benchmarks share: their data, and the plain programs that they are compared with.
//!
//! Data depends on nothing but its size, so that every run writes the same bytes. Measuring is criterion's work, in `benches/`; how to read
//! the numbers says README.md.

mod files;
mod plain;
mod points;

pub use files::{Files, copy_tree, scratch};
pub use plain::{
    Appender, copy, copy_each, crc32c_on_all_cores, sha256, sha256_of_parts_on_all_cores, sha256_on_all_cores, threads, together,
};
pub use points::{Requests, config, open, payload};

/// The value, or the end of the benchmark: what has failed has no time.
///
/// # Panics
/// With the error, if there is one.
pub fn must<T, E: std::error::Error>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}: {:?}", error.source()))
}
