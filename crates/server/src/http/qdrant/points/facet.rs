//! Facets: how many points have each value of a field.

use icecore_storage::FacetHit;
use icecore_storage::filter::Filter;
use icecore_storage::payload::{FacetValue, JsonPath};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filter::FilterSchema;
use super::path::PathSchema;
use super::shard_key::ShardKey;

/// The body of a request. Every count is exact, so `exact` makes no difference.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct FacetRequest {
    /// The field.
    #[schema(value_type = PathSchema)]
    pub(super) key: JsonPath,
    /// The most values that come.
    #[schema(minimum = 1)]
    pub(super) limit: Option<usize>,
    /// Which points count.
    #[schema(value_type = Option<FilterSchema>)]
    pub(super) filter: Option<Filter>,
    /// Refused if it is given.
    #[serde(default)]
    pub(super) shard_key: ShardKey,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Facets {
    hits: Vec<Hit>,
}

/// A value and the number of points that have it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FacetHit)]
struct Hit {
    value: Rendered,
    count: u64,
}

/// A value of a payload.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = FacetValue)]
enum Rendered {
    Bool(bool),
    Int(i64),
    Keyword(String),
}

impl From<Vec<FacetHit>> for Facets {
    fn from(hits: Vec<FacetHit>) -> Self {
        let rendered = |(value, count)| Hit {
            value: match value {
                FacetValue::Bool(value) => Rendered::Bool(value),
                FacetValue::Int(value) => Rendered::Int(value),
                FacetValue::Keyword(value) => Rendered::Keyword(value),
            },
            count,
        };
        Self { hits: hits.into_iter().map(rendered).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_rendered_as_what_they_are() {
        let hits = vec![(FacetValue::Keyword("a".into()), 3), (FacetValue::Int(-1), 2), (FacetValue::Bool(true), 1)];
        assert_eq!(
            serde_json::to_string(&Facets::from(hits)).unwrap(),
            r#"{"hits":[{"value":"a","count":3},{"value":-1,"count":2},{"value":true,"count":1}]}"#
        );
    }
}
