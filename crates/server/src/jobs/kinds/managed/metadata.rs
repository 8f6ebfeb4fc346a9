//! The metadata of a job: the keys that mean something, and what of all keys may be kept and shown.
//!
//! | key | of | values |
//! |---|---|---|
//! | `source` | restores | `existing`, `url`; without it, `url` if that is given, else the archive that the job names |
//! | `url`, `api_key` | restores | where the archive is, and the key for that server |
//! | `checksum` | restores | the SHA-256 that it has to have |
//! | `from_cluster` | restores | the cluster of which the archive in the store is; without it, the one that is restored |
//! | `priority` | restores | `snapshot`, `replica`, `no_sync`, which mean the same on one node |
//! | `compression`, `level` | backups of the embedded engine | `zstd` and 1 to 22, or `none`; without them as the settings say |
//!
//! Words are taken in either case. Other keys are the caller's own and kept as they are, but for what looks like a secret.

use icecore_archive::{LEVELS, Sha256Digest};
use serde_json::{Map, Value};
use url::Url;

use super::ManagedError;
use crate::clusters::Priority;
use crate::config::{Form, Secret, SnapshotSettings};
use crate::remote::redacted;

/// What stands for a secret (source: the backup manager).
const MASK: &str = "***********";
/// Keys whose values are secrets, by a part of their name.
const SECRET_KEYS: [&str; 8] = ["secret", "password", "token", "api_key", "apikey", "access_key", "authorization", "credential"];

/// Metadata as the caller gave it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metadata<'a>(pub(super) &'a Map<String, Value>);

/// Where a restore takes its archive from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The archive of this name in the store.
    Existing(String),
    /// Where this text points.
    Url(String),
}

impl Metadata<'_> {
    /// The source of a restore of which `snapshot_name` was given beside the metadata.
    pub(super) fn source(self, snapshot_name: Option<&str>) -> Result<Source, ManagedError> {
        let (source, url) = (self.word("source")?, self.text("url")?);
        let existing = || snapshot_name.map(|name| Source::Existing(name.to_owned())).ok_or(ManagedError::NoSource);
        match (source.as_deref(), url) {
            (Some("existing"), _) | (None, None) => existing(),
            (Some("url") | None, Some(url)) => Ok(Source::Url(url.to_owned())),
            (Some("url"), None) => Err(ManagedError::NoSource),
            (Some("upload"), _) => Err(ManagedError::Upload),
            (Some(_), _) => Err(wrong("source", "must be one of `existing`, `url`")),
        }
    }

    /// The cluster whose archive it is that a restore names, if that is another than the one that is restored.
    pub(super) fn stored_from(&self) -> Result<Option<&str>, ManagedError> {
        self.text("from_cluster")
    }

    /// How data of the archive and of the nodes go together.
    pub(super) fn priority(self) -> Result<Priority, ManagedError> {
        match self.word("priority")?.as_deref() {
            None | Some("snapshot") => Ok(Priority::Snapshot),
            Some("replica") => Ok(Priority::Replica),
            Some("no_sync") => Ok(Priority::NoSync),
            Some(_) => Err(wrong("priority", "must be one of `snapshot`, `replica`, `no_sync`")),
        }
    }

    /// The digest that the archive has to have.
    pub(super) fn checksum(self) -> Result<Option<Sha256Digest>, ManagedError> {
        let parse = |text: &str| {
            let digest = text.to_ascii_lowercase().parse();
            digest.map_err(|_| wrong("checksum", "invalid SHA-256 digest, must be 64 hexadecimal digits"))
        };
        self.text("checksum")?.map(parse).transpose()
    }

    /// The key for the server that has the archive.
    pub(super) fn api_key(self) -> Result<Option<Secret>, ManagedError> {
        Ok(self.text("api_key")?.map(Secret::new))
    }

    /// The level of zstd, if the archive is to be compressed; by default as `settings` say.
    pub(super) fn zstd_level(self, settings: &SnapshotSettings) -> Result<Option<i32>, ManagedError> {
        let form = match self.word("compression")?.as_deref() {
            None => settings.compression,
            Some("none") => Form::None,
            Some("zstd") => Form::Zstd,
            Some(_) => return Err(wrong("compression", "must be one of `none`, `zstd`")),
        };
        let level = match self.0.get("level") {
            None | Some(Value::Null) => None,
            Some(value) => {
                let level = value.as_i64().and_then(|level| i32::try_from(level).ok()).filter(|level| LEVELS.contains(level));
                Some(level.ok_or_else(|| wrong("level", "must be from 1 to 22"))?)
            }
        };
        match (form, level) {
            (Form::None, None) => Ok(None),
            (Form::None, Some(_)) => Err(wrong("level", "only an archive with `compression` `zstd` has a level")),
            (Form::Zstd, level) => Ok(Some(level.unwrap_or(settings.compression_level.0))),
        }
    }

    /// Refuses wishes for what only the engine of this server compresses.
    pub(super) fn check_as_it_comes(self) -> Result<(), ManagedError> {
        match self.word("compression")?.as_deref() {
            None | Some("none") if matches!(self.0.get("level"), None | Some(Value::Null)) => Ok(()),
            _ => Err(wrong("compression", "a snapshot of a cluster is kept as the cluster has made it")),
        }
    }

    /// What may be kept and shown, and whether something is missing in it without which the job cannot be done.
    pub(super) fn kept(self) -> (Map<String, Value>, bool) {
        let kept = masked_map(self.0);
        let is_needed = |key: &&str| kept.get(*key) != self.0.get(*key);
        let lacks = ["url", "api_key"].iter().any(is_needed);
        (kept, lacks)
    }

    /// A text; none if it is empty.
    fn text(&self, key: &'static str) -> Result<Option<&str>, ManagedError> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(wrong(key, "must be a string")),
        }
    }

    /// A word of which the case does not matter.
    fn word(&self, key: &'static str) -> Result<Option<String>, ManagedError> {
        Ok(self.text(key)?.map(str::to_ascii_lowercase))
    }
}

fn wrong(key: &'static str, rule: &str) -> ManagedError {
    ManagedError::Metadata { key, rule: rule.to_owned() }
}

fn masked_map(map: &Map<String, Value>) -> Map<String, Value> {
    map.iter().map(|(key, value)| (key.clone(), masked(key, value))).collect()
}

/// A value as it may be shown. How deep it is the JSON reader has limited.
fn masked(key: &str, value: &Value) -> Value {
    let lower = key.to_ascii_lowercase().replace('-', "_");
    let is_secret = SECRET_KEYS.iter().any(|part| lower.contains(part));
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::String(text) if text.is_empty() => value.clone(),
        _ if is_secret => Value::String(MASK.to_owned()),
        Value::String(text) => Value::String(shown_text(&lower, text)),
        Value::Array(values) => values.iter().map(|value| masked(key, value)).collect(),
        Value::Object(map) => Value::Object(masked_map(map)),
        Value::Number(_) => value.clone(),
    }
}

/// A text without the secrets of a URL. What is said to be a URL and is none may be anything.
fn shown_text(key: &str, text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if has_secrets(&url) => redacted(&url),
        Err(_) if key == "url" => MASK.to_owned(),
        _ => text.to_owned(),
    }
}

fn has_secrets(url: &Url) -> bool {
    // Of one that has no parts nothing can be told: `user:secret@host` is one, and so is `note: buy milk`.
    let opaque = url.cannot_be_a_base() && url.as_str().contains('@');
    opaque || !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn source(metadata: Value, name: Option<&str>) -> Result<Source, String> {
        Metadata(&map(metadata)).source(name).map_err(|error| error.to_string())
    }

    #[test]
    fn a_restore_has_a_source_or_says_that_it_has_none() {
        let existing = Ok(Source::Existing("a.snapshot".to_owned()));
        let url = Ok(Source::Url("http://h/a".to_owned()));
        let none = Err("No restore source specified".to_owned());
        for (metadata, name, expected) in [
            (json!({}), Some("a.snapshot"), &existing),
            (json!({"source": "EXISTING", "url": "http://h/a"}), Some("a.snapshot"), &existing),
            (json!({"url": "http://h/a"}), Some("a.snapshot"), &url),
            (json!({"source": "Url", "url": "http://h/a"}), None, &url),
            (json!({"source": null, "url": ""}), Some("a.snapshot"), &existing),
            (json!({}), None, &none),
            (json!({"source": "existing", "url": "http://h/a"}), None, &none),
            (json!({"source": "url"}), Some("a.snapshot"), &none),
        ] {
            assert_eq!(&source(metadata.clone(), name), expected, "{metadata}");
        }
        assert!(source(json!({"source": "upload"}), None).unwrap_err().contains("/snapshots/upload"));
        assert!(source(json!({"source": "tape"}), None).unwrap_err().starts_with("metadata.source: must be"));
        assert_eq!(source(json!({"url": 7}), None).unwrap_err(), "metadata.url: must be a string");
    }

    #[test]
    fn backups_are_compressed_as_they_or_the_settings_say() {
        let level = |metadata: Value, settings: &SnapshotSettings| {
            Metadata(&map(metadata)).zstd_level(settings).map_err(|error| error.to_string())
        };
        let plain = SnapshotSettings::default();
        let zstd = SnapshotSettings { compression: Form::Zstd, ..plain.clone() };
        assert_eq!(level(json!({}), &plain), Ok(None));
        assert_eq!(level(json!({}), &zstd), Ok(Some(3)));
        assert_eq!(level(json!({"compression": "ZSTD", "level": 22}), &plain), Ok(Some(22)));
        assert_eq!(level(json!({"compression": "none"}), &zstd), Ok(None));
        for wrong in [json!({"level": 3}), json!({"compression": "gzip"}), json!({"compression": "zstd", "level": 23})] {
            assert!(level(wrong.clone(), &plain).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_secret_is_kept() {
        let given = json!({
            "url": "https://user:hush@h/a.snapshot?X-Amz-Signature=hush#hush",
            "api_key": "hush",
            "note": "note: buy milk",
            "count": 3,
            "nested": {"S3-Secret-Key": ["hush"], "plain": "x", "from": "http://hush@h/b", "list": ["http://h/?sig=hush", 1]},
            "password": 7,
            "token": null,
        });
        let given = map(given);
        let (kept, lacks) = Metadata(&given).kept();
        let text = serde_json::to_string(&kept).unwrap();
        assert!(lacks && !text.contains("hush"), "{text}");
        assert_eq!(kept["url"], "https://h/a.snapshot?…");
        assert_eq!((&kept["note"], &kept["count"], &kept["password"]), (&json!("note: buy milk"), &json!(3), &json!(MASK)));
        assert_eq!(kept["nested"]["plain"], "x");
    }

    #[test]
    fn what_holds_no_secret_is_kept_word_for_word() {
        let given = map(json!({"source": "url", "url": "http://h:1/a%20b.snapshot", "api_key": "", "mine": {"a": [1, null]}}));
        assert_eq!(Metadata(&given).kept(), (given.clone(), false));
        let broken = map(json!({"url": "user:hush@"}));
        assert!(!serde_json::to_string(&Metadata(&broken).kept().0).unwrap().contains("hush"));
        let broken = map(json!({"url": "//hush"}));
        assert_eq!(Metadata(&broken).kept().0["url"], MASK);
    }
}
