//! What jobs do: one file a kind, each with the way to submit one and to make the work again from what the database has of it.
//!
//! Jobs whose caller waits are not done again after a restart: the caller has seen the connection break and asks again. Those whose
//! caller was told "accepted" are.

pub(crate) mod managed;
pub(crate) mod snapshot_create;
pub(crate) mod snapshot_delete;
pub(crate) mod snapshot_recover;
pub(crate) mod snapshot_upload;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use icecore_storage::Scope;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{JobKind, OnRestart, StoredJob, Work};
use crate::app::App;
use crate::error::{AppError, Result};

/// The work of a job of a former process; `None` if its request cannot be understood or done again.
pub(crate) fn rebuild(app: &Arc<App>, job: &StoredJob) -> Option<Work> {
    match job.kind {
        JobKind::SnapshotCreate => snapshot_create::rebuild(app, job),
        JobKind::SnapshotDelete => snapshot_delete::rebuild(app, job),
        JobKind::SnapshotRecover => snapshot_recover::rebuild(app, job),
        // What was uploaded went with the process.
        JobKind::SnapshotUpload => None,
        JobKind::Backup | JobKind::Restore | JobKind::ShardBackup | JobKind::ShardRestore | JobKind::Verify => {
            managed::rebuild(app, job)
        }
    }
}

/// Whether somebody waits for the end of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The caller does.
    Caller,
    /// Nobody: the job is done even if the server is restarted in between.
    Nobody,
}

impl Waiting {
    fn on_restart(self) -> OnRestart {
        match self {
            Self::Caller => OnRestart::Fail,
            Self::Nobody => OnRestart::Again,
        }
    }
}

/// A scope as it stands in a request. Collections are given by their own names, never by an alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<u32>,
}

impl Subject {
    fn of(scope: &Scope) -> Self {
        match scope {
            Scope::Storage => Self { collection: None, shard: None },
            Scope::Collection(collection) => Self { collection: Some(collection.clone()), shard: None },
            Scope::Shard { collection, shard } => Self { collection: Some(collection.clone()), shard: Some(*shard) },
        }
    }

    fn scope(self) -> Scope {
        match (self.collection, self.shard) {
            (Some(collection), Some(shard)) => Scope::Shard { collection, shard },
            (Some(collection), None) => Scope::Collection(collection),
            (None, _) => Scope::Storage,
        }
    }
}

/// What jobs that must not run at once have in common: a collection with its shards, or everything.
fn target(scope: &Scope) -> String {
    match scope {
        Scope::Storage => "storage".to_owned(),
        Scope::Collection(collection) | Scope::Shard { collection, .. } => format!("collection/{collection}"),
    }
}

/// The scope with the collection's own name instead of an alias; as it is if there is no such collection.
fn resolved(app: &App, scope: Scope) -> Scope {
    let own = |name: String| app.storage.resolve(&name).unwrap_or(name);
    match scope {
        Scope::Storage => Scope::Storage,
        Scope::Collection(collection) => Scope::Collection(own(collection)),
        Scope::Shard { collection, shard } => Scope::Shard { collection: own(collection), shard },
    }
}

fn to_json(value: impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(AppError::Encode)
}

fn request<T: DeserializeOwned>(job: &StoredJob) -> Option<T> {
    serde_json::from_value(job.request.clone()).ok()
}
