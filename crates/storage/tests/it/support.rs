//! What the tests share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use icecore_io::{Fs, ManualClock};
use icecore_storage::{
    AdoptedCollection, Adoption, CollectionConfig, Datatype, DenseParams, Distance, Durability, NamedVector, OnExisting,
    Operation, Options, Point, PointId, Record, Scope, Scroll, Select, Snapshot, SparseParams, Staging, Storage,
    SubjectCollection, Vector, WithVectors,
};

use crate::state::MULTI;

/// A scroll over everything of all points.
pub(crate) fn scroll(from: Option<PointId>, limit: usize) -> Scroll {
    Scroll { from, limit, filter: None, select: ALL }
}

pub(crate) const ALL: Select = Select { payload: true, vectors: WithVectors::All };

pub(crate) fn config(shard_number: u32, size: usize) -> CollectionConfig {
    CollectionConfig {
        shard_number,
        vectors: BTreeMap::from([(String::new(), DenseParams::new(size, Distance::Dot))]),
        sparse_vectors: BTreeMap::new(),
        settings: serde_json::json!({"hnsw_config": {"m": 16}}),
    }
}

/// Every kind of vector: `half`, `byte`, `multi` and `sparse` beside an unnamed one of `size` floats.
pub(crate) fn every_kind(shard_number: u32, size: usize) -> CollectionConfig {
    let params = |size, datatype| DenseParams { datatype, ..DenseParams::new(size, Distance::Dot) };
    let multi = DenseParams { multi: true, ..params(2, Datatype::Float16) };
    let vectors = [
        ("", params(size, Datatype::Float32)),
        ("half", params(2, Datatype::Float16)),
        ("byte", params(3, Datatype::Uint8)),
        (MULTI, multi),
    ];
    CollectionConfig {
        vectors: vectors.map(|(name, params)| (name.into(), params)).into(),
        sparse_vectors: BTreeMap::from([("sparse".into(), SparseParams {})]),
        ..config(shard_number, size)
    }
}

/// A storage without threads of its own, so that a test decides what happens when.
pub(crate) fn open(fs: &Arc<dyn Fs>, path: &Path) -> icecore_storage::Result<Storage> {
    let options = Options { background: false, ..Options::default() };
    Storage::open(fs.clone(), Arc::new(ManualClock::new(Duration::ZERO)), path, options)
}

pub(crate) fn point(id: u64, values: &[f32], payload: &str) -> Point {
    let vectors = vec![NamedVector { name: String::new(), vector: Vector::Dense(values.to_vec()) }];
    Point { id: PointId::Num(id), vectors, payload: payload.into() }
}

pub(crate) fn upsert(storage: &Storage, collection: &str, points: Vec<Point>) {
    storage.write(collection, Operation::upsert(points), Durability::Synced).unwrap();
}

/// All points of a collection in the order of a scroll with small pages.
pub(crate) fn dump(storage: &Storage, collection: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut from = None;
    loop {
        let page = storage.scroll(collection, &scroll(from, 7)).unwrap();
        records.extend(page.records);
        match page.next {
            Some(next) => from = Some(next),
            None => return records,
        }
    }
}

/// What a restore does: copies the members of a snapshot into a staging directory and adopts them.
pub(crate) fn restore(
    fs: &Arc<dyn Fs>,
    snapshot: &Snapshot,
    into: &Storage,
    rename: impl Fn(&str) -> String,
    force: bool,
) -> icecore_storage::Result<()> {
    let staging = stage(fs, snapshot, into)?;
    into.adopt(adoption(snapshot, &staging, rename, force))
}

/// Copies the members of a snapshot into a staging directory.
pub(crate) fn stage(fs: &Arc<dyn Fs>, snapshot: &Snapshot, into: &Storage) -> icecore_storage::Result<Arc<Staging>> {
    let digests = snapshot.files.iter().map(|file| (file.member.clone(), file.digest)).collect();
    let staging = Arc::new(into.stage(digests)?);
    for file in &snapshot.files {
        copy_member(fs, &file.source, file.digest.len, &staging.path().join(&file.member));
    }
    Ok(staging)
}

/// The adoption of all collections of a snapshot, and of its aliases.
pub(crate) fn adoption(snapshot: &Snapshot, staging: &Arc<Staging>, rename: impl Fn(&str) -> String, force: bool) -> Adoption {
    let adopted =
        |from: &SubjectCollection| AdoptedCollection { name: rename(&from.name), from: from.clone(), staging: staging.clone() };
    Adoption {
        collections: snapshot.subject.collections.iter().map(adopted).collect(),
        shards: Vec::new(),
        aliases: snapshot.subject.aliases.clone(),
        existing: if force { OnExisting::Replace } else { OnExisting::Refuse },
    }
}

/// An upsert of the points `ids`, whose contents say `tag`; every third has no payload.
pub(crate) fn upsert_of(ids: std::ops::Range<u64>, tag: u64) -> Operation {
    let contents = |id: u64| {
        let payload = if id.is_multiple_of(3) { String::new() } else { format!(r#"{{"t":{tag}}}"#) };
        point(id, &[id as f32, tag as f32], &payload)
    };
    Operation::upsert(ids.map(contents).collect())
}

/// An upsert of points with a vector of every kind and a payload.
pub(crate) fn upsert_kinds(ids: std::ops::Range<u64>, tag: u64) -> Operation {
    let contents = |id: u64| Point { vectors: kinds(id, tag), ..point(id, &[], &format!(r#"{{"n":{{"id":{id}}},"t":{tag}}}"#)) };
    Operation::upsert(ids.map(contents).collect())
}

/// A vector of every kind.
pub(crate) fn kinds(id: u64, tag: u64) -> Vec<NamedVector> {
    let (id, tag) = (id as f32, tag as f32);
    let vector = |name: &str, vector| NamedVector { name: name.into(), vector };
    vec![
        vector("", Vector::Dense(vec![id, tag])),
        vector("half", Vector::Dense(vec![-0.0, tag])),
        vector("byte", Vector::Dense(vec![id, tag, 255.0])),
        vector(MULTI, Vector::Multi(vec![id, tag, -0.0, 0.5])),
        vector("sparse", Vector::Sparse { indices: vec![7, 3, u32::MAX], values: vec![id, tag, -0.0] }),
    ]
}

/// Copies the first `len` bytes of a file, durably.
pub(crate) fn copy_member(fs: &Arc<dyn Fs>, source: &Path, len: u64, target: &Path) {
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    fs.open_read(source).unwrap().read_exact_at(&mut bytes, 0).unwrap();
    let parent = target.parent().unwrap();
    fs.create_dir_all(parent).unwrap();
    let file = fs.create_new(target).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(parent).unwrap();
}

pub(crate) fn snapshot(storage: &Storage, collection: &str) -> Snapshot {
    storage.snapshot(&Scope::Collection(collection.into())).unwrap()
}
