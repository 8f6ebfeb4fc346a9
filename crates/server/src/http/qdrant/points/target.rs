//! Which points a change is for: a list of ids, or a filter.
//!
//! Two shapes of requests say it. In a selector the ids or the filter are all there is; other bodies have them beside their own
//! fields. In both a list of ids wins over a filter (source: Qdrant's untagged `PointsSelector`, and its update of payloads).

use std::borrow::Cow;

use icecore_storage::filter::Filter;
use icecore_storage::{PointId, Target};
use serde::Deserialize;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::filter::FilterSchema;
use super::id::Id;
use super::shard_key::ShardKey;
use crate::http::envelope::{ApiError, ApiResult};
use crate::http::openapi::schema::{self, Schemas, any_of, list, named, null, object, or_null};

/// The body of a request that has nothing but a selector.
#[derive(Debug, Deserialize)]
pub(super) struct Selector {
    points: Option<Vec<Id>>,
    filter: Option<Filter>,
    #[serde(default)]
    shard_key: ShardKey,
}

impl Selector {
    /// What is selected.
    pub(super) fn target(self) -> ApiResult<Target> {
        self.shard_key.refuse()?;
        target(self.points, self.filter)
    }
}

impl PartialSchema for Selector {
    fn schema() -> RefOr<Schema> {
        targeted(object)
    }
}

impl ToSchema for Selector {
    fn name() -> Cow<'static, str> {
        "PointsSelector".into()
    }

    fn schemas(schemas: &mut Schemas) {
        add_targets(schemas);
    }
}

/// An object with fields of its own, and with points or a filter, or both.
pub(super) fn targeted(own: impl Fn() -> ObjectBuilder) -> RefOr<Schema> {
    let points = list(named::<Id>()).min_items(Some(1));
    let by_ids = own().property("points", points).required("points").property("filter", or_null(named::<FilterSchema>()));
    let by_filter = own().property("filter", named::<FilterSchema>()).required("filter").property("points", null());
    any_of([by_ids, by_filter].map(|target| target.property("shard_key", null()).into()))
}

/// Adds what [`targeted`] refers to.
pub(super) fn add_targets(schemas: &mut Schemas) {
    schema::add::<Id>(schemas);
    schema::add::<FilterSchema>(schemas);
}

/// What a body with these fields is for.
pub(super) fn target(points: Option<Vec<Id>>, filter: Option<Filter>) -> ApiResult<Target> {
    match (points, filter) {
        (Some(points), _) => Ok(Target::Ids(ids(points))),
        (None, Some(filter)) => Ok(Target::Filter(filter.to_text())),
        (None, None) => Err(ApiError::format("Either list of point ids or filter must be provided")),
    }
}

/// The ids of a list.
pub(super) fn ids(points: Vec<Id>) -> Vec<PointId> {
    points.into_iter().map(|id| id.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(json: &str) -> ApiResult<Target> {
        serde_json::from_str::<Selector>(json).map_err(ApiError::format)?.target()
    }

    #[test]
    fn ids_win_over_a_filter() {
        let ids = Ok(Target::Ids(vec![PointId::Num(1), PointId::Num(2)]));
        assert_eq!(select(r#"{"points": [1, 2], "shard_key": null}"#), ids);
        assert_eq!(select(r#"{"filter": {"must": []}, "points": [1, 2]}"#), ids);
        assert_eq!(select(r#"{"points": []}"#), Ok(Target::Ids(vec![])));
    }

    #[test]
    fn a_filter_is_kept_as_its_canonical_text() {
        let Ok(Target::Filter(text)) = select(r#"{"filter": { "must": [{"has_id": [3, 1]}] }, "points": null}"#) else {
            panic!("a filter is a target")
        };
        assert_eq!(Filter::parse(&text).unwrap(), Filter::parse(r#"{"must": [{"has_id": [1, 3]}]}"#).unwrap());
        assert!(!text.contains(' '), "{text}");
    }

    #[test]
    fn nothing_and_what_is_no_filter_are_refused() {
        for (json, part) in [
            ("{}", "Either list of point ids or filter"),
            (r#"{"filter": null}"#, "Either list of point ids or filter"),
            (r#"{"filter": {"must": [{"nonsense": 1}]}}"#, "filter"),
            (r#"{"filter": []}"#, "filter"),
            (r#"{"points": [-1]}"#, "point id"),
            (r#"{"points": [1], "shard_key": "a"}"#, "shard_key"),
        ] {
            let error = select(json).unwrap_err();
            assert_eq!(error.status.as_u16(), 400, "{json}");
            assert!(error.message.contains(part), "{json}: {}", error.message);
        }
    }
}
