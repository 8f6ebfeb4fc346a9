//! A configuration of a store: as it is kept, and as requests give it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::secrets::Sealed;
use super::{Result, StoresError};
use crate::config::Secret;

/// The name of a configuration for machines: a UUID of version 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct StoreId(Uuid);

impl StoreId {
    /// A new one.
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoresError::Encryption)?;
        Ok(Self(Builder::from_random_bytes(bytes).into_uuid()))
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for StoreId {
    type Err = StoresError;

    /// A text that is no id names no configuration.
    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(|_| StoresError::NotFound)
    }
}

impl TryFrom<String> for StoreId {
    type Error = StoresError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<StoreId> for String {
    fn from(id: StoreId) -> Self {
        id.to_string()
    }
}

/// A configuration as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    /// Its name for machines.
    pub(crate) id: StoreId,
    /// What people call it.
    pub(crate) name: String,
    /// Where the store is.
    pub(crate) settings: Settings,
    /// Whether it is what is meant where none is named.
    pub(crate) is_default: bool,
    /// When it was made, in milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// When it was last changed.
    pub(crate) updated_ms: i64,
}

/// Where a store is; its keys are encrypted, unless `K` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Settings<K = Sealed> {
    /// In a directory.
    Local {
        /// The absolute path.
        path: PathBuf,
    },
    /// In a bucket.
    S3 {
        /// The server; without it that of the region.
        endpoint: Option<String>,
        /// The bucket's name.
        bucket: String,
        /// The region; without it what the environment or the default says.
        region: Option<String>,
        /// Access key and secret key; without them those of the environment.
        keys: Option<K>,
    },
}

impl<K> Settings<K> {
    /// The same with other keys.
    pub(super) fn seal<L>(self, seal: impl FnOnce(K) -> Result<L>) -> Result<Settings<L>> {
        Ok(match self {
            Self::Local { path } => Settings::Local { path },
            Self::S3 { endpoint, bucket, region, keys } => {
                Settings::S3 { endpoint, bucket, region, keys: keys.map(seal).transpose()? }
            }
        })
    }
}

impl Settings {
    /// The same with these keys, if there are any.
    pub(super) fn with_keys(mut self, new: Option<Sealed>) -> Self {
        if let (Self::S3 { keys, .. }, Some(new)) = (&mut self, new) {
            *keys = Some(new);
        }
        self
    }
}

/// What sort of store it is; read in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = StorageKind)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A directory.
    #[serde(alias = "LOCAL", alias = "Local")]
    Local,
    /// A bucket.
    #[serde(alias = "S3")]
    S3,
}

/// A configuration to be made. Fields of the other type are ignored; empty ones count as not given.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// What people are to call it.
    pub(crate) name: String,
    /// What sort of store it is.
    pub(crate) kind: Kind,
    /// The directory of a local one.
    pub(crate) path: Option<String>,
    /// The bucket of one in S3.
    pub(crate) s3: S3Fields,
    /// Whether it is to be the default.
    pub(crate) is_default: bool,
}

/// The fields of a store in S3.
#[derive(Debug, Clone, Default)]
pub(crate) struct S3Fields {
    /// The server's URL.
    pub(crate) endpoint: Option<String>,
    /// The bucket's name.
    pub(crate) bucket: Option<String>,
    /// The region.
    pub(crate) region: Option<String>,
    /// The access key.
    pub(crate) access_key: Option<Secret>,
    /// The secret key.
    pub(crate) secret_key: Option<Secret>,
}

/// What is to change of a configuration: what is given. An empty endpoint or region is removed, an empty key or a masked one is left
/// as it is, because forms send back what they were given.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    /// What people are to call it.
    pub(crate) name: Option<String>,
    /// The type, which cannot change.
    pub(crate) kind: Option<Kind>,
    /// The directory.
    pub(crate) path: Option<String>,
    /// The bucket.
    pub(crate) s3: S3Fields,
    /// Whether it is to be the default.
    pub(crate) is_default: Option<bool>,
}

/// What is shown of an access key.
pub(crate) const MASK: &str = "***********";

/// A key that is really given.
pub(super) fn new_key(given: Option<Secret>) -> Option<Secret> {
    given.filter(|key| !key.expose().is_empty() && key.expose() != MASK)
}
