//! The values that facets count points by.
//!
//! A point counts once for each of its different values. Which values count depends on the kind of the key's index: Qdrant
//! refuses a facet of a key without an index that supports matching.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

/// The kinds of values that facets can count: those of Qdrant's indexes with matching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FacetKind {
    /// Texts, as they are.
    Keyword,
    /// Texts that are UUIDs, all spellings of one counted together.
    Uuid,
    /// Integers within 64 bits with sign.
    Integer,
    /// `true` and `false`.
    Bool,
}

/// A value to count by. The order is the one among values with the same count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FacetValue {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A text; a UUID with hyphens in lower case.
    Keyword(String),
}

/// The value that a payload's value is counted as; `None` if it is not of the kind. Without a kind, any of them, and texts
/// that are UUIDs as such.
pub fn facet_value(value: &Value, kind: Option<FacetKind>) -> Option<FacetValue> {
    match (value, kind) {
        (Value::String(text), Some(FacetKind::Keyword)) => Some(FacetValue::Keyword(text.clone())),
        (Value::String(text), Some(FacetKind::Uuid)) => uuid(text).map(FacetValue::Keyword),
        (Value::String(text), None) => Some(FacetValue::Keyword(uuid(text).unwrap_or_else(|| text.clone()))),
        (Value::Number(number), Some(FacetKind::Integer) | None) => number.as_i64().map(FacetValue::Int),
        (Value::Bool(flag), Some(FacetKind::Bool) | None) => Some(FacetValue::Bool(*flag)),
        _ => None,
    }
}

fn uuid(text: &str) -> Option<String> {
    Uuid::parse_str(text).ok().map(|uuid| uuid.hyphenated().to_string())
}

/// The different values that a point with these values at the key is counted by.
pub fn facet_values(values: &[&Value], kind: Option<FacetKind>) -> BTreeSet<FacetValue> {
    values
        .iter()
        .flat_map(|value| match value {
            Value::Array(list) => list.as_slice(),
            single => std::slice::from_ref(*single),
        })
        .filter_map(|value| facet_value(value, kind))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn which_values_count_depends_on_the_kind() {
        // Source: facets of the engine of qdrant-edge with an index of each kind.
        let list = json!(["b", "A", "b", "550E8400-E29B-41D4-A716-446655440000", "550e8400e29b41d4a716446655440000", true, 1, 1, 1.0,
            18_446_744_073_709_551_615_u64, null, ["c"], {"d": 1}]);
        let of = |kind| facet_values(&[&list], kind).into_iter().collect::<Vec<_>>();
        let keyword = |text: &str| FacetValue::Keyword(text.to_owned());
        let hyphenated = "550e8400-e29b-41d4-a716-446655440000";
        assert_eq!(
            of(Some(FacetKind::Keyword)),
            ["550E8400-E29B-41D4-A716-446655440000", "550e8400e29b41d4a716446655440000", "A", "b"].map(keyword)
        );
        assert_eq!(of(Some(FacetKind::Uuid)), [keyword(hyphenated)]);
        assert_eq!(of(Some(FacetKind::Integer)), [FacetValue::Int(1)]);
        assert_eq!(of(Some(FacetKind::Bool)), [FacetValue::Bool(true)]);
        assert_eq!(of(None), [FacetValue::Bool(true), FacetValue::Int(1), keyword(hyphenated), keyword("A"), keyword("b")]);
    }
}
