//! The collections of a cluster.

use std::time::Instant;

use axum::response::Response;
use serde::Serialize;

use super::errors::of_collection;
use super::on::On;
use super::render;
use crate::http::extract::InCollection;

#[derive(Serialize)]
struct Collections {
    collections: Vec<Collection>,
}

#[derive(Serialize)]
struct Collection {
    name: String,
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
