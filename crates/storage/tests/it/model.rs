//! Thousands of random operations beside a `BTreeMap`: after each of them the two must answer the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fs, MemFs, Rng};
use icecore_storage::{
    CollectionConfig, DenseParams, Distance, Durability, Error, NamedVector, Operation, Point, PointId, Storage, Vector,
};

use crate::disk::assert_no_orphans;
use crate::recorded::ROOT;
use crate::state::{Points, apply, points_of};
use crate::support::{ALL, open, restore, snapshot};

const STEPS: usize = 700;
const SEEDS: u64 = 5;

struct World {
    fs: Arc<dyn Fs>,
    storage: Option<Storage>,
    collections: BTreeMap<String, Points>,
    rng: Rng,
    copies: u64,
}

fn three_vectors(shard_number: u32) -> CollectionConfig {
    let params = |size| DenseParams { size, distance: Distance::Euclid };
    let vectors = BTreeMap::from([(String::new(), params(3)), ("image".into(), params(1)), ("text".into(), params(5))]);
    CollectionConfig { shard_number, vectors, settings: serde_json::Value::Null }
}

impl World {
    fn new(seed: u64) -> Self {
        let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
        let storage = open(&fs, Path::new(ROOT)).unwrap();
        storage.create_collection("one", three_vectors(1)).unwrap();
        storage.create_collection("many", three_vectors(5)).unwrap();
        let collections = BTreeMap::from([("one".into(), Points::new()), ("many".into(), Points::new())]);
        Self { fs, storage: Some(storage), collections, rng: Rng::new(seed), copies: 0 }
    }

    fn storage(&self) -> &Storage {
        self.storage.as_ref().unwrap()
    }

    fn some_collection(&mut self) -> String {
        let number = usize::try_from(self.rng.below(self.collections.len() as u64)).unwrap();
        self.collections.keys().nth(number).unwrap().clone()
    }

    /// Ids of both kinds, close together, so that the same ones come again and again.
    fn id(&mut self) -> PointId {
        let number = self.rng.below(60);
        match self.rng.below(3) {
            0 => {
                let mut bytes = [0; 16];
                bytes[15] = u8::try_from(number).unwrap();
                bytes[0] = bytes[15] % 4 * 85;
                PointId::Uuid(bytes)
            }
            1 if number > 57 => PointId::Num(u64::MAX - number),
            _ => PointId::Num(number),
        }
    }

    fn ids(&mut self) -> Vec<PointId> {
        (0..self.rng.below(8)).map(|_| self.id()).collect()
    }

    fn payload(&mut self) -> String {
        let value = self.rng.below(1000);
        match self.rng.below(5) {
            0 => String::new(),
            1 => "{}".into(),
            2 => format!(r#"{{"a":{value},"n":{{"x":[1,null,"ü\n"]}}}}"#),
            3 => format!(r#"{{"b":"{}"}}"#, "é".repeat(usize::try_from(value).unwrap())),
            _ => format!(r#"{{"a":{value}.5,"c":false}}"#),
        }
    }

    fn point(&mut self) -> Point {
        let mut vectors = Vec::new();
        for (name, size) in [("", 3), ("image", 1), ("text", 5)] {
            if self.rng.chance(70) {
                let values = (0..size).map(|_| self.rng.below(2000) as f32 / 7.0 - 100.0).collect();
                vectors.push(NamedVector { name: name.into(), vector: Vector::Dense(values) });
            }
        }
        Point { id: self.id(), vectors, payload: self.payload() }
    }

    fn step(&mut self) -> String {
        let name = self.some_collection();
        match self.rng.below(100) {
            0..45 => {
                let points = (0..self.rng.below(12)).map(|_| self.point()).collect();
                self.write(&name, Operation::Upsert { points })
            }
            45..60 => {
                let ids = self.ids();
                self.write(&name, Operation::Delete { ids })
            }
            60..72 => {
                let (ids, payload) = (self.ids(), self.payload());
                self.write(&name, Operation::SetPayload { ids, payload })
            }
            72..82 => {
                self.storage().flush().unwrap();
                "flush".into()
            }
            82..88 => {
                self.storage().compact().unwrap();
                "compact".into()
            }
            88..92 => self.copy(&name),
            92..94 => self.delete(),
            _ => {
                // Half of the time as if killed: only a dropped storage, with buffered writes.
                if self.rng.chance(50) {
                    self.storage().close().unwrap();
                }
                self.storage = None;
                self.storage = Some(open(&self.fs, Path::new(ROOT)).unwrap());
                assert!(self.storage().torn_tails().is_empty());
                assert_no_orphans(self.fs.as_ref(), Path::new(ROOT), "restart");
                "restart".into()
            }
        }
    }

    fn write(&mut self, name: &str, operation: Operation) -> String {
        let durability = if self.rng.chance(50) { Durability::Synced } else { Durability::Buffered };
        let points = self.collections.get_mut(name).unwrap();
        let missing = match &operation {
            Operation::SetPayload { ids, .. } => ids.iter().any(|id| !points.contains_key(id)),
            _ => false,
        };
        apply(points, &operation);
        let what = format!("{operation:?} in {name}");
        match self.storage().write(name, operation, durability) {
            Ok(_) => assert!(!missing, "{what}"),
            Err(Error::PointNotFound { .. }) => assert!(missing, "{what}"),
            Err(error) => panic!("{what}: {error}"),
        }
        what
    }

    /// A snapshot under another name, or over another collection.
    fn copy(&mut self, name: &str) -> String {
        let cut = snapshot(self.storage(), name);
        let points = self.collections[name].clone();
        // What happens behind the cut is not in it.
        let ids = points.keys().copied().take(3).collect();
        self.write(name, Operation::Delete { ids });
        let force = self.collections.len() > 4;
        let to = if force { self.some_collection() } else { format!("copy {}", self.copies) };
        self.copies += 1;
        restore(&self.fs, &cut, self.storage(), |_| to.clone(), force).unwrap();
        self.collections.insert(to.clone(), points);
        format!("{name} restored as {to}")
    }

    fn delete(&mut self) -> String {
        let Some(name) = self.collections.keys().find(|name| name.starts_with("copy")).cloned() else {
            return "nothing".into();
        };
        assert!(self.storage().delete_collection(&name).unwrap());
        self.collections.remove(&name);
        assert!(matches!(self.storage().count(&name), Err(Error::CollectionNotFound { .. })));
        format!("{name} deleted")
    }

    /// Compares every answer about one collection, at a random place.
    fn compare(&mut self, context: &str) {
        let name = self.some_collection();
        let from = self.rng.chance(70).then(|| self.id());
        let limit = usize::try_from(self.rng.below(20)).unwrap();
        let ids = self.ids();
        let (storage, points) = (self.storage(), &self.collections[&name]);
        let context = format!("{context}, {name}");
        assert_eq!(storage.count(&name).unwrap(), points.len() as u64, "{context}");
        let info = storage.info(&name).unwrap();
        assert_eq!(info.shards.iter().map(|shard| shard.points).sum::<u64>(), points.len() as u64, "{context}");
        let page = storage.scroll(&name, from, limit, &ALL).unwrap();
        let mut expected = points.iter().filter(|(id, _)| from.is_none_or(|from| **id >= from));
        let shown: Vec<_> = expected.by_ref().take(limit).map(|(id, point)| (*id, point.clone())).collect();
        let found: Vec<_> = page.records.iter().map(|record| record.id).collect();
        assert_eq!(found, shown.iter().map(|(id, _)| *id).collect::<Vec<_>>(), "{context}: scroll from {from:?}");
        assert_eq!(points_of(&page.records), shown.into_iter().collect(), "{context}: scroll from {from:?}");
        assert_eq!(page.next, expected.next().map(|(id, _)| *id), "{context}: next after {limit} from {from:?}");
        let found = storage.retrieve(&name, &ids, &ALL).unwrap();
        let wanted: Vec<_> = ids.iter().filter(|id| points.contains_key(id)).copied().collect();
        assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), wanted, "{context}: retrieve");
        assert!(points_of(&found).iter().all(|(id, point)| points[id] == *point), "{context}: retrieve");
    }
}

#[test]
fn random_operations_answer_as_a_map_does() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for number in 0..STEPS {
            let what = world.step();
            world.compare(&format!("seed {seed}, step {number}: {what}"));
        }
        let names: Vec<String> = world.collections.keys().cloned().collect();
        assert_eq!(world.storage().collections(), names);
        assert!(world.storage().scrub().is_empty());
        assert_eq!(world.storage().pinned_bytes(), 0, "seed {seed}: nobody reads any more");
        assert_no_orphans(world.fs.as_ref(), Path::new(ROOT), &format!("seed {seed}"));
    }
}
