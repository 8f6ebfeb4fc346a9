//! The settings as types, with their defaults. Names and units are those of Qdrant's configuration.
//!
//! Which keys are known, ignored or refused is decided before any value gets here (`keys`). Secrets are a type of their own, which
//! nothing can print.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::encryption::EncryptionKey;
use crate::remote::Policy;
use crate::stores::S3Options;

/// All settings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// What is logged: a level, or a list of `target=level`.
    pub(crate) log_level: String,
    /// The front door.
    pub(crate) service: Service,
    /// The files of TLS.
    pub(crate) tls: TlsSettings,
    /// The data.
    pub(crate) storage: StorageSettings,
    /// Work in the background.
    pub(crate) jobs: JobSettings,
    /// How archives are made.
    pub(crate) snapshots: SnapshotSettings,
    /// The backup manager.
    pub(crate) manager: ManagerSettings,
    /// Clusters on other machines that the backup manager acts on, by distinct names.
    pub(crate) clusters: Vec<ClusterSettings>,
}

/// Section `manager`, which Qdrant has not.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ManagerSettings {
    /// Address of the manager's own port; without it that of the service.
    pub(crate) host: Option<String>,
    /// A port for the manager alone, beside the service's; 0 lets the system choose.
    pub(crate) port: Option<u16>,
    /// The cluster that requests mean which name none; without it the embedded engine.
    pub(crate) default_cluster: Option<String>,
    /// Encrypts the secrets of stores; without it a key file in the storage directory does.
    pub(crate) encryption_key: Option<EncryptionKey>,
}

/// An item of the list `clusters`, which Qdrant has not.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClusterSettings {
    /// What requests call it.
    pub(crate) name: String,
    /// Its nodes, at least one: `http` or `https`, without user, query and fragment. The first that can be connected to is asked.
    pub(crate) urls: Vec<Url>,
    /// The key that it wants.
    pub(crate) api_key: Option<Secret>,
    /// A file of certificates (PEM), which alone are trusted; without it those of the system are.
    pub(crate) ca_cert: Option<PathBuf>,
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
    /// Whether clients have to speak TLS.
    pub(crate) enable_tls: bool,
    /// Whether they have to show a certificate that `tls.ca_cert` has signed.
    pub(crate) verify_https_client_certificate: bool,
    /// Whether archives may be fetched from URLs at all.
    pub(crate) enable_snapshot_url_recovery: bool,
    /// Where they may be fetched from.
    pub(crate) snapshot_url_allow: Policy,
    /// Whoever has it may do everything.
    pub(crate) api_key: Option<Secret>,
    /// As good as `api_key`, so that keys can be replaced while both are in use.
    pub(crate) alt_api_key: Option<Secret>,
    /// Whoever has it may read.
    pub(crate) read_only_api_key: Option<Secret>,
    /// How long a client may take for the head of a request, and a connection may wait for the next, in seconds.
    pub(crate) http_client_request_timeout_sec: u32,
    /// How long a client may send nothing of a body, or take nothing of an answer, in seconds.
    pub(crate) idle_timeout_sec: u32,
    /// The longest archive that may be uploaded, in MiB; without it any.
    pub(crate) max_upload_size_mb: Option<u32>,
}

/// Section `tls`: files in PEM form, used if `service.enable_tls` is on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsSettings {
    /// The server's certificate, followed by those that lead to its authority.
    pub(crate) cert: Option<PathBuf>,
    /// The private key of the certificate.
    pub(crate) key: Option<PathBuf>,
    /// Authorities of the certificates that clients show.
    pub(crate) ca_cert: Option<PathBuf>,
}

/// A text that is never printed, logged or returned.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

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
    /// Section `storage.snapshots_config`.
    pub(crate) snapshots: SnapshotStorage,
}

/// Section `storage.snapshots_config`: where archives are kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SnapshotStorage {
    /// Key `snapshots_storage`.
    pub(crate) kept_in: KeptIn,
    /// Section `s3_config`, which counts only for [`KeptIn::S3`].
    pub(crate) s3: S3Options,
}

/// Where archives are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum KeptIn {
    /// In the directory `storage.snapshots_path`.
    #[default]
    Local,
    /// In a bucket.
    S3,
}

/// Section `storage.optimizers`: the only key of it that means something here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Optimizers {
    /// The longest time that an unconfirmed write stays unsynced, in seconds.
    pub(crate) flush_interval_sec: u32,
}

/// Section `snapshots`, which Qdrant has not.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SnapshotSettings {
    /// The form of archives that do not ask for one.
    pub(crate) compression: Form,
    /// The level of zstd for archives that do not ask for one.
    pub(crate) compression_level: Level,
    /// What all making and restoring of archives together may take, in 10^6 bytes a second; 0 is no limit.
    pub(crate) bandwidth_mb_s: u32,
    /// For how long it counts that an archive was verified, when an equal one may share its bytes.
    pub(crate) reverify_after_sec: ReverifyAfter,
    /// Whether archives are read back after they were made.
    pub(crate) verify_new: VerifyNew,
}

/// The form of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// A tar.
    #[default]
    None,
    /// A tar inside frames of zstd.
    Zstd,
}

/// A level of zstd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(pub(crate) i32);

impl Default for Level {
    /// That of the program `zstd`.
    fn default() -> Self {
        Self(3)
    }
}

/// A time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReverifyAfter(pub(crate) u32);

impl Default for ReverifyAfter {
    /// A week.
    fn default() -> Self {
        Self(7 * 24 * 60 * 60)
    }
}

/// Whether archives are read back after they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VerifyNew(pub(crate) bool);

impl Default for VerifyNew {
    /// They are.
    fn default() -> Self {
        Self(true)
    }
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
            tls: TlsSettings::default(),
            storage: StorageSettings::default(),
            jobs: JobSettings::default(),
            snapshots: SnapshotSettings::default(),
            manager: ManagerSettings::default(),
            clusters: Vec::new(),
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
            enable_tls: false,
            verify_https_client_certificate: false,
            enable_snapshot_url_recovery: true,
            snapshot_url_allow: Policy::default(),
            api_key: None,
            alt_api_key: None,
            read_only_api_key: None,
            http_client_request_timeout_sec: 30,
            idle_timeout_sec: 60,
            max_upload_size_mb: None,
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
            snapshots: SnapshotStorage::default(),
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

    /// How long a client may take for the head of a request, and a connection may wait for the next.
    pub(crate) fn head_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.http_client_request_timeout_sec))
    }

    /// How long a client may send nothing of a body, or take nothing of an answer.
    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.idle_timeout_sec))
    }

    /// The longest archive that may be uploaded, in bytes.
    pub(crate) fn upload_bytes_max(&self) -> u64 {
        self.max_upload_size_mb.map_or(u64::MAX, |limit| u64::from(limit) * 1024 * 1024)
    }

    /// The keys that allow everything.
    pub(crate) fn full_keys(&self) -> impl Iterator<Item = &Secret> {
        self.api_key.iter().chain(&self.alt_api_key)
    }
}

impl Secret {
    /// Keeps a secret.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, to be compared or sent and never shown.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
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

impl SnapshotSettings {
    /// For how long it counts that an archive was verified.
    pub(crate) fn reverify_after(&self) -> Duration {
        Duration::from_secs(self.reverify_after_sec.0.into())
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
