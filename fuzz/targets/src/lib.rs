//! What the fuzzers do with one input, as ordinary functions.
//!
//! A target returns if the code under test kept its promises for these bytes, and panics if it broke one: it may refuse anything,
//! but must not panic, must not take memory that the input does not justify, and must give back the same bytes for whatever it
//! accepts. No random mutation finds a right checksum, so besides the bytes as they are each target tries a copy whose
//! checksums it has made right: that is how the rules behind them are reached.
//!
//! Mutating inputs and measuring coverage is libFuzzer's work (`fuzz/fuzz_targets`), replaying the corpora that of `tests/replay.rs`.

mod archive;
mod segment;
mod wal;

pub use archive::{archive_file, archive_manifest};
pub use segment::{HEADER_FIELDS_LEN, TRAILER_FIELDS_LEN, segment_header};
pub use wal::wal_record;

/// A target's name, which is that of its corpus and of its libFuzzer binary, and its function, which says whether the input was accepted.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All targets.
pub const TARGETS: [Target; 4] = [
    ("archive_file", archive_file),
    ("archive_manifest", archive_manifest),
    ("segment_header", segment_header),
    ("wal_record", wal_record),
];
