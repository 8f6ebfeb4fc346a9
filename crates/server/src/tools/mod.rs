//! `icecore archive …`, `icecore inspect` and `icecore bench`: make archives of directories, look into archives and storages without a
//! server, and measure what all of it costs.
//!
//! Results go to standard output, as text or as one JSON object; progress and errors to standard error. Nothing here changes a
//! storage or an archive that exists.

mod archive;
mod bench;
mod create;
mod inspect;
mod table;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use icecore_archive::Reader;
use icecore_io::{Fs, OsFs};

use crate::cli::ArchiveCommand;

pub(crate) use bench::{BenchArgs, BenchError};
pub(crate) use table::Table;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] icecore_archive::Error),
    /// The archive or the storage is damaged; the problems have been printed.
    #[error("{path:?} is damaged, in {count} place{}", if *.count == 1 { "" } else { "s" })]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// There is nothing in it to be unpacked.
    #[error(
        "{path:?} is a set, which stands for the backup of a whole cluster and has no members: `icecore archive list` shows the \
         archives that it lists"
    )]
    Set {
        /// The archive.
        path: PathBuf,
    },
    /// It says that it is a set, and is none.
    #[error("{path:?} is no sound set: {reason}")]
    SetRule {
        /// The archive.
        path: PathBuf,
        /// The rule that it breaks.
        reason: String,
    },
    /// The directory has something in it.
    #[error("{path:?} is not empty; give a directory that does not exist yet")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The archive would be inside the directory that it is of.
    #[error("{path:?} is inside {dir:?}, which is to be archived; write the archive elsewhere")]
    Inside {
        /// The archive.
        path: PathBuf,
        /// The directory.
        dir: PathBuf,
    },
    /// No file can be called that.
    #[error("{path:?} is no name for an archive; end it in a file name")]
    NoFileName {
        /// The archive.
        path: PathBuf,
    },
    /// The directory is one of the server's.
    #[error(
        "{path:?} is a storage directory, whose files alone are no consistent state; start the server on it and make a snapshot"
    )]
    IsStorage {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that is no storage.
    #[error("{path:?} is neither a storage directory nor an archive: it has no directory `catalog`")]
    NotStorage {
        /// The directory.
        path: PathBuf,
    },
    /// A storage that cannot be looked into.
    #[error(transparent)]
    Storage(#[from] icecore_storage::Error),
    /// A file operation failed.
    #[error("{operation} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Standard output is closed or full.
    #[error("write the result")]
    Output(#[from] io::Error),
}

/// Runs `icecore archive …`.
pub(crate) fn archive(command: ArchiveCommand) -> Result<(), ToolError> {
    let fs = OsFs;
    let mut out = io::stdout().lock();
    match command {
        ArchiveCommand::Create { dir, file, json } => create::run(&dir, &file, json, &mut out),
        ArchiveCommand::Verify { file, json } => archive::verify(&fs, &file, json, &mut out),
        ArchiveCommand::List { file, json } => archive::list(&fs, &file, json, &mut out),
        ArchiveCommand::Extract { file, dir, json } => archive::extract(&fs, &file, &dir, json, &mut out),
    }
}

/// Runs `icecore inspect`.
pub(crate) fn inspect(path: &Path, json: bool) -> Result<(), ToolError> {
    inspect::run(&OsFs, path, json, &mut io::stdout().lock())
}

/// Runs `icecore bench`.
pub(crate) fn bench(args: &BenchArgs) -> Result<(), BenchError> {
    bench::run(args, &mut io::stdout().lock())
}

/// Opens an archive that may be given by a symbolic link.
fn open(fs: &dyn Fs, file: &Path) -> Result<Reader, ToolError> {
    Ok(Reader::open(fs, &resolve(file)?)?)
}

/// What a path that the user gave means, symbolic links followed.
fn resolve(path: &Path) -> Result<PathBuf, ToolError> {
    path.canonicalize().map_err(|source| ToolError::Io { operation: "open", path: path.to_owned(), source })
}

/// All cores.
fn threads() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
