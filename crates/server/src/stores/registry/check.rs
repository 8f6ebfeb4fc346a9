//! The rules for what a configuration may say.
//!
//! A local store has a directory of its own: nothing that this server keeps there for other reasons may be in it or around it, because
//! each would take the other's files for its own.

use std::io;
use std::path::{Component, Path, PathBuf};

use url::Url;

use super::record::{Change, Draft, Kind, MASK, Record, S3Fields, Settings, new_key};
use super::secrets::Keys;
use super::{Result, StoresError};
use crate::config::{Secret, StorageSettings};

/// The longest name, in characters.
const NAME_LEN_MAX: usize = 255;
/// The longest other text, in bytes.
const TEXT_LEN_MAX: usize = 4096;

/// Directories that this server has for itself.
#[derive(Debug, Clone)]
pub(super) struct Reserved {
    storage: PathBuf,
    snapshots: PathBuf,
}

impl Reserved {
    /// The directories of the settings.
    pub(super) fn of(settings: &StorageSettings) -> Self {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { storage: absolute(&settings.storage_path), snapshots: absolute(&settings.snapshots_path) }
    }
}

/// A configuration that may be kept.
pub(super) struct Checked {
    pub(super) name: String,
    pub(super) settings: Settings<Keys>,
    pub(super) is_default: bool,
}

/// Checks a new configuration.
pub(super) fn draft(draft: Draft, reserved: &Reserved) -> Result<Checked> {
    let name = name(draft.name)?;
    let settings = match draft.kind {
        Kind::Local => Settings::Local { path: path(draft.path, reserved)? },
        Kind::S3 => {
            let S3Fields { endpoint, bucket, region, access_key, secret_key } = draft.s3;
            if access_key.as_ref().is_some_and(|key| key.expose() == MASK) {
                return invalid("`s3_access_key` is masked; send the key itself");
            }
            s3(endpoint, bucket, region, both(new_key(access_key), new_key(secret_key))?)?
        }
    };
    Ok(Checked { name, settings, is_default: draft.is_default })
}

/// Checks what the settings of a configuration become by a change; its keys stay as they are.
pub(super) fn change(record: &Record, change: &Change, reserved: &Reserved) -> Result<Settings> {
    match (&record.settings, change.kind) {
        (Settings::Local { .. }, Some(Kind::S3)) | (Settings::S3 { .. }, Some(Kind::Local)) => {
            invalid("the type of a configuration cannot change")
        }
        (Settings::Local { path: old }, _) => {
            let path = match &change.path {
                Some(given) => path(Some(given.clone()), reserved)?,
                None => old.clone(),
            };
            Ok(Settings::Local { path })
        }
        (Settings::S3 { endpoint, bucket, region, keys }, _) => {
            let given = &change.s3;
            s3(
                given.endpoint.clone().or_else(|| endpoint.clone()),
                given.bucket.clone().or_else(|| Some(bucket.clone())),
                given.region.clone().or_else(|| region.clone()),
                keys.clone(),
            )
        }
    }
}

/// The keys that a change leads to, if it has any; `old` opens the present ones.
pub(super) fn changed_keys(s3: &S3Fields, old: impl FnOnce() -> Result<Option<Keys>>) -> Result<Option<Keys>> {
    match (new_key(s3.access_key.clone()), new_key(s3.secret_key.clone())) {
        (None, None) => Ok(None),
        (Some(access_key), Some(secret_key)) => Ok(Some(Keys { access_key, secret_key })),
        (access_key, secret_key) => {
            let old = old()?;
            let (old_access, old_secret) = old.map(|keys| (keys.access_key, keys.secret_key)).unzip();
            both(access_key.or(old_access), secret_key.or(old_secret))
        }
    }
}

/// A name of a configuration.
pub(super) fn name(name: String) -> Result<String> {
    let name = name.trim();
    if name.is_empty() {
        return invalid("`name` is empty");
    }
    if name.chars().count() > NAME_LEN_MAX || name.chars().any(char::is_control) {
        return invalid(format!("`name` is longer than {NAME_LEN_MAX} characters or has control characters"));
    }
    Ok(name.to_owned())
}

/// The directory of a local store, as it was given.
pub(super) fn path(path: Option<String>, reserved: &Reserved) -> Result<PathBuf> {
    let Some(text) = path.filter(|path| !path.trim().is_empty()) else { return invalid("a local store needs a `path`") };
    if text.len() > TEXT_LEN_MAX || text.contains('\0') {
        return invalid(format!("`path` is longer than {TEXT_LEN_MAX} bytes or has a NUL"));
    }
    let path = PathBuf::from(text);
    local_path(&path, reserved)?;
    Ok(path)
}

/// Whether a directory may be a store: absolute, and, wherever links lead, apart from the directories of this server.
pub(super) fn local_path(path: &Path, reserved: &Reserved) -> Result<()> {
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return invalid(format!("`path` {path:?} is not absolute, or has `..` in it"));
    }
    let found = really(path).map_err(|source| StoresError::Io { operation: "look at", path: path.to_owned(), source })?;
    let apart = |dir: &Path| really(dir).map(|dir| !found.starts_with(&dir) && !dir.starts_with(&found)).unwrap_or(true);
    if !apart(&reserved.storage) {
        return invalid(format!(
            "`path` {path:?} is inside or around the storage directory of this server, which is not for archives"
        ));
    }
    // The same directory is the same store under another name, which does no harm.
    let snapshots = really(&reserved.snapshots).unwrap_or_else(|_| reserved.snapshots.clone());
    if found != snapshots && !apart(&reserved.snapshots) {
        return invalid(format!(
            "`path` {path:?} is inside or around the snapshots directory of this server; take that itself, or another"
        ));
    }
    Ok(())
}

/// Where a path leads whose last parts may not be there yet.
fn really(path: &Path) -> io::Result<PathBuf> {
    let mut missing = Vec::new();
    for ancestor in path.ancestors() {
        match ancestor.canonicalize() {
            Ok(mut found) => {
                found.extend(missing.into_iter().rev());
                return Ok(found);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                missing.extend(ancestor.file_name());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(path.to_owned())
}

/// The settings of a store in S3.
fn s3<K>(endpoint: Option<String>, bucket: Option<String>, region: Option<String>, keys: Option<K>) -> Result<Settings<K>> {
    let plain = |field: &str, text: Option<String>| match text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    {
        Some(text) if text.len() > TEXT_LEN_MAX || text.chars().any(|character| character.is_control() || character == ' ') => {
            invalid(format!("`{field}` is longer than {TEXT_LEN_MAX} bytes or has spaces or control characters"))
        }
        text => Ok(text),
    };
    let endpoint = plain("s3_endpoint", endpoint)?;
    if let Some(text) = &endpoint {
        check_endpoint(text)?;
    }
    let Some(bucket) = plain("s3_bucket", bucket)? else { return invalid("a store in S3 needs an `s3_bucket`") };
    if bucket.contains('/') {
        return invalid("`s3_bucket` has a slash");
    }
    Ok(Settings::S3 { endpoint, bucket, region: plain("s3_region", region)?, keys })
}

/// A URL without secrets: it is shown. A wrong one is not, for the same reason.
fn check_endpoint(text: &str) -> Result<()> {
    let url = Url::parse(text).map_err(|error| StoresError::Invalid { reason: format!("`s3_endpoint` is no URL: {error}") })?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return invalid("`s3_endpoint` is not a URL of `http` or `https`");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return invalid(
            "`s3_endpoint` has a user, a password, a query or a fragment; keys belong into `s3_access_key` and `s3_secret_key`",
        );
    }
    Ok(())
}

/// Both keys or none, in which case those of the environment are meant.
fn both(access_key: Option<Secret>, secret_key: Option<Secret>) -> Result<Option<Keys>> {
    match (access_key, secret_key) {
        (None, None) => Ok(None),
        (Some(access_key), Some(secret_key)) => Ok(Some(Keys { access_key, secret_key })),
        (Some(_), None) => invalid("`s3_secret_key` is missing beside `s3_access_key`"),
        (None, Some(_)) => invalid("`s3_access_key` is missing beside `s3_secret_key`"),
    }
}

pub(super) fn invalid<T>(reason: impl Into<String>) -> Result<T> {
    Err(StoresError::Invalid { reason: reason.into() })
}
