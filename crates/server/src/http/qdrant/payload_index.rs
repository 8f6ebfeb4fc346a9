//! Index schemas of payload fields: recorded and described, so that clients and restored collections find them again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;

use super::bounds;
use super::points::result::UpdateResult;
use crate::app::App;
use crate::http::envelope::{ApiError, ApiResult, answer};
use crate::http::extract::{Body, InCollection, Query, Wait};

/// The types that a payload field can be indexed as.
const TYPES: [&str; 8] = ["keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid"];

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
        bounds::check_field_name(&request.field_name)?;
        let schema = schema(request.field_schema)?;
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

/// Checks a schema, which is the name of a type or an object with one; its nulls are dropped.
fn schema(given: Option<Value>) -> ApiResult<Value> {
    let known = |data_type: &Value| data_type.as_str().is_some_and(|name| TYPES.contains(&name));
    match given {
        None => Err(ApiError::wrong_input(
            "the type of an index is not inferred from data; please specify `field_schema` in the request",
        )),
        Some(Value::Object(mut fields)) => {
            fields.retain(|_, value| !value.is_null());
            match fields.get("type") {
                Some(data_type) if known(data_type) => Ok(Value::Object(fields)),
                Some(data_type) => Err(unknown(data_type)),
                None => Err(ApiError::format("field_schema: missing field `type`")),
            }
        }
        Some(data_type) if known(&data_type) => Ok(data_type),
        Some(other) => Err(unknown(&other)),
    }
}

fn unknown(data_type: &Value) -> ApiError {
    ApiError::format(format!("field_schema: unknown type {data_type}, expected one of {}", TYPES.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_stand_alone_or_in_an_object() {
        assert_eq!(schema(Some(json!("keyword"))), Ok(json!("keyword")));
        assert_eq!(
            schema(Some(json!({"type": "text", "lowercase": true, "stemmer": null}))),
            Ok(json!({"type": "text", "lowercase": true}))
        );
    }

    #[test]
    fn unknown_types_are_refused() {
        for wrong in [None, Some(json!("string")), Some(json!({"type": "json"})), Some(json!({})), Some(json!(3))] {
            assert_eq!(schema(wrong).unwrap_err().status.as_u16(), 400);
        }
    }
}
