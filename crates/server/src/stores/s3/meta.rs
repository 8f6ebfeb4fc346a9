//! The index object of an archive, `<key>.meta.json`: written last and read back, and what makes an archive listed.
//!
//! Its fields are those of the local store's index file, and who wrote it. FORMAT.md has the table.

use std::time::{Duration, SystemTime};

use icecore_archive::{ArchiveName, Sha256Digest};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::ArchiveInfo;
use super::id::Id;

/// Longest index object that is read, in bytes.
pub(super) const META_LEN_MAX: u64 = 64 << 10;

/// The contents of an index object. Unknown fields are ignored, so that later versions can add some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Seconds since 1970-01-01T00:00:00Z when the archive was complete.
    pub(super) created_at: u64,
    /// Length of the archive in bytes.
    pub(super) size: u64,
    /// Length of the tar, if it is compressed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uncompressed_size: Option<u64>,
    /// Digest of the bytes that were sent.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub(super) sha256: Sha256Digest,
    /// Digest of the manifest; null for an archive that was kept as it arrived.
    pub(super) manifest_sha256: Option<String>,
    /// Always null: that all bytes were read back is noted in an object of its own (`verified`).
    #[serde(default)]
    pub(super) verified_at: Option<u64>,
    /// The claim under which it was made.
    pub(super) attempt: Id,
}

impl Meta {
    /// `None` if it is none.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// What a list shows.
    pub(super) fn info(&self, name: ArchiveName) -> ArchiveInfo {
        let created = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(self.created_at));
        let created = created.unwrap_or(SystemTime::UNIX_EPOCH);
        ArchiveInfo { name, created, size: self.size, sha256: Some(self.sha256), shared: false }
    }
}

fn to_hex<S: Serializer>(digest: &Sha256Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Sha256Digest, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_object_is_read_as_it_is_written() {
        for (uncompressed_size, manifest_sha256) in [(None, Some("0".repeat(64))), (Some(9), None)] {
            let sha256 = Sha256Digest::of(b"x");
            let meta = Meta {
                created_at: 7,
                size: 8,
                uncompressed_size,
                sha256,
                manifest_sha256,
                verified_at: None,
                attempt: Id::random().unwrap(),
            };
            assert_eq!(Meta::parse(&serde_json::to_vec(&meta).unwrap()), Some(meta));
        }
        assert_eq!(Meta::parse(b"{}"), None);
    }
}
