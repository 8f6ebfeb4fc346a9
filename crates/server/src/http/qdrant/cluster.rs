//! What clients of a cluster ask for: there is one node, which has every shard.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use icecore_storage::ShardInfo;
use serde::Serialize;
use utoipa::ToSchema;

use super::described::{CLUSTER, PEER, in_collection};
use super::service;
use crate::app::App;
use crate::http::envelope::{ApiError, answer};
use crate::http::extract::InCollection;
use crate::http::openapi::{Door, Operation};

/// The state of the cluster: there is none.
#[derive(Serialize, ToSchema)]
struct ClusterStatus {
    status: &'static str,
}

/// Where the shards of a collection are: here.
#[derive(Serialize, ToSchema)]
struct CollectionCluster {
    peer_id: u64,
    shard_count: usize,
    local_shards: Vec<LocalShard>,
    #[schema(value_type = Vec<String>, max_items = 0)]
    remote_shards: [(); 0],
    #[schema(value_type = Vec<String>, max_items = 0)]
    shard_transfers: [(); 0],
}

/// A shard.
#[derive(Serialize, ToSchema)]
struct LocalShard {
    shard_id: u32,
    points_count: u64,
    state: &'static str,
}

/// The keys that points can be sharded by: none, because hashing the ids is the only way here.
#[derive(Serialize, ToSchema)]
struct ShardKeys {
    #[schema(value_type = Option<Vec<String>>, required)]
    shard_keys: Option<[(); 0]>,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let refused = |id, summary| Operation::new(CLUSTER, id, summary).notes("Refused: there is no cluster.").errors(&[400]);
    Door::new()
        .get("/cluster", status, Operation::new(CLUSTER, "cluster_status", "The cluster's state").result::<ClusterStatus>())
        .post("/cluster/recover", change, refused("recover_current_peer", "Recover this node"))
        .delete("/cluster/peer/{peer}", change, refused("remove_peer", "Remove a node").path(&[PEER]))
        .get(
            "/collections/{collection}/cluster",
            collection,
            in_collection(CLUSTER, "collection_cluster_info", "Where the shards of a collection are")
                .result::<CollectionCluster>(),
        )
        .post(
            "/collections/{collection}/cluster",
            change,
            in_collection(CLUSTER, "update_collection_cluster", "Move shards").notes("Refused: there is no cluster."),
        )
        .get(
            "/collections/{collection}/shards",
            shard_keys,
            in_collection(CLUSTER, "list_shard_keys", "The keys of custom sharding: none").result::<ShardKeys>(),
        )
}

/// `GET /cluster`
pub(super) async fn status() -> Response {
    service::constant(&ClusterStatus { status: "disabled" })
}

/// `GET /collections/{collection}/cluster`
pub(super) async fn collection(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || {
        let info = app.storage.info(&path.collection)?;
        let local_shards: Vec<_> = info
            .shards
            .iter()
            .map(|shard| LocalShard { shard_id: shard.number, points_count: shard.points, state: state(shard) })
            .collect();
        Ok(CollectionCluster {
            peer_id: app.jobs.peer_id(),
            shard_count: local_shards.len(),
            local_shards,
            remote_shards: [],
            shard_transfers: [],
        })
    })
    .await
}

/// `GET /collections/{collection}/shards`
pub(super) async fn shard_keys(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || {
        app.storage.resolve(&path.collection)?;
        Ok(ShardKeys { shard_keys: None })
    })
    .await
}

/// Whatever changes a cluster.
pub(super) async fn change() -> Response {
    ApiError::bad_request("Distributed mode disabled.").into_response()
}

/// How a shard is, in the words for replicas.
pub(super) fn state(shard: &ShardInfo) -> &'static str {
    if shard.poisoned.is_some() { "Dead" } else { "Active" }
}
