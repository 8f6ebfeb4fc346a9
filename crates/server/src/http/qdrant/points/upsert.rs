//! Upserts in requests: whole points, in a list or in columns.

use std::borrow::Cow;

use icecore_storage::filter::Filter;
use icecore_storage::{Operation, Point, UpsertMode};
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::filter::FilterSchema;
use super::id::Id;
use super::payload::PayloadText;
use super::rows::RequestRows;
use super::shard_key::ShardKey;
use super::vectors::{Columns, PointVectors};
use super::write::Change;
use crate::http::envelope::{ApiError, ApiResult};
use crate::http::openapi::schema::{self, Schemas, any_of, list, named, null, object, or_null};

/// The body of an upsert.
#[derive(Debug, Deserialize)]
pub(super) struct Upsert {
    points: Option<Vec<PointStruct>>,
    batch: Option<Batch>,
    update_filter: Option<Filter>,
    update_mode: Option<Mode>,
    #[serde(default)]
    shard_key: ShardKey,
}

impl PartialSchema for Upsert {
    fn schema() -> RefOr<Schema> {
        let common = || {
            object()
                .property("update_filter", or_null(named::<FilterSchema>()))
                .property("update_mode", or_null(named::<Mode>()))
                .property("shard_key", null())
        };
        let points = list(named::<PointStruct>()).min_items(Some(1));
        let listed = common().property("points", points).required("points").property("batch", null());
        let columns = common().property("batch", named::<Batch>()).required("batch").property("points", null());
        any_of([listed.into(), columns.into()])
    }
}

impl ToSchema for Upsert {
    fn name() -> Cow<'static, str> {
        "UpsertPoints".into()
    }

    fn schemas(schemas: &mut Schemas) {
        schema::add::<FilterSchema>(schemas);
        schema::add::<Mode>(schemas);
        schema::add::<PointStruct>(schemas);
        schema::add::<Batch>(schemas);
    }
}

/// What becomes of points that are there, and of those that are not.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UpdateMode)]
enum Mode {
    Upsert,
    InsertOnly,
    UpdateOnly,
}

/// A point; `vectors` is understood for `vector`.
#[derive(Debug, Deserialize, ToSchema)]
struct PointStruct {
    id: Id,
    #[serde(alias = "vectors")]
    vector: PointVectors,
    #[serde(default)]
    payload: PayloadText,
}

/// Points in columns, all of which are as long as the list of ids.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PointsBatch)]
struct Batch {
    #[schema(min_items = 1)]
    ids: Vec<Id>,
    vectors: Columns,
    payloads: Option<Vec<PayloadText>>,
}

impl Upsert {
    /// What the request asks for.
    pub(super) fn change(self) -> ApiResult<Change> {
        self.shard_key.refuse()?;
        let mut rows = RequestRows::default();
        let points = match (self.points, self.batch) {
            (Some(points), None) => points.into_iter().map(|point| point.point(&mut rows)).collect::<ApiResult<_>>()?,
            (None, Some(batch)) => batch.points(&mut rows)?,
            _ => return Err(ApiError::format("expected either `points` or `batch`")),
        };
        let mode = match self.update_mode {
            None | Some(Mode::Upsert) => UpsertMode::Upsert,
            Some(Mode::InsertOnly) => UpsertMode::InsertOnly,
            Some(Mode::UpdateOnly) => UpsertMode::UpdateOnly,
        };
        let condition = self.update_filter.map(|filter| filter.to_text());
        Ok(Change { operation: Operation::Upsert { points, mode, condition }, rows })
    }
}

impl PointStruct {
    fn point(self, rows: &mut RequestRows) -> ApiResult<Point> {
        Ok(Point { id: self.id.0, vectors: self.vector.into_named(rows)?, payload: self.payload.0 })
    }
}

impl Batch {
    fn points(self, rows: &mut RequestRows) -> ApiResult<Vec<Point>> {
        let count = self.ids.len();
        let check = |what: &str, other: Option<usize>| match other {
            None => Ok(()),
            Some(actual) => {
                let rule = format!("number of ids and {what} must be equal ({count} != {actual})");
                Err(ApiError::invalid("JSON body", "batch", rule))
            }
        };
        check("vectors", self.vectors.other_len(count))?;
        let payloads = self.payloads.unwrap_or_else(|| vec![PayloadText::default(); count]);
        check("payloads", Some(payloads.len()).filter(|len| *len != count))?;
        let points = self.ids.into_iter().zip(self.vectors.into_points(count, rows)?).zip(payloads);
        Ok(points.map(|((id, vectors), payload)| Point { id: id.0, vectors, payload: payload.0 }).collect())
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::{NamedVector, PointId, Vector};

    use super::*;

    fn upsert(json: &str) -> ApiResult<Operation> {
        Ok(serde_json::from_str::<Upsert>(json).map_err(ApiError::format)?.change()?.operation)
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
            ], "shard_key": null, "update_filter": null, "update_mode": null}"#,
        );
        let points =
            vec![point(1, &[("", &[1.0, 2.0])], r#"{"a":1}"#), point(2, &[("n", &[3.0])], ""), point(3, &[("", &[])], "")];
        assert_eq!(operation, Ok(Operation::upsert(points)));
    }

    #[test]
    fn points_come_in_columns() {
        let operation = upsert(r#"{"batch": {"ids": [1, 2], "vectors": {"n": [[3], [4]]}, "payloads": [{"a": 1}, null]}}"#);
        let points = vec![point(1, &[("n", &[3.0])], r#"{"a":1}"#), point(2, &[("n", &[4.0])], "")];
        assert_eq!(operation, Ok(Operation::upsert(points)));
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
    fn an_upsert_may_have_a_mode_and_a_condition() {
        for (text, expected) in
            [("upsert", UpsertMode::Upsert), ("insert_only", UpsertMode::InsertOnly), ("update_only", UpsertMode::UpdateOnly)]
        {
            let json = format!(r#"{{"points": [], "update_mode": "{text}", "update_filter": {{"must": {{"has_id": [1]}}}}}}"#);
            let Ok(Operation::Upsert { mode, condition: Some(condition), .. }) = upsert(&json) else { panic!("{json}") };
            assert_eq!(mode, expected);
            assert_eq!(Filter::parse(&condition), Filter::parse(r#"{"must": [{"has_id": [1]}]}"#));
        }
    }

    #[test]
    fn what_is_no_upsert_is_refused() {
        for (json, part) in [
            (r#"{"points": [], "shard_key": "a"}"#, "shard_key"),
            (r#"{"points": [], "update_filter": {"must": [{"x": 1}]}}"#, "filter"),
            (r#"{"points": [], "update_mode": "replace"}"#, "replace"),
            (r#"{"points": [], "batch": {"ids": [], "vectors": []}}"#, "`points` or `batch`"),
            (r#"{}"#, "`points` or `batch`"),
            (r#"{"points": [{"id": 1}]}"#, "missing field `vector`"),
        ] {
            let error = upsert(json).unwrap_err();
            assert_eq!(error.status.as_u16(), 400);
            assert!(error.message.contains(part), "{json}: {}", error.message);
        }
    }
}
