//! The settings as types, with their defaults. Names and units are those of Qdrant's configuration.
//!
//! Which keys are known, ignored or refused is decided before any value gets here (`keys`).

use std::path::PathBuf;
use std::time::Duration;

use crate::remote::Policy;

/// All settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// What is logged: a level, or a list of `target=level`.
    pub(crate) log_level: String,
    /// The front door.
    pub(crate) service: Service,
    /// The data.
    pub(crate) storage: StorageSettings,
    /// Work in the background.
    pub(crate) jobs: JobSettings,
}

/// Section `service`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    /// Address to listen on.
    pub(crate) host: String,
    /// Port of the REST API; 0 lets the system choose.
    pub(crate) http_port: u16,
    /// The longest JSON body that is accepted, in MiB.
    pub(crate) max_request_size_mb: usize,
    /// Whether browsers may call the API from pages of any origin.
    pub(crate) enable_cors: bool,
    /// Whether archives may be fetched from URLs at all.
    pub(crate) enable_snapshot_url_recovery: bool,
    /// Where they may be fetched from.
    pub(crate) snapshot_url_allow: Policy,
}

/// Section `storage`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StorageSettings {
    /// Directory of the points.
    pub(crate) storage_path: PathBuf,
    /// Directory of the archives.
    pub(crate) snapshots_path: PathBuf,
    /// What all memtables together may take before the largest is flushed, in MiB.
    pub(crate) memtable_mb: u32,
    /// Section `storage.optimizers`.
    pub(crate) optimizers: Optimizers,
}

/// Section `storage.optimizers`: the only key of it that means something here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Optimizers {
    /// The longest time that an unconfirmed write stays unsynced, in seconds.
    pub(crate) flush_interval_sec: u32,
}

/// Section `jobs`, which Qdrant has not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JobSettings {
    /// Jobs that run at once.
    pub(crate) concurrency: usize,
    /// How long a finished job is remembered, in days.
    pub(crate) keep_days: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log_level: "INFO".to_owned(),
            service: Service::default(),
            storage: StorageSettings::default(),
            jobs: JobSettings::default(),
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            http_port: 6333,
            max_request_size_mb: 32,
            enable_cors: true,
            enable_snapshot_url_recovery: true,
            snapshot_url_allow: Policy::default(),
        }
    }
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            storage_path: "./storage".into(),
            snapshots_path: "./snapshots".into(),
            memtable_mb: 64,
            optimizers: Optimizers::default(),
        }
    }
}

impl Default for Optimizers {
    fn default() -> Self {
        Self { flush_interval_sec: 1 }
    }
}

impl Default for JobSettings {
    fn default() -> Self {
        Self { concurrency: 4, keep_days: 30 }
    }
}

impl Service {
    /// The longest JSON body that is accepted, in bytes.
    pub(crate) fn request_bytes_max(&self) -> usize {
        self.max_request_size_mb.saturating_mul(1024 * 1024)
    }
}

impl StorageSettings {
    /// What the storage is opened with.
    pub(crate) fn options(&self) -> icecore_storage::Options {
        icecore_storage::Options {
            memtable_bytes_max: u64::from(self.memtable_mb) * 1024 * 1024,
            flush_interval: Duration::from_secs(u64::from(self.optimizers.flush_interval_sec)),
            ..icecore_storage::Options::default()
        }
    }
}

impl JobSettings {
    /// What the queue of jobs is opened with.
    pub(crate) fn options(&self) -> crate::jobs::Options {
        crate::jobs::Options {
            concurrency: self.concurrency,
            keep: Duration::from_secs(u64::from(self.keep_days) * 24 * 60 * 60),
        }
    }
}
