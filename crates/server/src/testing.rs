//! A server without front doors, in memory, for tests of use cases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use icecore_io::{Clock, FileKind, Fs, ManualClock, MemFs};
use icecore_storage::{
    CollectionConfig, DenseParams, Distance, Durability, NamedVector, Operation, Options, Point, PointId, Scope, Scroll, Select,
    Storage, Vector,
};

use tokio::runtime::{Handle, Runtime};

use crate::app::App;
use crate::bandwidth::Bandwidth;
use crate::clusters::Clusters;
use crate::config::Config;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::remote::{Fetcher, Policy, Timeouts};
use crate::shutdown::Shutdown;
use crate::stores::{LocalStore, Store, Stores};
use crate::usecases::create::{self, create};
use crate::verifier::Verifier;

/// Opens the server whose data is in `storage` and `snapshots` of `fs`.
pub(crate) fn app(fs: &MemFs) -> App {
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Duration::from_secs(1_721_637_115)));
    let mut config = Config::default();
    config.storage.storage_path = "storage".into();
    config.storage.snapshots_path = "snapshots".into();
    let options = Options { background: false, ..config.storage.options() };
    let storage = Storage::open(Arc::clone(&fs), Arc::clone(&clock), &config.storage.storage_path, options).unwrap();
    let store = LocalStore::open(Arc::clone(&fs), Arc::clone(&clock), config.storage.snapshots_path.clone()).unwrap();
    let shutdown = Shutdown::new();
    let jobs = Arc::new(Jobs::open(None, Arc::clone(&clock), shutdown.clone(), config.jobs.options()).unwrap());
    let metrics = Arc::new(Metrics::new(Arc::clone(&clock)));
    let bandwidth = Bandwidth::new(Arc::clone(&clock), 0);
    let (storage, store): (_, Arc<dyn Store>) = (Arc::new(storage), Arc::new(store));
    let stores = Stores::open(Arc::clone(&fs), Arc::clone(&clock), &config.storage, None, Arc::clone(&store), runtime()).unwrap();
    let clusters = Clusters::new(&config, runtime()).unwrap();
    let verifier = Verifier::new(config.snapshots.verify_new.0);
    App { storage, store, stores, clusters, jobs, fs, clock, metrics, bandwidth, verifier, fetcher: fetcher(), config, shutdown }
}

/// Fetches from anywhere; on a runtime of its own, because most tests have none.
pub(crate) fn fetcher() -> Fetcher {
    Fetcher::new(Policy::default(), Timeouts::with_idle(Duration::from_secs(10)), runtime(), Shutdown::new())
}

/// Drives connections for as long as the tests run.
pub(crate) fn runtime() -> Handle {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.handle().clone()
}

/// Creates a collection of `shards` shards with the points 0 to 9, whose payloads say `label`.
pub(crate) fn fill(app: &App, collection: &str, shards: u32, label: &str) {
    let vectors = BTreeMap::from([(String::new(), DenseParams::new(2, Distance::Dot))]);
    let config =
        CollectionConfig { shard_number: shards, vectors, sparse_vectors: BTreeMap::new(), settings: serde_json::json!({}) };
    app.storage.create_collection(collection, config).unwrap();
    let point = |number: u64| Point {
        id: PointId::Num(number),
        vectors: vec![NamedVector { name: String::new(), vector: Vector::Dense(vec![number as f32, 1.0]) }],
        payload: format!("{{\"label\":\"{label}\"}}"),
    };
    let points = (0..10).map(point).collect();
    app.storage.write(collection, Operation::upsert(points), Durability::Synced).unwrap();
}

/// Archives a scope; the path of the file.
pub(crate) fn archive(app: &App, scope: Scope) -> PathBuf {
    let info = create(app, &scope, create::Options::default(), &(), |_| Ok(())).unwrap();
    Path::new("snapshots").join(match scope {
        Scope::Storage => info.name.to_string(),
        Scope::Collection(collection) => format!("{collection}/{}", info.name),
        Scope::Shard { collection, shard } => format!("{collection}/shards/{shard}/{}", info.name),
    })
}

/// The label of every point of a collection, if they all have the same.
pub(crate) fn label(app: &App, collection: &str) -> String {
    let scroll = Scroll { from: None, limit: 100, filter: None, select: Select::WHOLE };
    let records = app.storage.scroll(collection, &scroll).unwrap().records;
    assert_eq!(records.len(), 10, "{collection}");
    let mut payloads: Vec<String> = records.into_iter().map(|record| record.payload).collect();
    payloads.dedup();
    assert_eq!(payloads.len(), 1, "{payloads:?}");
    payloads.remove(0).trim_start_matches("{\"label\":\"").trim_end_matches("\"}").to_owned()
}

/// All files below a directory.
pub(crate) fn files(fs: &dyn Fs, dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs.list(dir).unwrap() {
        match fs.metadata(&entry.path).unwrap().kind {
            FileKind::Dir => files.extend(self::files(fs, &entry.path)),
            _ => files.push(entry.path),
        }
    }
    files
}
