//! The error of every use case: what went wrong, and by [`Kind`] what the caller can do about it.
//!
//! Front doors map kinds to their own codes in one exhaustive `match` each; nothing here knows of HTTP. Messages may name paths
//! of the machine, so a front door shows those of the kinds `Corrupt`, `Poisoned`, `Unavailable`, `NoSpace` and `Internal` to
//! nobody but the log.

use std::io;
use std::path::PathBuf;

/// The result of a use case.
pub(crate) type Result<T, E = AppError> = std::result::Result<T, E>;

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The named thing does not exist.
    NotFound,
    /// The named thing exists already, or stands in the way.
    Conflict,
    /// The request, or the file that came with it, breaks a rule; asking again is useless.
    InvalidInput,
    /// Bytes are not what was written, here or in an archive.
    Corrupt,
    /// Not possible at the moment.
    Unavailable,
    /// A sync failed earlier: no more writes until the process starts again.
    Poisoned,
    /// Somebody stopped it.
    Cancelled,
    /// The disk is too full.
    NoSpace,
    /// Sound, but of a kind or version that this program does not handle.
    Unsupported,
    /// A file operation failed or something unexpected happened.
    Internal,
}

/// The error of a use case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AppError {
    /// From the storage.
    #[error(transparent)]
    Storage(#[from] icecore_storage::Error),
    /// A file operation of the server itself failed.
    #[error("{operation} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl AppError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Storage(error) => of_storage(error.kind()),
            Self::Io { source, .. } => of_io(source),
        }
    }
}

fn of_storage(kind: icecore_storage::ErrorKind) -> Kind {
    use icecore_storage::ErrorKind;
    match kind {
        ErrorKind::NotFound => Kind::NotFound,
        ErrorKind::Conflict => Kind::Conflict,
        ErrorKind::InvalidInput => Kind::InvalidInput,
        ErrorKind::Corrupt => Kind::Corrupt,
        ErrorKind::Unavailable => Kind::Unavailable,
        ErrorKind::Poisoned => Kind::Poisoned,
        ErrorKind::Internal => Kind::Internal,
    }
}

fn of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
        _ => Kind::Internal,
    }
}
