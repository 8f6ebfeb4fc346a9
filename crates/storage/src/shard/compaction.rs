//! Many small segments become one, and dead rows go away.
//!
//! The merge reads the segments of one version without any lock and drops just the rows that this version's tombstones
//! mark. What was marked meanwhile is marked again in the new segment when it is installed. Where a source cannot be read, or is
//! damaged, nothing is published: the sources stay in use as they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_io::{Share, in_background};

use super::Shard;
use super::merge::MergedRows;
use super::structure::{Change, NewSegment};
use super::view::{LiveSegment, Version};
use crate::error::Result;
use crate::segment::{RowReader, Rows};

/// Segments of about one size that are merged at once, if there are so many.
const MERGE_COUNT: usize = 4;
/// More are not, because each takes memory for what is read of it, and an open file.
const MERGE_COUNT_MAX: usize = 16;
/// Each size class is this many times the one before.
const SIZE_CLASS_FACTOR: u64 = 4;
/// Everything up to this size is one class.
const SMALLEST_CLASS_BYTES: u64 = 4 * 1024 * 1024;
/// Segments of this size are not merged with others.
const MERGED_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// A segment with more dead rows than this share of all is rewritten.
const DEAD_SHARE_MAX: f64 = 0.3;

impl Shard {
    /// Does one compaction if there is one to do; `false` if not.
    pub(crate) fn compact(&self) -> Result<bool> {
        let version = self.view().version.clone();
        let sources = pick(&version);
        if sources.is_empty() || self.dir.is_retired() {
            return Ok(false);
        }
        self.merge(&sources)?;
        Ok(true)
    }

    /// Merges these live segments into one.
    fn merge(&self, sources: &[Arc<LiveSegment>]) -> Result<()> {
        self.poison_check()?;
        let add = in_background(Share::Small, || {
            let mut rows = MergedRows::open(self.fs.as_ref(), sources)?;
            if rows.len() == 0 { Ok(None) } else { self.seal(&mut rows).map(Some) }
        })?;
        let held = self.lock_structure();
        let marks = match &add {
            Some(new) => BTreeMap::from([(new.segment.segment_id(), self.marked_meanwhile(sources, new)?)]),
            None => BTreeMap::new(),
        };
        let remove = sources.iter().map(|live| live.id()).collect();
        self.publish(Change { add, remove, marks, flushed: None }, &held)
    }

    /// Rows of the sources that died between the merge's version and the current one, as rows of the new segment.
    fn marked_meanwhile(&self, sources: &[Arc<LiveSegment>], new: &NewSegment) -> Result<Vec<u32>> {
        let current = self.view().version.clone();
        let mut rows = Vec::new();
        for source in sources {
            let dead_now: Vec<u32> = match current.segments.iter().find(|live| live.id() == source.id()) {
                Some(live) => live.tombstones.as_ref().map(|(marks, _)| marks.iter().collect()).unwrap_or_default(),
                // A segment left the manifest because all its rows had died.
                None => (0..source.segment.rows()).collect(),
            };
            let mut died = dead_now.into_iter().filter(|row| !source.is_dead(*row)).peekable();
            if died.peek().is_none() {
                continue;
            }
            let mut reader = RowReader::open(self.fs.as_ref(), source.file.path(), source.segment.clone(), 0)?;
            for row in died {
                rows.extend(new.segment.find(reader.id(row)?)?);
            }
        }
        Ok(rows)
    }
}

/// The segments to merge next: all with too many dead rows taken alone, or the first size class that is full.
fn pick(version: &Version) -> Vec<Arc<LiveSegment>> {
    let decayed =
        version.segments.iter().find(|live| f64::from(live.dead_count()) > DEAD_SHARE_MAX * f64::from(live.segment.rows()));
    if let Some(live) = decayed {
        return vec![live.clone()];
    }
    let mut classes: BTreeMap<u32, Vec<Arc<LiveSegment>>> = BTreeMap::new();
    for (live, entry) in version.segments.iter().zip(&version.manifest.segments) {
        if entry.digest.len < MERGED_BYTES_MAX {
            classes.entry(size_class(entry.digest.len)).or_default().push(live.clone());
        }
    }
    let mut full = classes.into_values().find(|class| class.len() >= MERGE_COUNT).unwrap_or_default();
    full.truncate(MERGE_COUNT_MAX);
    full
}

fn size_class(bytes: u64) -> u32 {
    (bytes / SMALLEST_CLASS_BYTES).checked_ilog(SIZE_CLASS_FACTOR).map_or(0, |class| class + 1)
}
