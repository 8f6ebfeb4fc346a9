//! A run whose every file operation is recorded, beside a model of all states that a crash may leave.
//!
//! Each step changes the catalog, or adds one state to the history of each shard that it writes to. After each step it is known
//! how far every history is certain: what was written survives a kill, what was synced survives a power cut too. A crash
//! image must then show, for the catalog and for each shard by itself, a state between that and the last one begun.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use icecore_io::{CrashKind, Fs, MemFs, RecordingFs, Replay};
use icecore_storage::{AdoptedShard, Adoption, AliasAction, Durability, Operation, Scope, Snapshot, Storage};
use serde_json::Value;

use crate::state::{Observed, Points, Seen, apply, part};
use crate::support::{adoption, every_kind, open, stage, upsert_of};

pub(crate) const ROOT: &str = "/db";

/// The names of one catalog generation. Shards are numbers of the model's own, each with a history.
#[derive(Debug, Clone, Default)]
struct Names {
    collections: BTreeMap<String, (Vec<usize>, BTreeMap<String, Value>)>,
    aliases: BTreeMap<String, String>,
}

/// A place in all histories: how many changes are in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    catalog: usize,
    shards: Vec<usize>,
}

/// All states.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    catalogs: Vec<Names>,
    shards: Vec<Vec<Points>>,
    /// Where each history is durable.
    synced: Vec<usize>,
    /// After each number of steps: what is durable, and what is written.
    steps: Vec<(Place, Place)>,
}

/// A snapshot and what is in it.
pub(crate) struct Taken {
    snapshot: Snapshot,
    shards: Vec<Points>,
    schema: BTreeMap<String, Value>,
}

/// The run.
pub(crate) struct Run {
    pub(crate) recording: RecordingFs,
    fs: Arc<dyn Fs>,
    pub(crate) storage: Storage,
    pub(crate) model: Model,
}

impl Model {
    /// A model that begins with what a storage was seen to hold, all of it certain.
    pub(crate) fn from_seen(seen: &Observed) -> Self {
        let mut model = Self { catalogs: vec![Names::default()], ..Self::default() };
        for (name, collection) in &seen.collections {
            let numbers = collection.shards.iter().map(|points| model.add_shard(points.clone())).collect();
            model.catalogs[0].collections.insert(name.clone(), (numbers, collection.schema.clone()));
        }
        model.catalogs[0].aliases = seen.aliases.clone();
        model.end_step();
        model
    }

    fn add_shard(&mut self, points: Points) -> usize {
        self.shards.push(vec![points]);
        self.synced.push(0);
        self.shards.len() - 1
    }

    fn names(&self) -> &Names {
        self.catalogs.last().unwrap()
    }

    fn change_names(&mut self, change: impl FnOnce(&mut Names)) {
        let mut next = self.names().clone();
        change(&mut next);
        self.catalogs.push(next);
    }

    fn shards_of(&self, collection: &str) -> Vec<usize> {
        self.names().collections[collection].0.clone()
    }

    fn latest(&self, shard: usize) -> &Points {
        self.shards[shard].last().unwrap()
    }

    /// Everything that is written is durable now.
    fn synced(&mut self, shards: &[usize]) {
        for &shard in shards {
            self.synced[shard] = self.shards[shard].len() - 1;
        }
    }

    fn write(&mut self, collection: &str, operation: &Operation, durability: Durability) {
        let numbers = self.shards_of(collection);
        for (shard, &number) in (0u32..).zip(&numbers) {
            if let Some(part) = part(operation, shard, u32::try_from(numbers.len()).unwrap()) {
                let mut points = self.latest(number).clone();
                let found = apply(&mut points, &part);
                assert!(found, "a recorded operation names a point that is missing: {part:?}");
                self.shards[number].push(points);
                if durability == Durability::Synced {
                    self.synced(&[number]);
                }
            }
        }
    }

    fn end_step(&mut self) {
        let catalog = self.catalogs.len() - 1;
        let written = self.shards.iter().map(|history| history.len() - 1).collect();
        self.steps.push((Place { catalog, shards: self.synced.clone() }, Place { catalog, shards: written }));
    }

    /// What must be there, and what may be there, if a crash of this kind comes after `completed` steps, `started` being begun.
    fn bounds(&self, kind: CrashKind, completed: usize, started: usize) -> (&Place, &Place) {
        let (durable, written) = &self.steps[completed];
        let survives = match kind {
            CrashKind::Kill | CrashKind::KillTorn { .. } => written,
            _ => durable,
        };
        (survives, &self.steps[started].1)
    }

    /// Why what a storage shows after a crash cannot be, if so.
    pub(crate) fn check(&self, seen: &Observed, kind: CrashKind, marks: &[u64]) -> Result<(), String> {
        let completed = marks.iter().filter(|mark| *mark % 2 == 1).count();
        let (lower, upper) = self.bounds(kind, completed, marks.len() - completed);
        let mut reasons = Vec::new();
        for catalog in lower.catalog..=upper.catalog {
            match self.check_names(&self.catalogs[catalog], seen, lower, upper) {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(format!("not catalog {catalog}: {reason}")),
            }
        }
        Err(reasons.join("\n"))
    }

    fn check_names(&self, names: &Names, seen: &Observed, lower: &Place, upper: &Place) -> Result<(), String> {
        if names.aliases != seen.aliases || !names.collections.keys().eq(seen.collections.keys()) {
            return Err(format!("names: {:?} {:?}", seen.collections.keys(), seen.aliases));
        }
        for (name, (shards, schema)) in &names.collections {
            let Seen { shards: found, schema: found_schema } = &seen.collections[name];
            if schema != found_schema || shards.len() != found.len() {
                return Err(format!("schema or shards of {name}"));
            }
            for (points, &shard) in found.iter().zip(shards) {
                let from = lower.shards.get(shard).copied().unwrap_or(0);
                let to = upper.shards.get(shard).copied().unwrap_or(0);
                let history = &self.shards[shard];
                if !history[from..=to].contains(points) {
                    let place = history.iter().position(|state| state == points);
                    return Err(format!("shard {shard} of {name} is at {place:?}, not in {from}..={to}: {points:?}"));
                }
            }
        }
        Ok(())
    }
}

impl Run {
    /// Begins on an empty disk.
    pub(crate) fn begin() -> Self {
        let recording = RecordingFs::new(Arc::new(MemFs::new()));
        let model = Model::from_seen(&Observed { collections: BTreeMap::new(), aliases: BTreeMap::new() });
        Self::go_on(recording, model)
    }

    /// Opens the storage on a disk whose state is the beginning of `model`.
    pub(crate) fn go_on(recording: RecordingFs, model: Model) -> Self {
        let fs: Arc<dyn Fs> = Arc::new(recording.clone());
        let storage = open(&fs, Path::new(ROOT)).unwrap();
        Self { recording, fs, storage, model }
    }

    /// Does something and its like in the model, between two marks.
    fn step<T>(&mut self, act: impl FnOnce(&Arc<dyn Fs>, &Storage) -> T, model: impl FnOnce(&mut Model)) -> T {
        let number = self.model.steps.len() as u64;
        self.recording.mark(2 * number);
        let value = act(&self.fs, &self.storage);
        model(&mut self.model);
        self.model.end_step();
        self.recording.mark(2 * number + 1);
        value
    }

    pub(crate) fn create(&mut self, name: &str, shards: u32) {
        self.step(
            |_, storage| storage.create_collection(name, every_kind(shards, 2)).unwrap(),
            |model| {
                let numbers = (0..shards).map(|_| model.add_shard(Points::new())).collect();
                model.change_names(|names| drop(names.collections.insert(name.into(), (numbers, BTreeMap::new()))));
            },
        );
    }

    pub(crate) fn write(&mut self, name: &str, operation: &Operation, durability: Durability) {
        self.step(
            |_, storage| storage.write(name, operation.clone(), durability).map(drop).unwrap(),
            |model| model.write(name, operation, durability),
        );
    }

    pub(crate) fn upsert(&mut self, name: &str, ids: std::ops::Range<u64>, tag: u64, durability: Durability) {
        self.write(name, &upsert_of(ids, tag), durability);
    }

    pub(crate) fn flush(&mut self) {
        self.step(
            |_, storage| storage.flush().unwrap(),
            |model| {
                let all: Vec<usize> = model.names().collections.values().flat_map(|(shards, _)| shards.clone()).collect();
                model.synced(&all);
            },
        );
    }

    pub(crate) fn compact(&mut self) {
        self.step(|_, storage| storage.compact().unwrap(), |_| {});
    }

    pub(crate) fn alias(&mut self, alias: &str, collection: &str) {
        let create = AliasAction::Create { collection: collection.into(), alias: alias.into() };
        self.step(
            |_, storage| storage.update_aliases(&[create]).unwrap(),
            |model| model.change_names(|names| drop(names.aliases.insert(alias.into(), collection.into()))),
        );
    }

    pub(crate) fn index(&mut self, name: &str, field: &str) {
        let schema = Value::from("keyword");
        self.step(
            |_, storage| storage.put_payload_index(name, field, schema.clone()).unwrap(),
            |model| {
                model.change_names(|names| {
                    drop(names.collections.get_mut(name).unwrap().1.insert(field.into(), schema.clone()));
                });
            },
        );
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.step(
            |_, storage| assert!(storage.delete_collection(name).unwrap()),
            |model| {
                model.change_names(|names| {
                    names.collections.remove(name);
                    names.aliases.retain(|_, target| target != name);
                });
            },
        );
    }

    pub(crate) fn snapshot(&mut self, scope: &Scope) -> Taken {
        let (name, only) = match scope {
            Scope::Shard { collection, shard } => (collection.clone(), Some(*shard as usize)),
            Scope::Collection(name) => (name.clone(), None),
            Scope::Storage => panic!("of the whole storage"),
        };
        let numbers = self.model.shards_of(&name);
        let numbers = only.map_or(numbers.clone(), |only| vec![numbers[only]]);
        let snapshot = self.step(|_, storage| storage.snapshot(scope).unwrap(), |model| model.synced(&numbers));
        Taken {
            snapshot,
            shards: numbers.iter().map(|number| self.model.latest(*number).clone()).collect(),
            schema: self.model.names().collections[&name].1.clone(),
        }
    }

    pub(crate) fn adopt(&mut self, taken: &Taken, name: &str, force: bool) {
        self.step(
            |fs, storage| {
                let staging = stage(fs, &taken.snapshot, storage).unwrap();
                storage.adopt(adoption(&taken.snapshot, &staging, |_| name.into(), force)).unwrap();
            },
            |model| {
                let numbers = taken.shards.iter().map(|points| model.add_shard(points.clone())).collect();
                model.change_names(|names| drop(names.collections.insert(name.into(), (numbers, taken.schema.clone()))));
            },
        );
    }

    pub(crate) fn adopt_shard(&mut self, taken: &Taken, name: &str) {
        let from = taken.snapshot.subject.collections[0].clone();
        let shard = from.shards[0].number as usize;
        self.step(
            |fs, storage| {
                let staging = stage(fs, &taken.snapshot, storage).unwrap();
                let shards = vec![AdoptedShard { collection: name.into(), from: from.clone(), staging }];
                storage.adopt(Adoption { shards, ..Adoption::default() }).unwrap();
            },
            |model| {
                let number = model.add_shard(taken.shards[0].clone());
                model.change_names(|names| names.collections.get_mut(name).unwrap().0[shard] = number);
            },
        );
    }

    /// Ends the process, so to say, and gives what was recorded.
    pub(crate) fn end(self) -> (Replay, Model) {
        let Self { recording, storage, model, .. } = self;
        drop(storage);
        (recording.replay(), model)
    }
}
