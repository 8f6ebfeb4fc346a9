//! Snapshots of a collection and of the whole storage (archives, in the words of the code): create, list, download, delete.
//!
//! What no archive can be called is answered 404 like any other missing one. Those of single shards are in `shard_snapshots`.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::Scope;
use serde::Serialize;
use utoipa::ToSchema;

use super::described::{COLLECTION, SNAPSHOT, SNAPSHOTS, in_collection};
use crate::app::App;
use crate::http::download::{self, Asked};
use crate::http::envelope::{self, ApiError, ApiResult, answer, blocking, respond};
use crate::http::extract::{InCollection, Making, Query, Segment, Wait};
use crate::http::openapi::{Door, Operation, answers};
use crate::jobs::kinds::{Waiting, snapshot_create, snapshot_delete};
use crate::stores::ArchiveInfo;
use crate::usecases::{fetch, naming};

/// An archive as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SnapshotDescription)]
pub(super) struct Description {
    /// Unique among the archives of what it is of.
    name: String,
    /// In UTC, without a zone.
    creation_time: String,
    /// Bytes.
    size: u64,
    /// The SHA-256 of the archive, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    /// Whether it takes no space of its own, because it has the same bytes as another one. Not of Qdrant's API.
    shared: bool,
}

impl From<&ArchiveInfo> for Description {
    fn from(info: &ArchiveInfo) -> Self {
        Self {
            name: info.name.to_string(),
            creation_time: naming::creation_time(info.created),
            size: info.size,
            checksum: info.sha256.as_ref().map(ToString::to_string),
            shared: info.shared,
        }
    }
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    const FULL: &str = "/snapshots";
    const ONE_FULL: &str = "/snapshots/{name}";
    const OF_COLLECTION: &str = "/collections/{collection}/snapshots";
    const ONE_OF_COLLECTION: &str = "/collections/{collection}/snapshots/{name}";
    let full = |id, summary| Operation::new(SNAPSHOTS, id, summary);
    let one_full = |id, summary| full(id, summary).path(&[SNAPSHOT]).errors(&[404]);
    let some = |id, summary| in_collection(SNAPSHOTS, id, summary);
    let one = |id, summary| full(id, summary).path(&[COLLECTION, SNAPSHOT]).errors(&[404]);
    Door::new()
        .get(FULL, list_full, full("list_full_snapshots", "The archives of the whole storage").results::<Description>())
        .post(FULL, create_full, making(full("create_full_snapshot", "Archive the whole storage")))
        .get(ONE_FULL, download_full, downloading(one_full("get_full_snapshot", "Download an archive of the whole storage")))
        .delete(ONE_FULL, delete_full, deleting(one_full("delete_full_snapshot", "Delete an archive of the whole storage")))
        .get(OF_COLLECTION, list, some("list_snapshots", "The archives of a collection").results::<Description>())
        .post(OF_COLLECTION, create, making(some("create_snapshot", "Archive a collection")))
        .get(ONE_OF_COLLECTION, download, downloading(one("get_snapshot", "Download an archive of a collection")))
        .delete(ONE_OF_COLLECTION, delete, deleting(one("delete_snapshot", "Delete an archive of a collection")))
}

/// Describes how an archive is made.
pub(super) fn making(operation: Operation) -> Operation {
    operation.query::<Making>().result::<Description>().accepted().errors(&[409, 422])
}

/// Describes a download.
pub(super) fn downloading(operation: Operation) -> Operation {
    operation
        .notes("`Range`, `If-Range` and the conditions of HTTP are understood. The `ETag` is the SHA-256 where it is known.")
        .archive("The archive.")
        .answer(206, answers::archive("The part of the archive that was asked for."))
        .answer(304, answers::empty("The client has it already."))
        .errors(&[412, 416])
}

/// Describes a deletion.
pub(super) fn deleting(operation: Operation) -> Operation {
    operation.query::<Wait>().done().accepted()
}

/// `GET /collections/{collection}/snapshots`
pub(super) async fn list(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || described(&app, &Scope::Collection(path.collection))).await
}

/// `POST /collections/{collection}/snapshots`
pub(super) async fn create(State(app): State<Arc<App>>, path: InCollection, query: Query<Making>) -> Response {
    make(app, Scope::Collection(path.collection), query.0).await
}

/// `GET /collections/{collection}/snapshots/{name}`
pub(super) async fn download(State(app): State<Arc<App>>, path: InCollection<String>, asked: Asked) -> Response {
    respond(move |_| opened(&app, &Scope::Collection(path.collection), &path.rest, &asked)).await
}

/// `DELETE /collections/{collection}/snapshots/{name}`
pub(super) async fn delete(State(app): State<Arc<App>>, path: InCollection<String>, query: Query<Wait>) -> Response {
    remove(app, Scope::Collection(path.collection), path.rest, query.0).await
}

/// `GET /snapshots`
pub(super) async fn list_full(State(app): State<Arc<App>>) -> Response {
    answer(move || described(&app, &Scope::Storage)).await
}

/// `POST /snapshots`
pub(super) async fn create_full(State(app): State<Arc<App>>, query: Query<Making>) -> Response {
    make(app, Scope::Storage, query.0).await
}

/// `GET /snapshots/{name}`
pub(super) async fn download_full(State(app): State<Arc<App>>, name: Segment, asked: Asked) -> Response {
    respond(move |_| opened(&app, &Scope::Storage, &name.0, &asked)).await
}

/// `DELETE /snapshots/{name}`
pub(super) async fn delete_full(State(app): State<Arc<App>>, name: Segment, query: Query<Wait>) -> Response {
    remove(app, Scope::Storage, name.0, query.0).await
}

/// Describes the archives of a scope.
pub(super) fn described(app: &App, scope: &Scope) -> ApiResult<Vec<Description>> {
    Ok(fetch::list(app, scope)?.iter().map(Description::from).collect())
}

/// Creates an archive and describes it; or, for a client that does not wait, starts that once it is known that there is
/// something to archive.
pub(super) async fn make(app: Arc<App>, scope: Scope, making: Making) -> Response {
    let started = Instant::now();
    let waiting = making.waiting();
    let submitted = blocking(move || {
        let options = making.options(&app.config.snapshots)?;
        Ok(snapshot_create::submit(&app, scope, options, waiting)?)
    })
    .await;
    envelope::outcome(submitted, waiting, started, |result| {
        let archive = snapshot_create::archive(result).ok_or_else(ApiError::internal)?;
        Ok(Description::from(&archive))
    })
    .await
}

/// Answers the request for an archive.
pub(super) fn opened(app: &Arc<App>, scope: &Scope, name: &str, asked: &Asked) -> ApiResult<Response> {
    Ok(download::response(app, fetch::open(app, scope, name)?, asked))
}

/// Deletes an archive; or, for a client that does not wait, starts that once it is known to exist.
pub(super) async fn remove(app: Arc<App>, scope: Scope, name: String, wait: Wait) -> Response {
    match wait.waiting() {
        // There is nothing to wait for in a queue.
        Waiting::Caller => {
            answer(move || {
                fetch::delete(&app, &scope, &name)?;
                Ok(true)
            })
            .await
        }
        Waiting::Nobody => {
            let started = Instant::now();
            let submitted = blocking(move || Ok(snapshot_delete::submit(&app, scope, name)?)).await;
            envelope::submission(submitted, started)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_description_leaves_out_an_unknown_checksum() {
        let info = ArchiveInfo {
            name: "c-2024-07-22-08-31-55.snapshot".parse().unwrap(),
            created: UNIX_EPOCH + Duration::from_millis(1_721_637_115_900),
            size: 7,
            sha256: None,
            shared: true,
        };
        assert_eq!(
            serde_json::to_value(Description::from(&info)).unwrap(),
            serde_json::json!({
                "name": "c-2024-07-22-08-31-55.snapshot",
                "creation_time": "2024-07-22T08:31:55",
                "size": 7,
                "shared": true,
            })
        );
    }
}
