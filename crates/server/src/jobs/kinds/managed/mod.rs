//! The jobs of the backup manager: backups and restores of everything, of a collection or of a shard.
//!
//! Only what cannot become right any more is refused when a job is made; the rest is judged when its turn comes, and is the reason
//! that it fails for. What the database keeps of a job holds no secret ([`metadata`]): one that needs a secret has it in memory, and
//! is not done again after a restart. The collection's name and the store are settled when the job is made, so that it means the same
//! however often it is done. What is done on clusters of other machines is in [`elsewhere`].

mod backup;
mod elsewhere;
mod error;
mod metadata;
mod restore;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub(crate) use error::ManagedError;
use metadata::Metadata;

use super::super::{Description, JobId, JobKind, NewJob, OnRestart, Running, StoredJob, Work};
use super::{request, snapshot_create, target, to_json};
use crate::app::App;
use crate::config::EMBEDDED;
use crate::error::Result;

/// Stands for all collections with their aliases.
pub(crate) const EVERYTHING: &str = "*";

/// What a client asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// One of [`JobKind::MANAGED`].
    pub(crate) kind: JobKind,
    /// The collection's name, an alias, or [`EVERYTHING`].
    pub(crate) collection_name: String,
    /// The shard's number.
    pub(crate) shard_id: Option<u32>,
    /// The archive to restore from.
    pub(crate) snapshot_name: Option<String>,
    /// The configuration of the store; without it the default one.
    pub(crate) storage_id: Option<String>,
    /// The cluster; without it the default one.
    pub(crate) cluster: Option<String>,
    /// Whatever else there is to say, and what the caller wants to find again.
    pub(crate) metadata: Map<String, Value>,
}

/// What the database has of it, and everybody may see.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// The name as it was given.
    pub(crate) collection_name: String,
    /// The collection's own name, or what it will be called; none for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    /// The shard's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shard_id: Option<u32>,
    /// The archive to restore from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot_name: Option<String>,
    /// The configuration of the store; none for that of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) storage_id: Option<String>,
    /// The cluster, as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// Without secrets.
    pub(crate) metadata: Map<String, Value>,
    /// Whether the job cannot be done without what is missing in the metadata.
    #[serde(default)]
    lacks_secrets: bool,
}

/// A job, ready to be done.
#[derive(Debug, Clone)]
struct Order {
    kind: JobKind,
    request: Request,
    /// With its secrets, as long as this process lives.
    metadata: Map<String, Value>,
}

/// Makes a job. Errors: no such store, no such cluster.
pub(crate) fn submit(app: &Arc<App>, wanted: Wanted) -> Result<JobId> {
    let Wanted { kind, collection_name, shard_id, snapshot_name, storage_id, cluster, metadata } = wanted;
    let remote = match cluster.as_deref().unwrap_or(app.clusters.default_name()) {
        EMBEDDED => None,
        name => {
            let unknown = || ManagedError::UnknownCluster { name: name.to_owned() };
            Some(app.clusters.remote(name).ok_or_else(unknown)?.name().to_owned())
        }
    };
    let storage_id = app.stores.resolve(storage_id.as_deref())?.id;
    let own = || match remote {
        // Its aliases are its own business.
        Some(_) => collection_name.clone(),
        None => app.storage.resolve(&collection_name).unwrap_or_else(|_| collection_name.clone()),
    };
    let collection = (collection_name != EVERYTHING).then(own);
    let (kept, lacks_secrets) = Metadata(&metadata).kept();
    let target = target(&collection.clone().map_or(Scope::Storage, Scope::Collection));
    let target = remote.as_ref().map_or_else(|| target.clone(), |name| format!("cluster/{name}/{target}"));
    let waits_for_others = remote.is_some() || kind.may_wait_for_others();
    let cluster = remote.or(cluster);
    let request =
        Request { collection_name, collection, shard_id, snapshot_name, storage_id, cluster, metadata: kept, lacks_secrets };
    let job = NewJob {
        kind,
        target,
        request: to_json(&request)?,
        on_restart: if lacks_secrets { OnRestart::Fail } else { OnRestart::Again },
        waits_for_others,
    };
    Ok(app.jobs.submit(job, work(app, Order { kind, request, metadata }, false))?.id())
}

/// The work of a job that is done once more; `None` if its secrets are gone.
pub(crate) fn rebuild(app: &Arc<App>, job: &StoredJob) -> Option<Work> {
    let request: Request = request(job)?;
    if request.lacks_secrets {
        return None;
    }
    let committed = job.checkpoint.as_ref().is_some_and(|checkpoint| restore::is_committed(app, job.kind, checkpoint));
    let order = Order { kind: job.kind, metadata: request.metadata.clone(), request };
    Some(work(app, order, committed))
}

/// What a job was asked for, and the name of its archive as far as it is known.
pub(crate) fn described(job: &Description) -> Option<Request> {
    let mut request = Request::deserialize(&job.request).ok()?;
    let Some(checkpoint) = &job.checkpoint else { return Some(request) };
    if let Some(name) = snapshot_create::noted(checkpoint) {
        request.snapshot_name = Some(name);
    } else if let Some(archived) = elsewhere::noted(checkpoint) {
        request.snapshot_name = archived.set;
        match (archived.archives.as_slice(), archived.aliases) {
            ([only], None) => request.snapshot_name = Some(only.snapshot_name.clone()),
            (archives, aliases) => {
                request.metadata.insert("archives".to_owned(), json!(archives));
                request.metadata.extend(aliases.map(|aliases| ("aliases".to_owned(), json!(aliases))));
            }
        }
    }
    Some(request)
}

/// `committed` tells whether a former run has done everything but to say so.
fn work(app: &Arc<App>, order: Order, committed: bool) -> Work {
    let app = Arc::clone(app);
    Box::new(move |running: &Running| {
        if committed {
            return Ok(Value::Bool(true));
        }
        let counted = app.metrics.managed(order.kind);
        let done = match (order.kind, order.request.cluster.as_deref()) {
            (JobKind::Verify, _) => verify::run(&app, &order, running),
            (_, Some(cluster)) if cluster != EMBEDDED => elsewhere::run(&app, cluster, &order, running),
            (JobKind::Restore | JobKind::ShardRestore, _) => restore::run(&app, &order, running),
            _ => backup::run(&app, &order, running),
        };
        counted.end(&done);
        done
    })
}

impl Order {
    /// What the job is about. `work` is what is to be done with it.
    fn scope(&self, work: &'static str) -> Result<Scope, ManagedError> {
        let of_shard = match self.kind {
            JobKind::Verify => self.request.shard_id.is_some(),
            kind => matches!(kind, JobKind::ShardBackup | JobKind::ShardRestore),
        };
        match (&self.request.collection, self.request.shard_id, of_shard) {
            (None, _, false) => Ok(Scope::Storage),
            (Some(collection), _, false) => Ok(Scope::Collection(collection.clone())),
            (_, None, true) => Err(ManagedError::ShardRequired { work }),
            (Some(collection), Some(shard), true) => Ok(Scope::Shard { collection: collection.clone(), shard }),
            (None, Some(_), true) => Err(ManagedError::ShardOfEverything),
        }
    }
}
