//! Every key that may be given, in one table: settings of this server, and those of Qdrant's configuration that it does not use.
//!
//! Source for the latter: Qdrant's `config/config.yaml` and `settings.rs`, up to 1.19. Where Qdrant's key switches on something
//! whose silent absence would be dangerous (access control, encryption, another place for archives), it is refused.

use std::path::PathBuf;

use super::clusters;
use super::encryption::EncryptionKey;
use super::model::{Config, Form, Level, Secret};
use super::value::Raw;
use crate::remote::Policy;

/// What a key means.
#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    /// It sets something; the error says what the value has to be.
    Setting(fn(&mut Config, &Raw) -> Result<(), String>),
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

/// Values that switch nothing on.
const OFF: &[&str] = &["false", "off", "no", "0"];
const NO_JWT: &str =
    "tokens (JWT) are not supported in this version, keys are (`service.api_key`, `service.read_only_api_key`); remove it";
const NO_TLS: &str = "TLS is not supported yet in this version; remove it, or put a proxy that speaks TLS in front of the server";
const NO_S3: &str = "archives can only be kept in a local directory in this version; use `local`";
const NO_CLUSTER: &str = "this server is a single node; remove it";

/// A setting with the field that it sets and the function that reads its value.
macro_rules! setting {
    ($($field:ident).+ = $read:expr) => {
        Meaning::Setting(|config, value| {
            config.$($field).+ = $read(value)?;
            Ok(())
        })
    };
}

/// Keys and their meaning; a pattern that ends in `.*` means everything below.
const TABLE: &[(&str, Meaning)] = &[
    ("log_level", setting!(log_level = text)),
    ("service.host", setting!(service.host = text)),
    ("service.http_port", setting!(service.http_port = port)),
    ("service.max_request_size_mb", setting!(service.max_request_size_mb = megabytes)),
    ("service.enable_cors", setting!(service.enable_cors = Raw::switch)),
    ("service.enable_snapshot_url_recovery", setting!(service.enable_snapshot_url_recovery = Raw::switch)),
    ("service.snapshot_url_allow", setting!(service.snapshot_url_allow = hosts)),
    ("service.api_key", setting!(service.api_key = key)),
    ("service.alt_api_key", setting!(service.alt_api_key = key)),
    ("service.read_only_api_key", setting!(service.read_only_api_key = key)),
    ("service.http_client_request_timeout_sec", setting!(service.http_client_request_timeout_sec = seconds)),
    ("service.idle_timeout_sec", setting!(service.idle_timeout_sec = seconds)),
    ("service.max_upload_size_mb", setting!(service.max_upload_size_mb = limit)),
    ("storage.storage_path", setting!(storage.storage_path = path)),
    ("storage.snapshots_path", setting!(storage.snapshots_path = path)),
    // As Qdrant's first guide to snapshots spells it.
    ("storage.snapshot_path", setting!(storage.snapshots_path = path)),
    ("storage.memtable_mb", setting!(storage.memtable_mb = megabytes)),
    ("storage.optimizers.flush_interval_sec", setting!(storage.optimizers.flush_interval_sec = seconds)),
    ("snapshots.compression", setting!(snapshots.compression = form)),
    ("snapshots.compression_level", setting!(snapshots.compression_level = level)),
    ("jobs.concurrency", setting!(jobs.concurrency = threads)),
    ("jobs.keep_days", setting!(jobs.keep_days = days)),
    ("manager.host", setting!(manager.host = host)),
    ("manager.port", setting!(manager.port = optional_port)),
    ("manager.default_cluster", setting!(manager.default_cluster = cluster_name)),
    ("manager.encryption_key", setting!(manager.encryption_key = encryption_key)),
    ("clusters", setting!(clusters = clusters::read)),
    ("service.jwt_rbac", Meaning::Only { accepted: OFF, refusal: NO_JWT }),
    ("service.enable_tls", Meaning::Only { accepted: OFF, refusal: NO_TLS }),
    ("service.verify_https_client_certificate", Meaning::Only { accepted: OFF, refusal: NO_TLS }),
    ("storage.snapshots_config.snapshots_storage", Meaning::Only { accepted: &["local"], refusal: NO_S3 }),
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
    ("storage.snapshots_config.s3_config.*", Meaning::NoEffect),
    ("storage.temp_path", Meaning::NoEffect),
    ("storage.update_concurrency", Meaning::NoEffect),
    ("storage.update_queue_size", Meaning::NoEffect),
    ("storage.wal.*", Meaning::NoEffect),
    ("tls.*", Meaning::NoEffect),
];

/// The meaning of a key; an exact entry comes before a pattern.
pub(crate) fn find(key: &str) -> Option<Meaning> {
    let exact = TABLE.iter().find(|(pattern, _)| *pattern == key);
    let below = || TABLE.iter().find(|(pattern, _)| prefix(pattern).is_some_and(|prefix| key.starts_with(prefix)));
    exact.or_else(below).map(|(_, meaning)| *meaning)
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

fn path(value: &Raw) -> Result<PathBuf, String> {
    value.text().map(PathBuf::from)
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
    fn patterns_cover_what_is_below_them_only() {
        assert!(matches!(find("storage.hnsw_index.m"), Some(Meaning::NoEffect)));
        assert!(matches!(find("storage.optimizers.flush_interval_sec"), Some(Meaning::Setting(_))));
        assert!(find("storage.hnsw_index").is_none());
        assert!(find("storage.hnsw_indexes").is_none());
        assert!(is_section("storage.hnsw_index") && is_section("storage") && !is_section("stor") && !is_section("log_level"));
    }
}
