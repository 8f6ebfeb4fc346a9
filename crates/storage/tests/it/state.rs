//! What points should be: a model that does each operation in the plainest way, and the storage's answer in the same form.
//!
//! Vectors are compared by their bits and payloads by their text, so nothing is equal that is not the same. Of filters and paths the
//! model knows only the simple ones that the tests write: those of its own module, `plain`.

use std::collections::BTreeMap;

use icecore_storage::{NamedVector, Operation, PointId, Record, Storage, Target, UpsertMode, Vector};
use serde_json::{Map, Value};

use crate::plain::{matches, remove, set_at};
use crate::support::dump;

/// The name of the multi-vectors of all collections that have some.
pub(crate) const MULTI: &str = "multi";

/// A vector by its kind, its indices if it is sparse, and the bits of its values.
pub(crate) type Bits = (&'static str, Vec<u32>, Vec<u32>);

/// A point without its version, which a crash or a restore may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The vectors by their names.
    pub(crate) vectors: BTreeMap<String, Bits>,
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

/// Does an operation. False if a point that it names, and that must be there, is missing; the others are changed all the same.
pub(crate) fn apply(points: &mut Points, operation: &Operation) -> bool {
    match operation {
        Operation::Upsert { points: new, mode, condition } => {
            for point in new {
                let wanted = match (points.get(&point.id), mode) {
                    (None, mode) => *mode != UpsertMode::UpdateOnly,
                    (Some(_), UpsertMode::InsertOnly) => false,
                    (Some(old), _) => condition.as_ref().is_none_or(|filter| matches(filter, point.id, old)),
                };
                if wanted {
                    points.insert(point.id, stored(&point.vectors, &point.payload));
                }
            }
            true
        }
        Operation::Delete { target } => {
            for id in targets(points, target) {
                points.remove(&id);
            }
            true
        }
        Operation::SetPayload { target, payload, key } => {
            change(points, target, |point| point.edit(|object| set_at(object, key.as_deref(), &self::object(payload))))
        }
        Operation::OverwritePayload { target, payload } => change(points, target, |point| point.payload = normal(payload)),
        Operation::DeletePayload { target, keys } => {
            change(points, target, |point| point.edit(|object| keys.iter().for_each(|key| remove(object, key))))
        }
        Operation::ClearPayload { target } => change(points, target, |point| point.payload.clear()),
        Operation::UpdateVectors { points: new, condition } => {
            for update in new {
                let Some(old) = points.get_mut(&update.id) else { continue };
                if condition.as_ref().is_none_or(|filter| matches(filter, update.id, old)) {
                    old.vectors.extend(stored(&update.vectors, "").vectors);
                }
            }
            new.iter().all(|update| points.contains_key(&update.id))
        }
        Operation::DeleteVectors { target, names } => {
            change(points, target, |point| point.vectors.retain(|name, _| !names.contains(name)))
        }
    }
}

impl Stored {
    /// Changes the payload as an object.
    fn edit(&mut self, edit: impl FnOnce(&mut Map<String, Value>)) {
        let mut object = object(&self.payload);
        edit(&mut object);
        self.payload = if object.is_empty() { String::new() } else { Value::Object(object).to_string() };
    }
}

/// Changes each target; false if one is missing.
fn change(points: &mut Points, target: &Target, change: impl Fn(&mut Stored)) -> bool {
    let ids = targets(points, target);
    let found = ids.iter().all(|id| points.contains_key(id));
    for id in ids {
        if let Some(point) = points.get_mut(&id) {
            change(point);
        }
    }
    found
}

/// The ids of a target, as they are named or as they match.
fn targets(points: &Points, target: &Target) -> Vec<PointId> {
    match target {
        Target::Ids(ids) => ids.clone(),
        Target::Filter(filter) => matching(points, filter).collect(),
    }
}

/// The points that match a filter.
pub(crate) fn matching<'a>(points: &'a Points, filter: &'a str) -> impl Iterator<Item = PointId> + 'a {
    points.iter().filter(move |(id, point)| matches(filter, **id, point)).map(|(id, _)| *id)
}

/// The part of an operation that belongs to one shard of `count`; `None` if there is none.
pub(crate) fn part(operation: &Operation, shard: u32, count: u32) -> Option<Operation> {
    let here = |id: &PointId| id.shard(count) == shard;
    let mut part = operation.clone();
    let none = match &mut part {
        Operation::Upsert { points, .. } => {
            points.retain(|point| here(&point.id));
            points.is_empty()
        }
        Operation::UpdateVectors { points, .. } => {
            points.retain(|point| here(&point.id));
            points.is_empty()
        }
        Operation::Delete { target }
        | Operation::SetPayload { target, .. }
        | Operation::OverwritePayload { target, .. }
        | Operation::DeletePayload { target, .. }
        | Operation::ClearPayload { target }
        | Operation::DeleteVectors { target, .. } => match target {
            Target::Ids(ids) => {
                ids.retain(here);
                ids.is_empty()
            }
            // Every shard looks for itself what matches.
            Target::Filter(_) => false,
        },
    };
    (!none).then_some(part)
}

/// What is stored of a point: an object without keys is no payload, a single vector among multi-vectors is one of these, and sparse
/// vectors are sorted.
pub(crate) fn stored(vectors: &[NamedVector], payload: &str) -> Stored {
    let bits = |named: &NamedVector| (named.name.clone(), bits(&named.name, &named.vector));
    Stored { vectors: vectors.iter().map(bits).collect(), payload: normal(payload) }
}

fn bits(name: &str, vector: &Vector) -> Bits {
    let all = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    match vector {
        Vector::Dense(values) if name != MULTI => ("dense", Vec::new(), all(values)),
        Vector::Dense(values) | Vector::Multi(values) => ("multi", Vec::new(), all(values)),
        Vector::Sparse { indices, values } => {
            let sorted: BTreeMap<u32, u32> = indices.iter().copied().zip(values.iter().map(|value| value.to_bits())).collect();
            ("sparse", sorted.keys().copied().collect(), sorted.values().copied().collect())
        }
    }
}

fn normal(payload: &str) -> String {
    if payload == "{}" { String::new() } else { payload.into() }
}

pub(crate) fn points_of(records: &[Record]) -> Points {
    records.iter().map(|record| (record.id, as_read(&record.vectors, &record.payload))).collect()
}

/// A point exactly as it was read: nothing of it is put in order here.
fn as_read(vectors: &[NamedVector], payload: &str) -> Stored {
    let bits = |vector: &Vector| {
        let (kind, indices, values) = match vector {
            Vector::Dense(values) => ("dense", Vec::new(), values),
            Vector::Multi(values) => ("multi", Vec::new(), values),
            Vector::Sparse { indices, values } => ("sparse", indices.clone(), values),
        };
        (kind, indices, values.iter().map(|value| value.to_bits()).collect())
    };
    let read: BTreeMap<String, Bits> = vectors.iter().map(|named| (named.name.clone(), bits(&named.vector))).collect();
    assert_eq!(read.len(), vectors.len(), "each name once: {vectors:?}");
    Stored { vectors: read, payload: payload.into() }
}

/// Everything that a storage answers, and a check that its numbers agree with it.
pub(crate) fn observe(storage: &Storage) -> Observed {
    let mut collections = BTreeMap::new();
    for name in storage.collections() {
        let info = storage.info(&name).unwrap();
        let count = u32::try_from(info.shards.len()).unwrap();
        let records = dump(storage, &name);
        assert!(records.windows(2).all(|pair| pair[0].id < pair[1].id), "{name}: ascending, none twice");
        assert_eq!(storage.count(&name, None).unwrap(), records.len() as u64, "{name}: the count is the number of points");
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
