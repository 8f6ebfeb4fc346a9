//! Clusters: which there are, how one is, and its nodes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::described::{CLUSTERS, on_cluster};
use super::on::On;
use super::render;
use crate::app::App;
use crate::clusters::{Cluster, ClusterStatus, Health, Node};
use crate::http::envelope::{self, ApiError};
use crate::http::openapi::schema::one_of_words;
use crate::http::openapi::{Door, Operation};

/// How long a list of clusters waits for one of them.
const STATE_TIME: Duration = Duration::from_secs(10);

/// The clusters, the engine inside the server first.
#[derive(Serialize, ToSchema)]
struct Clusters {
    clusters: Vec<Listed>,
}

/// A cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedCluster)]
struct Listed {
    name: String,
    urls: Vec<String>,
    /// Whether requests that name no cluster are about this one.
    is_default: bool,
    state: Condition,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// How a cluster is, or that nobody knows.
#[derive(Serialize)]
#[serde(untagged)]
enum Condition {
    Known(Health),
    Unavailable(&'static str),
}

impl PartialSchema for Condition {
    fn schema() -> RefOr<Schema> {
        one_of_words(&["green", "yellow", "red", "unavailable"])
    }
}

impl ToSchema for Condition {
    fn name() -> Cow<'static, str> {
        "ClusterState".into()
    }
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let all = Operation::new(CLUSTERS, "manager_clusters", "All clusters, and how they are");
    Door::new()
        .get("/clusters", list, all.result::<Clusters>())
        .get("/cluster", status, on_cluster(CLUSTERS, "manager_cluster", "How a cluster is").result::<ClusterStatus>())
        .get("/cluster/nodes", nodes, on_cluster(CLUSTERS, "manager_nodes", "The nodes of a cluster").results::<Node>())
}

/// `GET /api/v1/clusters`
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    let started = Instant::now();
    let mut asked = JoinSet::new();
    for (index, cluster) in Cluster::all(&app).into_iter().enumerate() {
        let is_default = cluster.name() == app.clusters.default_name();
        asked.spawn(async move { (index, listed(cluster, is_default).await) });
    }
    let mut clusters = asked.join_all().await;
    clusters.sort_by_key(|(index, _)| *index);
    envelope::success(&Clusters { clusters: clusters.into_iter().map(|(_, listed)| listed).collect() }, started)
}

async fn listed(cluster: Cluster, is_default: bool) -> Listed {
    let (state, error) = match cluster.status_within(STATE_TIME).await {
        Ok(status) => (Condition::Known(status.status), status.message),
        Err(error) => (Condition::Unavailable("unavailable"), Some(ApiError::from(error).message)),
    };
    Listed { name: cluster.name().to_owned(), urls: cluster.urls(), is_default, state, error }
}

/// `GET /api/v1/cluster`
pub(super) async fn status(On(cluster): On) -> Response {
    let started = Instant::now();
    render(cluster.status().await.map_err(Into::into), started)
}

/// `GET /api/v1/cluster/nodes`
pub(super) async fn nodes(On(cluster): On) -> Response {
    let started = Instant::now();
    render(cluster.nodes().await.map_err(Into::into), started)
}
