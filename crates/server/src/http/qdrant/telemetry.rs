//! What dashboards read of the server and its collections (`GET /telemetry`, `GET /cluster/telemetry`).
//!
//! The forms are those of Qdrant's models, reduced to what is true here: fields about indexes, optimizers and consensus are left out,
//! and the parameters that ask for more or less (`details_level`, `anonymize`) change nothing. Nothing is ever sent anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::{CollectionInfo, ShardInfo};
use serde::Serialize;
use utoipa::ToSchema;

use super::cluster::state;
use super::described::{CLUSTER, SERVICE};
use crate::app::App;
use crate::http::envelope::answer;
use crate::http::openapi::{Door, Operation};
use crate::metrics::SnapshotCounts;
use crate::usecases::naming;

/// What the server and its collections are doing.
#[derive(Serialize, ToSchema)]
struct Telemetry {
    id: String,
    app: Program,
    collections: Collections,
    cluster: Cluster,
}

/// The program.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryProgram)]
struct Program {
    name: &'static str,
    version: &'static str,
    startup: String,
}

/// The collections.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryCollections)]
struct Collections {
    number_of_collections: usize,
    collections: Vec<Collection>,
    snapshots: Vec<Snapshots>,
}

/// A collection.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryCollection)]
struct Collection {
    id: String,
    shards: Vec<ReplicaSet>,
}

/// A shard, which has one replica.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryReplicaSet)]
struct ReplicaSet {
    id: u32,
    local: Local,
    #[schema(value_type = Vec<String>, max_items = 0)]
    remote: [(); 0],
    #[schema(value_type = BTreeMap<String, String>)]
    replicate_states: BTreeMap<u64, &'static str>,
}

/// A shard on this node.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryShard)]
struct Local {
    /// Points that were put into an index; there is none.
    total_optimized_points: u64,
    num_points: u64,
}

/// Archives of a collection that are and were made.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetrySnapshots)]
struct Snapshots {
    id: String,
    running_snapshots: u64,
    running_snapshot_recovery: u64,
    total_snapshot_creations: u64,
}

/// There is none.
#[derive(Serialize, ToSchema)]
#[schema(as = TelemetryCluster)]
struct Cluster {
    enabled: bool,
}

/// All nodes together.
#[derive(Serialize, ToSchema)]
#[schema(as = DistributedTelemetry)]
struct Distributed {
    collections: BTreeMap<String, DistributedCollection>,
    cluster: DistributedCluster,
}

/// A collection.
#[derive(Serialize, ToSchema)]
#[schema(as = DistributedTelemetryCollection)]
struct DistributedCollection {
    id: String,
    shards: Vec<DistributedShard>,
}

/// A shard.
#[derive(Serialize, ToSchema)]
#[schema(as = DistributedTelemetryShard)]
struct DistributedShard {
    id: u32,
    #[schema(value_type = Vec<Replica>, min_items = 1, max_items = 1)]
    replicas: [Replica; 1],
}

/// A shard on a node.
#[derive(Serialize, ToSchema)]
#[schema(as = DistributedTelemetryReplica)]
struct Replica {
    peer_id: u64,
    state: &'static str,
    num_points: u64,
}

/// There is none.
#[derive(Serialize, ToSchema)]
#[schema(as = DistributedTelemetryCluster)]
struct DistributedCluster {
    enabled: bool,
    #[schema(required)]
    number_of_peers: Option<u64>,
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    peers: BTreeMap<u64, ()>,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let telemetry_of = |tag, id, summary| {
        Operation::new(tag, id, summary)
            .notes("The parameters of Qdrant that ask for more or less (`details_level`, `anonymize`) change nothing.")
    };
    Door::new()
        .get("/telemetry", telemetry, telemetry_of(SERVICE, "telemetry", "What the server is doing").result::<Telemetry>())
        .get(
            "/cluster/telemetry",
            distributed,
            telemetry_of(CLUSTER, "cluster_telemetry", "What all nodes are doing").result::<Distributed>(),
        )
}

/// `GET /telemetry`
pub(super) async fn telemetry(State(app): State<Arc<App>>) -> Response {
    answer(move || {
        let found = infos(&app);
        let names: Vec<String> = found.iter().map(|info| info.name.clone()).collect();
        let counts = app.metrics.snapshot_counts(&names);
        Ok(Telemetry {
            id: instance(&app),
            app: Program {
                name: "icecore",
                version: env!("CARGO_PKG_VERSION"),
                startup: format!("{}Z", naming::creation_time(app.metrics.started())),
            },
            collections: Collections {
                number_of_collections: found.len(),
                collections: found.iter().map(|info| Collection::of(info, app.jobs.peer_id())).collect(),
                snapshots: counts.into_iter().filter(|(id, _)| names.contains(id)).map(Snapshots::from).collect(),
            },
            cluster: Cluster { enabled: false },
        })
    })
    .await
}

/// `GET /cluster/telemetry`
pub(super) async fn distributed(State(app): State<Arc<App>>) -> Response {
    answer(move || {
        let shards =
            |info: &CollectionInfo| info.shards.iter().map(|shard| DistributedShard::of(shard, app.jobs.peer_id())).collect();
        let collection = |info: &CollectionInfo| DistributedCollection { id: info.name.clone(), shards: shards(info) };
        Ok(Distributed {
            collections: infos(&app).iter().map(|info| (info.name.clone(), collection(info))).collect(),
            cluster: DistributedCluster { enabled: false, number_of_peers: None, peers: BTreeMap::new() },
        })
    })
    .await
}

/// All collections, without those that are deleted just now.
fn infos(app: &App) -> Vec<CollectionInfo> {
    app.storage.collections().iter().filter_map(|name| app.storage.info(name).ok()).collect()
}

/// Tells one run of the server from another.
fn instance(app: &App) -> String {
    let started = app.metrics.started().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", started.as_nanos(), std::process::id())
}

impl Collection {
    fn of(info: &CollectionInfo, peer_id: u64) -> Self {
        Self { id: info.name.clone(), shards: info.shards.iter().map(|shard| ReplicaSet::of(shard, peer_id)).collect() }
    }
}

impl ReplicaSet {
    fn of(shard: &ShardInfo, peer_id: u64) -> Self {
        Self {
            id: shard.number,
            local: Local { total_optimized_points: 0, num_points: shard.points },
            remote: [],
            replicate_states: BTreeMap::from([(peer_id, state(shard))]),
        }
    }
}

impl DistributedShard {
    fn of(shard: &ShardInfo, peer_id: u64) -> Self {
        Self { id: shard.number, replicas: [Replica { peer_id, state: state(shard), num_points: shard.points }] }
    }
}

impl From<(String, SnapshotCounts)> for Snapshots {
    fn from((id, counts): (String, SnapshotCounts)) -> Self {
        Self {
            id,
            running_snapshots: counts.creating,
            running_snapshot_recovery: counts.recovering,
            total_snapshot_creations: counts.created,
        }
    }
}
