//! The error of every use case: what went wrong, and by [`Kind`] what the caller can do about it.
//!
//! Front doors map kinds to their own codes in one exhaustive `match` each; nothing here knows of HTTP. Messages may name paths
//! of the machine, so a front door shows those of the kinds `Corrupt`, `Poisoned`, `Unavailable`, `NoSpace` and `Internal` to
//! nobody but the log; except for those of [`AppError::Fetch`], which are made for the client.

use std::error::Error;
use std::io;

use crate::clusters::ClusterError;
use crate::jobs::JobsError;
use crate::jobs::kinds::managed::ManagedError;
use crate::remote::FetchError;
use crate::stores::{Fault, StoreError, StoresError};
use crate::usecases::restore::RestoreError;
use crate::usecases::sets::SetError;

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
    /// The request asks for what the settings do not allow.
    Forbidden,
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
    /// From the archive engine.
    #[error(transparent)]
    Archive(#[from] icecore_archive::Error),
    /// From the store of archives.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// From the configurations of stores.
    #[error(transparent)]
    Stores(#[from] StoresError),
    /// A restore was refused.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// An archive cannot be fetched from its URL.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// From the queue of jobs.
    #[error(transparent)]
    Jobs(#[from] JobsError),
    /// A job of the backup manager's that cannot be done as it was asked for.
    #[error(transparent)]
    Managed(#[from] ManagedError),
    /// The backup of a whole cluster cannot be used.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The description of a snapshot cannot be written as JSON.
    #[error("describe the snapshot")]
    Encode(#[source] serde_json::Error),
}

impl From<ClusterError> for AppError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::App(error) => *error,
            error => ManagedError::Cluster(error).into(),
        }
    }
}

impl AppError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Storage(icecore_storage::Error::Io { source, .. }) => of_io(source),
            Self::Storage(error) => of_storage(error.kind()),
            Self::Archive(error) => of_archive(error.kind()),
            Self::Store(error) => of_store(error),
            Self::Stores(error) => error.kind(),
            Self::Restore(error) => error.kind(),
            Self::Fetch(error) => error.kind(),
            Self::Jobs(error) => error.kind(),
            Self::Managed(error) => error.kind(),
            Self::Set(error) => error.kind(),
            Self::Encode(_) => Kind::Internal,
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

pub(crate) fn of_archive(kind: icecore_archive::ErrorKind) -> Kind {
    use icecore_archive::ErrorKind;
    match kind {
        ErrorKind::NotFound => Kind::NotFound,
        ErrorKind::AlreadyExists => Kind::Conflict,
        ErrorKind::InvalidInput => Kind::InvalidInput,
        ErrorKind::Corrupt => Kind::Corrupt,
        ErrorKind::Unsupported => Kind::Unsupported,
        ErrorKind::Cancelled => Kind::Cancelled,
        ErrorKind::NoSpace => Kind::NoSpace,
        ErrorKind::Io => Kind::Internal,
    }
}

pub(crate) fn of_store(error: &StoreError) -> Kind {
    match error {
        StoreError::NotFound { .. } => Kind::NotFound,
        StoreError::Exists { .. } | StoreError::Occupied { .. } => Kind::Conflict,
        StoreError::Place(error) => of_storage(error.kind()),
        StoreError::Archive(error) => of_archive(error.kind()),
        StoreError::Io { source, .. } => of_io(source),
        StoreError::NoBucket | StoreError::Options(_) => Kind::InvalidInput,
        StoreError::Object(error) => match error.fault {
            Fault::NoObject => Kind::NotFound,
            Fault::Unavailable => Kind::Unavailable,
            Fault::NoBucket | Fault::Denied | Fault::Changed | Fault::Other => Kind::Internal,
        },
    }
}

pub(crate) fn of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Kind::NoSpace,
        _ => Kind::Internal,
    }
}

/// The longest text of an error, in bytes. Texts quote requests and archives, which may hold names without end.
const TEXT_LEN_MAX: usize = 4096;

/// The text, cut to a length that people read.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > TEXT_LEN_MAX {
        text.truncate(text.floor_char_boundary(TEXT_LEN_MAX));
        text.push('…');
    }
    text
}

/// An error with its causes, on one line: `restore "x": open "x": Permission denied`.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries print their cause themselves.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    shortened(line.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened("a".repeat(TEXT_LEN_MAX)), "a".repeat(TEXT_LEN_MAX));
        for text in ["a".repeat(TEXT_LEN_MAX + 1), "ü".repeat(TEXT_LEN_MAX), format!("a{}", "ü".repeat(TEXT_LEN_MAX))] {
            let cut = shortened(text.clone());
            assert!(cut.len() <= TEXT_LEN_MAX + '…'.len_utf8() && text.starts_with(cut.trim_end_matches('…')));
        }
    }
}
