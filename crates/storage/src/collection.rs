//! An open collection: its shards, the rules for what may be written to it, and its side of the barrier.
//!
//! Every writer holds the shared side of the barrier while it queues its parts in all shards; a cut or a replacement holds the
//! exclusive side. So each request is wholly before or wholly after either, and a write never goes to a collection that was
//! replaced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Map, Value};

use crate::config::{CollectionConfig, Distance};
use crate::error::{Error, Result};
use crate::ids::{PointId, ShardDirId};
use crate::normalize::normalize;
use crate::op::{Operation, Point, Vector};
use crate::read::{Page, Record, Select};
use crate::shard::Shard;

/// An open collection.
#[derive(Debug)]
pub(crate) struct Collection {
    /// The name that it was opened under, for messages.
    name: String,
    pub(crate) config: CollectionConfig,
    /// By shard number.
    pub(crate) shards: Vec<Arc<Shard>>,
    barrier: RwLock<()>,
    /// Set, under the exclusive side of the barrier, when another collection took its place or it was deleted.
    retired: AtomicBool,
}

impl Collection {
    pub(crate) fn new(name: String, config: CollectionConfig, shards: Vec<Arc<Shard>>) -> Arc<Self> {
        debug_assert_eq!(shards.len(), config.shard_number as usize, "every shard is open");
        Arc::new(Self { name, config, shards, barrier: RwLock::new(()), retired: AtomicBool::new(false) })
    }

    /// The writers' side; `None` if the collection was replaced, and the name must be looked up again.
    pub(crate) fn enter(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let guard = self.barrier.read().unwrap_or_else(PoisonError::into_inner);
        (!self.retired.load(Ordering::Acquire)).then_some(guard)
    }

    /// The side of cuts and replacements.
    pub(crate) fn close_barrier(&self) -> RwLockWriteGuard<'_, ()> {
        self.barrier.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nobody writes here; the directories of all shards but `kept` go when nothing refers to them. Call under
    /// the exclusive side.
    pub(crate) fn retire_except(&self, kept: &[ShardDirId]) {
        self.retired.store(true, Ordering::Release);
        self.shards.iter().filter(|shard| !kept.contains(&shard.id())).for_each(|shard| shard.retire());
    }

    /// Checks an operation against the configuration, normalises its cosine vectors, and splits it by shard. Shards without
    /// a part do not occur.
    pub(crate) fn prepare(&self, operation: Operation) -> Result<Vec<(usize, Operation)>> {
        Ok(match operation {
            Operation::Upsert { mut points } => {
                for point in &mut points {
                    self.check_point(point)?;
                }
                let parts = self.split(points, |point| point.id);
                parts.map(|(shard, points)| (shard, Operation::Upsert { points })).collect()
            }
            Operation::Delete { ids } => {
                self.split(ids, |id| *id).map(|(shard, ids)| (shard, Operation::Delete { ids })).collect()
            }
            Operation::SetPayload { ids, payload } => {
                if let Some(id) = ids.first() {
                    check_payload(*id, &payload)?;
                }
                let parts = self.split(ids, |id| *id);
                parts.map(|(shard, ids)| (shard, Operation::SetPayload { ids, payload: payload.clone() })).collect()
            }
        })
    }

    /// The points of these ids that exist, in the order asked; an id asked twice comes twice.
    pub(crate) fn retrieve(&self, ids: &[PointId], select: &Select) -> Result<Vec<Record>> {
        let mut records = Vec::with_capacity(ids.len().min(1024));
        for &id in ids {
            if let Some(found) = self.shard_of(id).get(id)? {
                records.push(found.load(id, select)?);
            }
        }
        Ok(records)
    }

    /// Up to `limit` points with ids of `from` or more.
    pub(crate) fn scroll(&self, from: Option<PointId>, limit: usize, select: &Select) -> Result<Page> {
        // One more shows whether, and where, there is a next page.
        let wanted = limit.saturating_add(1);
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.view().scan(from, wanted)?);
        }
        found.sort_by_key(|(id, _)| *id);
        let next = found.get(limit).map(|(id, _)| *id);
        found.truncate(limit);
        let records = found.iter().map(|(id, place)| place.load(*id, select)).collect::<Result<_>>()?;
        Ok(Page { records, next })
    }

    /// Live points.
    pub(crate) fn count(&self) -> u64 {
        self.shards.iter().map(|shard| shard.points()).sum()
    }

    /// The shard of this number.
    pub(crate) fn shard(&self, number: u32) -> Result<&Arc<Shard>> {
        let missing = || Error::ShardNotFound { collection: self.name.clone(), shard: number };
        self.shards.get(number as usize).ok_or_else(missing)
    }

    fn shard_of(&self, id: PointId) -> &Shard {
        &self.shards[id.shard(self.config.shard_number) as usize]
    }

    fn split<T>(&self, items: Vec<T>, id: impl Fn(&T) -> PointId) -> impl Iterator<Item = (usize, Vec<T>)> {
        let mut parts: Vec<Vec<T>> = self.shards.iter().map(|_| Vec::new()).collect();
        for item in items {
            parts[id(&item).shard(self.config.shard_number) as usize].push(item);
        }
        parts.into_iter().enumerate().filter(|(_, part)| !part.is_empty())
    }

    fn check_point(&self, point: &mut Point) -> Result<()> {
        check_payload(point.id, &point.payload)?;
        for (number, named) in point.vectors.iter().enumerate() {
            if point.vectors.iter().take(number).any(|earlier| earlier.name == named.name) {
                let reason = format!("point {} has it twice", point.id);
                return Err(Error::InvalidConfig { field: format!("vector {:?}", named.name), reason });
            }
        }
        for named in &mut point.vectors {
            let Some(params) = self.config.vectors.get(&named.name) else {
                return Err(Error::VectorName { name: named.name.clone() });
            };
            let Vector::Dense(values) = &mut named.vector else {
                let reason = "only dense vectors are taken".to_owned();
                return Err(Error::InvalidConfig { field: format!("vector {:?}", named.name), reason });
            };
            if values.len() != params.size {
                return Err(Error::VectorDimension { name: named.name.clone(), expected: params.size, actual: values.len() });
            }
            if !values.iter().all(|value| value.is_finite()) {
                return Err(Error::VectorNotFinite { name: named.name.clone(), id: point.id });
            }
            if params.distance == Distance::Cosine {
                normalize(values);
            }
            params.datatype.round(values);
        }
        Ok(())
    }
}

/// A payload is empty or the text of a JSON object. It is parsed in full, as later changes of it will: a check that only skips
/// over values lets numbers, escapes and depths pass that no later parse takes.
fn check_payload(id: PointId, payload: &str) -> Result<()> {
    let object = payload.is_empty() || payload.starts_with('{') && serde_json::from_str::<Map<String, Value>>(payload).is_ok();
    if object { Ok(()) } else { Err(Error::PayloadNotObject { id }) }
}
