//! Snapshots of collections and of single shards: list, create, download, delete, recover.
//!
//! Recovering is `POST` here, unlike in Qdrant's own API; `PUT` is taken too. The default priority is `snapshot`.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use icecore_storage::Scope;
use serde::Deserialize;
use utoipa::ToSchema;

use super::described::{self, SNAPSHOTS, on_cluster};
use super::errors::{of_collection, of_recovery};
use super::on::On;
use super::passing::Passing;
use super::render;
use crate::clusters::{Cluster, Done, Download, Priority, Recovery, SnapshotInfo};
use crate::config::Secret;
use crate::http::download::{self, Asked};
use crate::http::envelope::{self, ApiError, ApiResult, blocking};
use crate::http::extract::{self, InCollection, InShard, Query, Wait};
use crate::http::openapi::{Door, Operation, answers};
use crate::http::qdrant::{COLLECTION, SHARD, SNAPSHOT};
use crate::usecases::fetch;

/// What is restored, from where. Unknown fields are ignored.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ManagerRecover)]
struct Recover {
    /// A URL, or the name of an archive of the same collection or shard.
    location: String,
    #[serde(default)]
    priority: Option<Priority>,
    #[serde(default)]
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    checksum: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    api_key: Option<Secret>,
}

/// What a cluster says of a snapshot that it sends.
const DESCRIBING: [HeaderName; 5] =
    [header::CONTENT_LENGTH, header::CONTENT_RANGE, header::ACCEPT_RANGES, header::ETAG, header::LAST_MODIFIED];

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    of_collections().merge(of_shards())
}

fn of_collections() -> Door {
    const ALL: &str = "/collections/{collection}/snapshots";
    const ONE: &str = "/collections/{collection}/snapshots/{name}";
    const RECOVER: &str = "/collections/{collection}/snapshots/recover";
    let all = |id, summary| described::in_collection(SNAPSHOTS, id, summary);
    let one = |id, summary| on_cluster(SNAPSHOTS, id, summary).path(&[COLLECTION, SNAPSHOT]);
    Door::new()
        .get(ALL, list, all("manager_list_snapshots", "The archives of a collection").results::<SnapshotInfo>())
        .post(ALL, create, making(all("manager_create_snapshot", "Archive a collection")))
        .get(ONE, download, downloading(one("manager_get_snapshot", "Download an archive of a collection")))
        .delete(ONE, delete, deleting(one("manager_delete_snapshot", "Delete an archive of a collection")))
        .post(RECOVER, recover, recovering(all("manager_recover", "Restore a collection")))
        .put(RECOVER, recover, recovering(all("manager_recover_by_put", "Restore a collection, as Qdrant's API has it")))
}

fn of_shards() -> Door {
    const ALL: &str = "/collections/{collection}/shards/{shard}/snapshots";
    const ONE: &str = "/collections/{collection}/shards/{shard}/snapshots/{name}";
    const RECOVER: &str = "/collections/{collection}/shards/{shard}/snapshots/recover";
    let all = |id, summary| described::in_shard(SNAPSHOTS, id, summary);
    let one = |id, summary| on_cluster(SNAPSHOTS, id, summary).path(&[COLLECTION, SHARD, SNAPSHOT]);
    Door::new()
        .get(ALL, list_of_shard, all("manager_list_shard_snapshots", "The archives of a shard").results::<SnapshotInfo>())
        .post(ALL, create_of_shard, making(all("manager_create_shard_snapshot", "Archive a shard")))
        .get(ONE, download_of_shard, downloading(one("manager_get_shard_snapshot", "Download an archive of a shard")))
        .delete(ONE, delete_of_shard, deleting(one("manager_delete_shard_snapshot", "Delete an archive of a shard")))
        .post(RECOVER, recover_shard, recovering(all("manager_recover_shard", "Restore a shard")))
        .put(RECOVER, recover_shard, recovering(all("manager_recover_shard_by_put", "Restore a shard, as Qdrant's API has it")))
}

fn making(operation: Operation) -> Operation {
    operation.query::<Wait>().result::<SnapshotInfo>().accepted().errors(&[409])
}

fn downloading(operation: Operation) -> Operation {
    operation
        .notes("`Range`, `If-Range` and the conditions of HTTP are understood.")
        .archive("The archive.")
        .answer(206, answers::archive("The part of the archive that was asked for."))
        .answer(304, answers::empty("The client has it already."))
        .errors(&[412, 416])
}

fn deleting(operation: Operation) -> Operation {
    operation.query::<Wait>().done().accepted()
}

fn recovering(operation: Operation) -> Operation {
    operation.query::<Wait>().json::<Recover>().done().accepted().errors(&[403, 409])
}

/// `GET /api/v1/collections/{collection}/snapshots`
pub(super) async fn list(On(cluster): On, path: InCollection) -> Response {
    listed(cluster, in_collection(path).0).await
}

/// `POST /api/v1/collections/{collection}/snapshots`
pub(super) async fn create(On(cluster): On, path: InCollection, query: Query<Wait>) -> Response {
    made(cluster, in_collection(path).0, query.0).await
}

/// `GET /api/v1/collections/{collection}/snapshots/{name}`
pub(super) async fn download(On(cluster): On, path: InCollection<String>, asked: Asked) -> Response {
    let (scope, name) = in_collection(path);
    sent(cluster, scope, name, asked).await
}

/// `DELETE /api/v1/collections/{collection}/snapshots/{name}`
pub(super) async fn delete(On(cluster): On, path: InCollection<String>, query: Query<Wait>) -> Response {
    let (scope, name) = in_collection(path);
    removed(cluster, scope, name, query.0).await
}

/// `POST /api/v1/collections/{collection}/snapshots/recover`
pub(super) async fn recover(On(cluster): On, path: InCollection, query: Query<Wait>, body: extract::Body) -> Response {
    recovered(cluster, in_collection(path).0, query.0, body).await
}

/// `GET /api/v1/collections/{collection}/shards/{shard}/snapshots`
pub(super) async fn list_of_shard(On(cluster): On, path: InShard) -> Response {
    listed(cluster, in_shard(path).0).await
}

/// `POST /api/v1/collections/{collection}/shards/{shard}/snapshots`
pub(super) async fn create_of_shard(On(cluster): On, path: InShard, query: Query<Wait>) -> Response {
    made(cluster, in_shard(path).0, query.0).await
}

/// `GET /api/v1/collections/{collection}/shards/{shard}/snapshots/{name}`
pub(super) async fn download_of_shard(On(cluster): On, path: InShard<String>, asked: Asked) -> Response {
    let (scope, name) = in_shard(path);
    sent(cluster, scope, name, asked).await
}

/// `DELETE /api/v1/collections/{collection}/shards/{shard}/snapshots/{name}`
pub(super) async fn delete_of_shard(On(cluster): On, path: InShard<String>, query: Query<Wait>) -> Response {
    let (scope, name) = in_shard(path);
    removed(cluster, scope, name, query.0).await
}

/// `POST /api/v1/collections/{collection}/shards/{shard}/snapshots/recover`
pub(super) async fn recover_shard(On(cluster): On, path: InShard, query: Query<Wait>, body: extract::Body) -> Response {
    recovered(cluster, in_shard(path).0, query.0, body).await
}

fn in_collection<T>(path: InCollection<T>) -> (Scope, T) {
    (Scope::Collection(path.collection), path.rest)
}

fn in_shard<T>(path: InShard<T>) -> (Scope, T) {
    (Scope::Shard { collection: path.collection, shard: path.shard }, path.rest)
}

async fn listed(cluster: Cluster, scope: Scope) -> Response {
    let started = Instant::now();
    render(of_collection(cluster.snapshots(scope).await), started)
}

async fn made(cluster: Cluster, scope: Scope, wait: Wait) -> Response {
    let started = Instant::now();
    match of_collection(cluster.create_snapshot(scope, wait.waiting()).await) {
        Ok(None) => envelope::accepted(started),
        Ok(Some(made)) => envelope::success(&made, started),
        Err(error) => render::<()>(Err(error), started),
    }
}

async fn removed(cluster: Cluster, scope: Scope, name: String, wait: Wait) -> Response {
    let started = Instant::now();
    finished(of_collection(cluster.delete_snapshot(scope, name, wait.waiting()).await), started)
}

async fn recovered(cluster: Cluster, scope: Scope, wait: Wait, body: extract::Body) -> Response {
    let started = Instant::now();
    let Recover { location, priority, checksum, api_key } = match body.parse() {
        Ok(parsed) => parsed,
        Err(error) => return render::<()>(Err(error), started),
    };
    let recovery = Recovery { scope, location, priority: priority.unwrap_or_default(), checksum, api_key };
    finished(of_recovery(cluster.recover(recovery, wait.waiting()).await), started)
}

fn finished(outcome: ApiResult<Done>, started: Instant) -> Response {
    match outcome {
        Ok(Done::Accepted) => envelope::accepted(started),
        outcome => render(outcome.map(|_| true), started),
    }
}

async fn sent(cluster: Cluster, scope: Scope, name: String, asked: Asked) -> Response {
    let started = Instant::now();
    let response = match cluster {
        Cluster::Embedded(embedded) => {
            let app = Arc::clone(embedded.app());
            let opened = blocking(move || {
                let opened = of_collection(fetch::open(&app, &scope, &name).map_err(Into::into))?;
                Ok(download::response(&app, opened, &asked))
            });
            opened.await
        }
        Cluster::Remote(remote) => {
            let found = remote.download(&scope, &name, asked.method(), asked.headers()).await;
            of_collection(found).map(|found| passed_on(found, &name))
        }
    };
    response.unwrap_or_else(|error| render::<()>(Err(error), started))
}

/// The answer of a cluster as ours. It passes through: of the bytes only those are held that the client has not taken yet.
fn passed_on(found: Download, name: &str) -> Response {
    let Download { status, headers, body } = found;
    match status {
        StatusCode::PRECONDITION_FAILED => {
            let message = "Pre-condition failure: the snapshot is another one".to_owned();
            return ApiError { status, message }.into_response();
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let message = "Bad request: the range is outside of the snapshot".to_owned();
            return ApiError { status, message }.into_response();
        }
        _ => {}
    }
    let mut response = download::content_of(status, name);
    for header in DESCRIBING {
        for value in headers.get_all(&header) {
            response.headers_mut().append(header.clone(), value.clone());
        }
    }
    if let Some(body) = body {
        *response.body_mut() = Body::new(Passing::new(body));
    }
    response
}
