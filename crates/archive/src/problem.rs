//! One place where an archive's bytes are not what its manifest says.

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
}
