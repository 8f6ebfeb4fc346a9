//! Points in memory: what the records of one log file did, until a flush makes a segment of it.
//!
//! Every id in a memtable hides all older points of that id, in older memtables and in segments: it is the mark that a
//! flush later resolves to rows of segments. The log file is kept at least as long as the memtable.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use crate::budget::Budget;
use crate::error::Result;
use crate::ids::{Lsn, PointId};
use crate::op::{NamedVector, Vector};
use crate::refs::FileRef;
use crate::shard::LiveSegment;
use crate::vector::VectorRef;
use crate::wal::writer::WalMark;

/// What the structures around a point take, roughly: tree node, reference counts, string and vector headers.
const ENTRY_OVERHEAD: usize = 160;
const VECTOR_OVERHEAD: usize = 56;

/// A point as the log has it.
#[derive(Debug)]
pub(crate) struct Row {
    /// The record that made it.
    pub(crate) version: Lsn,
    pub(crate) vectors: RowVectors,
    /// The text of a JSON object, or empty.
    pub(crate) payload: Part<String>,
}

/// A part of a point that an operation may have left as it was: vectors that are updated do not bring the payload into memory.
#[derive(Debug, Clone)]
pub(crate) enum Part<T> {
    Here(T),
    /// As it is in this row of a segment, which the reference keeps.
    InSegment(Arc<LiveSegment>, u32),
}

/// The vectors of a point. Those that stay as they are are not read when others change: damage to them then cannot lose the change.
#[derive(Debug, Clone)]
pub(crate) enum RowVectors {
    /// All of them.
    Here(Vec<NamedVector>),
    /// Those of a row of a segment, but for these names, which have another vector or none.
    Over(Arc<LiveSegment>, u32, Vec<(String, Option<Vector>)>),
}

impl RowVectors {
    /// The vector of this name, if there is one.
    pub(crate) fn get(&self, name: &str) -> Result<Option<VectorRef<'_>>> {
        match self {
            Self::Here(vectors) => Ok(vectors.iter().find(|named| named.name == name).map(|named| named.vector.as_ref())),
            Self::Over(live, row, changes) => match change_of(changes, name) {
                Some(vector) => Ok(vector.as_ref().map(Vector::as_ref)),
                None => live.segment.vector(*row, name),
            },
        }
    }

    /// Whether there is a vector of this name.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        match self {
            Self::Here(vectors) => Ok(vectors.iter().any(|named| named.name == name)),
            Self::Over(live, row, changes) => match change_of(changes, name) {
                Some(vector) => Ok(vector.is_some()),
                None => live.segment.has_vector(*row, name),
            },
        }
    }

    /// The vectors whose names are wanted.
    pub(crate) fn wanted(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<NamedVector>> {
        let live = match self {
            Self::Here(vectors) => return Ok(vectors.iter().filter(|named| wanted(&named.name)).cloned().collect()),
            Self::Over(live, ..) => live,
        };
        let mut vectors = Vec::new();
        // A segment names all vectors of the collection.
        for (name, _) in live.segment.vectors().filter(|(name, _)| wanted(name)) {
            if let Some(vector) = self.get(name)? {
                vectors.push(NamedVector { name: name.to_owned(), vector: vector.into_owned() });
            }
        }
        Ok(vectors)
    }

    /// Puts another vector, or none, in the place of the one of this name.
    pub(crate) fn change(&mut self, name: &str, vector: Option<Vector>) {
        match self {
            Self::Here(vectors) => {
                vectors.retain(|named| named.name != name);
                vectors.extend(vector.map(|vector| NamedVector { name: name.to_owned(), vector }));
                vectors.sort_by(|a, b| a.name.cmp(&b.name));
            }
            Self::Over(_, _, changes) => {
                changes.retain(|(changed, _)| changed != name);
                changes.push((name.to_owned(), vector));
            }
        }
    }

    /// Bytes in memory, roughly.
    fn bytes(&self) -> usize {
        match self {
            Self::Here(vectors) => vectors.iter().map(|named| VECTOR_OVERHEAD + named.name.len() + named.vector.bytes()).sum(),
            Self::Over(_, _, changes) => {
                let bytes = |vector: &Option<Vector>| vector.as_ref().map_or(0, Vector::bytes);
                changes.iter().map(|(name, vector)| VECTOR_OVERHEAD + name.len() + bytes(vector)).sum()
            }
        }
    }
}

/// What stands here for a name; `None` if it is as it was.
fn change_of<'a>(changes: &'a [(String, Option<Vector>)], name: &str) -> Option<&'a Option<Vector>> {
    changes.iter().find(|(changed, _)| changed == name).map(|(_, vector)| vector)
}

impl Row {
    /// The text of the payload.
    pub(crate) fn payload(&self) -> Result<&str> {
        match &self.payload {
            Part::Here(payload) => Ok(payload),
            Part::InSegment(live, row) => live.segment.payload(*row),
        }
    }
}

/// What a memtable knows of an id.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    /// The point as it is now.
    Live(Arc<Row>),
    /// The point was deleted.
    Dead,
}

/// The log file that belongs to a memtable.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) file: Arc<FileRef>,
    pub(crate) first_lsn: Lsn,
    /// Where the file ends, once nothing is appended any more.
    sealed: OnceLock<WalMark>,
}

/// The points of one log file.
#[derive(Debug)]
pub(crate) struct Memtable {
    entries: RwLock<BTreeMap<PointId, Entry>>,
    bytes: AtomicU64,
    budget: Arc<Budget>,
    pub(crate) log: LogFile,
}

impl LogFile {
    pub(crate) fn new(file: Arc<FileRef>, first_lsn: Lsn) -> Self {
        Self { file, first_lsn, sealed: OnceLock::new() }
    }

    /// Nothing is appended from now on.
    pub(crate) fn seal(&self, mark: WalMark) {
        let first = self.sealed.set(mark).is_ok();
        debug_assert!(first, "a log file ends once");
    }

    /// Where the file of a frozen memtable ends.
    ///
    /// # Panics
    /// If it still grows.
    pub(crate) fn end(&self) -> &WalMark {
        let Some(end) = self.sealed.get() else { panic!("log file {} of a frozen memtable has no end", self.first_lsn) };
        end
    }

    /// Where the file ends; `None` while it grows.
    pub(crate) fn sealed(&self) -> Option<&WalMark> {
        self.sealed.get()
    }
}

impl Memtable {
    pub(crate) fn new(budget: Arc<Budget>, log: LogFile) -> Arc<Self> {
        Arc::new(Self { entries: RwLock::default(), bytes: AtomicU64::new(0), budget, log })
    }

    /// Bytes in memory, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What is known of `id`; `None` if an older place must be asked.
    pub(crate) fn get(&self, id: PointId) -> Option<Entry> {
        self.read().get(&id).cloned()
    }

    /// Puts all changes of one operation in place in one step.
    pub(crate) fn apply(&self, changes: BTreeMap<PointId, Entry>) {
        let grown: usize = changes.values().map(entry_bytes).sum();
        let mut replaced = 0;
        {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            for (id, entry) in changes {
                if let Some(old) = entries.insert(id, entry) {
                    replaced += entry_bytes(&old);
                }
            }
        }
        self.budget.grow(grown as u64);
        self.budget.shrink(replaced as u64);
        // One thread at a time applies, so that load and store need not be one step.
        self.bytes.store(self.bytes() + grown as u64 - replaced as u64, Ordering::Relaxed);
    }

    /// Up to `limit` entries from `from` on, in the order of ids.
    pub(crate) fn range(&self, from: Bound<PointId>, limit: usize) -> Vec<(PointId, Entry)> {
        self.read().range((from, Bound::Unbounded)).take(limit).map(|(id, entry)| (*id, entry.clone())).collect()
    }

    /// All entries; for memtables that no longer change.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, BTreeMap<PointId, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Memtable {
    fn drop(&mut self) {
        self.budget.shrink(*self.bytes.get_mut());
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    let contents = match entry {
        Entry::Dead => 0,
        Entry::Live(row) => {
            let payload = match &row.payload {
                Part::Here(payload) => payload.len(),
                Part::InSegment(..) => 0,
            };
            row.vectors.bytes() + payload
        }
    };
    ENTRY_OVERHEAD + contents
}
