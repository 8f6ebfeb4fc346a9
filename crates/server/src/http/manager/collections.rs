//! The collections of a cluster.

use std::time::Instant;

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::described::{CLUSTERS, in_collection, on_cluster};
use super::errors::of_collection;
use super::on::On;
use super::render;
use crate::clusters::{CollectionCluster, CollectionDetail};
use crate::http::extract::InCollection;
use crate::http::openapi::Door;

/// The collections.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagerCollections)]
struct Collections {
    collections: Vec<Collection>,
}

/// A collection in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagerCollection)]
struct Collection {
    name: String,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let one = |id, summary| in_collection(CLUSTERS, id, summary);
    Door::new()
        .get(
            "/collections",
            list,
            on_cluster(CLUSTERS, "manager_collections", "The collections of a cluster").result::<Collections>(),
        )
        .get(
            "/collections/{collection}",
            get,
            one("manager_collection", "Settings and numbers of a collection").result::<CollectionDetail>(),
        )
        .get(
            "/collections/{collection}/cluster",
            cluster,
            one("manager_collection_cluster", "Where the shards of a collection are").result::<CollectionCluster>(),
        )
}

/// `GET /api/v1/collections`
pub(super) async fn list(On(cluster): On) -> Response {
    let started = Instant::now();
    let named = |names: Vec<String>| Collections { collections: names.into_iter().map(|name| Collection { name }).collect() };
    render(cluster.collections().await.map(named).map_err(Into::into), started)
}

/// `GET /api/v1/collections/{collection}`
pub(super) async fn get(On(cluster): On, path: InCollection) -> Response {
    let started = Instant::now();
    render(of_collection(cluster.collection(&path.collection).await), started)
}

/// `GET /api/v1/collections/{collection}/cluster`
pub(super) async fn cluster(On(cluster): On, path: InCollection) -> Response {
    let started = Instant::now();
    render(of_collection(cluster.collection_cluster(&path.collection).await), started)
}
