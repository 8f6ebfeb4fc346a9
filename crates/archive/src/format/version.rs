//! Layout versions: which archives this program reads and which it writes.
//!
//! Whatever the version, an archive begins with the manifest and its digest, framed as version 1 frames them, and the
//! manifest has a number `layout`. So a reader can always tell a newer archive from a damaged one. All the rest may change.

/// The version of the layout that this program writes, and the only one that it reads.
pub const LAYOUT: u64 = 1;
