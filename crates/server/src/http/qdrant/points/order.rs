//! `order_by` in requests, and which kind of values an index makes of a field.
//!
//! Qdrant orders and counts by indexed fields only. Here no index is needed; where there is one, its type says which values count.

use icecore_storage::payload::{Datetime, FacetKind, JsonPath, OrderKind, OrderValue};
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::path::PathSchema;
use crate::http::openapi::schema::{self, Schemas, any_of, named, null, number, object, one_of_words, or_null, text};

/// What points are ordered by.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Interface")]
pub(super) struct OrderBy {
    /// The field.
    pub(super) key: JsonPath,
    /// Whether the largest values come first.
    pub(super) descending: bool,
    /// The first value that may come.
    pub(super) start_from: Option<OrderValue>,
}

impl PartialSchema for OrderBy {
    fn schema() -> RefOr<Schema> {
        let start = any_of([number(), text(), null()]);
        let full = object()
            .property("key", named::<PathSchema>())
            .required("key")
            .property("direction", or_null(one_of_words(&["asc", "desc"])))
            .property("start_from", start);
        any_of([named::<PathSchema>(), full.into()])
    }
}

impl ToSchema for OrderBy {
    fn schemas(schemas: &mut Schemas) {
        schema::add::<PathSchema>(schemas);
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "order_by takes a key, or an object with `key`, `direction` (asc or desc) and `start_from`")]
enum Interface {
    Key(JsonPath),
    Full { key: JsonPath, direction: Option<Direction>, start_from: Option<Start> },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Asc,
    Desc,
}

/// A number, or the text of a datetime.
#[derive(Deserialize)]
#[serde(untagged, expecting = "start_from takes a number or a datetime")]
enum Start {
    Int(i64),
    Float(f64),
    Datetime(DatetimeText),
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DatetimeText(Datetime);

impl TryFrom<String> for DatetimeText {
    type Error = <Datetime as std::str::FromStr>::Err;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<Interface> for OrderBy {
    fn from(given: Interface) -> Self {
        match given {
            Interface::Key(key) => Self { key, descending: false, start_from: None },
            Interface::Full { key, direction, start_from } => Self {
                key,
                descending: matches!(direction, Some(Direction::Desc)),
                start_from: start_from.map(|start| match start {
                    Start::Int(value) => OrderValue::Int(value),
                    Start::Float(value) => OrderValue::Float(value),
                    Start::Datetime(DatetimeText(datetime)) => OrderValue::Int(datetime.micros()),
                }),
            },
        }
    }
}

/// The kind of values that an index of this schema orders by; `None` if any.
pub(super) fn order_kind(schema: Option<&Value>) -> Option<OrderKind> {
    match data_type(schema?)? {
        "integer" => Some(OrderKind::Integer),
        "float" => Some(OrderKind::Float),
        "datetime" => Some(OrderKind::Datetime),
        _ => None,
    }
}

/// The kind of values that an index of this schema counts by; `None` if any.
pub(super) fn facet_kind(schema: Option<&Value>) -> Option<FacetKind> {
    match data_type(schema?)? {
        "keyword" => Some(FacetKind::Keyword),
        "uuid" => Some(FacetKind::Uuid),
        "integer" => Some(FacetKind::Integer),
        "bool" => Some(FacetKind::Bool),
        _ => None,
    }
}

fn data_type(schema: &Value) -> Option<&str> {
    schema.get("type").unwrap_or(schema).as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> OrderBy {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_key_alone_is_ascending_from_the_start() {
        let expected = OrderBy { key: "a.b".parse().unwrap(), descending: false, start_from: None };
        assert_eq!(read(json!("a.b")), expected);
        assert_eq!(read(json!({"key": "a.b"})), expected);
        assert_eq!(read(json!({"key": "a.b", "direction": "asc", "start_from": null})), expected);
    }

    #[test]
    fn the_start_is_a_number_or_a_datetime() {
        let start = |value: Value| read(json!({"key": "a", "direction": "desc", "start_from": value})).start_from;
        assert_eq!(start(json!(-3)), Some(OrderValue::Int(-3)));
        assert_eq!(start(json!(1.5)), Some(OrderValue::Float(1.5)));
        assert_eq!(start(json!(u64::MAX)), Some(OrderValue::Float(18_446_744_073_709_551_615.0)));
        assert_eq!(start(json!("1970-01-01T00:00:01Z")), Some(OrderValue::Int(1_000_000)));
        assert!(read(json!({"key": "a", "direction": "desc"})).descending);
    }

    #[test]
    fn what_is_no_order_is_refused() {
        for wrong in [
            json!(1),
            json!(""),
            json!({}),
            json!({"key": "a", "direction": "up"}),
            json!({"key": "a", "start_from": "soon"}),
            json!({"key": "a", "start_from": []}),
        ] {
            assert!(serde_json::from_value::<OrderBy>(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_type_of_an_index_is_the_kind() {
        for (schema, order, facet) in [
            (json!("integer"), Some(OrderKind::Integer), Some(FacetKind::Integer)),
            (json!({"type": "float"}), Some(OrderKind::Float), None),
            (json!({"type": "datetime", "on_disk": true}), Some(OrderKind::Datetime), None),
            (json!("keyword"), None, Some(FacetKind::Keyword)),
            (json!("uuid"), None, Some(FacetKind::Uuid)),
            (json!("bool"), None, Some(FacetKind::Bool)),
            (json!("text"), None, None),
        ] {
            assert_eq!((order_kind(Some(&schema)), facet_kind(Some(&schema))), (order, facet), "{schema}");
        }
        assert_eq!((order_kind(None), facet_kind(None)), (None, None));
    }
}
