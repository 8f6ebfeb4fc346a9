//! Collections: create, describe, list, update, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::{Error, names};
use serde::Serialize;
use utoipa::ToSchema;

use super::collection_schema::{CollectionInfo, CreateCollection, UpdateCollection};
use super::described::{COLLECTION, COLLECTIONS, in_collection};
use super::{collection_config, collection_info, collection_update};
use crate::app::App;
use crate::http::envelope::{ApiError, answer};
use crate::http::extract::{Body, InCollection};
use crate::http::openapi::{Door, Operation};

/// The collections.
#[derive(Serialize, ToSchema)]
struct Collections {
    collections: Vec<Collection>,
}

/// A collection in a list.
#[derive(Serialize, ToSchema)]
struct Collection {
    name: String,
}

/// Whether a collection exists.
#[derive(Serialize, ToSchema)]
struct Exists {
    exists: bool,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    const ONE: &str = "/collections/{collection}";
    let maybe = |id, summary| Operation::new(COLLECTIONS, id, summary).path(&[COLLECTION]);
    Door::new()
        .get("/collections", list, Operation::new(COLLECTIONS, "get_collections", "All collections").result::<Collections>())
        .get(
            ONE,
            get,
            in_collection(COLLECTIONS, "get_collection", "Settings and numbers of a collection").result::<CollectionInfo>(),
        )
        .put(ONE, create, maybe("create_collection", "Create a collection").json::<CreateCollection>().done().errors(&[409]))
        .patch(
            ONE,
            update,
            in_collection(COLLECTIONS, "update_collection", "Change settings of a collection")
                .notes("What is given goes over what is kept. Vectors neither appear nor vanish nor change their kind.")
                .json::<UpdateCollection>()
                .done(),
        )
        .delete(ONE, delete, maybe("delete_collection", "Delete a collection").notes("`false` if there was none.").done())
        .get(
            "/collections/{collection}/exists",
            exists,
            maybe("collection_exists", "Whether a collection exists").result::<Exists>(),
        )
}

/// `GET /collections`
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    answer(move || {
        let collections = app.storage.collections().into_iter().map(|name| Collection { name }).collect();
        Ok(Collections { collections })
    })
    .await
}

/// `GET /collections/{collection}`
pub(super) async fn get(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || {
        let info = app.storage.info(&path.collection)?;
        Ok(collection_info::render(&info, app.storage.flush_problem().is_some()))
    })
    .await
}

/// `GET /collections/{collection}/exists`
pub(super) async fn exists(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || match app.storage.resolve(&path.collection) {
        Ok(_) => Ok(Exists { exists: true }),
        Err(Error::CollectionNotFound { .. }) => Ok(Exists { exists: false }),
        Err(error) => Err(error.into()),
    })
    .await
}

/// `PUT /collections/{collection}`
pub(super) async fn create(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        if let Err(Error::InvalidName { reason, .. }) = names::validate(&path.collection) {
            return Err(ApiError::invalid("path parameters", "name", format!("value invalid, {reason}")));
        }
        let config = collection_config::parse(&body.parse()?)?;
        app.storage.create_collection(&path.collection, config)?;
        Ok(true)
    })
    .await
}

/// `PATCH /collections/{collection}`
pub(super) async fn update(State(app): State<Arc<App>>, path: InCollection, body: Body) -> Response {
    answer(move || {
        let update = collection_update::parse(&body.parse()?)?;
        // Names of vectors never change while a collection lives, so that they can be looked up before.
        let config = app.storage.info(&path.collection)?.config;
        update.check_names(&config)?;
        app.storage.update_settings(&path.collection, |settings| update.apply(settings))?;
        Ok(true)
    })
    .await
}

/// `DELETE /collections/{collection}`
pub(super) async fn delete(State(app): State<Arc<App>>, path: InCollection) -> Response {
    answer(move || Ok(app.storage.delete_collection(&path.collection)?)).await
}
