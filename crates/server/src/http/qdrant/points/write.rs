//! Writes of points: upsert, delete, set payload.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use icecore_storage::{Operation, Point, PointId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::id::Id;
use super::payload::PayloadText;
use super::result::{UpdateResult, durability};
use super::vectors::{Columns, PointVectors};
use crate::app::App;
use crate::http::envelope::{ApiError, ApiResult, answer};
use crate::http::extract::{Body, InCollection, Query, Wait};

#[derive(Deserialize)]
struct Upsert {
    points: Option<Vec<PointStruct>>,
    batch: Option<Batch>,
    shard_key: Option<IgnoredAny>,
    update_filter: Option<IgnoredAny>,
    update_mode: Option<String>,
}

#[derive(Deserialize)]
struct PointStruct {
    id: Id,
    #[serde(alias = "vectors")]
    vector: PointVectors,
    #[serde(default)]
    payload: PayloadText,
}

#[derive(Deserialize)]
struct Batch {
    ids: Vec<Id>,
    vectors: Columns,
    payloads: Option<Vec<PayloadText>>,
}

#[derive(Deserialize)]
struct Delete {
    points: Option<Vec<Id>>,
    filter: Option<IgnoredAny>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct SetPayload {
    payload: PayloadText,
    points: Option<Vec<Id>>,
    filter: Option<Value>,
    key: Option<IgnoredAny>,
    shard_key: Option<IgnoredAny>,
}

/// `PUT /collections/{collection}/points`
pub(in crate::http::qdrant) async fn upsert(
    State(app): State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    answer(move || write(&app, &path.collection, body.parse::<Upsert>()?.operation()?, query.0)).await
}

/// `POST /collections/{collection}/points/delete`
pub(in crate::http::qdrant) async fn delete(
    State(app): State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    answer(move || write(&app, &path.collection, body.parse::<Delete>()?.operation()?, query.0)).await
}

/// `POST /collections/{collection}/points/payload`
pub(in crate::http::qdrant) async fn set_payload(
    State(app): State<Arc<App>>,
    path: InCollection,
    query: Query<Wait>,
    body: Body,
) -> Response {
    answer(move || write(&app, &path.collection, body.parse::<SetPayload>()?.operation()?, query.0)).await
}

fn write(app: &App, collection: &str, operation: Operation, wait: Wait) -> ApiResult<UpdateResult> {
    let number = app.storage.write(collection, operation, durability(wait))?;
    Ok(UpdateResult::numbered(number, wait))
}

impl Upsert {
    fn operation(self) -> ApiResult<Operation> {
        refuse_shard_key(self.shard_key)?;
        if self.update_filter.is_some() {
            return Err(ApiError::unsupported("update_filter"));
        }
        if let Some(mode) = self.update_mode.filter(|mode| mode != "upsert") {
            return Err(ApiError::unsupported(format!("update_mode `{mode}`")));
        }
        let points = match (self.points, self.batch) {
            (Some(points), None) => points.into_iter().map(PointStruct::point).collect(),
            (None, Some(batch)) => batch.points()?,
            _ => return Err(ApiError::format("expected either `points` or `batch`")),
        };
        not_empty(&points)?;
        Ok(Operation::Upsert { points })
    }
}

impl PointStruct {
    fn point(self) -> Point {
        Point { id: self.id.0, vectors: self.vector.into_named(), payload: self.payload.0 }
    }
}

impl Batch {
    fn points(self) -> ApiResult<Vec<Point>> {
        let count = self.ids.len();
        let unequal = |what: &str, actual: usize| {
            ApiError::invalid("JSON body", "batch", format!("number of ids and {what} must be equal ({count} != {actual})"))
        };
        let vectors = self.vectors.into_points(count).map_err(|actual| unequal("vectors", actual))?;
        let payloads = self.payloads.unwrap_or_else(|| vec![PayloadText::default(); count]);
        if payloads.len() != count {
            return Err(unequal("payloads", payloads.len()));
        }
        let points = self.ids.into_iter().zip(vectors).zip(payloads);
        Ok(points.map(|((id, vectors), payload)| Point { id: id.0, vectors, payload: payload.0 }).collect())
    }
}

impl Delete {
    fn operation(self) -> ApiResult<Operation> {
        refuse_shard_key(self.shard_key)?;
        // Even an empty one, which would mean every point.
        if self.filter.is_some() {
            return Err(ApiError::unsupported("filter"));
        }
        Ok(Operation::Delete { ids: ids(self.points)? })
    }
}

impl SetPayload {
    fn operation(self) -> ApiResult<Operation> {
        refuse_shard_key(self.shard_key)?;
        if self.filter.is_some() {
            return Err(ApiError::unsupported("filter"));
        }
        if self.key.is_some() {
            return Err(ApiError::unsupported("key"));
        }
        let payload = if self.payload.0.is_empty() { "{}".to_owned() } else { self.payload.0 };
        Ok(Operation::SetPayload { ids: ids(self.points)?, payload })
    }
}

fn ids(points: Option<Vec<Id>>) -> ApiResult<Vec<PointId>> {
    let points = points.ok_or_else(|| ApiError::format("missing field `points`"))?;
    not_empty(&points)?;
    Ok(points.into_iter().map(|id| id.0).collect())
}

fn not_empty<T>(items: &[T]) -> ApiResult<()> {
    if items.is_empty() { Err(ApiError::bad_request("Empty update request")) } else { Ok(()) }
}

fn refuse_shard_key(shard_key: Option<IgnoredAny>) -> ApiResult<()> {
    if shard_key.is_some() { Err(ApiError::unsupported("shard_key")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use icecore_storage::{NamedVector, Vector};

    use super::*;

    fn upsert(json: &str) -> ApiResult<Operation> {
        serde_json::from_str::<Upsert>(json).map_err(ApiError::format)?.operation()
    }

    fn point(number: u64, vectors: &[(&str, &[f32])], payload: &str) -> Point {
        let vectors = vectors
            .iter()
            .map(|(name, values)| NamedVector { name: (*name).into(), vector: Vector::Dense(values.to_vec()) })
            .collect();
        Point { id: PointId::Num(number), vectors, payload: payload.into() }
    }

    #[test]
    fn points_come_as_a_list() {
        let operation = upsert(
            r#"{"points": [
                {"id": 1, "vector": [1, 2], "payload": {"a": 1}},
                {"id": 2, "vector": {"n": [3]}, "payload": null},
                {"payload": {}, "vector": [], "id": 3}
            ], "shard_key": null}"#,
        );
        let points =
            vec![point(1, &[("", &[1.0, 2.0])], r#"{"a":1}"#), point(2, &[("n", &[3.0])], ""), point(3, &[("", &[])], "")];
        assert_eq!(operation, Ok(Operation::Upsert { points }));
    }

    #[test]
    fn points_come_in_columns() {
        let operation = upsert(r#"{"batch": {"ids": [1, 2], "vectors": {"n": [[3], [4]]}, "payloads": [{"a": 1}, null]}}"#);
        let points = vec![point(1, &[("n", &[3.0])], r#"{"a":1}"#), point(2, &[("n", &[4.0])], "")];
        assert_eq!(operation, Ok(Operation::Upsert { points }));
    }

    #[test]
    fn columns_of_other_lengths_are_invalid() {
        for (json, numbers) in [
            (r#"{"batch": {"ids": [1, 2], "vectors": [[1]]}}"#, "(2 != 1)"),
            (r#"{"batch": {"ids": [1], "vectors": [[1]], "payloads": []}}"#, "(1 != 0)"),
        ] {
            let error = upsert(json).unwrap_err();
            assert_eq!(error.status.as_u16(), 422);
            assert!(error.message.contains(numbers), "{}", error.message);
        }
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (json, part) in [
            (r#"{"points": [], "shard_key": "a"}"#, "shard_key"),
            (r#"{"points": [], "update_filter": {"must": []}}"#, "update_filter"),
            (r#"{"points": [], "update_mode": "insert_only"}"#, "insert_only"),
            (r#"{"points": []}"#, "Empty update request"),
            (r#"{}"#, "`points` or `batch`"),
            (r#"{"points": [{"id": 1}]}"#, "missing field `vector`"),
        ] {
            let error = upsert(json).unwrap_err();
            assert_eq!(error.status.as_u16(), 400);
            assert!(error.message.contains(part), "{json}: {}", error.message);
        }
    }

    #[test]
    fn deletes_take_ids_only() {
        let delete = |json: &str| serde_json::from_str::<Delete>(json).unwrap().operation();
        assert_eq!(delete(r#"{"points": [1]}"#), Ok(Operation::Delete { ids: vec![PointId::Num(1)] }));
        assert!(delete(r#"{"filter": {}}"#).unwrap_err().message.contains("filter"));
        assert!(delete("{}").unwrap_err().message.contains("missing field `points`"));
    }

    #[test]
    fn an_empty_payload_is_set_as_an_object() {
        let set = |json: &str| serde_json::from_str::<SetPayload>(json).unwrap().operation();
        let ids = vec![PointId::Num(1)];
        assert_eq!(set(r#"{"payload": {}, "points": [1]}"#), Ok(Operation::SetPayload { ids, payload: "{}".into() }));
        assert!(set(r#"{"payload": {}, "points": [1], "key": "a"}"#).unwrap_err().message.contains("key"));
        assert!(set(r#"{"payload": {}, "filter": {"must": []}}"#).unwrap_err().message.contains("filter"));
    }
}
