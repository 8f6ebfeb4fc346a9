//! Changes of single vectors of points in requests: replacing some, deleting some.

use icecore_storage::filter::Filter;
use icecore_storage::{Operation, PointVectors, Target};
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::filter::FilterSchema;
use super::id::Id;
use super::rows::RequestRows;
use super::shard_key::ShardKey;
use super::target::{add_targets, ids, targeted};
use super::vectors;
use super::write::Change;
use crate::http::envelope::{ApiError, ApiResult};
use crate::http::openapi::schema::{Schemas, list, object, text};

/// The body of a request that replaces vectors.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct UpdateVectors {
    #[schema(min_items = 1)]
    points: Vec<PointStruct>,
    #[schema(value_type = Option<FilterSchema>)]
    update_filter: Option<Filter>,
    #[serde(default)]
    shard_key: ShardKey,
}

/// A point's id and those vectors that are replaced; `vectors` is understood for `vector`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PointVectors)]
struct PointStruct {
    id: Id,
    #[serde(alias = "vectors")]
    vector: vectors::PointVectors,
}

impl UpdateVectors {
    /// What the request asks for.
    pub(super) fn change(self) -> ApiResult<Change> {
        self.shard_key.refuse()?;
        if self.points.is_empty() {
            return Err(ApiError::invalid("JSON body", "points", "must specify points to update"));
        }
        let mut rows = RequestRows::default();
        let points = self.points.into_iter();
        let points = points
            .map(|point| Ok(PointVectors { id: point.id.0, vectors: point.vector.into_named(&mut rows)? }))
            .collect::<ApiResult<_>>()?;
        let condition = self.update_filter.map(|filter| filter.to_text());
        Ok(Change { operation: Operation::UpdateVectors { points, condition }, rows })
    }
}

/// The body of a request that deletes vectors.
#[derive(Debug, Deserialize)]
pub(super) struct DeleteVectors {
    points: Option<Vec<Id>>,
    filter: Option<Filter>,
    #[serde(alias = "vectors")]
    vector: Vec<String>,
    #[serde(default)]
    shard_key: ShardKey,
}

impl PartialSchema for DeleteVectors {
    fn schema() -> RefOr<Schema> {
        targeted(|| object().property("vector", list(text()).min_items(Some(1))).required("vector"))
    }
}

impl ToSchema for DeleteVectors {
    fn schemas(schemas: &mut Schemas) {
        add_targets(schemas);
    }
}

impl DeleteVectors {
    /// What the request asks for: with a filter and ids it is two changes (source: Qdrant's `do_delete_vectors`).
    pub(super) fn changes(self) -> ApiResult<Vec<Change>> {
        self.shard_key.refuse()?;
        if self.vector.is_empty() {
            return Err(ApiError::invalid("JSON body", "vector", "must specify vector names to delete"));
        }
        let by_filter = self.filter.map(|filter| Target::Filter(filter.to_text()));
        let by_ids = self.points.map(|points| Target::Ids(ids(points)));
        let targets = by_filter.into_iter().chain(by_ids);
        let changes: Vec<Change> =
            targets.map(|target| Operation::DeleteVectors { target, names: self.vector.clone() }.into()).collect();
        if changes.is_empty() { Err(ApiError::bad_request("No filter or points provided")) } else { Ok(changes) }
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::{NamedVector, PointId, Vector};

    use super::*;

    fn delete(json: &str) -> ApiResult<Vec<Operation>> {
        let request: DeleteVectors = serde_json::from_str(json).map_err(ApiError::format)?;
        Ok(request.changes()?.into_iter().map(|change| change.operation).collect())
    }

    #[test]
    fn vectors_are_replaced_by_name() {
        let request: UpdateVectors =
            serde_json::from_str(r#"{"points": [{"id": 1, "vector": {"a": [1, 2]}}, {"id": 2, "vector": [3]}]}"#).unwrap();
        let point = |id, name: &str, values: &[f32]| PointVectors {
            id: PointId::Num(id),
            vectors: vec![NamedVector { name: name.into(), vector: Vector::Dense(values.into()) }],
        };
        let points = vec![point(1, "a", &[1.0, 2.0]), point(2, "", &[3.0])];
        assert_eq!(request.change().unwrap().operation, Operation::UpdateVectors { points, condition: None });
        let none: UpdateVectors = serde_json::from_str(r#"{"points": []}"#).unwrap();
        assert_eq!(none.change().unwrap_err().status.as_u16(), 422);
    }

    #[test]
    fn vectors_are_deleted_by_filter_and_by_ids() {
        let names = vec!["a".to_owned(), String::new()];
        let by_ids = Operation::DeleteVectors { target: Target::Ids(vec![PointId::Num(1)]), names };
        assert_eq!(delete(r#"{"points": [1], "vector": ["a", ""]}"#), Ok(vec![by_ids.clone()]));
        let both = delete(r#"{"points": [1], "filter": {}, "vectors": ["a", ""]}"#).unwrap();
        assert!(matches!(&both[0], Operation::DeleteVectors { target: Target::Filter(_), .. }));
        assert_eq!(both[1..], [by_ids]);
    }

    #[test]
    fn a_deletion_needs_names_and_points() {
        for (json, status, part) in [
            (r#"{"points": [1], "vector": []}"#, 422, "must specify vector names to delete"),
            (r#"{"vector": ["a"]}"#, 400, "No filter or points provided"),
            (r#"{"points": [1]}"#, 400, "missing field `vector`"),
        ] {
            let error = delete(json).unwrap_err();
            assert_eq!(error.status.as_u16(), status);
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}
