//! Thousands of random operations beside a `BTreeMap`: after each of them the two must answer the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fs, MemFs, Rng};
use icecore_storage::filter::Filter;
use icecore_storage::{Durability, Error, Operation, Scroll, Select, Storage, WithVectors};

use crate::disk::assert_no_orphans;
use crate::random;
use crate::recorded::ROOT;
use crate::state::{Points, apply, matching, points_of};
use crate::support::{ALL, every_kind, open, restore, snapshot};

const STEPS: usize = 700;
const SEEDS: u64 = 5;

struct World {
    fs: Arc<dyn Fs>,
    storage: Option<Storage>,
    collections: BTreeMap<String, Points>,
    rng: Rng,
    copies: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
        let storage = open(&fs, Path::new(ROOT)).unwrap();
        storage.create_collection("one", every_kind(1, 3)).unwrap();
        storage.create_collection("many", every_kind(5, 3)).unwrap();
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

    fn step(&mut self) -> String {
        let name = self.some_collection();
        match self.rng.below(100) {
            0..72 => {
                let operation = random::operation(&mut self.rng);
                self.write(&name, operation)
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
        let found = apply(self.collections.get_mut(name).unwrap(), &operation);
        let what = format!("{operation:?} in {name}");
        match self.storage().write(name, operation, durability) {
            Ok(_) => assert!(found, "{what}"),
            Err(Error::PointNotFound { .. }) => assert!(!found, "{what}"),
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
        self.write(name, Operation::delete(ids));
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
        assert!(matches!(self.storage().count(&name, None), Err(Error::CollectionNotFound { .. })));
        format!("{name} deleted")
    }

    /// Compares every answer about one collection, at a random place.
    fn compare(&mut self, context: &str) {
        let name = self.some_collection();
        let rng = &mut self.rng;
        let from = rng.chance(70).then(|| random::id(rng));
        let limit = usize::try_from(rng.below(20)).unwrap();
        let ids = random::ids(rng);
        let filter = rng.chance(50).then(|| random::filter(rng));
        let wanted = random::name(rng);
        let (storage, points) = (self.storage(), &self.collections[&name]);
        let context = format!("{context}, {name}");
        assert_eq!(storage.count(&name, None).unwrap(), points.len() as u64, "{context}");
        let info = storage.info(&name).unwrap();
        assert_eq!(info.shards.iter().map(|shard| shard.points).sum::<u64>(), points.len() as u64, "{context}");

        let context = format!("{context}: {filter:?} from {from:?}");
        let matching = match &filter {
            None => points.clone(),
            Some(text) => matching(points, text).map(|id| (id, points[&id].clone())).collect(),
        };
        let filter = filter.map(|text| Filter::parse(&text).unwrap());
        assert_eq!(storage.count(&name, filter.as_ref()).unwrap(), matching.len() as u64, "{context}");
        let page = storage.scroll(&name, &Scroll { from, limit, filter, select: ALL }).unwrap();
        let mut expected = matching.iter().filter(|(id, _)| from.is_none_or(|from| **id >= from));
        let shown: Vec<_> = expected.by_ref().take(limit).map(|(id, point)| (*id, point.clone())).collect();
        let found: Vec<_> = page.records.iter().map(|record| record.id).collect();
        assert_eq!(found, shown.iter().map(|(id, _)| *id).collect::<Vec<_>>(), "{context}");
        assert_eq!(points_of(&page.records), shown.into_iter().collect(), "{context}");
        assert_eq!(page.next, expected.next().map(|(id, _)| *id), "{context}: next after {limit}");

        let found = storage.retrieve(&name, &ids, &ALL).unwrap();
        let mut asked = BTreeSet::new();
        let existing: Vec<_> = ids.iter().filter(|id| asked.insert(**id) && points.contains_key(id)).copied().collect();
        assert_eq!(found.iter().map(|record| record.id).collect::<Vec<_>>(), existing, "{context}: retrieve");
        assert!(points_of(&found).iter().all(|(id, point)| points[id] == *point), "{context}: retrieve");
        let part = Select { payload: false, vectors: WithVectors::Named(vec![wanted.into()]) };
        for (id, mut point) in points_of(&storage.retrieve(&name, &ids, &part).unwrap()) {
            let vector = point.vectors.remove(wanted);
            assert_eq!(vector.as_ref(), points[&id].vectors.get(wanted), "{context}: {wanted} of {id}");
            assert!(point.vectors.is_empty() && point.payload.is_empty(), "{context}: more of {id} than was asked for");
        }
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
