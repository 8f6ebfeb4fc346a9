//! Every key that may be given, in one table: settings of this server, and those of Qdrant's configuration that it does not use.
//!
//! Source for the latter: Qdrant's `config/config.yaml` and `settings.rs`, up to 1.19. Where Qdrant's key switches on something
//! whose silent absence would be dangerous (access control, encryption, another place for archives), it is refused.

use std::path::PathBuf;

use super::clusters;
use super::encryption::EncryptionKey;
use super::model::{Config, Form, KeptIn, Level, ReverifyAfter, Secret, VerifyNew};
use super::value::Raw;
use crate::remote::Policy;

/// What a key means.
#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    /// It sets something.
    Setting(Setting),
    /// It is Qdrant's and means nothing here.
    NoEffect,
    /// It may say what holds anyway; anything else is refused.
    Only {
        /// The values, in lower case, that say what holds anyway. No value at all is always fine.
        accepted: &'static [&'static str],
        /// Why others are refused.
        refusal: &'static str,
    },
}

/// One setting.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    /// Reads its value; the error says what that has to be.
    pub(crate) set: fn(&mut Config, &Raw) -> Result<(), String>,
    /// Whether it is the same in two configurations.
    same: fn(&Config, &Config) -> bool,
    /// Whether a running server takes a new value.
    live: bool,
}

/// The settings in which two configurations differ, by their keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Those that a running server takes.
    pub(crate) live: Vec<&'static str>,
    /// Those that need a restart.
    pub(crate) fixed: Vec<&'static str>,
}

/// Values that switch nothing on.
const OFF: &[&str] = &["false", "off", "no", "0"];
const NO_JWT: &str =
    "tokens (JWT) are not supported in this version, keys are (`service.api_key`, `service.read_only_api_key`); remove it";
const NO_CLUSTER: &str = "this server is a single node; remove it";

/// A setting with the field that it sets and the function that reads its value; `live` if a running server takes a new one.
macro_rules! setting {
    (live $($rest:tt)+) => {
        setting!(@ true, $($rest)+)
    };
    (@ $live:literal, $($field:ident).+ = $read:expr) => {
        Meaning::Setting(Setting {
            set: |config, value| {
                config.$($field).+ = $read(value)?;
                Ok(())
            },
            same: |one, other| one.$($field).+ == other.$($field).+,
            live: $live,
        })
    };
    ($($rest:tt)+) => {
        setting!(@ false, $($rest)+)
    };
}

/// `storage.snapshots_path` as Qdrant's first guide to snapshots has it.
const SECOND_SPELLING: &str = "storage.snapshot_path";

/// Keys and their meaning; a pattern that ends in `.*` means everything below.
const TABLE: &[(&str, Meaning)] = &[
    ("log_level", setting!(log_level = text)),
    ("service.host", setting!(service.host = text)),
    ("service.http_port", setting!(service.http_port = port)),
    ("service.max_request_size_mb", setting!(service.max_request_size_mb = megabytes)),
    ("service.enable_cors", setting!(service.enable_cors = Raw::switch)),
    ("service.enable_snapshot_url_recovery", setting!(service.enable_snapshot_url_recovery = Raw::switch)),
    ("service.snapshot_url_allow", setting!(service.snapshot_url_allow = hosts)),
    ("service.enable_tls", setting!(service.enable_tls = Raw::switch)),
    ("service.verify_https_client_certificate", setting!(service.verify_https_client_certificate = Raw::switch)),
    ("service.api_key", setting!(service.api_key = key)),
    ("service.alt_api_key", setting!(service.alt_api_key = key)),
    ("service.read_only_api_key", setting!(service.read_only_api_key = key)),
    ("service.http_client_request_timeout_sec", setting!(service.http_client_request_timeout_sec = seconds)),
    ("service.idle_timeout_sec", setting!(service.idle_timeout_sec = seconds)),
    ("service.max_upload_size_mb", setting!(service.max_upload_size_mb = limit)),
    ("storage.storage_path", setting!(storage.storage_path = path)),
    ("storage.snapshots_path", setting!(storage.snapshots_path = path)),
    (SECOND_SPELLING, setting!(storage.snapshots_path = path)),
    ("storage.memtable_mb", setting!(storage.memtable_mb = megabytes)),
    ("storage.optimizers.flush_interval_sec", setting!(storage.optimizers.flush_interval_sec = seconds)),
    ("storage.snapshots_config.snapshots_storage", setting!(storage.snapshots.kept_in = kept_in)),
    ("storage.snapshots_config.s3_config.bucket", setting!(storage.snapshots.s3.bucket = text)),
    ("storage.snapshots_config.s3_config.region", setting!(storage.snapshots.s3.region = maybe_text)),
    ("storage.snapshots_config.s3_config.access_key", setting!(storage.snapshots.s3.access_key = key)),
    ("storage.snapshots_config.s3_config.secret_key", setting!(storage.snapshots.s3.secret_key = key)),
    ("storage.snapshots_config.s3_config.endpoint_url", setting!(storage.snapshots.s3.endpoint = maybe_text)),
    // Qdrant has no such key.
    ("storage.snapshots_config.s3_config.prefix", setting!(storage.snapshots.s3.prefix = text)),
    ("snapshots.compression", setting!(snapshots.compression = form)),
    ("snapshots.compression_level", setting!(snapshots.compression_level = level)),
    ("tls.cert", setting!(tls.cert = file)),
    ("tls.key", setting!(tls.key = file)),
    ("tls.ca_cert", setting!(tls.ca_cert = file)),
    ("snapshots.bandwidth_mb_s", setting!(live snapshots.bandwidth_mb_s = bandwidth)),
    ("snapshots.reverify_after_sec", setting!(snapshots.reverify_after_sec = reverify_after)),
    ("snapshots.verify_new", setting!(live snapshots.verify_new = verify_new)),
    ("jobs.concurrency", setting!(jobs.concurrency = threads)),
    ("jobs.keep_days", setting!(jobs.keep_days = days)),
    ("manager.host", setting!(manager.host = host)),
    ("manager.port", setting!(manager.port = optional_port)),
    ("manager.default_cluster", setting!(manager.default_cluster = cluster_name)),
    ("manager.encryption_key", setting!(manager.encryption_key = encryption_key)),
    ("clusters", setting!(clusters = clusters::read)),
    ("service.jwt_rbac", Meaning::Only { accepted: OFF, refusal: NO_JWT }),
    ("storage.node_type", Meaning::Only { accepted: &["normal"], refusal: NO_CLUSTER }),
    (
        "storage.recovery_mode",
        Meaning::Only {
            accepted: &[],
            refusal: "there is no recovery mode in this version; remove it, so that nobody relies on it",
        },
    ),
    (
        "audit.enabled",
        Meaning::Only {
            accepted: OFF,
            refusal: "audit logs are not supported yet in this version; remove it, so that nobody relies on them",
        },
    ),
    ("cluster.enabled", Meaning::Only { accepted: OFF, refusal: NO_CLUSTER }),
    // There is no telemetry, which is what `true` asks for and more than `false` does.
    (
        "telemetry_disabled",
        Meaning::Only { accepted: &["true", "false", "on", "off", "yes", "no", "1", "0"], refusal: "it is a switch" },
    ),
    ("audit.*", Meaning::NoEffect),
    ("cluster.*", Meaning::NoEffect),
    ("feature_flags.*", Meaning::NoEffect),
    ("gpu.*", Meaning::NoEffect),
    ("inference.*", Meaning::NoEffect),
    ("load_concurrency.*", Meaning::NoEffect),
    ("logger.*", Meaning::NoEffect),
    ("service.enable_static_content", Meaning::NoEffect),
    ("service.grpc_port", Meaning::NoEffect),
    ("service.hardware_reporting", Meaning::NoEffect),
    ("service.hide_jwt_dashboard", Meaning::NoEffect),
    ("service.http_client_disconnect_timeout_sec", Meaning::NoEffect),
    ("service.http_keep_alive_timeout_sec", Meaning::NoEffect),
    ("service.max_workers", Meaning::NoEffect),
    ("service.metrics_port", Meaning::NoEffect),
    ("service.metrics_prefix", Meaning::NoEffect),
    ("service.slow_query_secs", Meaning::NoEffect),
    ("service.static_content_dir", Meaning::NoEffect),
    ("storage.collection.*", Meaning::NoEffect),
    ("storage.handle_collection_load_errors", Meaning::NoEffect),
    ("storage.hnsw_global_config.*", Meaning::NoEffect),
    ("storage.hnsw_index.*", Meaning::NoEffect),
    ("storage.load_concurrency.*", Meaning::NoEffect),
    ("storage.max_collections", Meaning::NoEffect),
    ("storage.mmap_advice", Meaning::NoEffect),
    ("storage.on_disk_payload", Meaning::NoEffect),
    ("storage.optimizers.*", Meaning::NoEffect),
    ("storage.optimizers_overwrite.*", Meaning::NoEffect),
    ("storage.performance.*", Meaning::NoEffect),
    ("storage.quantization.*", Meaning::NoEffect),
    ("storage.shard_transfer_method", Meaning::NoEffect),
    ("storage.temp_path", Meaning::NoEffect),
    ("storage.update_concurrency", Meaning::NoEffect),
    ("storage.update_queue_size", Meaning::NoEffect),
    ("storage.wal.*", Meaning::NoEffect),
    // Certificates are read again as soon as they change.
    ("tls.cert_ttl", Meaning::NoEffect),
];

/// The meaning of a key; an exact entry comes before a pattern.
pub(crate) fn find(key: &str) -> Option<Meaning> {
    let exact = TABLE.iter().find(|(pattern, _)| *pattern == key);
    let below = || TABLE.iter().find(|(pattern, _)| prefix(pattern).is_some_and(|prefix| key.starts_with(prefix)));
    exact.or_else(below).map(|(_, meaning)| *meaning)
}

/// In which settings two configurations differ. One that has two spellings is named by the first.
pub(crate) fn difference(one: &Config, other: &Config) -> Difference {
    let mut found = Difference { live: Vec::new(), fixed: Vec::new() };
    for (key, meaning) in TABLE {
        if let Meaning::Setting(setting) = meaning
            && !(setting.same)(one, other)
            && *key != SECOND_SPELLING
        {
            if setting.live { found.live.push(key) } else { found.fixed.push(key) }
        }
    }
    found
}

/// Whether there are keys below this one.
pub(crate) fn is_section(key: &str) -> bool {
    TABLE.iter().any(|(pattern, _)| pattern.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// `a.b.` of `a.b.*`.
fn prefix(pattern: &str) -> Option<&str> {
    pattern.strip_suffix('*').filter(|prefix| prefix.ends_with('.'))
}

fn text(value: &Raw) -> Result<String, String> {
    value.text().map(str::to_owned)
}

fn maybe_text(value: &Raw) -> Result<Option<String>, String> {
    match value {
        Raw::Null => Ok(None),
        given => text(given).map(Some),
    }
}

fn kept_in(value: &Raw) -> Result<KeptIn, String> {
    match value.text() {
        Ok(word) if word.eq_ignore_ascii_case("local") => Ok(KeptIn::Local),
        Ok(word) if word.eq_ignore_ascii_case("s3") => Ok(KeptIn::S3),
        _ => Err(format!("{value} is neither `local` nor `s3`")),
    }
}

fn path(value: &Raw) -> Result<PathBuf, String> {
    value.text().map(PathBuf::from)
}

/// A file, or none.
fn file(value: &Raw) -> Result<Option<PathBuf>, String> {
    match value {
        Raw::Null => Ok(None),
        given => path(given).map(Some),
    }
}

fn port(value: &Raw) -> Result<u16, String> {
    number(value, 0, u16::MAX)
}

fn optional_port(value: &Raw) -> Result<Option<u16>, String> {
    match value {
        Raw::Null => Ok(None),
        given => port(given).map(Some),
    }
}

fn host(value: &Raw) -> Result<Option<String>, String> {
    match value {
        Raw::Null => Ok(None),
        given => text(given).map(Some),
    }
}

fn cluster_name(value: &Raw) -> Result<Option<String>, String> {
    match value {
        Raw::Null => Ok(None),
        given => text(given).map(Some),
    }
}

/// A key of 32 bytes. No message shows it.
fn encryption_key(value: &Raw) -> Result<Option<EncryptionKey>, String> {
    match value {
        Raw::Null => Ok(None),
        Raw::Scalar(text) => {
            EncryptionKey::parse(text).map(Some).ok_or_else(|| "it is not 32 bytes in hexadecimal digits or in base64".to_owned())
        }
        Raw::List(_) | Raw::Mapping(_) => Err("a list is not a key".to_owned()),
    }
}

fn megabytes<N: TryFrom<u64>>(value: &Raw) -> Result<N, String> {
    number(value, 1, 1024 * 1024_u32)
}

/// A number of MiB, or no limit.
fn limit(value: &Raw) -> Result<Option<u32>, String> {
    match value {
        Raw::Null => Ok(None),
        given => megabytes(given).map(Some),
    }
}

/// An API key, or none. One that no request could carry is refused, for nobody could ever use it; no message shows it.
pub(super) fn key(value: &Raw) -> Result<Option<Secret>, String> {
    match value {
        Raw::Null => Ok(None),
        Raw::List(_) | Raw::Mapping(_) => Err("a list is not a key".to_owned()),
        Raw::Scalar(text) if text.is_empty() => Err("an empty key protects nothing; give one, or remove it".to_owned()),
        Raw::Scalar(text) if text.trim() != text => Err("the key begins or ends with white space".to_owned()),
        Raw::Scalar(text) if text.chars().any(char::is_control) => Err("the key has control characters".to_owned()),
        Raw::Scalar(text) => Ok(Some(Secret::new(text.as_str()))),
    }
}

fn seconds(value: &Raw) -> Result<u32, String> {
    number(value, 1, 3600_u32)
}

/// Where archives may be fetched from.
fn hosts(value: &Raw) -> Result<Policy, String> {
    Policy::only(value.texts()?).map_err(|error| error.to_string())
}

fn form(value: &Raw) -> Result<Form, String> {
    match value.text() {
        Ok("none") => Ok(Form::None),
        Ok("zstd") => Ok(Form::Zstd),
        _ => Err(format!("{value} is neither `none` nor `zstd`")),
    }
}

fn level(value: &Raw) -> Result<Level, String> {
    number(value, 1, 22_u32).map(Level)
}

/// 10^6 bytes a second; 0 and nothing are no limit.
fn bandwidth(value: &Raw) -> Result<u32, String> {
    match value {
        Raw::Null => Ok(0),
        given => number(given, 0, 1_000_000_u32),
    }
}

/// Zero says that nothing counts.
fn reverify_after(value: &Raw) -> Result<ReverifyAfter, String> {
    number(value, 0, 36_500 * 24 * 60 * 60_u64).map(ReverifyAfter)
}

fn verify_new(value: &Raw) -> Result<VerifyNew, String> {
    value.switch().map(VerifyNew)
}

fn threads(value: &Raw) -> Result<usize, String> {
    number(value, 1, 64_u32)
}

fn days(value: &Raw) -> Result<u32, String> {
    number(value, 1, 36_500_u32)
}

fn number<N: TryFrom<u64>>(value: &Raw, min: u64, max: impl Into<u64>) -> Result<N, String> {
    let number = value.integer(min, max.into())?;
    N::try_from(number).map_err(|_| format!("{number} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_twice() {
        let mut keys: Vec<&str> = TABLE.iter().map(|(pattern, _)| *pattern).collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn differences_are_told_by_key_and_by_what_they_need() {
        let one = Config::default();
        assert_eq!(difference(&one, &one), Difference { live: vec![], fixed: vec![] });
        let mut other = one.clone();
        other.snapshots.bandwidth_mb_s = 5;
        other.storage.snapshots_path = "/elsewhere".into();
        other.service.api_key = Some(Secret::new("k"));
        let fixed = vec!["service.api_key", "storage.snapshots_path"];
        assert_eq!(difference(&one, &other), Difference { live: vec!["snapshots.bandwidth_mb_s"], fixed });
    }

    #[test]
    fn patterns_cover_what_is_below_them_only() {
        assert!(matches!(find("storage.hnsw_index.m"), Some(Meaning::NoEffect)));
        assert!(matches!(find("storage.optimizers.flush_interval_sec"), Some(Meaning::Setting(_))));
        assert!(find("storage.hnsw_index").is_none());
        assert!(find("storage.hnsw_indexes").is_none());
        assert!(is_section("storage.hnsw_index") && is_section("storage") && !is_section("stor") && !is_section("log_level"));
    }
}
