//! One place where an archive's bytes are not what its manifest says, or those of a compressed one not what its tables say.
//!
//! Offsets are those in the tar, unless they are said to be the compressed file's.

use std::io;
use std::path::PathBuf;

use icecore_io::digest::{Crc32c, Sha256Digest};

/// A damage found by [`verify`](crate::verify()) or [`unpack`](crate::unpack()).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A header is not the one that the manifest gives.
    #[error("member {member:?}: the header at byte {offset} is not the one that the manifest gives")]
    Header {
        /// The member.
        member: String,
        /// Where its headers begin.
        offset: u64,
    },
    /// A byte after a member's data is not zero.
    #[error("member {member:?}: the padding after its data, at byte {offset}, is not zero")]
    Padding {
        /// The member.
        member: String,
        /// Where the padding begins.
        offset: u64,
    },
    /// The digest member does not hold 64 hexadecimal digits.
    #[error("the digest of the manifest, at byte {offset}, is not a digest")]
    ManifestDigestText {
        /// Where the digits should be.
        offset: u64,
    },
    /// The data has another SHA-256.
    #[error("member {member:?}: its data has SHA-256 {actual}, the manifest says {expected}")]
    Sha256 {
        /// The member.
        member: String,
        /// The digest in the manifest.
        expected: Sha256Digest,
        /// The digest of the data.
        actual: Sha256Digest,
    },
    /// The data has another CRC32C.
    #[error("member {member:?}: its data has CRC32C {actual}, the manifest says {expected}")]
    Crc32c {
        /// The member.
        member: String,
        /// The checksum in the manifest.
        expected: Crc32c,
        /// The checksum of the data.
        actual: Crc32c,
    },
    /// The blocks that end the archive are not zero.
    #[error("the end of the archive, at byte {offset}, is not zero")]
    Trailer {
        /// Where they begin.
        offset: u64,
    },
    /// The bytes of a compressed frame are not those that were written. What is in it is not looked at.
    #[error(
        "frame {frame} of the compressed file, at its byte {offset}, has CRC32C {actual}, the table of checksums says {expected}"
    )]
    Frame {
        /// The number of the frame, from 0.
        frame: usize,
        /// Where it begins in the file.
        offset: u64,
        /// The checksum in the table.
        expected: Crc32c,
        /// The checksum of the frame.
        actual: Crc32c,
    },
    /// A compressed frame is as it was written, but does not hold what it has to.
    #[error("frame {frame} of the compressed file, at its byte {offset}: {reason}")]
    FrameContents {
        /// The number of the frame, from 0.
        frame: usize,
        /// Where it begins in the file.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The compressed bytes of a stream cannot be decompressed.
    #[error("the compressed stream is damaged before its byte {offset}: {reason}")]
    Compressed {
        /// How far it was read.
        offset: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// The tables behind the compressed frames are not those that belong to them.
    #[error("the tables at the end of the compressed file, at its byte {offset}: {rule}")]
    SeekTable {
        /// The first byte that is known to be wrong, or the entry that it is in.
        offset: u64,
        /// What is wrong.
        rule: &'static str,
    },
    /// Bytes that the system could not read. Digests that would cover them are not compared.
    #[error("{len} bytes at byte {offset} cannot be read")]
    Read {
        /// The first of them.
        offset: u64,
        /// How many, up to the reader's buffer size.
        len: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The digest file beside the archive says something else.
    #[error("the archive has SHA-256 {actual}, {path:?} says {expected}")]
    Checksum {
        /// The digest file.
        path: PathBuf,
        /// The digest in it.
        expected: Sha256Digest,
        /// The digest of the archive.
        actual: Sha256Digest,
    },
    /// The digest file beside the archive cannot be understood.
    #[error("{path:?} cannot be read as a SHA-256 digest")]
    ChecksumFile {
        /// The digest file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The index file beside the archive is about another one of the same length.
    #[error("the archive's manifest has SHA-256 {actual}, {path:?} says {expected}")]
    NotedManifest {
        /// The index file.
        path: PathBuf,
        /// The digest in it.
        expected: Sha256Digest,
        /// The digest of the archive's manifest.
        actual: Sha256Digest,
    },
}
