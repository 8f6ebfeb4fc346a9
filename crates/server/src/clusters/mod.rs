//! The clusters that the backup manager acts on: the engine inside this server, and Qdrant-compatible clusters on other machines.
//!
//! Both answer the same questions in the same types ([`model`]), so that whoever asks cannot tell them apart but by the answer. A
//! cluster that does not answer is an error: nothing is made up for it. Keys of clusters are sent to them and shown to nobody.
//! What is asked over HTTP and how it is rendered is not known here.

mod embedded;
mod error;
mod model;
pub(crate) mod remote;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use icecore_storage::Scope;
use tokio::runtime::Handle;

pub(crate) use self::embedded::Embedded;
pub(crate) use self::error::ClusterError;
pub(crate) use self::model::{
    ClusterStatus, CollectionCluster, CollectionDetail, Done, Health, Node, Priority, Recovery, SnapshotInfo,
};
pub(crate) use self::remote::transfer::{Alias, Fetched, Upload};
pub(crate) use self::remote::{Download, Remote};
use crate::app::App;
use crate::config::{Config, EMBEDDED};
use crate::jobs::kinds::Waiting;

/// The result of asking a cluster.
pub(crate) type Result<T, E = ClusterError> = std::result::Result<T, E>;

/// All clusters, by name.
#[derive(Debug)]
pub(crate) struct Clusters {
    remotes: Vec<Arc<Remote>>,
    default: String,
    /// Where the embedded engine is reached, once that is known.
    address: OnceLock<SocketAddr>,
    /// Drives the connections of who asks from a thread that is no task's.
    runtime: Handle,
}

/// A cluster to be asked.
#[derive(Debug, Clone)]
pub(crate) enum Cluster {
    /// The engine inside this server.
    Embedded(Embedded),
    /// One on other machines.
    Remote(Arc<Remote>),
}

impl Clusters {
    /// The clusters of the settings, whose connections `runtime` drives. No connection is made. Errors: a certificate that cannot be
    /// read.
    pub(crate) fn new(config: &Config, runtime: Handle) -> Result<Self> {
        let idle = config.service.idle_timeout();
        let connect = |settings: &_| Remote::new(settings, idle).map(Arc::new);
        let remotes = config.clusters.iter().map(connect).collect::<Result<_>>()?;
        let default = config.manager.default_cluster.clone().unwrap_or_else(|| EMBEDDED.to_owned());
        Ok(Self { remotes, default, address: OnceLock::new(), runtime })
    }

    /// Tells where the embedded engine is reached.
    pub(crate) fn listening_at(&self, address: SocketAddr) {
        // Told once; a second address would be that of another port of the same engine.
        let _ = self.address.set(address);
    }

    /// The name of the cluster that is meant where none is named.
    pub(crate) fn default_name(&self) -> &str {
        &self.default
    }

    /// The cluster on other machines of this name.
    pub(crate) fn remote(&self, name: &str) -> Option<Arc<Remote>> {
        self.remotes.iter().find(|remote| remote.name() == name).cloned()
    }

    /// What drives their connections.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Where the embedded engine is reached.
    fn address(&self, config: &Config) -> String {
        match self.address.get() {
            Some(address) => format!("http://{address}"),
            None => format!("http://{}:{}", config.service.host, config.service.http_port),
        }
    }
}

impl Cluster {
    /// The cluster of a name, or the default one. `Unknown` if there is none.
    pub(crate) fn find(app: &Arc<App>, name: Option<&str>) -> Result<Self> {
        let name = name.unwrap_or(app.clusters.default_name());
        if name == EMBEDDED {
            return Ok(Self::Embedded(Embedded::new(Arc::clone(app))));
        }
        let unknown = || ClusterError::Unknown { name: name.chars().take(100).collect() };
        app.clusters.remote(name).map(Self::Remote).ok_or_else(unknown)
    }

    /// All of them, the embedded first.
    pub(crate) fn all(app: &Arc<App>) -> Vec<Self> {
        let remotes = app.clusters.remotes.iter().map(|remote| Self::Remote(Arc::clone(remote)));
        std::iter::once(Self::Embedded(Embedded::new(Arc::clone(app)))).chain(remotes).collect()
    }

    /// What requests call it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Embedded(_) => EMBEDDED,
            Self::Remote(remote) => remote.name(),
        }
    }

    /// Where its nodes are reached; nothing in it is secret.
    pub(crate) fn urls(&self) -> Vec<String> {
        match self {
            Self::Embedded(embedded) => vec![embedded.url()],
            Self::Remote(remote) => remote.urls(),
        }
    }

    /// How the cluster is.
    pub(crate) async fn status(&self) -> Result<ClusterStatus> {
        match self {
            Self::Embedded(embedded) => embedded.status().await,
            Self::Remote(remote) => remote.status().await,
        }
    }

    /// [`status`](Self::status) within this time, or the error of a cluster that does not answer.
    pub(crate) async fn status_within(&self, time: Duration) -> Result<ClusterStatus> {
        let silent = |_| ClusterError::Unavailable { reason: format!("no answer within {time:?}") };
        tokio::time::timeout(time, self.status()).await.map_err(silent)?
    }

    /// Its nodes, by their ids.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>> {
        match self {
            Self::Embedded(embedded) => embedded.nodes().await,
            Self::Remote(remote) => remote.nodes().await,
        }
    }

    /// The names of its collections, sorted.
    pub(crate) async fn collections(&self) -> Result<Vec<String>> {
        match self {
            Self::Embedded(embedded) => embedded.collections().await,
            Self::Remote(remote) => remote.collections().await,
        }
    }

    /// A collection.
    pub(crate) async fn collection(&self, name: &str) -> Result<CollectionDetail> {
        match self {
            Self::Embedded(embedded) => embedded.collection(name).await,
            Self::Remote(remote) => remote.collection(name).await,
        }
    }

    /// Where the shards of a collection are.
    pub(crate) async fn collection_cluster(&self, name: &str) -> Result<CollectionCluster> {
        match self {
            Self::Embedded(embedded) => embedded.collection_cluster(name).await,
            Self::Remote(remote) => remote.collection_cluster(name).await,
        }
    }

    /// The snapshots of a scope.
    pub(crate) async fn snapshots(&self, scope: Scope) -> Result<Vec<SnapshotInfo>> {
        match self {
            Self::Embedded(embedded) => embedded.snapshots(scope).await,
            Self::Remote(remote) => remote.snapshots(&scope).await,
        }
    }

    /// Makes a snapshot; nothing is said of it to who does not wait.
    pub(crate) async fn create_snapshot(&self, scope: Scope, waiting: Waiting) -> Result<Option<SnapshotInfo>> {
        match self {
            Self::Embedded(embedded) => embedded.create_snapshot(scope, waiting).await,
            Self::Remote(remote) => remote.create_snapshot(&scope, waiting).await,
        }
    }

    /// Deletes a snapshot.
    pub(crate) async fn delete_snapshot(&self, scope: Scope, name: String, waiting: Waiting) -> Result<Done> {
        match self {
            Self::Embedded(embedded) => embedded.delete_snapshot(scope, name, waiting).await,
            Self::Remote(remote) => remote.delete_snapshot(&scope, &name, waiting).await,
        }
    }

    /// Restores a collection or a shard.
    pub(crate) async fn recover(&self, recovery: Recovery, waiting: Waiting) -> Result<Done> {
        match self {
            Self::Embedded(embedded) => embedded.recover(recovery, waiting).await,
            Self::Remote(remote) => remote.recover(recovery, waiting).await,
        }
    }
}
