//! The report of an inspection, as values and, through serde, as JSON.
//!
//! What cannot be known is `None`: a field that an archive does not have, or that damage has hidden.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::{Serialize, Serializer};

use crate::config::CollectionConfig;
use crate::error::Error;
use crate::ids::{Generation, Lsn, SegmentId, ShardDirId};

/// What a storage directory, or an archive of one, consists of.
#[derive(Debug, Default, Serialize)]
pub struct StorageReport {
    /// The generation of the catalog; none in an archive.
    pub generation: Option<Generation>,
    /// By name.
    pub collections: Vec<CollectionReport>,
    /// Alias to collection.
    pub aliases: BTreeMap<String, String>,
    /// Shards that nothing names because the catalog cannot be read.
    pub unnamed: Vec<ShardReport>,
    /// Sums over all shards.
    pub totals: Totals,
    /// Everything that is wrong with what was looked at, each with its place; texts in JSON.
    #[serde(serialize_with = "as_texts")]
    pub problems: Vec<Error>,
}

/// A collection.
#[derive(Debug, Serialize)]
pub struct CollectionReport {
    /// Its name.
    pub name: String,
    /// Its configuration.
    pub config: CollectionConfig,
    /// Payload field to index schema.
    pub payload_schema: BTreeMap<String, serde_json::Value>,
    /// By number.
    pub shards: Vec<ShardReport>,
    /// Sums over its shards.
    pub totals: Totals,
}

/// A shard.
#[derive(Debug, Default, Serialize)]
pub struct ShardReport {
    /// Its number in the collection; none if no catalog says it.
    pub number: Option<u32>,
    /// Its directory in the storage; none in an archive.
    pub directory: Option<ShardDirId>,
    /// The generation of its manifest; none in an archive, or if no manifest can be read.
    pub generation: Option<Generation>,
    /// The last record whose effect is in segments.
    pub flushed_lsn: Option<Lsn>,
    /// The last record in the log, or of an archive's cut.
    pub last_lsn: Option<Lsn>,
    /// Live segments, by id.
    pub segments: Vec<SegmentReport>,
    /// The log files with records that are not in segments, in order.
    pub log: Vec<LogReport>,
    /// Sums over its segments and log files.
    pub totals: Totals,
}

/// A segment.
#[derive(Debug, Serialize)]
pub struct SegmentReport {
    /// Its id.
    pub id: SegmentId,
    /// Points in it, dead ones included.
    pub rows: u32,
    /// Points in it that were replaced or deleted since it was written.
    pub dead: u32,
    /// Length of its file, and of its tombstone file if it has one.
    pub bytes: u64,
    /// What stands in it, in the order of the file; none for an archive, or if the file cannot be opened.
    pub sections: Option<Vec<SectionReport>>,
}

/// A section of a segment.
#[derive(Debug, Serialize)]
pub struct SectionReport {
    /// The name that FORMAT.md gives its kind, such as `DENSE_F32`.
    pub kind: String,
    /// The name of the vectors that are in it; none for sections that belong to no vector name.
    pub vector: Option<String>,
    /// Components of a vector; 0 where there are none.
    pub dim: u32,
    /// Elements: of a dense section, vectors.
    pub count: u64,
    /// Its length.
    pub bytes: u64,
}

/// A log file.
#[derive(Debug, Serialize)]
pub struct LogReport {
    /// Its first record, present or still to come.
    pub first_lsn: Lsn,
    /// Valid records in it.
    pub records: u64,
    /// Length of the file.
    pub bytes: u64,
    /// Bytes at its end that are no whole record, if it is the last file: of a write that is under way or that was cut short. The
    /// next start drops the latter; nobody was told that they are durable.
    pub tail: Option<TailReport>,
}

/// The end of a log file that is no whole record.
#[derive(Debug, Serialize)]
pub struct TailReport {
    /// Where it begins.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// Sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Live segments.
    pub segments: u64,
    /// Points in segments, without dead ones. What the records of the log add, replace or delete is not in this number.
    pub points: u64,
    /// Dead points in segments.
    pub dead: u64,
    /// Records in the log that are not in segments.
    pub records: u64,
    /// Bytes of all segments, tombstone files and log files.
    pub bytes: u64,
}

impl ShardReport {
    /// The sums of what is there.
    pub(super) fn sum(&self) -> Totals {
        let mut totals = Totals { segments: self.segments.len() as u64, ..Totals::default() };
        for SegmentReport { rows, dead, bytes, .. } in &self.segments {
            let points = u64::from(rows.saturating_sub(*dead));
            totals += Totals { points, dead: u64::from(*dead), bytes: *bytes, ..Totals::default() };
        }
        for LogReport { records, bytes, .. } in &self.log {
            totals += Totals { records: *records, bytes: *bytes, ..Totals::default() };
        }
        totals
    }
}

impl StorageReport {
    /// Fills in all sums, whose parts are complete.
    pub(super) fn sum_up(mut self) -> Self {
        for collection in &mut self.collections {
            collection.totals = total(&mut collection.shards);
            self.totals += collection.totals;
        }
        self.totals += total(&mut self.unnamed);
        self
    }
}

fn total(shards: &mut [ShardReport]) -> Totals {
    let mut totals = Totals::default();
    for shard in shards {
        shard.totals = shard.sum();
        totals += shard.totals;
    }
    totals
}

/// Saturating, because the numbers of an archive can be anything.
impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.segments = self.segments.saturating_add(other.segments);
        self.points = self.points.saturating_add(other.points);
        self.dead = self.dead.saturating_add(other.dead);
        self.records = self.records.saturating_add(other.records);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// Errors with their causes, each on one line.
fn as_texts<S: Serializer>(problems: &[Error], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(problems.iter().map(|problem| {
        let causes = std::iter::successors(std::error::Error::source(problem), |error| error.source());
        causes.fold(problem.to_string(), |text, cause| format!("{text}: {cause}"))
    }))
}
