//! The backup manager's API under `/api/v1`: one file a resource, the routes of all of them here.
//!
//! Every success is 200 with the envelope, but for who does not wait (202). What is not there is 404 in the envelope too, a wrong
//! method included.

mod capabilities;
mod cluster;
mod collections;
mod errors;
mod events;
mod job;
mod jobs;
mod live;
mod on;
mod passing;
mod snapshots;
mod storage;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post, put};
use serde::Serialize;

use crate::app::App;
use crate::http::envelope::{self, ApiError, ApiResult};
use crate::http::qdrant;

/// All routes, with their prefix.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().nest("/api/v1", without_prefix().fallback(nothing).method_not_allowed_fallback(nothing))
}

fn without_prefix() -> Router<Arc<App>> {
    let shards = "/collections/{collection}/shards/{shard}/snapshots";
    Router::new()
        .route("/clusters", get(cluster::list))
        .route("/cluster", get(cluster::status))
        .route("/cluster/nodes", get(cluster::nodes))
        .route("/collections", get(collections::list))
        .route("/collections/{collection}", get(collections::get))
        .route("/collections/{collection}/cluster", get(collections::cluster))
        .route("/collections/{collection}/snapshots", get(snapshots::list).post(snapshots::create))
        .route("/collections/{collection}/snapshots/{name}", get(snapshots::download).delete(snapshots::delete))
        .route("/collections/{collection}/snapshots/recover", post(snapshots::recover).put(snapshots::recover))
        .route(shards, get(snapshots::list_of_shard).post(snapshots::create_of_shard))
        .route(&format!("{shards}/{{name}}"), get(snapshots::download_of_shard).delete(snapshots::delete_of_shard))
        .route(&format!("{shards}/recover"), post(snapshots::recover_shard).put(snapshots::recover_shard))
        .route("/storage/config", get(storage::list).post(storage::create))
        .route("/storage/config/{id}", put(storage::update).delete(storage::delete))
        .route("/storage/config/{id}/test", post(storage::test_existing))
        .route("/storage/test", post(storage::test))
        .route("/metrics", get(qdrant::metrics))
        .route("/system/capabilities", get(capabilities::capabilities))
        .route("/healthz", get(capabilities::healthz))
        .merge(jobs::routes())
        .merge(live::routes())
        .merge(events::routes())
}

/// Renders what came of a request.
fn render<T: Serialize>(outcome: ApiResult<T>, started: Instant) -> Response {
    match outcome {
        Ok(result) => envelope::success(&result, started),
        Err(error) => envelope::failure(&error, started.elapsed().as_secs_f64()),
    }
}

async fn nothing() -> ApiError {
    ApiError::not_found("there is no such route")
}
