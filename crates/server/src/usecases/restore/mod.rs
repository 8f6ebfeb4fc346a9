//! Restores archives: all that is asked for in one commit, or nothing.
//!
//! Everything that can be refused without writing is refused first: files that are missing, foreign or of the wrong kind, targets
//! named twice, collisions with what exists, and a full disk. Then members are unpacked into staging directories of the storage, each
//! verified against its digest, and one adoption puts all of it in place. Staging directories go away with the values that stand
//! for them, so a failure leaves the storage as it was.
//!
//! There are two ways in: the flags of the command line (`at_start`), and one archive for a running server (`live`).

mod at_start;
mod checksum;
mod error;
mod live;
#[cfg(test)]
mod live_tests;
mod select;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use at_start::{Request, restore};
pub(crate) use error::RestoreError;
pub(crate) use live::{Goal, Part, Staged, stage, stage_all};
pub(crate) use source::{Expected, Input};
