//! Why a cluster does not do what it was asked, in words for whoever asked: nothing secret, no path of this machine.

use std::path::PathBuf;

use crate::error::AppError;
use crate::usecases::location::LocationError;

/// The error of a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClusterError {
    /// There is no cluster of this name.
    #[error("Cluster not found: {name}")]
    Unknown {
        /// The name, which may be any text.
        name: String,
    },
    /// The embedded engine's.
    #[error(transparent)]
    App(Box<AppError>),
    /// Where a snapshot is said to be, it cannot be taken from.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The work on the embedded engine panicked, which has been logged.
    #[error("an unexpected failure; the server's log says more")]
    Panicked,
    /// The cluster says no.
    #[error("{message}")]
    Answer {
        /// Its status: 400 or above.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The cluster does not answer, refuses its key, or answers what cannot be understood.
    #[error("Qdrant cluster unavailable: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
    },
    /// The certificate of the settings cannot be used.
    #[error("cluster {cluster:?}: the certificate {path:?} cannot be used: {reason}")]
    Certificate {
        /// The cluster.
        cluster: String,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The library of HTTP cannot be set up.
    #[error("cluster {cluster:?}: {reason}")]
    Setup {
        /// The cluster.
        cluster: String,
        /// What is wrong.
        reason: String,
    },
}

impl From<AppError> for ClusterError {
    fn from(error: AppError) -> Self {
        Self::App(Box::new(error))
    }
}

impl From<icecore_storage::Error> for ClusterError {
    fn from(error: icecore_storage::Error) -> Self {
        AppError::from(error).into()
    }
}
