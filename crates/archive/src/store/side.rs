//! The two files beside an archive.
//!
//! `<name>.checksum` holds the 64 hexadecimal digits of the archive's SHA-256 and no newline, as Qdrant writes it.
//! `<name>.meta.json` holds what a listing shows. Both can be made again from the archive, and neither is trusted for its contents.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use icecore_io::{FileKind, Fs, Metadata, read_file};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::Error;
use icecore_io::digest::Sha256Digest;

/// What the digest file is called, after the archive's name.
pub(crate) const CHECKSUM_SUFFIX: &str = ".checksum";
/// What the index file is called, after the archive's name.
pub(crate) const META_SUFFIX: &str = ".meta.json";
/// Longest digest file that is read, in bytes: the digits, and what an editor may have added.
const CHECKSUM_LEN_MAX: u64 = 4096;
/// Longest index file that is read, in bytes.
const META_LEN_MAX: u64 = 64 << 10;

/// The contents of `<name>.meta.json`. Unknown fields are ignored, so that later versions can add some.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Meta {
    /// Seconds since 1970-01-01T00:00:00Z when the archive was made.
    pub(crate) created_at: u64,
    /// Length of the archive in bytes, as it is stored.
    pub(crate) size: u64,
    /// Length of the tar, if it is compressed.
    #[serde(default)]
    pub(crate) uncompressed_size: Option<u64>,
    #[serde(deserialize_with = "from_hex")]
    pub(crate) sha256: Sha256Digest,
    /// Digest of the manifest; null for an archive that was kept as it arrived, which nobody has read.
    #[serde(deserialize_with = "maybe_from_hex")]
    pub(crate) manifest_sha256: Option<Sha256Digest>,
    /// Which file it was when it was made; none if its times do not fit.
    #[serde(default)]
    pub(crate) file: Option<FileNote>,
    /// Seconds since 1970-01-01T00:00:00Z when all bytes of the stored file were last read back and found sound. Null after creation,
    /// which checks what it reads from the sources but not what the disk has kept.
    pub(crate) verified_at: Option<u64>,
}

/// By what a file system tells that a file is the same and unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct FileNote {
    /// Inode number.
    pub(crate) inode: u64,
    /// Nanoseconds since 1970-01-01T00:00:00Z when the contents were last changed.
    pub(crate) modified_ns: u64,
}

impl FileNote {
    /// Of a file; `None` if its time is before 1970 or after 2554.
    pub(crate) fn of(file: &Metadata) -> Option<Self> {
        let since = file.modified.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Self { inode: file.inode, modified_ns: u64::try_from(since.as_nanos()).ok()? })
    }
}

impl Meta {
    /// The index file of the archive at `archive`; `None` if there is none, or none that can be understood.
    pub(crate) fn read(fs: &dyn Fs, archive: &Path) -> Result<Option<Self>, Error> {
        let path = side_path(archive, META_SUFFIX);
        match read_file(fs, &path, META_LEN_MAX) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => Ok(None),
            Err(error) => match fs.metadata(&path) {
                // A link, a pipe or a directory of this name is none of ours, and the archive can do without.
                Ok(found) if found.kind != FileKind::File => Ok(None),
                _ => Err(Error::io("read", path)(error)),
            },
        }
    }

    /// One JSON object on one line.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut object = serde_json::json!({
            "created_at": self.created_at,
            "size": self.size,
            "sha256": self.sha256.to_string(),
            "manifest_sha256": self.manifest_sha256.map(|digest| digest.to_string()),
            "verified_at": self.verified_at,
        });
        if let Some(size) = self.uncompressed_size {
            object["uncompressed_size"] = size.into();
        }
        if let Some(FileNote { inode, modified_ns }) = self.file {
            object["file"] = serde_json::json!({ "inode": inode, "modified_ns": modified_ns });
        }
        format!("{object}\n").into_bytes()
    }
}

/// The contents of `<name>.checksum`.
pub(crate) fn checksum_bytes(sha256: Sha256Digest) -> Vec<u8> {
    sha256.to_string().into_bytes()
}

/// Reads a digest file. White space around the digits is forgiven to those who write it by hand.
pub(crate) fn read_checksum(fs: &dyn Fs, path: &Path) -> io::Result<Sha256Digest> {
    let bytes = read_file(fs, path, CHECKSUM_LEN_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The path of a side file.
pub(crate) fn side_path(archive: &Path, suffix: &str) -> PathBuf {
    let mut path = archive.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// A time as it stands in the index file; times before 1970 are 0.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time from the index file; the epoch if no clock reaches it.
pub(crate) fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

fn maybe_from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Sha256Digest>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(|digits| digits.parse().map_err(D::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_file_is_read_as_it_is_written() {
        let (sha256, manifest_sha256) = (Sha256Digest::of(b"x"), Sha256Digest::of(b"y"));
        let file = FileNote { inode: 11, modified_ns: 1_721_637_115_900_000_001 };
        for (uncompressed_size, file, verified_at, manifest_sha256) in
            [(None, None, None, Some(manifest_sha256)), (Some(9), Some(file), Some(10), None)]
        {
            let meta = Meta { created_at: 7, size: 8, uncompressed_size, sha256, manifest_sha256, file, verified_at };
            assert_eq!(serde_json::from_slice::<Meta>(&meta.to_bytes()).unwrap(), meta);
        }
        assert!(serde_json::from_str::<Meta>("{}").is_err());
    }

    #[test]
    fn times_out_of_reach_do_no_harm() {
        assert_eq!(seconds(SystemTime::UNIX_EPOCH - Duration::from_secs(5)), 0);
        assert_eq!(time(u64::MAX), SystemTime::UNIX_EPOCH);
        assert_eq!(seconds(time(1_234_567)), 1_234_567);
    }
}
