//! Storages and the requests that fill them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fs, OsClock, Rng};
use icecore_storage::{
    CollectionConfig, DenseParams, Distance, NamedVector, Operation, Options, Point, PointId, Storage, Vector,
};

/// The payload of a point.
pub fn payload(id: u64) -> String {
    format!(r#"{{"city":"Berlin","number":{id}}}"#)
}

/// Opens a storage in `path` as the server does, background work included, with a collection `points` of one shard and vectors of
/// `dim` components.
pub fn open(fs: Arc<dyn Fs>, path: &Path, dim: usize) -> icecore_storage::Result<Storage> {
    let storage = Storage::open(fs, Arc::new(OsClock::new()), path, Options::default())?;
    storage.create_collection("points", config(dim, 1))?;
    Ok(storage)
}

/// A collection of `shard_number` shards and vectors of `dim` components.
pub fn config(dim: usize, shard_number: u32) -> CollectionConfig {
    let vectors = BTreeMap::from([(String::new(), DenseParams::new(dim, Distance::Dot))]);
    CollectionConfig { shard_number, vectors, sparse_vectors: BTreeMap::new(), settings: serde_json::Value::Null }
}

/// Makes upserts of consecutive ids, which begin again after a while, so that a long run rewrites points instead of filling the disk.
#[derive(Debug)]
pub struct Requests {
    dim: usize,
    points: u64,
    ids: u64,
    next: u64,
    rng: Rng,
}

impl Requests {
    /// Requests of `points` points each, with `ids` different ids in all.
    pub fn new(dim: usize, points: u64, ids: u64) -> Self {
        Self { dim, points, ids, next: 0, rng: Rng::new(1) }
    }

    /// The next request.
    pub fn make(&mut self) -> Operation {
        let points = (0..self.points)
            .map(|_| {
                let id = self.next % self.ids;
                self.next += 1;
                // Sixteen bits are exact in a float.
                let component = |_| f32::from(u16::try_from(self.rng.below(1 << 16)).unwrap_or(0)) / 65536.0;
                let values = (0..self.dim).map(component).collect();
                let vectors = vec![NamedVector { name: String::new(), vector: Vector::Dense(values) }];
                Point { id: PointId::Num(id), vectors, payload: payload(id) }
            })
            .collect();
        Operation::upsert(points)
    }
}
