//! Why the queue of jobs fails. The errors of the jobs themselves are not here: those go to whoever waits for them.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;

use super::JobId;
use crate::error::{Kind, of_io};

/// The error of the queue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JobsError {
    /// The file cannot be made or opened.
    #[error("open the database of jobs {path:?}")]
    Create {
        /// The database.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A statement failed.
    #[error("{operation} in the database {path:?}")]
    Database {
        /// The database.
        path: PathBuf,
        /// What was attempted.
        operation: &'static str,
        /// SQLite's error.
        source: rusqlite::Error,
    },
    /// The server has ended as far as jobs go.
    #[error("cannot {operation}: the server is stopping")]
    Closed {
        /// What was attempted.
        operation: &'static str,
    },
    /// The file is no database any more, or one with nonsense in it.
    #[error(
        "the database of jobs {path:?} is damaged ({reason}): move it away together with its `-wal` and `-shm`, if there are any; \
         points and snapshots are elsewhere, only the jobs that were not done yet are forgotten"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A database, but not ours.
    #[error("{path:?} is a database of another program; move it away")]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// A later version has written it.
    #[error(
        "the database of jobs {path:?} has schema version {found}, this program knows up to {known}; start the version that wrote it"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The version that this program writes.
        known: i64,
    },
    /// SQLite cannot have its log beside the database.
    #[error(
        "the database of jobs {path:?} is in journal mode {mode} and cannot be brought to `wal`; is its file system a remote one?"
    )]
    Journal {
        /// The database.
        path: PathBuf,
        /// The mode that it has.
        mode: String,
    },
    /// A thread cannot be started.
    #[error("start a thread for jobs")]
    Thread {
        /// The system's error.
        source: io::Error,
    },
    /// The work panicked.
    #[error("unexpected failure of job {id}")]
    Panicked {
        /// The job.
        id: JobId,
    },
    /// Somebody took the job back before it began.
    #[error("job {id} was cancelled")]
    Cancelled {
        /// The job.
        id: JobId,
    },
    /// The server ends before the job does.
    #[error("the server was stopped before job {id} was done")]
    Stopped {
        /// The job.
        id: JobId,
    },
}

impl JobsError {
    /// What the caller can do about it. None of these kinds is shown to clients with its text, which may name paths.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Create { source, .. } => of_io(source),
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => Kind::NoSpace,
                _ => Kind::Internal,
            },
            Self::Damaged { .. } => Kind::Corrupt,
            Self::Foreign { .. } | Self::Newer { .. } | Self::Journal { .. } => Kind::Internal,
            Self::Thread { .. } | Self::Panicked { .. } => Kind::Internal,
            Self::Closed { .. } | Self::Cancelled { .. } | Self::Stopped { .. } => Kind::Cancelled,
        }
    }

    /// The error of a statement, told apart from damage.
    pub(super) fn of(path: PathBuf, operation: &'static str, source: rusqlite::Error) -> Self {
        use rusqlite::Error;
        let damaged = match &source {
            Error::FromSqlConversionFailure(..) | Error::InvalidColumnType(..) | Error::IntegralValueOutOfRange(..) => true,
            other => matches!(other.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)),
        };
        match damaged {
            true => Self::Damaged { path, reason: format!("{operation}: {source}") },
            false => Self::Database { path, operation, source },
        }
    }
}
