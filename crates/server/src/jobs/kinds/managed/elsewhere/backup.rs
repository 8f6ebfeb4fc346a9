//! A backup of a cluster: a snapshot is made on a node that has the data, comes into the store as it is sent, and goes there.
//!
//! Its checkpoint names the archives, each before it is put, and the snapshot that is on a node only for its sake. A run that comes
//! after another one skips the archives that are in the store, because what is listed is complete and has the digest that the
//! cluster told, and first removes that snapshot. Which bytes a snapshot has is the cluster's business, compression included.

use std::sync::Arc;
use std::time::Duration;

use icecore_archive::Sha256Digest;
use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use super::super::super::{Subject, to_json};
use super::super::{Metadata, Order};
use super::Site;
use super::arrival::Arrival;
use super::nodes::{self, Part};
use super::set_backup;
use crate::clusters::{Alias, ClusterError, Remote, SnapshotInfo};
use crate::error::{Result, one_line};
use crate::jobs::kinds::Waiting;
use crate::stores::{Store, StoreError};
use crate::usecases::naming::{self, Place};

/// How long the job waits until its snapshot is gone from the node. The node may take longer.
const REMOVAL_TIME: Duration = Duration::from_secs(10);

/// What a run has done; also the result of the job.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in super::super) struct Archived {
    /// All but the last one are in the store; once the job has ended, all are.
    pub(in super::super) archives: Vec<Archive>,
    /// Of a backup of everything: the set that stands for all of it, noted before it is put.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) set: Option<String>,
    /// Of a backup of everything: the other names of its collections, which are in the set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) aliases: Option<Vec<Alias>>,
    /// The snapshot on a node that has to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    there: Option<There>,
}

/// An archive in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Archive {
    pub(in super::super) collection: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) shard_id: Option<u32>,
    pub(in super::super) snapshot_name: String,
}

impl Archive {
    fn new(scope: &Scope, snapshot_name: String) -> Self {
        let Subject { collection, shard } = Subject::of(scope);
        Self { collection: collection.unwrap_or_default(), shard_id: shard, snapshot_name }
    }
}

/// A snapshot on a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct There {
    /// The node's address.
    node: String,
    #[serde(flatten)]
    subject: Subject,
    name: String,
}

/// What a checkpoint says, if it is one of such a backup.
pub(in super::super) fn noted(checkpoint: &Value) -> Option<Archived> {
    Archived::deserialize(checkpoint).ok()
}

pub(super) fn run(site: &Site<'_>, order: &Order) -> Result<Value> {
    let scope = order.scope("backup")?;
    Metadata(&order.metadata).check_as_it_comes()?;
    let store = site.app.stores.resolve(order.request.storage_id.as_deref())?.store;
    let mut done = site.running.checkpoint().and_then(|checkpoint| noted(&checkpoint)).unwrap_or_default();
    if let Some(left) = done.there.take() {
        remove_left(site, &left);
    }
    match scope {
        Scope::Storage => set_backup::run(site, store.as_ref(), &mut done)?,
        Scope::Collection(collection) => all(site, store.as_ref(), nodes::of_collection(site, &collection)?, &mut done)?,
        Scope::Shard { collection, shard } => {
            all(site, store.as_ref(), vec![nodes::of_shard(site, &collection, shard)?], &mut done)?;
        }
    }
    to_json(done)
}

pub(super) fn all(site: &Site<'_>, store: &dyn Store, parts: Vec<Part>, done: &mut Archived) -> Result<()> {
    parts.iter().try_for_each(|part| archive(site, store, part, done))
}

/// Archives a part, unless a former run has.
fn archive(site: &Site<'_>, store: &dyn Store, part: &Part, done: &mut Archived) -> Result<()> {
    let place = place(site.remote.name(), &part.scope);
    let is_of_part = |archive: &Archive| *archive == Archive::new(&part.scope, archive.snapshot_name.clone());
    if let Some(position) = done.archives.iter().position(is_of_part) {
        let before = done.archives.remove(position);
        if before.snapshot_name.parse().is_ok_and(|name| store.open(&place, &name).is_ok()) {
            done.archives.push(before);
            return Ok(());
        }
    }
    let made = make(site, part)?;
    let node = part.node.urls().into_iter().next().unwrap_or_default();
    done.there = Some(There { node, subject: Subject::of(&part.scope), name: made.name.clone() });
    let before = done.archives.len();
    let kept = note(site, done).and_then(|()| keep(site, store, part, &made, done));
    if kept.is_err() {
        // What is shown of the job is what is in the store. The snapshot stays noted: the process may end before it is removed.
        done.archives.truncate(before);
        if let Err(error) = note(site, done) {
            tracing::warn!("cannot note that an archive was not made: {}", one_line(&error));
        }
    }
    // Too late to stop for what is archived, so that a cancellation in this instant changes nothing.
    remove(site, &part.node, &part.scope, &made.name);
    done.there = None;
    kept
}

/// Makes a snapshot. If the job stops before the node answers, the snapshot is removed as soon as the node does.
fn make(site: &Site<'_>, part: &Part) -> Result<SnapshotInfo> {
    let (sender, mut answer) = oneshot::channel();
    let (node, scope) = (Arc::clone(&part.node), part.scope.clone());
    let runtime = site.app.clusters.runtime();
    runtime.spawn(async move {
        let made = node.create_snapshot(&scope, Waiting::Caller).await;
        if let Err(Ok(Some(unwanted))) = sender.send(made) {
            removed(&node, &scope, &unwanted.name).await;
        }
    });
    let waited = site.wait(&mut answer);
    if waited.is_err() {
        answer.close();
        if let Ok(Ok(Some(unwanted))) = answer.try_recv() {
            // It came in the instant in which nobody waited any more.
            let (node, scope) = (Arc::clone(&part.node), part.scope.clone());
            runtime.spawn(async move { removed(&node, &scope, &unwanted.name).await });
        }
    }
    let nothing = || ClusterError::Unavailable { reason: "it has not said what it made".to_owned() };
    Ok(waited?.map_err(|_| nothing())??.ok_or_else(nothing)?)
}

pub(super) fn note(site: &Site<'_>, done: &Archived) -> Result<()> {
    site.running.set_checkpoint(&to_json(done)?)
}

/// Takes a snapshot into the store, under the first free name, which is noted before.
fn keep(site: &Site<'_>, store: &dyn Store, part: &Part, made: &SnapshotInfo, done: &mut Archived) -> Result<()> {
    let place = place(site.remote.name(), &part.scope);
    let expected = made.checksum.as_deref().map(digest).transpose()?;
    let fetched = site.wait(part.node.fetch(&part.scope, &made.name))??;
    let mut arrival = Arrival::new(site, fetched.body, expected);
    let limited = site.app.bandwidth.limit(site.running);
    let compressed = made.name.ends_with(icecore_archive::COMPRESSED_SUFFIX);
    for name in naming::candidates(&place, compressed, site.app.jobs.peer_id(), site.app.clock.now()) {
        match store.open(&place, &name) {
            Ok(_) => continue,
            Err(StoreError::NotFound { .. }) => {
                done.archives.push(Archive::new(&part.scope, name.to_string()));
                note(site, done)?;
            }
            Err(error) => return Err(error.into()),
        }
        match store.put_stream(&place, &name, &mut arrival, fetched.len, &limited) {
            // Nothing of it has been read.
            Err(StoreError::Exists { .. }) => drop(done.archives.pop()),
            Ok(_) => return Ok(()),
            Err(error) => return Err(arrival.failure().unwrap_or_else(|| error.into())),
        }
    }
    unreachable!("the candidates have no end that could be reached")
}

/// Removes what a former run has left, if the node it is on is still one.
fn remove_left(site: &Site<'_>, left: &There) {
    match site.remote.nodes_apart().into_iter().find(|node| node.urls().contains(&left.node)) {
        Some(node) => remove(site, &Arc::new(node), &left.subject.clone().scope(), &left.name),
        None => {
            tracing::warn!("the snapshot {:?} stays on {}, which is no node of the cluster any more", left.name, left.node);
        }
    }
}

/// Removes a snapshot from a node. If the job has to stop, it goes on alone.
fn remove(site: &Site<'_>, node: &Arc<Remote>, scope: &Scope, name: &str) {
    let (node, scope, name) = (Arc::clone(node), scope.clone(), name.to_owned());
    let removal = site.app.clusters.runtime().spawn(async move { removed(&node, &scope, &name).await });
    // Whether it ends, lasts too long or is left alone: it says itself what it could not do.
    let _ = site.wait(async { tokio::time::timeout(REMOVAL_TIME, removal).await });
}

/// One that cannot be removed takes space there and does no harm.
async fn removed(node: &Remote, scope: &Scope, name: &str) {
    match node.delete_snapshot(scope, name, Waiting::Caller).await {
        Ok(_) | Err(ClusterError::Answer { status: 404, .. }) => {}
        Err(error) => tracing::warn!("the snapshot {name:?} stays on cluster {:?}: {}", node.name(), one_line(&error)),
    }
}

/// Where archives of a cluster's collection or shard belong, and the sets of all of it.
pub(in super::super) fn place(cluster: &str, scope: &Scope) -> Place {
    let cluster = cluster.to_owned();
    match Subject::of(scope) {
        Subject { collection: Some(collection), shard } => Place::Elsewhere { cluster, collection, shard },
        Subject { collection: None, .. } => Place::Cluster(cluster),
    }
}

fn digest(text: &str) -> Result<Sha256Digest, ClusterError> {
    let wrong = |_| ClusterError::Unavailable { reason: format!("{text:?}, which it calls a checksum, is no SHA-256") };
    text.to_ascii_lowercase().parse().map_err(wrong)
}
