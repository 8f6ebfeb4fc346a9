//! What a shard consists of at one instant: memtables over segments.
//!
//! A view never changes; a new one takes its place. It keeps everything that it refers to, so that whoever holds one can
//! read to the end, whatever is flushed, compacted or deleted meanwhile.

use std::sync::Arc;

use super::found::Found;
use crate::error::Result;
use crate::ids::{PointId, SegmentId};
use crate::manifest::ShardManifest;
use crate::memtable::{Entry, Memtable};
use crate::refs::FileRef;
use crate::segment::Segment;
use crate::tombstones::Tombstones;

/// Memtables and segments of one instant.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) version: Arc<Version>,
    /// Memtables that wait for their flush, oldest first.
    pub(crate) frozen: Vec<Arc<Memtable>>,
    /// The memtable that takes the writes.
    pub(crate) active: Arc<Memtable>,
}

/// What a manifest generation names, open.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) manifest: ShardManifest,
    /// In the manifest's order.
    pub(crate) segments: Vec<Arc<LiveSegment>>,
}

/// A segment with the tombstones that one manifest generation gives it.
#[derive(Debug)]
pub(crate) struct LiveSegment {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<FileRef>,
    pub(crate) tombstones: Option<(Tombstones, Arc<FileRef>)>,
}

impl LiveSegment {
    pub(crate) fn id(&self) -> SegmentId {
        self.segment.segment_id()
    }

    /// Whether the point in this row was deleted or replaced.
    pub(crate) fn is_dead(&self, row: u32) -> bool {
        self.tombstones.as_ref().is_some_and(|(tombstones, _)| tombstones.marked(row))
    }

    /// The live row of `id`.
    pub(crate) fn find(&self, id: PointId) -> Result<Option<u32>> {
        Ok(self.segment.find(id)?.filter(|row| !self.is_dead(*row)))
    }

    /// Dead rows.
    pub(crate) fn dead_count(&self) -> u32 {
        self.tombstones.as_ref().map_or(0, |(tombstones, _)| tombstones.count())
    }

    /// Live rows.
    pub(crate) fn live_count(&self) -> u32 {
        self.segment.rows() - self.dead_count()
    }
}

impl View {
    /// All memtables, newest first: the order in which they hide each other.
    pub(crate) fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(self.frozen.iter().rev())
    }

    /// The live point `id`.
    pub(crate) fn get(&self, id: PointId) -> Result<Option<Found>> {
        for memtable in self.memtables() {
            match memtable.get(id) {
                Some(Entry::Live(row)) => return Ok(Some(Found::InMemory(row))),
                Some(Entry::Dead) => return Ok(None),
                None => {}
            }
        }
        for live in &self.version.segments {
            if let Some(row) = live.find(id)? {
                return Ok(Some(Found::InSegment(live.clone(), row)));
            }
        }
        Ok(None)
    }
}
