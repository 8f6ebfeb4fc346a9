//! A broken rule of FORMAT.md, found in bytes whose file the decoder does not know.
//!
//! Decoders are pure functions of bytes and return this; whoever opened the file turns it into an [`Error`] with the path.

use std::path::Path;

use crate::error::Error;

/// What is wrong with a structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// The structure was written by a newer version.
    Version {
        /// The newest version that this program reads.
        known: u32,
        /// The version found.
        actual: u32,
    },
    /// A rule is broken.
    Rule {
        /// Where, in bytes from the start of what was decoded.
        offset: u64,
        /// Which, with both numbers.
        reason: String,
    },
}

impl Violation {
    /// A broken rule at `offset`.
    pub(crate) fn rule(offset: impl TryInto<u64>, reason: impl Into<String>) -> Self {
        // An offset that does not fit cannot come from bytes in memory.
        Self::Rule { offset: offset.try_into().unwrap_or(u64::MAX), reason: reason.into() }
    }

    /// The same violation, with offsets counted from `base` bytes earlier.
    #[must_use]
    pub(crate) fn shifted(self, base: u64) -> Self {
        match self {
            Self::Rule { offset, reason } => Self::Rule { offset: offset.saturating_add(base), reason },
            version @ Self::Version { .. } => version,
        }
    }

    /// The error that names the file.
    pub(crate) fn into_error(self, path: &Path) -> Error {
        match self {
            Self::Version { known, actual } => Error::FormatVersion { path: path.to_owned(), known, actual },
            Self::Rule { offset, reason } => Error::Malformed { path: path.to_owned(), offset, reason },
        }
    }
}
