//! Why a measurement ended without a result.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::error::{AppError, Kind};
use crate::logging::LevelError;
use crate::serve::ServeError;
use crate::tools::ToolError;

/// The result of a part of the measurement.
pub(super) type Result<T, E = BenchError> = std::result::Result<T, E>;

/// Why a measurement ended without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum BenchError {
    /// A signal, or somebody at the terminal.
    #[error("stopped; what was made for the measurement is removed")]
    Stopped,
    /// The disk is too full to begin.
    #[error("{path:?} has {free} bytes free, but measuring {size} bytes of data needs {needed}; measure less, or elsewhere")]
    NoSpace {
        /// The directory.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes of data.
        size: u64,
        /// Bytes that all files together take at one time.
        needed: u64,
    },
    /// Nothing to measure.
    #[error("there is not one byte in {path:?}; give a directory with files in it")]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// The directory's contents changed between two looks.
    #[error("{path:?} has changed meanwhile; files must not change while they are measured")]
    Changed {
        /// The directory.
        path: PathBuf,
    },
    /// An archive that was made a moment ago is damaged.
    #[error("{path:?}, made a moment ago, is damaged: {problem}")]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// The first of its problems.
        problem: String,
    },
    /// A restored storage does not have what was archived.
    #[error("{found} points were restored where {expected} were archived")]
    Restored {
        /// Points in the restored storage.
        found: u64,
        /// Points in the data.
        expected: u64,
    },
    /// One of the programs to compare with has failed; it has said why.
    #[error("{program} ended with {status}")]
    Program {
        /// Its name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// A program to compare with could not be run.
    #[error("run {program}")]
    Spawn {
        /// Its name.
        program: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The archive of a program to compare with has another digest than when it was made.
    #[error("openssl says {found:?} of {path:?}, and said {expected:?} when it was made")]
    Digest {
        /// The archive.
        path: PathBuf,
        /// The digest when it was made.
        expected: String,
        /// The digest afterwards.
        found: String,
    },
    /// Making, verifying or restoring an archive failed.
    #[error(transparent)]
    App(Box<AppError>),
    /// Opening what a server has failed.
    #[error(transparent)]
    Server(Box<ServeError>),
    /// A directory cannot be archived, or nobody reads the result.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The log cannot be started.
    #[error(transparent)]
    Log(#[from] LevelError),
    /// A file operation of the measurement itself failed.
    #[error("{operation} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Something of the process itself failed.
    #[error("{what}")]
    Process {
        /// What was attempted.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl BenchError {
    /// What a failed file operation becomes.
    pub(super) fn io(operation: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.as_ref().to_owned(), source }
    }
}

impl From<AppError> for BenchError {
    /// Operations are cancelled by nothing but a signal.
    fn from(error: AppError) -> Self {
        match error.kind() {
            Kind::Cancelled => Self::Stopped,
            _ => Self::App(Box::new(error)),
        }
    }
}

impl From<icecore_archive::Error> for BenchError {
    fn from(error: icecore_archive::Error) -> Self {
        AppError::from(error).into()
    }
}

impl From<icecore_storage::Error> for BenchError {
    fn from(error: icecore_storage::Error) -> Self {
        AppError::from(error).into()
    }
}

impl From<ServeError> for BenchError {
    fn from(error: ServeError) -> Self {
        Self::Server(Box::new(error))
    }
}
