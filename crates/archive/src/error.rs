//! Everything that can go wrong with an archive, each variant naming the object and both numbers.
//!
//! [`Error::kind`] says what the caller does next; the text is for people and may change.

use std::io;
use std::path::PathBuf;

use crate::foreign::Foreign;
use crate::format::path::PathRule;
use crate::problem::Problem;
use icecore_io::digest::{Crc32c, Sha256Digest};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A member's path breaks a rule.
    #[error("member path {path:?}: {rule}")]
    Path {
        /// The path.
        path: String,
        /// The rule.
        rule: PathRule,
    },
    /// Two members have one path.
    #[error("member path {path:?} occurs twice")]
    DuplicatePath {
        /// The path.
        path: String,
    },
    /// One member's path is a directory of another's.
    #[error("member {path:?} is a file, and {below:?} needs it to be a directory")]
    FileAndDirectory {
        /// The shorter path.
        path: String,
        /// The longer path.
        below: String,
    },
    /// More members than the format allows.
    #[error("{count} members, more than the {max} that an archive may have")]
    TooManyMembers {
        /// How many there are.
        count: u64,
        /// How many there may be.
        max: u64,
    },
    /// A manifest longer than the format allows.
    #[error("the manifest is {len} bytes long, more than the {max} that are allowed")]
    ManifestTooLong {
        /// Its length.
        len: u64,
        /// The longest allowed.
        max: u64,
    },
    /// An archive longer than any file can be.
    #[error("the archive would be longer than {max} bytes, at member {path:?} of {len} bytes")]
    ArchiveTooLong {
        /// The member that does not fit any more.
        path: String,
        /// Its length.
        len: u64,
        /// The longest allowed.
        max: u64,
    },
    /// An archive too long to be compressed.
    #[error("the archive is {len} bytes long, more than the {max} that can be compressed")]
    TooLongToCompress {
        /// Its length.
        len: u64,
        /// The longest allowed.
        max: u64,
    },
    /// A level of compression that there is not.
    #[error("compression level {level} is not between {min} and {max}")]
    CompressionLevel {
        /// The level.
        level: i32,
        /// The lowest.
        min: i32,
        /// The highest.
        max: i32,
    },
    /// A subject nested deeper than the format allows.
    #[error("the subject is nested deeper than {max} levels")]
    SubjectTooDeep {
        /// The deepest allowed.
        max: usize,
    },
    /// A name that no archive in a directory may have.
    #[error("archive name {name:?}: {rule}")]
    ArchiveName {
        /// The name.
        name: String,
        /// What it has to be.
        rule: &'static str,
    },
    /// Something in a directory that no archive can hold.
    #[error("{path:?} is {found}; only regular files and directories can be archived")]
    NotArchivable {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A file of a directory whose archive is being made is not as it was at the beginning.
    #[error("{path:?} changed while it was archived: {change}; try again when nobody writes there")]
    Changed {
        /// The file.
        path: PathBuf,
        /// In what way.
        change: &'static str,
    },
    /// The subject says that the archive is of a directory, but cannot be understood.
    #[error("the description of the archived directory cannot be read")]
    DirectorySubject(#[source] serde_json::Error),
    /// The subject of an archived directory names a path that it cannot name.
    #[error("the description of the archived directory names {path:?}: {reason}")]
    DirectoryPath {
        /// The path.
        path: String,
        /// The rule that it breaks.
        reason: String,
    },
    /// The destination of a member is not a relative path below the root.
    #[error("member {member:?}: destination {path:?} is not a relative path without `.` and `..`")]
    Destination {
        /// The member.
        member: String,
        /// The destination that was asked for.
        path: PathBuf,
    },
    /// There is no such file.
    #[error("{path:?} does not exist")]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// There is something already, which was left as it is.
    #[error("{path:?} exists already")]
    AlreadyExists {
        /// The path.
        path: PathBuf,
    },
    /// The file system is too full; nothing was written.
    #[error("{path:?}: {needed} bytes are needed, {free} are free")]
    NoSpace {
        /// The directory.
        path: PathBuf,
        /// Bytes that the operation needs.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The data read for a member is not what the plan says.
    #[error("member {member:?}: its data has CRC32C {actual}, the plan says {expected}")]
    Corrupt {
        /// The member.
        member: String,
        /// The checksum in the plan.
        expected: Crc32c,
        /// The checksum of what was read.
        actual: Crc32c,
    },
    /// The source of a member ends before the planned length.
    #[error("member {member:?}: its source has {actual} bytes, the plan says {expected}")]
    SourceLength {
        /// The member.
        member: String,
        /// The length in the plan.
        expected: u64,
        /// The length of the source.
        actual: u64,
    },
    /// Not an archive of any kind.
    #[error("{path:?} is not a tar archive ({len} bytes)")]
    NotTar {
        /// The file.
        path: PathBuf,
        /// Its length; of a stream whose length nobody has announced, the bytes that were looked at.
        len: u64,
    },
    /// An archive, but not one that can be read.
    #[error("{path:?}: {foreign}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        foreign: Foreign,
    },
    /// Made by a newer program.
    #[error("{path:?} has layout version {found}; this program reads version {known}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The version in the manifest.
        found: u64,
        /// The version that can be read.
        known: u64,
    },
    /// The manifest is not what its digest says.
    #[error("{path:?}: the manifest has SHA-256 {actual}, its digest member says {expected}")]
    ManifestDigest {
        /// The file.
        path: PathBuf,
        /// The digest stored in the archive.
        expected: Sha256Digest,
        /// The digest of the manifest.
        actual: Sha256Digest,
    },
    /// The manifest's digest is right, but it is no manifest.
    #[error("{path:?}: the manifest cannot be read")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The manifest says what it says in other bytes than the format prescribes.
    #[error("{path:?}: the manifest is not in canonical form, from byte {offset} on")]
    ManifestForm {
        /// The file.
        path: PathBuf,
        /// The first byte that differs.
        offset: u64,
    },
    /// The manifest's contents break a limit or a rule of the format.
    #[error("{path:?}: the manifest is refused")]
    ManifestRule {
        /// The file.
        path: PathBuf,
        /// The rule.
        source: Box<Error>,
    },
    /// The file or the stream ends too early.
    #[error("{path:?} is cut off: it has {actual} bytes and needs {expected}")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The bytes needed by what could be read; the whole archive's length once the manifest could be.
        expected: u64,
        /// The file's length, or the one announced for a stream, or where the stream ended.
        actual: u64,
    },
    /// The file or the stream goes on after the archive's end.
    #[error("{path:?} goes on after the end of the archive in it: it has {actual} bytes or more, the archive {expected}")]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// The archive's length.
        expected: u64,
        /// The file's length, or the one announced for a stream, or how far a stream was read to find this out.
        actual: u64,
    },
    /// The archive's bytes are not what its manifest says.
    #[error("{path:?} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first damage found.
        source: Problem,
    },
    /// The operation was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The source of a member failed.
    #[error("read the source of member {member:?}")]
    Source {
        /// The member.
        member: String,
        /// The system's error.
        source: io::Error,
    },
    /// Compressing failed; it needs memory, and nothing else.
    #[error("compress the archive: {reason}")]
    Compress {
        /// Why.
        reason: &'static str,
    },
    /// The sink failed.
    #[error("write the archive at byte {offset}")]
    Sink {
        /// Where the failed write began, or a few MiB behind that: a file may be written by another thread.
        offset: u64,
        /// The system's error.
        source: io::Error,
    },
    /// A file operation failed.
    #[error("{action} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// What a caller does about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The named object does not exist.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// The request or the file that came with it breaks a rule; trying again is of no use.
    InvalidInput,
    /// Stored bytes are not what they were.
    Corrupt,
    /// A sound file of a kind or version that this program does not read.
    Unsupported,
    /// Somebody stopped it.
    Cancelled,
    /// The disk is full.
    NoSpace,
    /// The system failed; trying again may help.
    Io,
}

impl Error {
    /// The class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Path { .. }
            | Self::DuplicatePath { .. }
            | Self::FileAndDirectory { .. }
            | Self::TooManyMembers { .. }
            | Self::ManifestTooLong { .. }
            | Self::ArchiveTooLong { .. }
            | Self::TooLongToCompress { .. }
            | Self::CompressionLevel { .. }
            | Self::SubjectTooDeep { .. }
            | Self::ArchiveName { .. }
            | Self::NotArchivable { .. }
            | Self::DirectorySubject(_)
            | Self::DirectoryPath { .. }
            | Self::Destination { .. }
            | Self::NotTar { .. }
            | Self::Manifest { .. }
            | Self::ManifestForm { .. }
            | Self::ManifestRule { .. } => ErrorKind::InvalidInput,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::AlreadyExists { .. } => ErrorKind::AlreadyExists,
            Self::NoSpace { .. } => ErrorKind::NoSpace,
            Self::Changed { .. } | Self::Compress { .. } => ErrorKind::Io,
            Self::Corrupt { .. }
            | Self::SourceLength { .. }
            | Self::ManifestDigest { .. }
            | Self::Truncated { .. }
            | Self::TrailingBytes { .. }
            | Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Foreign { .. } | Self::Layout { .. } => ErrorKind::Unsupported,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Source { source, .. } | Self::Sink { source, .. } | Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
                _ => ErrorKind::Io,
            },
        }
    }

    /// Wraps a system error; for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::AlreadyExists => Self::AlreadyExists { path },
            _ => Self::Io { action, path, source },
        }
    }
}
