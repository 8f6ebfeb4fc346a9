//! The engine inside this server, asked like any cluster: one node, which has every shard.
//!
//! It calls the same use cases and jobs as Qdrant's own routes, on threads for blocking work.

use std::collections::BTreeMap;
use std::sync::Arc;

use icecore_archive::ArchiveName;
use icecore_storage::{Scope, ShardInfo, names};
use url::Url;

use super::model::{LocalShard, Peer, RaftInfo};
use super::{
    ClusterError, ClusterStatus, CollectionCluster, CollectionDetail, Done, Health, Node, Recovery, Result, SnapshotInfo,
};
use crate::app::App;
use crate::config::Form;
use crate::http::describe_collection;
use crate::jobs::kinds::{Waiting, snapshot_create, snapshot_delete, snapshot_recover};
use crate::stores::ArchiveInfo;
use crate::usecases::location::{self, Location};
use crate::usecases::restore::Goal;
use crate::usecases::{fetch, naming, recover};

/// The engine of the running server.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    app: Arc<App>,
}

impl Embedded {
    pub(super) fn new(app: Arc<App>) -> Self {
        Self { app }
    }

    /// The running server.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub(super) fn url(&self) -> String {
        self.app.clusters.address(&self.app.config)
    }

    pub(super) async fn status(&self) -> Result<ClusterStatus> {
        self.run(|app| {
            let peer_id = app.jobs.peer_id();
            let poisoned =
                app.storage.collections().iter().any(|name| {
                    app.storage.info(name).is_ok_and(|info| info.shards.iter().any(|shard| shard.poisoned.is_some()))
                });
            let message = match (poisoned, app.storage.flush_problem()) {
                (true, _) => Some("a shard takes no more writes since a failure; the server's log says which"),
                (false, Some(_)) => Some("points cannot be moved from memory to the disk; the server's log says why"),
                (false, None) => None,
            };
            Ok(ClusterStatus {
                status: if message.is_some() { Health::Yellow } else { Health::Green },
                peer_id,
                peers: BTreeMap::from([(peer_id.to_string(), Peer { uri: app.clusters.address(&app.config) })]),
                // There is nobody to agree with.
                raft_info: RaftInfo {
                    term: 0,
                    commit: 0,
                    pending_operations: 0,
                    leader: peer_id,
                    role: "Leader".to_owned(),
                    is_voter: true,
                },
                message: message.map(str::to_owned),
            })
        })
        .await
    }

    pub(super) async fn nodes(&self) -> Result<Vec<Node>> {
        self.run(|app| {
            let collections = app.storage.collections();
            // One that is deleted meanwhile has no shards.
            let shards = collections.iter().filter_map(|name| app.storage.info(name).ok()).map(|info| info.shards.len() as u64);
            Ok(vec![Node {
                peer_id: app.jobs.peer_id(),
                uri: app.clusters.address(&app.config),
                is_leader: true,
                shards_count: shards.sum(),
                collections_count: collections.len() as u64,
            }])
        })
        .await
    }

    pub(super) async fn collections(&self) -> Result<Vec<String>> {
        self.run(|app| Ok(app.storage.collections())).await
    }

    pub(super) async fn collection(&self, name: &str) -> Result<CollectionDetail> {
        let name = name.to_owned();
        self.run(move |app| {
            let info = app.storage.info(&name)?;
            Ok(CollectionDetail::read(&info.name, &describe_collection(&info, app.storage.flush_problem().is_some())))
        })
        .await
    }

    pub(super) async fn collection_cluster(&self, name: &str) -> Result<CollectionCluster> {
        let name = name.to_owned();
        self.run(move |app| {
            let info = app.storage.info(&name)?;
            let state = |shard: &ShardInfo| if shard.poisoned.is_some() { "Dead" } else { "Active" }.to_owned();
            let local =
                |shard: &ShardInfo| LocalShard { shard_id: shard.number, points_count: shard.points, state: state(shard) };
            let local_shards: Vec<LocalShard> = info.shards.iter().map(local).collect();
            Ok(CollectionCluster {
                peer_id: app.jobs.peer_id(),
                shard_count: local_shards.len() as u64,
                local_shards,
                remote_shards: Vec::new(),
            })
        })
        .await
    }

    pub(super) async fn snapshots(&self, scope: Scope) -> Result<Vec<SnapshotInfo>> {
        self.run(move |app| Ok(fetch::list(app, &scope)?.iter().map(SnapshotInfo::from).collect())).await
    }

    pub(super) async fn create_snapshot(&self, scope: Scope, waiting: Waiting) -> Result<Option<SnapshotInfo>> {
        let submitted = self
            .run(move |app| {
                let settings = &app.config.snapshots;
                let level = (settings.compression == Form::Zstd).then_some(settings.compression_level.0);
                let options = snapshot_create::Options { zstd_level: level, full: false };
                Ok(snapshot_create::submit(app, scope, options, waiting)?)
            })
            .await?;
        if waiting == Waiting::Nobody {
            return Ok(None);
        }
        let archive = snapshot_create::archive(submitted.outcome().await?).ok_or(ClusterError::Panicked)?;
        Ok(Some(SnapshotInfo::from(&archive)))
    }

    pub(super) async fn delete_snapshot(&self, scope: Scope, name: String, waiting: Waiting) -> Result<Done> {
        self.run(move |app| match waiting {
            // There is nothing to wait for in a queue.
            Waiting::Caller => Ok(fetch::delete(app, &scope, &name).map(|()| Done::Yes)?),
            Waiting::Nobody => Ok(snapshot_delete::submit(app, scope, name).map(|()| Done::Accepted)?),
        })
        .await
    }

    pub(super) async fn recover(&self, recovery: Recovery, waiting: Waiting) -> Result<Done> {
        let submitted = self
            .run(move |app| {
                let recovery = located(app, recovery)?;
                recover::check(app, &recovery)?;
                Ok(snapshot_recover::submit(app, recovery, waiting)?)
            })
            .await?;
        if waiting == Waiting::Nobody {
            return Ok(Done::Accepted);
        }
        submitted.outcome().await?;
        Ok(Done::Yes)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Arc<App>) -> Result<T> + Send + 'static) -> Result<T> {
        let app = Arc::clone(&self.app);
        // The panic hook has logged the message and the place.
        tokio::task::spawn_blocking(move || work(&app)).await.unwrap_or(Err(ClusterError::Panicked))
    }
}

impl From<&ArchiveInfo> for SnapshotInfo {
    fn from(info: &ArchiveInfo) -> Self {
        let found = Self {
            name: info.name.to_string(),
            creation_time: Some(naming::creation_time(info.created)),
            size: info.size,
            checksum: info.sha256.as_ref().map(ToString::to_string),
        };
        found.with_zone()
    }
}

/// What is to be restored, with the place of its archive. A name instead of a URL is that of an archive of the same place.
fn located(app: &App, recovery: Recovery) -> Result<recover::Recovery> {
    let wrong = |message: String| ClusterError::Answer { status: 400, message };
    let Recovery { scope, location, checksum, api_key, priority: _ } = recovery;
    let checksum = checksum.filter(|checksum| !checksum.trim().is_empty()).map(|text| text.trim().to_ascii_lowercase().parse());
    let checksum =
        checksum.transpose().map_err(|_| wrong("the checksum is not a SHA-256 in 64 hexadecimal digits".to_owned()))?;
    let location_of = |shard: bool| match Url::parse(&location) {
        Ok(_) if shard => Ok(location::of_shard(&location, recover::reach(app))?),
        Ok(url) => Ok(location::of_collection(&url, recover::reach(app))?),
        Err(_) if location.is_empty() => Err(wrong("the location is empty".to_owned())),
        Err(_) => match location.parse::<ArchiveName>() {
            Ok(name) => Ok(Location::Stored(name)),
            Err(_) => Err(wrong("the location is neither a URL nor the name of a snapshot".to_owned())),
        },
    };
    let (goal, location) = match scope {
        Scope::Shard { collection, shard } => {
            fetch::place(app, &Scope::Shard { collection: collection.clone(), shard })?;
            (Goal::Shard { collection: app.storage.resolve(&collection)?, shard }, location_of(true)?)
        }
        Scope::Collection(name) => {
            let own = app.storage.resolve(&name).or_else(|_| names::validate(&name).map(|()| name))?;
            (Goal::Collection(own), location_of(false)?)
        }
        Scope::Storage => return Err(wrong("the whole storage cannot be restored while the server runs".to_owned())),
    };
    Ok(recover::Recovery { goal, location, checksum, api_key })
}
