//! The REST API of Qdrant: one file a resource, the routes of all of them here.
//!
//! Routes that Qdrant has and icecore has not (yet) answer 501 rather than 404, so that a client's error says what is missing.

mod aliases;
mod cluster;
mod collection_config;
pub(in crate::http) mod collection_info;
mod collection_update;
mod collections;
mod form;
mod metrics;
mod payload_index;
mod points;
mod recover;
mod service;
mod shard_snapshots;
mod snapshots;
mod telemetry;
mod unsupported;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};

pub(super) use self::metrics::metrics;
use crate::app::App;

/// All routes.
pub(super) fn routes() -> Router<Arc<App>> {
    let service = Router::new()
        .route("/", get(service::version))
        .route("/healthz", get(service::healthz))
        .route("/livez", get(service::livez))
        .route("/readyz", get(service::readyz))
        .route("/metrics", get(metrics))
        .route("/telemetry", get(telemetry::telemetry))
        .route("/issues", get(service::issues).delete(service::clear_issues))
        .route("/cluster", get(cluster::status))
        .route("/cluster/telemetry", get(telemetry::distributed))
        .route("/cluster/recover", post(cluster::change))
        .route("/cluster/peer/{peer}", delete(cluster::change));
    let collections = Router::new()
        .route("/collections", get(collections::list))
        .route(
            "/collections/{collection}",
            get(collections::get)
                .put(collections::create)
                .delete(collections::delete)
                .post(aliases::update)
                .patch(collections::update),
        )
        .route("/collections/{collection}/exists", get(collections::exists))
        .route("/collections/{collection}/cluster", get(cluster::collection).post(cluster::change))
        .route("/collections/{collection}/shards", get(cluster::shard_keys))
        .route("/collections/{collection}/aliases", get(aliases::of_collection))
        .route("/aliases", get(aliases::all))
        .route("/collections/{collection}/index", put(payload_index::create))
        .route("/collections/{collection}/index/{field}", delete(payload_index::delete));
    let points = Router::new()
        .route("/collections/{collection}/points", put(points::write::upsert).post(points::read::retrieve))
        .route("/collections/{collection}/points/{id}", get(points::read::get))
        .route("/collections/{collection}/points/scroll", post(points::read::scroll))
        .route("/collections/{collection}/points/count", post(points::read::count))
        .route("/collections/{collection}/points/delete", post(points::write::delete))
        .route("/collections/{collection}/points/batch", post(points::write::batch))
        .route("/collections/{collection}/points/payload", post(points::write::set_payload).put(points::write::overwrite_payload))
        .route("/collections/{collection}/points/payload/delete", post(points::write::delete_payload))
        .route("/collections/{collection}/points/payload/clear", post(points::write::clear_payload))
        .route("/collections/{collection}/points/vectors", put(points::write::update_vectors))
        .route("/collections/{collection}/points/vectors/delete", post(points::write::delete_vectors))
        .route("/collections/{collection}/facet", post(points::read::facet));
    let snapshots = Router::new()
        .route("/snapshots", get(snapshots::list_full).post(snapshots::create_full))
        .route("/snapshots/{name}", get(snapshots::download_full).delete(snapshots::delete_full))
        .route("/collections/{collection}/snapshots", get(snapshots::list).post(snapshots::create))
        .route("/collections/{collection}/snapshots/{name}", get(snapshots::download).delete(snapshots::delete))
        .route("/collections/{collection}/snapshots/recover", put(recover::collection))
        .route("/collections/{collection}/snapshots/upload", post(upload::collection).layer(DefaultBodyLimit::disable()));
    let shards = "/collections/{collection}/shards/{shard}";
    let shard_snapshots = Router::new()
        .route(&format!("{shards}/snapshots"), get(shard_snapshots::list).post(shard_snapshots::create))
        .route(&format!("{shards}/snapshots/{{name}}"), get(shard_snapshots::download).delete(shard_snapshots::delete))
        .route(&format!("{shards}/snapshots/recover"), put(recover::shard))
        .route(&format!("{shards}/snapshots/upload"), post(upload::shard).layer(DefaultBodyLimit::disable()))
        .route(&format!("{shards}/snapshot"), get(shard_snapshots::stream));
    service.merge(collections).merge(points).merge(snapshots).merge(shard_snapshots).merge(unsupported::routes())
}
