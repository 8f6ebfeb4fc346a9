//! Points in the order of their ids, out of all memtables and segments of a view.
//!
//! A merge of sorted sources. The newest source that knows an id decides about it; rows with a tombstone do not take part.

use std::ops::Bound;
use std::sync::Arc;

use super::view::{LiveSegment, View};
use crate::error::Result;
use crate::ids::PointId;
use crate::memtable::{Entry, Memtable, Row};
use crate::op::NamedVector;
use crate::read::{Record, Select};

/// Entries that a memtable is asked for at a time, so that its lock is held shortly.
const CHUNK_LEN: usize = 256;

/// Where a live point is.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    InMemory(Arc<Row>),
    InSegment(Arc<LiveSegment>, u32),
}

impl Found {
    /// Reads the parts of the point that are asked for.
    pub(crate) fn load(&self, id: PointId, select: &Select) -> Result<Record> {
        match self {
            Self::InMemory(row) => Ok(Record {
                id,
                version: row.version,
                vectors: row.vectors.iter().filter(|named| select.vectors.includes(&named.name)).cloned().collect(),
                payload: if select.payload { row.payload.clone() } else { String::new() },
            }),
            Self::InSegment(live, row) => {
                let segment = &live.segment;
                let mut vectors = Vec::new();
                for (name, _) in segment.vectors() {
                    if select.vectors.includes(name)
                        && let Some(vector) = segment.vector(*row, name)?
                    {
                        vectors.push(NamedVector { name: name.to_owned(), vector: vector.into_owned() });
                    }
                }
                let payload = if select.payload { segment.payload(*row)?.to_owned() } else { String::new() };
                Ok(Record { id, version: segment.version(*row)?, vectors, payload })
            }
        }
    }
}

impl View {
    /// Up to `limit` live points with ids of `from` or more.
    pub(crate) fn scan(&self, from: Option<PointId>, limit: usize) -> Result<Vec<(PointId, Found)>> {
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let mut memtables: Vec<MemtableCursor<'_>> =
            self.memtables().map(|memtable| MemtableCursor::new(memtable, from)).collect();
        let mut segments = Vec::new();
        for live in &self.version.segments {
            segments.push(SegmentCursor::new(live, from)?);
        }
        let mut found = Vec::new();
        while found.len() < limit {
            let heads = memtables.iter().filter_map(MemtableCursor::id).chain(segments.iter().filter_map(|cursor| cursor.id));
            let Some(id) = heads.min() else { break };
            // All sources step over the id; the first that had it decides.
            let mut decision = None;
            for cursor in &mut memtables {
                if cursor.id() == Some(id) {
                    let entry = cursor.advance();
                    decision = decision.or(Some(match entry {
                        Entry::Live(row) => Some(Found::InMemory(row)),
                        Entry::Dead => None,
                    }));
                }
            }
            for cursor in &mut segments {
                if cursor.id == Some(id) {
                    let row = cursor.advance()?;
                    decision = decision.or_else(|| Some(Some(Found::InSegment(cursor.live.clone(), row))));
                }
            }
            found.extend(decision.flatten().map(|place| (id, place)));
        }
        Ok(found)
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
        let Some((id, entry)) = self.head.take() else {
            return Entry::Dead;
        };
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
