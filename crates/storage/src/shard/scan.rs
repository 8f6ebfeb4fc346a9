//! Points in the order of their ids, out of all memtables and segments of a view.
//!
//! A merge of sorted sources. The newest source that knows an id decides about it; rows with a tombstone do not take part.

use std::ops::Bound;
use std::sync::Arc;

use super::found::Found;
use super::view::{LiveSegment, View};
use crate::error::Result;
use crate::ids::PointId;
use crate::memtable::{Entry, Memtable};

/// Entries that a memtable is asked for at a time, so that its lock is held shortly.
const CHUNK_LEN: usize = 256;

/// The live points of a view, by ascending id. After an error nothing more comes.
pub(crate) struct Scan<'a> {
    /// Newest first.
    memtables: Vec<MemtableCursor<'a>>,
    segments: Vec<SegmentCursor<'a>>,
    failed: bool,
}

impl View {
    /// Live points with ids of `from` or more.
    pub(crate) fn scan(&self, from: Option<PointId>) -> Result<Scan<'_>> {
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let memtables = self.memtables().map(|memtable| MemtableCursor::new(memtable, from)).collect();
        let segments = self.version.segments.iter().map(|live| SegmentCursor::new(live, from)).collect::<Result<_>>()?;
        Ok(Scan { memtables, segments, failed: false })
    }
}

impl View {
    /// The first id that no engine would have put here, and why: one that does not belong to the shard, or that lives in two
    /// segments at once. For shards that come from an archive, behind a scrub that has read every byte with `pread`: the map is used
    /// because any number of segments is looked at side by side, which takes no memory here.
    pub(crate) fn foreign_id(&self, belongs: impl Fn(PointId) -> bool) -> Result<Option<(PointId, &'static str)>> {
        for memtable in self.memtables() {
            if let Some(id) = memtable.read().keys().find(|id| !belongs(**id)) {
                return Ok(Some((*id, "it belongs to another shard")));
            }
        }
        let cursors = self.version.segments.iter().map(|live| SegmentCursor::new(live, Bound::Unbounded));
        let mut cursors = cursors.collect::<Result<Vec<_>>>()?;
        while let Some(id) = cursors.iter().filter_map(|cursor| cursor.id).min() {
            if !belongs(id) {
                return Ok(Some((id, "it belongs to another shard")));
            }
            let mut lives = 0;
            for cursor in cursors.iter_mut().filter(|cursor| cursor.id == Some(id)) {
                cursor.advance()?;
                lives += 1;
            }
            if lives > 1 {
                return Ok(Some((id, "it lives in two segments")));
            }
        }
        Ok(None)
    }
}

impl Scan<'_> {
    /// The next id that any source knows, and the point if it is live.
    fn step(&mut self) -> Result<Option<(PointId, Option<Found>)>> {
        let memtables = self.memtables.iter().filter_map(MemtableCursor::id);
        let Some(id) = memtables.chain(self.segments.iter().filter_map(|cursor| cursor.id)).min() else { return Ok(None) };
        // All sources step over the id; the first that had it decides.
        let mut decision = None;
        for cursor in &mut self.memtables {
            if cursor.id() == Some(id) {
                let entry = cursor.advance();
                decision = decision.or(Some(match entry {
                    Entry::Live(row) => Some(Found::InMemory(row)),
                    Entry::Dead => None,
                }));
            }
        }
        for cursor in &mut self.segments {
            if cursor.id == Some(id) {
                let row = cursor.advance()?;
                decision = decision.or_else(|| Some(Some(Found::InSegment(cursor.live.clone(), row))));
            }
        }
        Ok(Some((id, decision.flatten())))
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(PointId, Found)>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.step() {
                Ok(None) => return None,
                Ok(Some((id, Some(found)))) => return Some(Ok((id, found))),
                Ok(Some((_, None))) => {}
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// A memtable's entries, a chunk at a time.
struct MemtableCursor<'a> {
    memtable: &'a Memtable,
    chunk: std::vec::IntoIter<(PointId, Entry)>,
    head: Option<(PointId, Entry)>,
}

impl<'a> MemtableCursor<'a> {
    fn new(memtable: &'a Memtable, from: Bound<PointId>) -> Self {
        let mut chunk = memtable.range(from, CHUNK_LEN).into_iter();
        let head = chunk.next();
        Self { memtable, chunk, head }
    }

    fn id(&self) -> Option<PointId> {
        self.head.as_ref().map(|(id, _)| *id)
    }

    /// The entry at hand; call only if there is one.
    fn advance(&mut self) -> Entry {
        let Some((id, entry)) = self.head.take() else { return Entry::Dead };
        self.head = self.chunk.next().or_else(|| {
            self.chunk = self.memtable.range(Bound::Excluded(id), CHUNK_LEN).into_iter();
            self.chunk.next()
        });
        entry
    }
}

/// A segment's live rows.
struct SegmentCursor<'a> {
    live: &'a Arc<LiveSegment>,
    /// The row of `id`.
    row: u32,
    id: Option<PointId>,
}

impl<'a> SegmentCursor<'a> {
    fn new(live: &'a Arc<LiveSegment>, from: Bound<PointId>) -> Result<Self> {
        let row = match from {
            Bound::Included(id) | Bound::Excluded(id) => live.segment.lower_bound(id)?,
            Bound::Unbounded => 0,
        };
        let mut cursor = Self { live, row, id: None };
        cursor.settle()?;
        Ok(cursor)
    }

    /// The row at hand.
    fn advance(&mut self) -> Result<u32> {
        let row = self.row;
        self.row += 1;
        self.settle()?;
        Ok(row)
    }

    /// Goes on to the next live row.
    fn settle(&mut self) -> Result<()> {
        while self.row < self.live.segment.rows() && self.live.is_dead(self.row) {
            self.row += 1;
        }
        self.id = if self.row < self.live.segment.rows() { Some(self.live.segment.id(self.row)?) } else { None };
        Ok(())
    }
}
