//! What clients of a cluster ask for: there is one node, which has every shard.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::service;
use crate::app::App;
use crate::http::envelope::answer;
use crate::http::extract::InCollection;

/// The id of the only node.
const PEER_ID: u64 = 1;

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
            .map(|shard| LocalShard {
                shard_id: shard.number,
                points_count: shard.points,
                state: if shard.poisoned.is_some() { "Dead" } else { "Active" },
            })
            .collect();
        Ok(CollectionCluster {
            peer_id: PEER_ID,
            shard_count: local_shards.len(),
            local_shards,
            remote_shards: [],
            shard_transfers: [],
        })
    })
    .await
}
