//! The settings of the server: defaults, then YAML files, then environment variables, then flags; the later wins.
//!
//! Nothing is ignored in silence: every key is looked up in one table (`keys`), which knows whether it is a setting, means nothing
//! here (and is named in one warning), or must not be ignored (and is refused). Anything else is an error with its key and origin.

mod clusters;
mod encryption;
mod env;
mod file;
mod keys;
mod model;
mod value;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::stores::OptionsError;
pub(crate) use clusters::{CLUSTER_NAME_LEN_MAX, EMBEDDED};
pub(crate) use encryption::{EncryptionKey, from_hex, to_hex};
pub(crate) use keys::{Difference, difference};
pub(crate) use model::{ClusterSettings, Config, Form, KeptIn, Secret, Service, SnapshotSettings, StorageSettings, TlsSettings};
use value::{Entry, Origin, Raw};

/// The file that is read if it is there and no other is named.
pub(crate) const DEFAULT_FILE: &str = "config/config.yaml";

/// The settings, and what there is to say about where they came from.
#[derive(Debug, PartialEq)]
pub(crate) struct Loaded {
    /// The settings.
    pub(crate) config: Config,
    /// Files that were read, in the order of their application.
    pub(crate) files: Vec<PathBuf>,
    /// Keys of Qdrant that were given and mean nothing here, sorted.
    pub(crate) ignored: Vec<String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not YAML, or not a mapping.
    #[error("configuration file {path:?}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// Nobody knows the key.
    #[error("unknown key `{key}` in {origin}")]
    UnknownKey {
        /// The key, with dots.
        key: String,
        /// Where it was given.
        origin: Origin,
    },
    /// The key is known, and ignoring it would be dangerous.
    #[error("`{key}` in {origin}: {reason}")]
    Refused {
        /// The key, with dots.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// The value does not fit.
    #[error("`{key}` in {origin}: {reason}")]
    Value {
        /// The key, with dots.
        key: String,
        /// Where it was given.
        origin: Origin,
        /// What it has to be.
        reason: String,
    },
    /// Archives are to be kept in S3, and what is needed for that is not given.
    #[error("`storage.snapshots_config`: {0}")]
    S3(OptionsError),
    /// Two keys for different rights are the same.
    #[error("`service.read_only_api_key` is the same key as `{other}`, which also allows to write; choose another")]
    SameKeys {
        /// The setting of the stronger key.
        other: &'static str,
    },
    /// The cluster that is acted on by default is not one of those that are configured.
    #[error("`manager.default_cluster`: there is no cluster {name:?} in `clusters`")]
    DefaultCluster {
        /// The name.
        name: String,
    },
}

/// Loads the settings. `default` is read if it exists; `named`, the file of `--config-path`, must exist; `variables` is the
/// environment.
pub(crate) fn load(
    default: &Path,
    named: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    let mut loaded = Loaded { config: Config::default(), files: Vec::new(), ignored: Vec::new() };
    let mut entries = Vec::new();
    if let Some(found) = file::read_if_present(default)? {
        entries.extend(found);
        loaded.files.push(default.to_owned());
    }
    if let Some(path) = named {
        entries.extend(file::read(path)?);
        loaded.files.push(path.to_owned());
    }
    entries.extend(env::entries(variables)?);
    for entry in entries {
        apply(&mut loaded, entry)?;
    }
    different_keys(&loaded.config.service)?;
    let snapshots = &loaded.config.storage.snapshots;
    if snapshots.kept_in == KeptIn::S3 {
        snapshots.s3.check().map_err(ConfigError::S3)?;
    }
    known_default(&loaded.config)?;
    loaded.ignored.sort();
    loaded.ignored.dedup();
    Ok(loaded)
}

/// A key that is meant to read only must not be one that writes.
fn different_keys(service: &Service) -> Result<(), ConfigError> {
    for (other, key) in [("service.api_key", &service.api_key), ("service.alt_api_key", &service.alt_api_key)] {
        if key.is_some() && *key == service.read_only_api_key {
            return Err(ConfigError::SameKeys { other });
        }
    }
    Ok(())
}

/// The default cluster has to be one.
fn known_default(config: &Config) -> Result<(), ConfigError> {
    let Some(name) = &config.manager.default_cluster else { return Ok(()) };
    match name == EMBEDDED || config.clusters.iter().any(|cluster| cluster.name == *name) {
        true => Ok(()),
        false => Err(ConfigError::DefaultCluster { name: name.clone() }),
    }
}

fn apply(loaded: &mut Loaded, entry: Entry) -> Result<(), ConfigError> {
    let Entry { key, value, origin } = entry;
    match keys::find(&key) {
        Some(keys::Meaning::Setting(setting)) => {
            (setting.set)(&mut loaded.config, &value).map_err(|reason| ConfigError::Value { key, origin, reason })
        }
        Some(keys::Meaning::NoEffect) => {
            loaded.ignored.push(key);
            Ok(())
        }
        Some(keys::Meaning::Only { accepted, refusal }) => match value.is_one_of(accepted) {
            true => Ok(()),
            false => Err(ConfigError::Refused { key, origin, reason: refusal }),
        },
        // `service:` with nothing below it.
        None if value == Raw::Null && keys::is_section(&key) => Ok(()),
        None => Err(ConfigError::UnknownKey { key, origin }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loads from files in a directory of their own, `my.yaml` being the named one.
    fn with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, text) in files {
            std::fs::write(path(name), text).unwrap();
        }
        let named = files.iter().any(|(name, _)| *name == "my.yaml").then(|| path("my.yaml"));
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        load(&path("config.yaml"), named.as_deref(), variables)
    }

    fn error(files: &[(&str, &str)], variables: &[(&str, &str)]) -> String {
        with(files, variables).unwrap_err().to_string()
    }

    #[test]
    fn nothing_given_means_the_defaults() {
        let loaded = with(&[], &[("PATH", "/bin"), ("QDRANT_URI", "x")]).unwrap();
        assert_eq!(loaded, Loaded { config: Config::default(), files: vec![], ignored: vec![] });
    }

    #[test]
    fn the_later_source_wins() {
        let default = ("config.yaml", "service:\n  http_port: 1\n  host: a\nlog_level: DEBUG\n");
        let mine = ("my.yaml", "service: {http_port: 2}\nstorage:\n  snapshots_path: /s\n");
        let loaded = with(&[default, mine], &[]).unwrap();
        assert_eq!((loaded.config.service.http_port, loaded.config.service.host.as_str()), (2, "a"));
        assert_eq!(loaded.config.log_level, "DEBUG");
        assert_eq!(loaded.files.len(), 2);

        let qdrant = ("QDRANT__SERVICE__HTTP_PORT", "3");
        assert_eq!(with(&[default, mine], &[qdrant]).unwrap().config.service.http_port, 3);
        let own = ("icecore__service__HTTP_PORT", "4");
        assert_eq!(with(&[default, mine], &[own, qdrant]).unwrap().config.service.http_port, 4);
    }

    #[test]
    fn the_old_guides_spelling_of_the_snapshots_path_works() {
        let old = ("QDRANT__STORAGE__SNAPSHOT_PATH", "/old");
        assert_eq!(with(&[], &[old]).unwrap().config.storage.snapshots_path, Path::new("/old"));
        let new = ("QDRANT__STORAGE__SNAPSHOTS_PATH", "/new");
        assert_eq!(with(&[], &[new, old]).unwrap().config.storage.snapshots_path, Path::new("/new"));
    }

    #[test]
    fn keys_without_effect_are_named() {
        let text = "storage:\n  hnsw_index: {m: 16, ef_construct: 100}\n  optimizers:\n    flush_interval_sec: 5\n    deleted_threshold: 0.2\n\
                    cluster:\n  enabled: false\ntelemetry_disabled: true\nservice:\n  api_key:\n  enable_tls: false\n";
        let loaded = with(&[("my.yaml", text)], &[("QDRANT__SERVICE__GRPC_PORT", "6334")]).unwrap();
        assert_eq!(
            loaded.ignored,
            [
                "service.grpc_port",
                "storage.hnsw_index.ef_construct",
                "storage.hnsw_index.m",
                "storage.optimizers.deleted_threshold"
            ]
        );
        assert_eq!(loaded.config.storage.optimizers.flush_interval_sec, 5);
    }

    #[test]
    fn jobs_are_bounded_in_number_and_age() {
        let jobs = with(&[("my.yaml", "jobs: {concurrency: 2, keep_days: 7}")], &[]).unwrap().config.jobs;
        assert_eq!((jobs.concurrency, jobs.keep_days), (2, 7));
        assert_eq!(jobs.options().keep, std::time::Duration::from_secs(7 * 86_400));
        for (name, most) in [("ICECORE__JOBS__CONCURRENCY", "64"), ("ICECORE__JOBS__KEEP_DAYS", "36500")] {
            for wrong in ["0", "36501"] {
                let error = error(&[], &[(name, wrong)]);
                assert!(error.contains(name) && error.contains(most), "{error}");
            }
        }
    }

    #[test]
    fn a_limit_of_bandwidth_is_none_unless_it_is_given() {
        let bandwidth = |text: &str| with(&[("my.yaml", text)], &[]).map(|loaded| loaded.config.snapshots.bandwidth_mb_s);
        for none in ["snapshots: {}", "snapshots: {bandwidth_mb_s: }", "snapshots: {bandwidth_mb_s: 0}"] {
            assert_eq!(bandwidth(none).unwrap(), 0, "{none}");
        }
        assert_eq!(bandwidth("snapshots: {bandwidth_mb_s: 250}").unwrap(), 250);
        for wrong in ["-1", "1.5", "fast", "1000001"] {
            let error = error(&[], &[("ICECORE__SNAPSHOTS__BANDWIDTH_MB_S", wrong)]);
            assert!(error.contains("BANDWIDTH_MB_S") && error.contains("1000000"), "{error}");
        }
    }

    #[test]
    fn what_must_not_be_ignored_is_refused() {
        for (name, value) in [("QDRANT__SERVICE__JWT_RBAC", "true"), ("QDRANT__CLUSTER__ENABLED", "true")] {
            let error = error(&[], &[(name, value)]);
            assert!(error.contains(name) && !error.contains("hush"), "{error}");
        }
        assert!(with(&[], &[("QDRANT__CLUSTER__ENABLED", "False")]).is_ok());
    }

    #[test]
    fn archives_are_kept_in_a_bucket_if_it_is_given() {
        let text = "storage:\n  snapshots_config:\n    snapshots_storage: s3\n    s3_config: {bucket: b, region: r, access_key: hush-1, \
                    secret_key: hush-2, endpoint_url: 'http://127.0.0.1:9000', prefix: p}\n";
        let storage = with(&[("my.yaml", text)], &[]).unwrap().config.storage;
        assert_eq!(storage.snapshots.kept_in, KeptIn::S3);
        let s3 = &storage.snapshots.s3;
        assert_eq!((s3.bucket.as_str(), s3.region.as_deref(), s3.prefix.as_str()), ("b", Some("r"), "p"));
        assert_eq!((s3.endpoint.as_deref(), &s3.secret_key), (Some("http://127.0.0.1:9000"), &Some(Secret::new("hush-2"))));
        assert!(!format!("{storage:?}").contains("hush"));

        let name = "QDRANT__STORAGE__SNAPSHOTS_CONFIG__SNAPSHOTS_STORAGE";
        assert_eq!(with(&[], &[(name, "local")]).unwrap().config.storage.snapshots.kept_in, KeptIn::Local);
        assert!(error(&[], &[(name, "s3")]).contains("no bucket"));
        assert!(error(&[], &[(name, "gcs")]).contains(name));
        for (key, value) in [("SECRET_KEY", ""), ("ENDPOINT_URL", "nonsense")] {
            let key = format!("QDRANT__STORAGE__SNAPSHOTS_CONFIG__S3_CONFIG__{key}");
            let error = error(&[("my.yaml", text)], &[(&key, value)]);
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn keys_are_read_and_never_shown() {
        let service = with(
            &[("my.yaml", "service: {api_key: hush-1, read_only_api_key: hush-2}")],
            &[("QDRANT__SERVICE__ALT_API_KEY", "hush-3")],
        );
        let service = service.unwrap().config.service;
        let full: Vec<&str> = service.full_keys().map(Secret::expose).collect();
        assert_eq!(full, ["hush-1", "hush-3"]);
        assert_eq!(service.read_only_api_key, Some(Secret::new("hush-2")));
        let shown = format!("{service:?} {service:#?}");
        assert!(shown.contains("***") && !shown.contains("hush"), "{shown}");
        // As a file says that there is none.
        assert_eq!(with(&[("my.yaml", "service: {api_key: }")], &[]).unwrap().config.service.api_key, None);
    }

    #[test]
    fn keys_that_protect_nothing_are_refused() {
        for key in ["", " hush", "hush\n", "hu\tsh"] {
            for name in ["QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__ALT_API_KEY", "QDRANT__SERVICE__READ_ONLY_API_KEY"] {
                let error = error(&[], &[(name, key)]);
                assert!(error.contains(name) && !error.contains("hu"), "{error}");
            }
        }
        for name in ["QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__ALT_API_KEY"] {
            let error = error(&[], &[(name, "hush"), ("QDRANT__SERVICE__READ_ONLY_API_KEY", "hush")]);
            let setting = name.trim_start_matches("QDRANT__SERVICE__").to_ascii_lowercase();
            assert!(error.contains(&setting) && !error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn limits_of_zero_are_refused() {
        for name in ["MAX_UPLOAD_SIZE_MB", "MAX_REQUEST_SIZE_MB", "IDLE_TIMEOUT_SEC", "HTTP_CLIENT_REQUEST_TIMEOUT_SEC"] {
            let name = format!("QDRANT__SERVICE__{name}");
            assert!(error(&[], &[(&name, "0")]).contains(&name));
            assert!(with(&[], &[(&name, "7")]).is_ok(), "{name}");
        }
        let upload = ("QDRANT__SERVICE__MAX_UPLOAD_SIZE_MB", "7");
        assert_eq!(with(&[], &[upload]).unwrap().config.service.max_upload_size_mb, Some(7));
    }

    #[test]
    fn unknown_keys_and_wrong_values_name_their_origin() {
        let unknown = error(&[("my.yaml", "service: {prot: 1}")], &[]);
        assert!(unknown.starts_with("unknown key `service.prot` in ") && unknown.contains("my.yaml"), "{unknown}");
        assert_eq!(
            error(&[], &[("QDRANT__SERVICE__PROT", "1")]),
            "unknown key `service.prot` in the environment variable QDRANT__SERVICE__PROT"
        );
        for wrong in ["70000", "-1", "true", "1.5", "", "x"] {
            let error = error(&[], &[("QDRANT__SERVICE__HTTP_PORT", wrong)]);
            assert!(error.contains("QDRANT__SERVICE__HTTP_PORT") && error.contains("65535"), "{wrong}: {error}");
        }
        assert!(error(&[("my.yaml", "service: 5")], &[]).contains("`service`"));
        assert!(error(&[("my.yaml", "storage: {storage_path: }")], &[]).contains("storage.storage_path"));
        assert_eq!(error(&[("my.yaml", "log_level: [a]")], &[]).split(": ").last(), Some("a list is not a text"));
    }

    #[test]
    fn lists_are_given_as_such_or_with_commas() {
        let expected = crate::remote::Policy::only(["a.example.org", "10.0.0.0/8"]).unwrap();
        let name = "QDRANT__SERVICE__SNAPSHOT_URL_ALLOW";
        for loaded in [
            with(&[("my.yaml", "service:\n  snapshot_url_allow:\n  - a.example.org\n  - 10.0.0.0/8\n")], &[]),
            with(&[("my.yaml", "service: {snapshot_url_allow: 'a.example.org,10.0.0.0/8'}")], &[]),
            with(&[("my.yaml", "service: {snapshot_url_allow: [b]}")], &[(name, " a.example.org, 10.0.0.0/8 ")]),
        ] {
            assert_eq!(loaded.unwrap().config.service.snapshot_url_allow, expected);
        }
        for list in ["", "[]", "[a, '']", "[a, ~]", "[a, [b]]", "[{a: b}]", "'a,,b'", "a b", "http://a", "[10.0.0.1/8]"] {
            let error = error(&[("my.yaml", &format!("service: {{snapshot_url_allow: {list}}}"))], &[]);
            assert!(error.starts_with("`service.snapshot_url_allow` in ") && error.contains("my.yaml"), "{list}: {error}");
        }
        let error = error(&[], &[(name, "a,10.0.0.1/8")]);
        assert!(error.contains(name) && error.contains("\"10.0.0.1/8\""), "{error}");
        // Where a key means nothing, so does what is in its list.
        assert!(with(&[("my.yaml", "storage: {hnsw_index: {m: [{a: [b]}, 1, ~]}}")], &[]).is_ok());
    }

    #[test]
    fn recovery_from_urls_can_be_switched_off() {
        assert!(Config::default().service.enable_snapshot_url_recovery);
        let off = ("QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY", "false");
        assert!(!with(&[], &[off]).unwrap().config.service.enable_snapshot_url_recovery);
    }

    #[test]
    fn a_setting_that_is_not_utf_8_is_an_error_and_other_variables_are_nothing_to_us() {
        use std::os::unix::ffi::OsStringExt;
        let load = |name: &str| load(Path::new("none"), None, [(name.into(), OsString::from_vec(vec![0xff]))]);
        assert!(load("HOME").is_ok());
        let error = load("QDRANT__STORAGE__STORAGE_PATH").unwrap_err().to_string();
        assert!(error.contains("QDRANT__STORAGE__STORAGE_PATH"), "{error}");
    }

    #[test]
    fn broken_and_missing_files_are_errors() {
        assert!(error(&[("my.yaml", "a: [")], &[]).contains("my.yaml"));
        assert!(error(&[("my.yaml", "- a\n")], &[]).contains("my.yaml"));
        assert!(error(&[("my.yaml", "log_level: a\nlog_level: b\n")], &[]).contains("my.yaml"));
        assert!(with(&[("my.yaml", "")], &[]).is_ok());
        let missing = load(Path::new("also-none.yaml"), Some(Path::new("none.yaml")), []).unwrap_err();
        assert!(missing.to_string().contains("none.yaml"), "{missing}");
    }
}
