//! Writes of points: each handler reads a body and makes the changes that it asks for.
//!
//! Bodies are parsed and freed before anything is written, so that a large request is in memory once, as what is written.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::{Operation, Target};
use serde::de::DeserializeOwned;

use super::batch::Batch;
use super::payload_change::{DeletePayload, SetPayload};
use super::result::{UpdateResult, durability};
use super::rows::RequestRows;
use super::target::Selector;
use super::upsert::Upsert;
use super::vector_change::{DeleteVectors, UpdateVectors};
use crate::app::App;
use crate::http::envelope::{ApiError, ApiResult, answer};
use crate::http::extract::{Body, InCollection, Query, Wait};

/// A change that was read from a request.
#[derive(Debug)]
pub(super) struct Change {
    /// What is written.
    pub(super) operation: Operation,
    /// What is to be checked first.
    pub(super) rows: RequestRows,
}

impl From<Operation> for Change {
    /// A change without vectors.
    fn from(operation: Operation) -> Self {
        Self { operation, rows: RequestRows::default() }
    }
}

/// `PUT /collections/{collection}/points`
pub(in crate::http::qdrant) async fn upsert(
    app: State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    change(app, path, query, body, Upsert::change).await
}

/// `POST /collections/{collection}/points/delete`
pub(in crate::http::qdrant) async fn delete(
    app: State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    change(app, path, query, body, |body: Selector| Ok(Operation::Delete { target: body.target()? }.into())).await
}

/// `POST /collections/{collection}/points/payload`
pub(in crate::http::qdrant) async fn set_payload(
    app: State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    change(app, path, query, body, SetPayload::set).await
}

/// `PUT /collections/{collection}/points/payload`
pub(in crate::http::qdrant) async fn overwrite_payload(
    app: State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    change(app, path, query, body, SetPayload::overwrite).await
}

/// `POST /collections/{collection}/points/payload/delete`
pub(in crate::http::qdrant) async fn delete_payload(
    app: State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    change(app, path, query, body, DeletePayload::change).await
}

/// `POST /collections/{collection}/points/payload/clear`
pub(in crate::http::qdrant) async fn clear_payload(
    app: State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    change(app, path, query, body, |body: Selector| Ok(Operation::ClearPayload { target: body.target()? }.into())).await
}

/// `PUT /collections/{collection}/points/vectors`
pub(in crate::http::qdrant) async fn update_vectors(
    app: State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    change(app, path, query, body, UpdateVectors::change).await
}

/// `POST /collections/{collection}/points/vectors/delete`
pub(in crate::http::qdrant) async fn delete_vectors(
    State(app): State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    answer(move || write_all(&app, &path.collection, body.parse::<DeleteVectors>()?.changes()?, query.0)).await
}

/// `POST /collections/{collection}/points/batch`
pub(in crate::http::qdrant) async fn batch(
    State(app): State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    answer(move || {
        let members = body.parse::<Batch>()?.members()?;
        // Asked for even if there are no members.
        app.storage.resolve(&path.collection)?;
        members.into_iter().map(|changes| write_all(&app, &path.collection, changes, query.0)).collect::<ApiResult<Vec<_>>>()
    })
    .await
}

/// Makes the one change that a body asks for.
async fn change<T: DeserializeOwned + 'static>(
    State(app): State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
    read: impl FnOnce(T) -> ApiResult<Change> + Send + 'static,
) -> Response {
    answer(move || {
        let change = read(body.parse()?)?;
        write(&app, &path.collection, change, query.0)
    })
    .await
}

/// Makes changes one after the other; the result is that of the last.
fn write_all(app: &App, collection: &str, changes: Vec<Change>, wait: Wait) -> ApiResult<UpdateResult> {
    let mut result = UpdateResult::without_number(wait);
    for change in changes {
        result = write(app, collection, change, wait)?;
    }
    Ok(result)
}

fn write(app: &App, collection: &str, change: Change, wait: Wait) -> ApiResult<UpdateResult> {
    let Change { operation, rows } = change;
    if is_empty(&operation) {
        // That there is no such collection is the more useful answer.
        app.storage.resolve(collection)?;
        return Err(ApiError::bad_request("Empty update request"));
    }
    rows.check(&app.storage, collection)?;
    let number = app.storage.write(collection, operation, durability(wait))?;
    Ok(UpdateResult::numbered(number, wait))
}

/// Whether an operation names no points at all; a filter that matches none is not empty.
fn is_empty(operation: &Operation) -> bool {
    match operation {
        Operation::Upsert { points, .. } => points.is_empty(),
        Operation::UpdateVectors { points, .. } => points.is_empty(),
        Operation::Delete { target }
        | Operation::SetPayload { target, .. }
        | Operation::OverwritePayload { target, .. }
        | Operation::DeletePayload { target, .. }
        | Operation::ClearPayload { target }
        | Operation::DeleteVectors { target, .. } => matches!(target, Target::Ids(ids) if ids.is_empty()),
    }
}
