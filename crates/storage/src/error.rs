//! What can go wrong in the storage, with the object and the numbers in each variant.
//!
//! The cause is chained as `source()`, not printed in the message. [`Error::kind`] says what a caller can do next.

#![expect(missing_docs, reason = "the fields of a variant are what its message names")]

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::{io, iter};

use crate::checksum::{Crc32c, Sha256Digest};
use crate::ids::{Generation, Lsn, PointId, SegmentId, ShardDirId};

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The named thing does not exist.
    NotFound,
    /// The named thing exists already, or stands in the way.
    Conflict,
    /// The request is wrong; asking again is useless.
    InvalidInput,
    /// Bytes on the disk are not what was written. Restore from an archive.
    Corrupt,
    /// Not possible at the moment (another process, a full disk, shutdown).
    Unavailable,
    /// A sync failed: this part takes no more writes until the process starts again.
    Poisoned,
    /// A file operation failed or something unexpected happened.
    Internal,
}

/// A storage error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No collection and no alias has this name.
    #[error("Collection `{name}` doesn't exist!")]
    CollectionNotFound { name: String },
    /// A collection of this name exists.
    #[error("Collection `{name}` already exists!")]
    CollectionExists { name: String },
    /// The collection has no such shard.
    #[error("shard {shard} of collection `{collection}` not found")]
    ShardNotFound { collection: String, shard: u32 },
    /// No such alias.
    #[error("Alias {name} does not exists!")]
    AliasNotFound { name: String },
    /// The alias exists and points elsewhere.
    #[error("Alias {name} already exists")]
    AliasExists { name: String },
    /// An alias may not have the name of a collection.
    #[error("Collection with the same name as alias `{name}` already exists")]
    AliasShadowsCollection { name: String },
    /// A point that the operation needs does not exist.
    #[error("No point with id {id} found")]
    PointNotFound { id: PointId },
    /// A name that cannot be a collection or an alias.
    #[error("{name:?} cannot be a name: {reason}")]
    InvalidName { name: String, reason: &'static str },
    /// A value in the configuration of a collection is not possible.
    #[error("{field}: {reason}")]
    InvalidConfig { field: String, reason: String },
    /// An archive of a collection that is too different from the one that it would replace (text: Qdrant's).
    #[error("Snapshot is not compatible with existing collection: {reason}")]
    Incompatible { reason: String },
    /// A vector of the wrong length.
    #[error("Vector dimension error: expected dim: {expected}, got {actual}")]
    VectorDimension { name: String, expected: usize, actual: usize },
    /// A vector name that the collection does not have.
    #[error("Not existing vector name error: {name}")]
    VectorName { name: String },
    /// A vector with a component that is not a finite number.
    #[error("vector {name:?} of point {id} has a component that is not a finite number")]
    VectorNotFinite { name: String, id: PointId },
    /// A payload that is not a JSON object.
    #[error("the payload of point {id} is not a JSON object")]
    PayloadNotObject { id: PointId },
    /// A payload that cannot be read or changed.
    #[error("the payload of point {id}: {reason}")]
    Payload { id: PointId, reason: String },
    /// A path into payloads that is none.
    #[error("{path:?} is not a path into a payload: {reason}")]
    PayloadPath { path: String, reason: String },
    /// A filter that is none.
    #[error("{reason}")]
    Filter { reason: String },
    /// A vector of another kind than the collection's.
    #[error("vector {name:?} of the collection is {expected}, but point {id} has {actual}")]
    VectorKind { name: String, id: PointId, expected: &'static str, actual: &'static str },
    /// A sparse vector that breaks a rule.
    #[error("sparse vector {name:?} of point {id}: {reason}")]
    SparseVector { name: String, id: PointId, reason: String },
    /// A multi-vector without vectors.
    #[error("multi-vector {name:?} of point {id} has no vectors")]
    EmptyMultiVector { name: String, id: PointId },
    /// A vector component that the datatype cannot hold.
    #[error("vector {name:?} of point {id} has the component {value}, which {datatype} cannot hold")]
    VectorDatatype { name: String, id: PointId, value: f32, datatype: &'static str },
    /// A name that one point has twice.
    #[error("point {id} has the vector {name:?} twice")]
    VectorTwice { name: String, id: PointId },
    /// One operation encodes to more than a log record may hold, in one shard or with its copies in all of them together.
    #[error("the operation needs {len} bytes in the log, more than the {max} that one may have; send smaller batches")]
    OperationTooLarge { len: u64, max: u64 },

    /// One operation changes more points, or makes them larger, than fits into the memory for it.
    #[error(
        "the operation would change so much that it needs more than {max} bytes of memory; split it by ids or by a narrower filter"
    )]
    ChangeTooLarge { max: u64 },

    /// Another process has the directory.
    #[error("{path:?} is in use by another icecore process; stop it first, or use another storage path")]
    Locked { path: PathBuf },
    /// The collection was replaced by restores again and again while a write wanted to enter it.
    #[error("collection `{collection}` is being replaced all the time; try again")]
    Busy { collection: String },
    /// The storage was closed.
    #[error("the storage is shutting down")]
    Closed,
    /// An earlier failure left it unknown what is on the disk.
    #[error("{what} takes no more writes since a failure ({reason}); restart the server once the cause is fixed")]
    Poisoned { what: String, reason: String },

    /// A block of a segment is not what was written.
    #[error("segment {segment} at {path:?}: the block at offset {offset} has checksum {actual}, its table says {expected}")]
    BlockChecksum { path: PathBuf, segment: SegmentId, offset: u64, expected: Crc32c, actual: Crc32c },
    /// A whole file is not what its manifest says.
    #[error("{path:?} has SHA-256 {actual}, its manifest says {expected}")]
    FileChecksum { path: PathBuf, expected: Sha256Digest, actual: Sha256Digest },
    /// A file has another length than its manifest says.
    #[error("{path:?} has {actual} bytes, its manifest says {expected}")]
    FileLength { path: PathBuf, expected: u64, actual: u64 },
    /// A structure inside a file breaks a rule of FORMAT.md.
    #[error("{path:?} is damaged at offset {offset}: {reason}")]
    Malformed { path: PathBuf, offset: u64, reason: String },
    /// A log record is damaged although later ones were made durable after it.
    #[error(
        "WAL {path:?}: the record at offset {offset} has checksum {actual}, its header says {expected}, \
         and a later batch or log file follows: this is damage, not a torn tail"
    )]
    WalCorrupt { path: PathBuf, offset: u64, expected: Crc32c, actual: Crc32c },
    /// A record is missing between two log files, or between a manifest and the first of them.
    #[error("WAL of shard {shard}: record {expected} is missing, the next one present is {actual}")]
    WalGap { shard: ShardDirId, expected: Lsn, actual: Lsn },
    /// Written by a newer version.
    #[error("{path:?} has format version {actual}, this program knows up to {known}; use a newer icecore")]
    FormatVersion { path: PathBuf, known: u32, actual: u32 },
    /// A rule between the parts of a manifest or the catalog is broken.
    #[error("generation {generation} of {what} breaks a rule: {rule}")]
    Invariant { what: String, generation: Generation, rule: String },

    /// A file operation failed.
    #[error("{operation} {path:?}")]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::CollectionNotFound { .. }
            | Self::ShardNotFound { .. }
            | Self::AliasNotFound { .. }
            | Self::PointNotFound { .. } => ErrorKind::NotFound,
            Self::CollectionExists { .. } | Self::AliasExists { .. } | Self::AliasShadowsCollection { .. } => ErrorKind::Conflict,
            Self::InvalidName { .. }
            | Self::InvalidConfig { .. }
            | Self::Incompatible { .. }
            | Self::VectorDimension { .. }
            | Self::VectorName { .. }
            | Self::VectorNotFinite { .. }
            | Self::PayloadNotObject { .. }
            | Self::PayloadPath { .. }
            | Self::Filter { .. }
            | Self::VectorKind { .. }
            | Self::SparseVector { .. }
            | Self::EmptyMultiVector { .. }
            | Self::VectorDatatype { .. }
            | Self::VectorTwice { .. }
            | Self::OperationTooLarge { .. }
            | Self::ChangeTooLarge { .. } => ErrorKind::InvalidInput,
            Self::Locked { .. } | Self::Busy { .. } | Self::Closed => ErrorKind::Unavailable,
            Self::Poisoned { .. } => ErrorKind::Poisoned,
            Self::Payload { .. }
            | Self::BlockChecksum { .. }
            | Self::FileChecksum { .. }
            | Self::FileLength { .. }
            | Self::Malformed { .. }
            | Self::WalCorrupt { .. }
            | Self::WalGap { .. }
            | Self::FormatVersion { .. }
            | Self::Invariant { .. } => ErrorKind::Corrupt,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
                _ => ErrorKind::Internal,
            },
        }
    }

    /// The message with its causes, for where only a text can be kept.
    pub(crate) fn with_causes(&self) -> String {
        let causes = iter::successors(self.source(), |cause| (*cause).source()).map(|cause| format!(": {cause}"));
        iter::once(self.to_string()).chain(causes).collect()
    }

    /// Whether a file that should be there, or should be intact, is not.
    pub fn is_corrupt(&self) -> bool {
        self.kind() == ErrorKind::Corrupt
    }
}

/// Turns an [`io::Error`] into [`Error::Io`] with the operation and the path: `fs.list(dir).map_err(on("list", dir))`.
pub(crate) fn on(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { operation, path: path.to_owned(), source }
}
