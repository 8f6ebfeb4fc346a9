//! Index schemas of payload fields: recorded and described, so that clients and restored collections find them again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::collection_schema::IndexSchema;
use super::described::{COLLECTION, FIELD, INDEXES, in_collection};
use super::points::result::UpdateResult;
use crate::app::App;
use crate::http::envelope::{ApiError, answer};
use crate::http::extract::{Body, InCollection, Query, Wait};
use crate::http::openapi::{Door, Operation};
use crate::settings::{bounds, index};

/// The schema of a field.
#[derive(Deserialize, ToSchema)]
struct CreateIndex {
    /// The path of the field.
    #[schema(min_length = 1, max_length = 4096)]
    field_name: String,
    /// Has to be given; `field_type` is understood too.
    #[serde(default, alias = "field_type")]
    #[schema(value_type = IndexSchema, required)]
    field_schema: Option<Value>,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    Door::new()
        .put(
            "/collections/{collection}/index",
            create,
            in_collection(INDEXES, "create_field_index", "Record the schema of a payload field")
                .query::<Wait>()
                .json::<CreateIndex>()
                .result::<UpdateResult>(),
        )
        .delete(
            "/collections/{collection}/index/{field}",
            delete,
            Operation::new(INDEXES, "delete_field_index", "Forget the schema of a payload field")
                .path(&[COLLECTION, FIELD])
                .query::<Wait>()
                .result::<UpdateResult>()
                .errors(&[404]),
        )
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
