//! Many small segments become one, and dead rows go away.
//!
//! The merge reads the segments of one version without any lock and drops just the rows that this version's tombstones
//! mark. What was marked meanwhile is marked again in the new segment when it is installed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_io::in_background;

use super::Shard;
use super::structure::{Change, NewSegment};
use super::view::{LiveSegment, Version};
use crate::error::Result;
use crate::ids::{Lsn, PointId, SegmentId};
use crate::segment::Rows;
use crate::vector::VectorRef;

/// Segments of about one size that are merged at once.
const MERGE_COUNT: usize = 4;
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
        let add = in_background(|| {
            let rows = MergedRows::new(sources)?;
            if rows.order.is_empty() { Ok(None) } else { self.seal(&rows).map(Some) }
        })?;
        let held = self.lock_structure();
        let marks = marked_meanwhile(sources, &self.view().version, add.as_ref())?;
        let remove = sources.iter().map(|live| live.id()).collect();
        self.publish(Change { add, remove, marks, flushed: None }, &held)
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
    classes.into_values().find(|class| class.len() >= MERGE_COUNT).unwrap_or_default()
}

fn size_class(bytes: u64) -> u32 {
    (bytes / SMALLEST_CLASS_BYTES).checked_ilog(SIZE_CLASS_FACTOR).map_or(0, |class| class + 1)
}

/// Rows of the sources that died between the merge's version and the current one, as rows of the new segment.
fn marked_meanwhile(
    sources: &[Arc<LiveSegment>],
    current: &Version,
    new: Option<&NewSegment>,
) -> Result<BTreeMap<SegmentId, Vec<u32>>> {
    let Some(new) = new else { return Ok(BTreeMap::new()) };
    let mut rows = Vec::new();
    for source in sources {
        let dead_now: Vec<u32> = match current.segments.iter().find(|live| live.id() == source.id()) {
            Some(live) => live.tombstones.as_ref().map(|(marks, _)| marks.iter().collect()).unwrap_or_default(),
            // A segment left the manifest because all its rows had died.
            None => (0..source.segment.rows()).collect(),
        };
        for row in dead_now.into_iter().filter(|row| !source.is_dead(*row)) {
            rows.extend(new.segment.find(source.segment.id(row)?)?);
        }
    }
    Ok(BTreeMap::from([(new.segment.segment_id(), rows)]))
}

/// The live rows of several segments in the order of ids.
struct MergedRows<'a> {
    sources: &'a [Arc<LiveSegment>],
    /// Per new row: its id, its source, and its row there.
    order: Vec<(PointId, u32, u32)>,
}

impl<'a> MergedRows<'a> {
    fn new(sources: &'a [Arc<LiveSegment>]) -> Result<Self> {
        let mut order = Vec::new();
        for (number, live) in (0u32..).zip(sources) {
            for row in (0..live.segment.rows()).filter(|row| !live.is_dead(*row)) {
                order.push((live.segment.id(row)?, number, row));
            }
        }
        // Runs that are sorted already: a merge.
        order.sort();
        debug_assert!(order.windows(2).all(|pair| pair[0].0 < pair[1].0), "an id is live in one segment at most");
        Ok(Self { sources, order })
    }

    fn at(&self, row: usize) -> (&'a LiveSegment, u32) {
        let (_, source, row) = self.order[row];
        (&self.sources[source as usize], row)
    }
}

impl Rows for MergedRows<'_> {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn id(&self, row: usize) -> PointId {
        self.order[row].0
    }

    fn version(&self, row: usize) -> Result<Lsn> {
        let (live, row) = self.at(row);
        live.segment.version(row)
    }

    fn vector<'a>(&'a self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>> {
        let (live, row) = self.at(row);
        live.segment.vector(row, name)
    }

    fn payload<'a>(&'a self, row: usize) -> Result<Cow<'a, str>> {
        let (live, row) = self.at(row);
        Ok(Cow::Borrowed(live.segment.payload(row)?))
    }

    fn has_vector(&self, row: usize, name: &str) -> Result<bool> {
        let (live, row) = self.at(row);
        live.segment.has_vector(row, name)
    }

    fn component_count(&self, row: usize, name: &str) -> Result<Option<u64>> {
        let (live, row) = self.at(row);
        live.segment.component_count(row, name)
    }

    fn payload_len(&self, row: usize) -> Result<u64> {
        let (live, row) = self.at(row);
        live.segment.payload_len(row)
    }
}
