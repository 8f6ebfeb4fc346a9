//! Snapshots: what is done with them, how often it fails, how long it takes.
//!
//! What Qdrant counts by collection is counted by collection here too; collections that are gone are forgotten at the next look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::Action;
use crate::usecases::naming::Place;

/// Stands where the name of a collection would, for what concerns all of them. No collection can be called so.
pub(super) const WHOLE_STORAGE: &str = "*";

/// Upper bounds of the histogram's buckets, in seconds.
const SECONDS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

/// What is done with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One is made.
    Create,
    /// One that is somewhere is restored.
    Recover,
    /// One that comes with the request is restored.
    Upload,
    /// One is deleted.
    Delete,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Create, Self::Recover, Self::Upload, Self::Delete];

    fn label(self) -> Action {
        let kind = match self {
            Self::Create => "create",
            Self::Recover => "recover",
            Self::Upload => "upload",
            Self::Delete => "delete",
        };
        Action { kind }
    }
}

/// What is counted by collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SnapshotCounts {
    /// Snapshots that are being made.
    pub(crate) creating: u64,
    /// Snapshots that are being restored.
    pub(crate) recovering: u64,
    /// Snapshots that were made since the start.
    pub(crate) created: u64,
}

#[derive(Debug)]
pub(super) struct Snapshots {
    collections: Mutex<BTreeMap<String, SnapshotCounts>>,
    failed: Family<Action, Counter>,
    bytes: Family<Action, Counter>,
    seconds: Family<Action, Histogram>,
}

impl Snapshots {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let (failed, bytes) = (Family::default(), Family::default());
        for kind in Kind::ALL {
            drop::<(_, _)>((failed.get_or_create(&kind.label()), bytes.get_or_create(&kind.label())));
        }
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register("snapshot_failed", "Operations on snapshots that failed", failed.clone());
        registry.register("snapshot_bytes", "Bytes of the snapshots of operations that succeeded", bytes.clone());
        registry.register("snapshot_duration_seconds", "Time of operations on snapshots that succeeded", seconds.clone());
        Self { collections: Mutex::default(), failed, bytes, seconds }
    }

    fn collections(&self) -> MutexGuard<'_, BTreeMap<String, SnapshotCounts>> {
        // Numbers are whole whoever panicked.
        self.collections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the number of what runs.
    fn run(&self, kind: Kind, id: &str, change: impl FnOnce(u64) -> u64) {
        let mut collections = self.collections();
        let counts = collections.entry(id.to_owned()).or_default();
        let running = match kind {
            Kind::Create => &mut counts.creating,
            Kind::Recover | Kind::Upload => &mut counts.recovering,
            Kind::Delete => return,
        };
        *running = change(*running);
    }
}

/// An operation on a snapshot. Dropped without a word, it has failed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Running {
    metrics: Arc<Metrics>,
    kind: Kind,
    id: String,
    start: Duration,
    failed: bool,
}

impl Metrics {
    /// Counts an operation that begins, on a snapshot that belongs or will belong to `place`.
    pub(crate) fn snapshot(self: &Arc<Self>, kind: Kind, place: &Place) -> Running {
        let id = match place {
            Place::Storage | Place::Cluster(_) => WHOLE_STORAGE,
            Place::Collection(collection) | Place::Shard { collection, .. } | Place::Elsewhere { collection, .. } => collection,
        };
        self.snapshots.run(kind, id, |running| running + 1);
        Running { metrics: Arc::clone(self), kind, id: id.to_owned(), start: self.now(), failed: true }
    }

    /// The counts of these collections, and of the whole storage under `*`. Others are forgotten unless something runs on them.
    pub(crate) fn snapshot_counts(&self, collections: &[String]) -> BTreeMap<String, SnapshotCounts> {
        let mut known = self.snapshots.collections();
        for id in collections.iter().map(String::as_str).chain([WHOLE_STORAGE]) {
            known.entry(id.to_owned()).or_default();
        }
        known.retain(|id, counts| id == WHOLE_STORAGE || counts.creating + counts.recovering > 0 || collections.contains(id));
        known.clone()
    }
}

impl Running {
    /// The operation succeeded, with a snapshot of so many bytes.
    pub(crate) fn finish(mut self, bytes: u64) {
        self.failed = false;
        let snapshots = &self.metrics.snapshots;
        let label = self.kind.label();
        let time = self.metrics.now().saturating_sub(self.start);
        snapshots.bytes.get_or_create(&label).inc_by(bytes);
        snapshots.seconds.get_or_create(&label).observe(time.as_secs_f64());
        if self.kind == Kind::Create {
            self.metrics.managed.created(bytes, time);
            snapshots.collections().entry(self.id.clone()).or_default().created += 1;
        }
    }

    /// The operation was refused for what was asked, which is neither a success nor a failure.
    pub(crate) fn refuse(mut self) {
        self.failed = false;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let snapshots = &self.metrics.snapshots;
        snapshots.run(self.kind, &self.id, |running| running.saturating_sub(1));
        if self.failed {
            snapshots.failed.get_or_create(&self.kind.label()).inc();
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

#[cfg(test)]
mod tests {
    use icecore_io::ManualClock;

    use super::*;

    fn metrics() -> Arc<Metrics> {
        Arc::new(Metrics::new(Arc::new(ManualClock::new(Duration::from_secs(1_000)))))
    }

    fn counts(metrics: &Metrics, id: &str) -> (u64, u64, u64) {
        let found = metrics.snapshot_counts(&["c".to_owned()]);
        let counts = found.get(id).copied().unwrap_or_default();
        (counts.creating, counts.recovering, counts.created)
    }

    fn failed(metrics: &Metrics, kind: Kind) -> u64 {
        metrics.snapshots.failed.get_or_create(&kind.label()).get()
    }

    #[test]
    fn what_is_dropped_has_failed() {
        let metrics = metrics();
        let place = Place::Collection("c".to_owned());
        let (first, second) = (metrics.snapshot(Kind::Create, &place), metrics.snapshot(Kind::Create, &place));
        let whole = metrics.snapshot(Kind::Create, &Place::Storage);
        assert_eq!((counts(&metrics, "c"), counts(&metrics, "*")), ((2, 0, 0), (1, 0, 0)));
        first.finish(10);
        drop(second);
        whole.finish(5);
        assert_eq!((counts(&metrics, "c"), counts(&metrics, "*")), ((0, 0, 1), (0, 0, 1)));
        assert_eq!(failed(&metrics, Kind::Create), 1);
        assert_eq!(metrics.snapshots.bytes.get_or_create(&Kind::Create.label()).get(), 15);
    }

    #[test]
    fn recoveries_and_uploads_run_under_one_number_and_refusals_are_no_failures() {
        let metrics = metrics();
        let place = Place::Shard { collection: "c".to_owned(), shard: 3 };
        let running: Vec<_> = Kind::ALL.map(|kind| metrics.snapshot(kind, &place)).into();
        assert_eq!(counts(&metrics, "c"), (1, 2, 0));
        running.into_iter().for_each(Running::refuse);
        assert_eq!(counts(&metrics, "c"), (0, 0, 0));
        assert_eq!(Kind::ALL.map(|kind| failed(&metrics, kind)), [0; 4]);
    }

    #[test]
    fn collections_that_are_gone_are_forgotten_once_nothing_runs() {
        let metrics = metrics();
        let running = metrics.snapshot(Kind::Create, &Place::Collection("gone".to_owned()));
        assert_eq!(counts(&metrics, "gone"), (1, 0, 0));
        running.finish(1);
        assert!(!metrics.snapshot_counts(&["c".to_owned()]).contains_key("gone"));
    }
}
