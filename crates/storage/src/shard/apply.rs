//! What an operation does: the same when it is first applied and when it is replayed from the log.
//!
//! Only one thread at a time applies, in the order of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::scan::Found;
use super::view::View;
use crate::error::{Error, Result};
use crate::ids::{Lsn, PointId};
use crate::memtable::{Entry, Row};
use crate::op::Operation;
use crate::read::{Select, WithVectors};

/// Everything of a point.
pub(crate) const WHOLE: Select = Select { payload: true, vectors: WithVectors::All };

/// What one operation changes, before it is put in place in one step.
struct Changes<'a> {
    view: &'a View,
    entries: BTreeMap<PointId, Entry>,
    /// Points that came or went.
    balance: i64,
}

/// Applies a record to the view's active memtable, and says how many points came (or, negative, went). An error means that (a
/// part of) the operation has no effect, and will have none when it is replayed; the record stays in the log.
pub(super) fn apply(view: &View, lsn: Lsn, operation: Operation) -> (i64, Result<()>) {
    let mut changes = Changes { view, entries: BTreeMap::new(), balance: 0 };
    let outcome = match operation {
        Operation::Upsert { points } => {
            for point in points {
                let row = Row { version: lsn, vectors: point.vectors, payload: point.payload };
                changes.put(point.id, Entry::Live(Arc::new(row)));
            }
            Ok(())
        }
        Operation::Delete { ids } => {
            for id in ids {
                if changes.exists(id) {
                    changes.put(id, Entry::Dead);
                }
            }
            Ok(())
        }
        Operation::SetPayload { ids, payload } => changes.set_payload(lsn, &ids, &payload),
    };
    view.active.apply(changes.entries);
    (changes.balance, outcome)
}

impl Changes<'_> {
    fn put(&mut self, id: PointId, entry: Entry) {
        let before = i64::from(self.exists(id));
        let after = i64::from(matches!(entry, Entry::Live(_)));
        self.balance += after - before;
        self.entries.insert(id, entry);
    }

    /// Whether the point is live. Where damage hides the answer, it is taken to be: a delete must not be lost, and
    /// a count that is one off in a damaged shard does no harm.
    fn exists(&self, id: PointId) -> bool {
        match self.entries.get(&id) {
            Some(Entry::Live(_)) => true,
            Some(Entry::Dead) => false,
            None => self.view.get(id).map_or(true, |found| found.is_some()),
        }
    }

    /// Sets keys of existing points; those that are missing are reported after the others were done.
    fn set_payload(&mut self, lsn: Lsn, ids: &[PointId], payload: &str) -> Result<()> {
        let Some(keys) = object(payload) else {
            return ids.first().map_or(Ok(()), |&id| Err(Error::PayloadNotObject { id }));
        };
        let mut problem = None;
        for &id in ids {
            match self.row(id) {
                Ok(Some(row)) => {
                    // Only a foreign archive brings one that is no object; its text stays.
                    let Some(mut merged) = object(&row.payload) else {
                        problem = Some(Error::PayloadNotObject { id });
                        continue;
                    };
                    merged.extend(keys.clone());
                    let row = Row { version: lsn, vectors: row.vectors.clone(), payload: Value::Object(merged).to_string() };
                    self.put(id, Entry::Live(Arc::new(row)));
                }
                Ok(None) => problem = problem.or(Some(Error::PointNotFound { id })),
                Err(error) => problem = Some(error),
            }
        }
        problem.map_or(Ok(()), Err)
    }

    /// The point as it is after what this operation did so far.
    fn row(&self, id: PointId) -> Result<Option<Arc<Row>>> {
        match self.entries.get(&id) {
            Some(Entry::Live(row)) => return Ok(Some(row.clone())),
            Some(Entry::Dead) => return Ok(None),
            None => {}
        }
        match self.view.get(id)? {
            Some(Found::InMemory(row)) => Ok(Some(row)),
            Some(found) => {
                let record = found.load(id, &WHOLE)?;
                Ok(Some(Arc::new(Row { version: record.version, vectors: record.vectors, payload: record.payload })))
            }
            None => Ok(None),
        }
    }
}

/// The JSON object with this text; empty text is the empty object.
fn object(text: &str) -> Option<Map<String, Value>> {
    if text.is_empty() { Some(Map::new()) } else { serde_json::from_str(text).ok() }
}
