//! Snapshots of a collection and of the whole storage (archives, in the words of the code): create, list, download, delete.
//!
//! Archives are found under the collections that exist, by their names or aliases; what no archive can be called is answered 404
//! like any other missing one.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::Scope;
use serde::Serialize;

use crate::app::App;
use crate::error::{Result, one_line};
use crate::http::download::{self, Asked};
use crate::http::envelope::{self, ApiResult, answer, respond};
use crate::http::extract::{InCollection, Query, Segment, Wait};
use crate::shutdown::Shutdown;
use crate::stores::ArchiveInfo;
use crate::usecases::{create, fetch, naming};

#[derive(Debug, Serialize)]
struct Description {
    name: String,
    creation_time: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

impl From<&ArchiveInfo> for Description {
    fn from(info: &ArchiveInfo) -> Self {
        Self {
            name: info.name.to_string(),
            creation_time: naming::creation_time(info.created),
            size: info.size,
            checksum: info.sha256.as_ref().map(ToString::to_string),
        }
    }
}

/// `GET /collections/{collection}/snapshots`
pub(super) async fn list(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || described(&app, &Scope::Collection(path.collection))).await
}

/// `POST /collections/{collection}/snapshots`
pub(super) async fn create(State(app): State<Arc<App>>, path: InCollection, query: Query<Wait>) -> Response {
    respond(move |started| make(&app, Scope::Collection(path.collection), query.0, started)).await
}

/// `GET /collections/{collection}/snapshots/{name}`
pub(super) async fn download(State(app): State<Arc<App>>, path: InCollection<String>, asked: Asked) -> Response {
    respond(move |_| opened(&app, &Scope::Collection(path.collection), &path.rest, &asked)).await
}

/// `DELETE /collections/{collection}/snapshots/{name}`
pub(super) async fn delete(State(app): State<Arc<App>>, path: InCollection<String>, query: Query<Wait>) -> Response {
    respond(move |started| remove(&app, Scope::Collection(path.collection), path.rest, query.0, started)).await
}

/// `GET /snapshots`
pub(super) async fn list_full(State(app): State<Arc<App>>) -> Response {
    answer(move || described(&app, &Scope::Storage)).await
}

/// `POST /snapshots`
pub(super) async fn create_full(State(app): State<Arc<App>>, query: Query<Wait>) -> Response {
    respond(move |started| make(&app, Scope::Storage, query.0, started)).await
}

/// `GET /snapshots/{name}`
pub(super) async fn download_full(State(app): State<Arc<App>>, name: Segment, asked: Asked) -> Response {
    respond(move |_| opened(&app, &Scope::Storage, &name.0, &asked)).await
}

/// `DELETE /snapshots/{name}`
pub(super) async fn delete_full(State(app): State<Arc<App>>, name: Segment, query: Query<Wait>) -> Response {
    respond(move |started| remove(&app, Scope::Storage, name.0, query.0, started)).await
}

fn described(app: &App, scope: &Scope) -> ApiResult<Vec<Description>> {
    Ok(fetch::list(app, scope)?.iter().map(Description::from).collect())
}

/// Creates an archive and describes it; or, for a client that does not wait, starts that once it is known that there is
/// something to archive.
fn make(app: &Arc<App>, scope: Scope, wait: Wait, started: Instant) -> ApiResult<Response> {
    if waits(wait) {
        let info = create::create(app, &scope)?;
        return Ok(envelope::success(&Description::from(&info), started));
    }
    fetch::place(app, &scope)?;
    let app = Arc::clone(app);
    in_background(&app.shutdown.clone(), "create a snapshot", move || create::create(&app, &scope).map(drop));
    Ok(envelope::accepted(started))
}

fn opened(app: &App, scope: &Scope, name: &str, asked: &Asked) -> ApiResult<Response> {
    Ok(download::response(app, fetch::open(app, scope, name)?, asked))
}

/// Deletes an archive; or, for a client that does not wait, starts that once it is known to exist.
fn remove(app: &Arc<App>, scope: Scope, name: String, wait: Wait, started: Instant) -> ApiResult<Response> {
    if waits(wait) {
        fetch::delete(app, &scope, &name)?;
        return Ok(envelope::success(&true, started));
    }
    drop(fetch::open(app, &scope, &name)?);
    let app = Arc::clone(app);
    in_background(&app.shutdown.clone(), "delete a snapshot", move || fetch::delete(&app, &scope, &name));
    Ok(envelope::accepted(started))
}

/// Clients wait for snapshots unless they say otherwise (source: Qdrant).
fn waits(wait: Wait) -> bool {
    wait.wait.unwrap_or(true)
}

/// Goes on after the response, and is waited for at the end as requests are; all that is left of a failure is the log.
fn in_background(shutdown: &Shutdown, what: &'static str, work: impl FnOnce() -> Result<()> + Send + 'static) {
    let begun = shutdown.begin();
    tokio::task::spawn_blocking(move || {
        let _begun = begun;
        if let Err(error) = work() {
            tracing::error!("could not {what} in the background: {}", one_line(&error));
        }
    });
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
        };
        assert_eq!(
            serde_json::to_value(Description::from(&info)).unwrap(),
            serde_json::json!({
                "name": "c-2024-07-22-08-31-55.snapshot",
                "creation_time": "2024-07-22T08:31:55",
                "size": 7,
            })
        );
    }
}
