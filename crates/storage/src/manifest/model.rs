//! What a manifest says.

use serde::{Deserialize, Serialize};

use crate::checksum::FileDigest;
use crate::ids::{Generation, Lsn, SegmentId};

/// The state of a shard, but for the records after `flushed_lsn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShardManifest {
    /// This manifest's number.
    pub(crate) generation: Generation,
    /// The last record whose effect is in the segments and tombstones.
    pub(crate) flushed_lsn: Lsn,
    /// The number that the next segment gets.
    pub(crate) next_segment_id: SegmentId,
    /// The live segments by ascending id.
    pub(crate) segments: Vec<SegmentEntry>,
}

/// A live segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentEntry {
    /// Its id, which is also its file's name.
    pub(crate) id: SegmentId,
    /// Points in the file, dead ones included.
    pub(crate) rows: u32,
    /// Length and digests of the file.
    pub(crate) digest: FileDigest,
    /// Its dead points, if it has any.
    pub(crate) tombstones: Option<TombstoneEntry>,
}

/// The tombstone file of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TombstoneEntry {
    /// Part of the file's name: the manifest generation that it was written for.
    pub(crate) generation: Generation,
    /// Dead points.
    pub(crate) marked: u32,
    /// Length and digests of the file.
    pub(crate) digest: FileDigest,
}

impl ShardManifest {
    /// The manifest of a shard that has never had a record.
    pub(crate) fn empty() -> Self {
        Self { generation: Generation(1), flushed_lsn: Lsn(0), next_segment_id: SegmentId(1), segments: Vec::new() }
    }
}
