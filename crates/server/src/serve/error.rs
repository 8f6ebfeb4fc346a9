//! Why the server did not start, or ended.

use std::io;
use std::path::PathBuf;

use crate::cli::MappingError;
use crate::clusters::ClusterError;
use crate::config::ConfigError;
use crate::error::AppError;
use crate::listen::ListenError;
use crate::logging;
use crate::tls::TlsError;

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A `--snapshot` that cannot be.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The log level is none.
    #[error("`log_level`: {0}")]
    LogLevel(#[from] logging::LevelError),
    /// The storage, the archives or a restore.
    #[error(transparent)]
    App(Box<AppError>),
    /// A file from the command line; nothing was done yet.
    #[error("cannot find the snapshot {path:?}; check its path, nothing was restored")]
    Snapshot {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A path from the settings.
    #[error("cannot use {path:?}")]
    Path {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A cluster of the settings.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The end of the server was asked for before it listened.
    #[error("stopped before the server was ready; nothing was restored")]
    Stopped,
    /// Something of the process itself failed.
    #[error("{what}")]
    Process {
        /// What was attempted.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl From<AppError> for ServeError {
    fn from(error: AppError) -> Self {
        Self::App(Box::new(error))
    }
}
