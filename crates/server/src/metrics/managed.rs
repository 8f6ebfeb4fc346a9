//! What the backup manager counts, under the names of its own: its jobs, and the snapshots that were made, whoever asked for them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde_json::Value;

use super::Metrics;
use crate::error::{Kind, Result};
use crate::jobs::JobKind;

/// Upper bounds of the histogram's buckets, in seconds.
const SECONDS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

#[derive(Debug)]
pub(super) struct Managed {
    backups: Counter,
    restores: Counter,
    failed: Counter,
    seconds: Histogram,
    bytes: Gauge<u64, AtomicU64>,
}

impl Managed {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let (backups, restores, failed) = (Counter::default(), Counter::default(), Counter::default());
        let (seconds, bytes) = (Histogram::new(SECONDS), Gauge::default());
        registry.register("qdrant_backup_jobs", "Runs of backup jobs", backups.clone());
        registry.register("qdrant_restore_jobs", "Runs of restore jobs", restores.clone());
        registry.register("qdrant_jobs_failed", "Runs of jobs of the backup manager that failed", failed.clone());
        registry.register("qdrant_snapshot_creation_duration", "Seconds that making a snapshot took", seconds.clone());
        registry.register("qdrant_snapshot_size_bytes", "Length of the snapshot that was made last", bytes.clone());
        Self { backups, restores, failed, seconds, bytes }
    }

    /// A snapshot was made.
    pub(super) fn created(&self, bytes: u64, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
        self.bytes.set(bytes);
    }
}

/// A run of a job. Dropped without a word, it has failed.
#[derive(Debug)]
#[must_use]
pub(crate) struct ManagedRun {
    metrics: Arc<Metrics>,
    failed: bool,
}

impl Metrics {
    /// Counts a run of a job of the manager's.
    pub(crate) fn managed(self: &Arc<Self>, kind: JobKind) -> ManagedRun {
        match kind {
            JobKind::Restore | JobKind::ShardRestore => {
                self.managed.restores.inc();
            }
            JobKind::Backup | JobKind::ShardBackup => {
                self.managed.backups.inc();
            }
            _ => {}
        }
        ManagedRun { metrics: Arc::clone(self), failed: true }
    }
}

impl ManagedRun {
    /// The run ends. Being stopped is no failure.
    pub(crate) fn end(mut self, done: &Result<Value>) {
        self.failed = done.as_ref().is_err_and(|error| error.kind() != Kind::Cancelled);
    }
}

impl Drop for ManagedRun {
    fn drop(&mut self) {
        if self.failed {
            self.metrics.managed.failed.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use icecore_io::ManualClock;

    use super::*;

    #[test]
    fn runs_are_counted_by_what_they_do_and_failures_together() {
        let metrics = Arc::new(Metrics::new(Arc::new(ManualClock::new(Duration::from_secs(1_000)))));
        metrics.managed(JobKind::Backup).end(&Ok(Value::Null));
        metrics.managed(JobKind::ShardBackup).end(&Err(icecore_archive::Error::Cancelled.into()));
        metrics.managed(JobKind::Restore).end(&Err(icecore_storage::Error::CollectionNotFound { name: "c".into() }.into()));
        drop(metrics.managed(JobKind::ShardRestore));
        let Managed { backups, restores, failed, .. } = &metrics.managed;
        assert_eq!((backups.get(), restores.get(), failed.get()), (2, 2, 2));
    }
}
