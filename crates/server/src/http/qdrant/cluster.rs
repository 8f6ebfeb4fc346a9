//! What clients of a cluster ask for: there is one node, which has every shard.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use icecore_storage::ShardInfo;
use serde::Serialize;

use super::service;
use crate::app::App;
use crate::http::envelope::{ApiError, answer};
use crate::http::extract::InCollection;

#[derive(Serialize)]
struct ClusterStatus {
    status: &'static str,
}

#[derive(Serialize)]
struct CollectionCluster {
    peer_id: u64,
    shard_count: usize,
    local_shards: Vec<LocalShard>,
    remote_shards: [(); 0],
    shard_transfers: [(); 0],
}

#[derive(Serialize)]
struct LocalShard {
    shard_id: u32,
    points_count: u64,
    state: &'static str,
}

/// The keys that points can be sharded by: none, because hashing the ids is the only way here.
#[derive(Serialize)]
struct ShardKeys {
    shard_keys: Option<[(); 0]>,
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
