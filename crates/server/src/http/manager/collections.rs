//! The collections of a cluster.

use std::time::Instant;

use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::described::{CLUSTERS, door, in_collection, on_cluster};
use super::errors::of_collection;
use super::on::On;
use super::render;
use crate::clusters::{CollectionCluster, CollectionDetail};
use crate::http::extract::InCollection;
use crate::http::openapi::Door;

/// The collections of a cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagedCollections)]
struct Collections {
    collections: Vec<Collection>,
}

/// A collection of a cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = ManagedCollection)]
struct Collection {
    /// Its name.
    name: String,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    door()
        .get(
            "/collections",
            list,
            on_cluster(CLUSTERS, "manager_list_collections", "The collections of a cluster").result::<Collections>(),
        )
        .get(
            "/collections/{collection}",
            get,
            in_collection(CLUSTERS, "manager_get_collection", "Settings and numbers of a collection")
                .result::<CollectionDetail>(),
        )
        .get(
            "/collections/{collection}/cluster",
            cluster,
            in_collection(CLUSTERS, "manager_collection_cluster", "Where the shards of a collection are")
                .result::<CollectionCluster>(),
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
