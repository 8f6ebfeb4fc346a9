//! What an archive is of: the description of a snapshot that travels inside the archive's manifest as JSON.
//!
//! It names collections, their configuration and the files of their shards; lengths and digests of the files stand in the
//! archive's own member table. It holds no time and no directory of the machine, so that equal cuts have equal descriptions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::CollectionConfig;
use crate::ids::{Generation, Lsn, SegmentId};

/// What was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// One shard of a collection.
    Shard,
    /// A collection.
    Collection,
    /// Everything, aliases included.
    Storage,
}

/// The description of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// What was cut.
    pub kind: SubjectKind,
    /// Sorted by name; just one unless the kind is `Storage`.
    pub collections: Vec<SubjectCollection>,
    /// Alias to collection name; empty unless the kind is `Storage`.
    pub aliases: BTreeMap<String, String>,
}

/// A collection in an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectCollection {
    /// Its name when it was cut.
    pub name: String,
    /// Its configuration.
    pub config: CollectionConfig,
    /// Payload field to index schema.
    pub payload_schema: BTreeMap<String, serde_json::Value>,
    /// All its shards, by number; just one if the kind is `Shard`.
    pub shards: Vec<SubjectShard>,
}

/// A shard in an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectShard {
    /// Its number in the collection, from 0.
    pub number: u32,
    /// The directory of its members in the archive, such as `collections/0000/shards/0`.
    pub path: String,
    /// The last record that is in the cut.
    pub lsn: Lsn,
    /// The last record that is in segments; those after it are in the log files.
    pub flushed_lsn: Lsn,
    /// The number that the next segment will get.
    pub next_segment_id: SegmentId,
    /// Live segments, oldest first.
    pub segments: Vec<SubjectSegment>,
    /// First record of each log file, in order; the last file is cut after `lsn`.
    pub wal: Vec<Lsn>,
}

impl SubjectShard {
    /// Why the numbers of the log do not fit each other, if so: the files begin right behind what is flushed, and there are none
    /// if there is nothing behind it.
    pub(crate) fn check_log(&self) -> Result<(), String> {
        let (first, flushed, lsn) = (self.wal.first(), self.flushed_lsn, self.lsn);
        let begins = match first {
            None => lsn == flushed,
            Some(first) => first.0.checked_sub(1) == Some(flushed.0) && lsn >= *first,
        };
        if begins && self.wal.is_sorted_by(|a, b| a < b) {
            Ok(())
        } else {
            Err(format!("log files from the records {:?}, flushed up to {flushed}, cut after {lsn}", self.wal))
        }
    }
}

/// A segment in an archive: the file `segments/<id>.seg` and, if it has one, `tombstones/<id>.<generation>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectSegment {
    /// Its id.
    pub id: SegmentId,
    /// Points in the file, dead ones included.
    pub rows: u32,
    /// Its tombstone file, if it has dead points.
    pub tombstones: Option<SubjectTombstones>,
}

/// A tombstone file in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectTombstones {
    /// Part of the file's name.
    pub generation: Generation,
    /// Dead points.
    pub marked: u32,
}
