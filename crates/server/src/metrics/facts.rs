//! What is so at the moment: collections, memory, archives, the process.
//!
//! Looked up for each scrape and kept nowhere. What cannot be found out is left out, so that a number is never a guess.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::UNIX_EPOCH;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::labels::{Id, Program, Scope};
use super::process::Process;
use super::waits::Waits;
use crate::app::App;
use crate::error::one_line;
use crate::usecases::naming::Place;

type Gauge = prometheus_client::metrics::gauge::Gauge<u64, AtomicU64>;

/// Everything that is known, ready to be written.
pub(super) fn gather(app: &App) -> Registry {
    let mut registry = Registry::default();
    let program = Program { name: "icecore", version: env!("CARGO_PKG_VERSION") };
    registry.register("app_info", "Name and version of the program", family([(program, 1)]));
    let names = app.storage.collections();
    let shards = storage(app, &names, &mut registry);
    snapshots(app, &names, &mut registry);
    store(app, &shards, &mut registry);
    process(app, &mut registry);
    registry
}

/// The storage. Returns the shards of each collection.
fn storage(app: &App, names: &[String], registry: &mut Registry) -> BTreeMap<String, Vec<u32>> {
    let mut shards = BTreeMap::new();
    let (mut points, mut dead) = (Vec::new(), 0_u64);
    for name in names {
        // Deleted since the list was made.
        let Ok(info) = app.storage.info(name) else { continue };
        points.push((Id { id: name.clone() }, info.shards.iter().map(|shard| shard.points).sum()));
        dead += info.shards.iter().filter(|shard| shard.poisoned.is_some()).count() as u64;
        shards.insert(name.clone(), info.shards.iter().map(|shard| shard.number).collect());
    }
    let mut gauge = |name: &str, help: &str, value: u64| registry.register(name, help, ConstGauge::new(value));
    gauge("cluster_enabled", "Whether there are several nodes, which there never are", 0);
    gauge("collections_total", "Collections", shards.len() as u64);
    gauge("collection_dead_replicas", "Shards that refuse writes since a failed sync", dead);
    gauge("storage_memtable_bytes", "Memory of points that are not in segments yet", app.storage.memtable_bytes());
    gauge("storage_pinned_bytes", "Files that only readers and snapshots still need", app.storage.pinned_bytes());
    let problem = u64::from(app.storage.flush_problem().is_some());
    gauge("storage_flush_problem", "Whether points cannot be moved from memory to the disk", problem);
    let problem = u64::from(app.storage.compaction_problem().is_some());
    gauge("storage_compaction_problem", "Whether segments cannot be merged", problem);
    registry.register_collector(Box::new(Waits(app.storage.waits())));
    registry.register("collection_points", "Points of a collection", family(points));
    shards
}

fn snapshots(app: &App, names: &[String], registry: &mut Registry) {
    let counts = app.metrics.snapshot_counts(names);
    let by =
        |pick: fn(&super::SnapshotCounts) -> u64| counts.iter().map(move |(id, counts)| (Id { id: id.clone() }, pick(counts)));
    let creating = family(by(|counts| counts.creating));
    registry.register("snapshot_creation_running", "Snapshots that are being made", creating);
    let recovering = family(by(|counts| counts.recovering));
    registry.register("snapshot_recovery_running", "Snapshots that are being restored", recovering);
    let created: Family<Id, Counter> = Family::default();
    for (id, count) in by(|counts| counts.created) {
        created.get_or_create(&id).inc_by(count);
    }
    registry.register("snapshot_created", "Snapshots made since the start", created);
}

/// The archives of what exists; of a store on another machine nothing, because every scrape would be many requests.
fn store(app: &App, shards: &BTreeMap<String, Vec<u32>>, registry: &mut Registry) {
    if app.store.is_remote() {
        return;
    }
    let collections = shards.keys().map(|name| Place::Collection(name.clone()));
    let of_shards = shards.iter().flat_map(|(collection, numbers)| {
        numbers.iter().map(|shard| Place::Shard { collection: collection.clone(), shard: *shard })
    });
    let found = [("storage", sum(app, [Place::Storage])), ("collection", sum(app, collections)), ("shard", sum(app, of_shards))];
    let by =
        |pick: fn((u64, u64)) -> u64| found.into_iter().filter_map(move |(scope, sums)| Some((Scope { scope }, pick(sums?))));
    registry.register("store_archives", "Archives, by what they are of", family(by(|(count, _)| count)));
    registry.register("store_archive_bytes", "Length of all archives, by what they are of", family(by(|(_, bytes)| bytes)));
}

/// Number and bytes of the archives of all these places; `None`, and a line in the log, if a list cannot be had.
fn sum(app: &App, places: impl IntoIterator<Item = Place>) -> Option<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for place in places {
        match app.store.list(&place) {
            Ok(archives) => {
                count += archives.len() as u64;
                bytes += archives.iter().map(|archive| archive.size).sum::<u64>();
            }
            Err(error) => {
                tracing::warn!("cannot count snapshots: {}", one_line(&error));
                return None;
            }
        }
    }
    Some((count, bytes))
}

fn process(app: &App, registry: &mut Registry) {
    let started = app.metrics.started().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut gauge = |name: &str, help: &str, value: u64| registry.register(name, help, ConstGauge::new(value));
    gauge("process_start_time_seconds", "Start of the server in seconds since 1970", started.as_secs());
    if let Some(process) = Process::look() {
        gauge("process_resident_memory_bytes", "Pages in memory, those of mapped files included", process.resident_bytes);
        gauge("process_own_memory_bytes", "Anonymous and shared pages in memory", process.own_bytes);
        gauge("process_open_fds", "Open files, sockets included", process.open_files);
    }
}

fn family<L>(values: impl IntoIterator<Item = (L, u64)>) -> Family<L, Gauge>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet,
{
    let family = Family::default();
    for (labels, value) in values {
        let gauge: Gauge = family.get_or_create_owned(&labels);
        gauge.set(value);
    }
    family
}
