//! Index schemas of payload fields: recorded and described, so that clients and restored collections find them again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::points::result::UpdateResult;
use crate::app::App;
use crate::http::envelope::{ApiError, answer};
use crate::http::extract::{Body, InCollection, Query, Wait};
use crate::settings::{bounds, index};

#[derive(Deserialize)]
struct CreateIndex {
    field_name: String,
    #[serde(default, alias = "field_type")]
    field_schema: Option<Value>,
}

/// `PUT /collections/{collection}/index`
pub(super) async fn create(State(app): State<Arc<App>>, path: InCollection, query: Query<Wait>, body: Body) -> Response {
    answer(move || {
        let request: CreateIndex = body.parse()?;
        bounds::check_field_name("field_name", &request.field_name)?;
        let Some(schema) = request.field_schema else {
            return Err(ApiError::wrong_input(
                "the type of an index is not inferred from data; please specify `field_schema` in the request",
            ));
        };
        let schema = index::keep("field_schema", schema)?;
        bounds::check("field_schema", &schema)?;
        app.storage.put_payload_index(&path.collection, &request.field_name, schema)?;
        Ok(UpdateResult::without_number(query.0))
    })
    .await
}

/// `DELETE /collections/{collection}/index/{field}`
pub(super) async fn delete(State(app): State<Arc<App>>, path: InCollection<String>, query: Query<Wait>) -> Response {
    answer(move || {
        // Whether there was one does not matter: there is none now.
        let _ = app.storage.delete_payload_index(&path.collection, &path.rest)?;
        Ok(UpdateResult::without_number(query.0))
    })
    .await
}
