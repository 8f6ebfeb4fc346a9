//! Collections: create, describe, list, update, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::{Error, names};
use serde::Serialize;

use super::{collection_config, collection_info, collection_update};
use crate::app::App;
use crate::http::envelope::{ApiError, answer};
use crate::http::extract::{Body, InCollection};

#[derive(Serialize)]
struct Collections {
    collections: Vec<Collection>,
}

#[derive(Serialize)]
struct Collection {
    name: String,
}

#[derive(Serialize)]
struct Exists {
    exists: bool,
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
