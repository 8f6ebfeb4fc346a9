//! What points should be: a model that does each operation in the plainest way, and the storage's answer in the same form.
//!
//! Vectors are compared by their bits and payloads by their text, so nothing is equal that is not the same.

use std::collections::BTreeMap;

use icecore_storage::{NamedVector, Operation, PointId, Record, Storage, Vector};
use serde_json::{Map, Value};

use crate::support::dump;

/// A point without its version, which a crash or a restore may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The bits of each vector by its name.
    pub(crate) vectors: BTreeMap<String, Vec<u32>>,
    pub(crate) payload: String,
}

/// All points of a shard or a collection.
pub(crate) type Points = BTreeMap<PointId, Stored>;

/// A collection as it can be seen from outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// By shard number.
    pub(crate) shards: Vec<Points>,
    pub(crate) schema: BTreeMap<String, Value>,
}

/// A storage as it can be seen from outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observed {
    pub(crate) collections: BTreeMap<String, Seen>,
    pub(crate) aliases: BTreeMap<String, String>,
}

/// Does an operation; the ids that it wanted and did not find are skipped.
pub(crate) fn apply(points: &mut Points, operation: &Operation) {
    match operation {
        Operation::Upsert { points: new } => {
            for point in new {
                points.insert(point.id, stored(&point.vectors, &point.payload));
            }
        }
        Operation::Delete { ids } => ids.iter().for_each(|id| drop(points.remove(id))),
        Operation::SetPayload { ids, payload } => {
            let keys = object(payload);
            for point in ids.iter().filter_map(|id| points.remove(id).map(|point| (*id, point))).collect::<Vec<_>>() {
                let (id, mut point) = point;
                let mut merged = object(&point.payload);
                merged.extend(keys.clone());
                point.payload = Value::Object(merged).to_string();
                points.insert(id, point);
            }
        }
    }
}

/// The part of an operation that belongs to one shard of `count`; `None` if there is none.
pub(crate) fn part(operation: &Operation, shard: u32, count: u32) -> Option<Operation> {
    let here = |id: &PointId| id.shard(count) == shard;
    let part = match operation {
        Operation::Upsert { points } => {
            Operation::Upsert { points: points.iter().filter(|point| here(&point.id)).cloned().collect() }
        }
        Operation::Delete { ids } => Operation::Delete { ids: ids.iter().copied().filter(here).collect() },
        Operation::SetPayload { ids, payload } => {
            Operation::SetPayload { ids: ids.iter().copied().filter(here).collect(), payload: payload.clone() }
        }
    };
    let empty = match &part {
        Operation::Upsert { points } => points.is_empty(),
        Operation::Delete { ids } | Operation::SetPayload { ids, .. } => ids.is_empty(),
    };
    (!empty).then_some(part)
}

pub(crate) fn stored(vectors: &[NamedVector], payload: &str) -> Stored {
    let bits = |named: &NamedVector| {
        let (Vector::Dense(values) | Vector::Sparse { values, .. } | Vector::Multi(values)) = &named.vector;
        (named.name.clone(), values.iter().map(|value| value.to_bits()).collect())
    };
    Stored { vectors: vectors.iter().map(bits).collect(), payload: payload.into() }
}

pub(crate) fn points_of(records: &[Record]) -> Points {
    records.iter().map(|record| (record.id, stored(&record.vectors, &record.payload))).collect()
}

/// Everything that a storage answers, and a check that its numbers agree with it.
pub(crate) fn observe(storage: &Storage) -> Observed {
    let mut collections = BTreeMap::new();
    for name in storage.collections() {
        let info = storage.info(&name).unwrap();
        let count = u32::try_from(info.shards.len()).unwrap();
        let records = dump(storage, &name);
        assert!(records.windows(2).all(|pair| pair[0].id < pair[1].id), "{name}: ascending, none twice");
        assert_eq!(storage.count(&name).unwrap(), records.len() as u64, "{name}: the count is the number of points");
        let mut shards = vec![Points::new(); info.shards.len()];
        for (id, point) in points_of(&records) {
            shards[id.shard(count) as usize].insert(id, point);
        }
        for (shard, points) in info.shards.iter().zip(&shards) {
            assert_eq!(shard.points, points.len() as u64, "{name}: points of shard {}", shard.number);
        }
        collections.insert(name, Seen { shards, schema: info.payload_schema });
    }
    Observed { collections, aliases: storage.aliases() }
}

fn object(text: &str) -> Map<String, Value> {
    if text.is_empty() { Map::new() } else { serde_json::from_str(text).unwrap() }
}
