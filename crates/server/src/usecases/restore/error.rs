//! Why a restore is refused, and what the operator can do about it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use icecore_archive::{ParseDigestError, Sha256Digest};
use icecore_storage::OnExisting;

use crate::error::{AppError, Kind};
use crate::remote::Stopping;
use crate::settings::SettingsError;

/// The error of a restore.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    /// A sound archive, but not of what is wanted.
    #[error("{path:?} is a snapshot of {found}, but a snapshot of {wanted} is needed here")]
    WrongKind {
        /// The archive.
        path: PathBuf,
        /// What it is of.
        found: &'static str,
        /// What was expected where it was given.
        wanted: &'static str,
    },
    /// An archive of another shard.
    #[error("{path:?} is a snapshot of shard {found:?}, but shard {wanted} is to be restored")]
    OtherShard {
        /// The archive.
        path: PathBuf,
        /// The shards that are in it.
        found: Vec<u32>,
        /// The shard that was asked for.
        wanted: u32,
    },
    /// An archive of the whole storage without the collection.
    #[error("{path:?} is a snapshot of the whole storage without a collection `{name}`; it has: {present}")]
    NotInArchive {
        /// The archive.
        path: PathBuf,
        /// The collection.
        name: String,
        /// The collections that it has.
        present: String,
    },
    /// Two archives would become one collection.
    #[error("collection `{name}` would be restored from two snapshots; give each its own name")]
    NamedTwice {
        /// The name.
        name: String,
    },
    /// Something of the name exists.
    #[error("{reason}; use --force-snapshot to replace it")]
    Exists {
        /// What exists.
        reason: String,
    },
    /// The name belongs to an alias, which would hide the collection.
    #[error("`{name}` is an alias here; give the collection another name, or delete the alias first")]
    NameIsAlias {
        /// The name.
        name: String,
    },
    /// The archive's subject is not a description of a snapshot.
    #[error("{path:?} is not a snapshot of points")]
    Subject {
        /// The archive.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It stands for other archives.
    #[error(
        "{path:?} is a set, which stands for the backup of a whole cluster and holds no points: restore it with a job of the backup \
         manager, or restore the archives that it lists"
    )]
    Set {
        /// The archive.
        path: PathBuf,
    },
    /// The archive does not have the one collection that it is of.
    #[error("{path:?} says that it is a snapshot of {kind}, and has {found} collections")]
    Collections {
        /// The archive.
        path: PathBuf,
        /// What it says it is of.
        kind: &'static str,
        /// How many it has.
        found: usize,
    },
    /// A collection's settings or index schemas are none of this server's.
    #[error("{path:?}: collection {collection:?} is described in a way that no icecore describes one")]
    Settings {
        /// The archive.
        path: PathBuf,
        /// The collection's name in the archive.
        collection: String,
        /// The field, and what is wrong with it.
        source: SettingsError,
    },
    /// The file is not the one that was noted.
    #[error("{path:?} has SHA-256 {actual}, the file `.checksum` beside it says {expected}; fetch the snapshot again")]
    Checksum {
        /// The archive.
        path: PathBuf,
        /// What is noted.
        expected: Sha256Digest,
        /// What the file has.
        actual: Sha256Digest,
    },
    /// The file is not the one that was meant (text: Qdrant's).
    #[error("Snapshot checksum mismatch: expected {expected}, got {actual}")]
    GivenChecksum {
        /// What was given.
        expected: Sha256Digest,
        /// What the archive has.
        actual: Sha256Digest,
    },
    /// The digests are right, and what was unpacked still cannot be opened.
    #[error("the snapshot's data cannot be used: an engine other than icecore wrote it, or a damaged one")]
    Content {
        /// Why.
        source: icecore_storage::Error,
    },
    /// What is noted is no digest.
    #[error("{path:?} is not a SHA-256 digest; correct or remove it")]
    ChecksumFile {
        /// The digest file.
        path: PathBuf,
        /// Why.
        source: ParseDigestError,
    },
    /// The disk is too full; nothing was written.
    #[error("restoring needs {needed} bytes on the file system of {path:?}, and {free} are free")]
    NoSpace {
        /// The storage.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// The free space is unknown.
    #[error("measure the free space of {path:?}")]
    Space {
        /// The storage.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The stream that brings an archive failed.
    #[error("receive {label:?}")]
    Broken {
        /// What the archive is called.
        label: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive cannot be unpacked.
    #[error(transparent)]
    Archive(icecore_archive::Error),
}

impl RestoreError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::WrongKind { .. }
            | Self::OtherShard { .. }
            | Self::NotInArchive { .. }
            | Self::NamedTwice { .. }
            | Self::Subject { .. }
            | Self::Set { .. }
            | Self::Collections { .. }
            | Self::Settings { .. }
            | Self::ChecksumFile { .. } => Kind::InvalidInput,
            Self::Exists { .. } | Self::NameIsAlias { .. } => Kind::Conflict,
            Self::Checksum { .. } | Self::GivenChecksum { .. } | Self::Content { .. } => Kind::Corrupt,
            Self::NoSpace { .. } => Kind::NoSpace,
            Self::Broken { source, .. } if source.get_ref().is_some_and(|cause| cause.is::<Stopping>()) => Kind::Cancelled,
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Space { .. } | Self::Read { .. } | Self::Broken { .. } => Kind::Internal,
            Self::Archive(error) => crate::error::of_archive(error.kind()),
        }
    }

    /// Whether somebody stopped it.
    pub(super) fn is_cancelled(&self) -> bool {
        self.kind() == Kind::Cancelled
    }
}

/// What failed when a stream called `label` was read: the stream, or something else.
pub(super) fn of_stream(error: icecore_archive::Error, label: &Path) -> RestoreError {
    match error {
        icecore_archive::Error::Io { action: "read", path, source } if path == label => {
            RestoreError::Broken { label: path, source }
        }
        error => RestoreError::Archive(error),
    }
}

/// Adds to a collision what resolves it. `names` are those of the collections to be restored.
pub(super) fn with_hint(error: icecore_storage::Error, existing: OnExisting, names: &BTreeSet<String>) -> AppError {
    use icecore_storage::{Error, ErrorKind};
    match error {
        Error::AliasExists { name } if names.contains(&name) => RestoreError::NameIsAlias { name }.into(),
        Error::CollectionExists { .. } | Error::AliasExists { .. } if existing == OnExisting::Refuse => {
            RestoreError::Exists { reason: error.to_string().trim_end_matches('!').to_owned() }.into()
        }
        error if error.kind() == ErrorKind::Corrupt => RestoreError::Content { source: error }.into(),
        error => error.into(),
    }
}
