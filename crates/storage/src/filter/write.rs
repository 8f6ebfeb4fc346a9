//! The canonical JSON of a filter: what stands in the log, and what any client of the API could have sent.
//!
//! Reading it gives the same filter. A clause with a single condition is written without a list, so that the text is never
//! deeper than the one that the filter was read from.

use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::geo::GeoPoint;
use super::model::{Condition, FieldCondition, Filter};
use super::values::{Bounds, Keywords, Match, Range, Scalar};
use crate::ids::PointId;

impl Filter {
    /// The canonical text. Reading it with [`Filter::parse`] gives this filter again.
    pub fn to_text(&self) -> String {
        filter(self).to_string()
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        filter(self).serialize(serializer)
    }
}

fn filter(from: &Filter) -> Value {
    let mut object = Map::new();
    for (name, clause) in [("must", &from.must), ("must_not", &from.must_not), ("should", &from.should)] {
        if let Some(conditions) = clause {
            let value = if let [single] = conditions.as_slice() { condition(single) } else { list(conditions) };
            object.insert(name.to_owned(), value);
        }
    }
    if let Some(clause) = &from.min_should {
        object.insert("min_should".to_owned(), json!({"conditions": list(&clause.conditions), "min_count": clause.min_count}));
    }
    Value::Object(object)
}

fn list(conditions: &[Condition]) -> Value {
    conditions.iter().map(condition).collect()
}

fn condition(from: &Condition) -> Value {
    match from {
        Condition::Field(from) => field(from),
        Condition::IsEmpty(key) => json!({"is_empty": {"key": key}}),
        Condition::IsNull(key) => json!({"is_null": {"key": key}}),
        Condition::HasId(ids) => json!({"has_id": ids.iter().map(|id| self::id(*id)).collect::<Vec<_>>()}),
        Condition::HasVector(name) => json!({"has_vector": name}),
        Condition::Slice(slice) => json!({"slice": {"total": slice.total, "index": slice.index}}),
        Condition::Nested { key, filter } => json!({"nested": {"key": key, "filter": self::filter(filter)}}),
        Condition::Filter(from) => filter(from),
    }
}

fn id(id: PointId) -> Value {
    match id {
        PointId::Num(number) => json!(number),
        PointId::Uuid(bytes) => json!(Uuid::from_bytes(bytes).hyphenated().to_string()),
    }
}

fn field(from: &FieldCondition) -> Value {
    let parts = [
        ("match", from.matching.as_ref().map(matching)),
        ("range", from.range.as_ref().map(range)),
        (
            "geo_bounding_box",
            from.geo_bounding_box.map(|from| json!({"top_left": point(from.top_left), "bottom_right": point(from.bottom_right)})),
        ),
        ("geo_radius", from.geo_radius.map(|from| json!({"center": point(from.center), "radius": from.radius}))),
        (
            "geo_polygon",
            from.geo_polygon.as_ref().map(|from| {
                let interiors = from.interiors.as_ref().map(|lines| lines.iter().map(|points| line(points)).collect::<Vec<_>>());
                json!({"exterior": line(&from.exterior), "interiors": interiors})
            }),
        ),
        ("values_count", from.values_count.as_ref().map(|from| bounds(from, |count| json!(count)))),
        ("is_empty", from.is_empty.map(Value::Bool)),
        ("is_null", from.is_null.map(Value::Bool)),
    ];
    let mut object = Map::new();
    object.insert("key".to_owned(), json!(from.key));
    object.extend(parts.into_iter().filter_map(|(name, part)| part.map(|part| (name.to_owned(), part))));
    Value::Object(object)
}

fn matching(from: &Match) -> Value {
    match from {
        Match::Value(Scalar::Bool(value)) => json!({"value": value}),
        Match::Value(Scalar::Integer(value)) => json!({"value": value}),
        Match::Value(Scalar::Keyword(value)) => json!({"value": value}),
        Match::Any(values) => json!({"any": keywords(values)}),
        Match::Except(values) => json!({"except": keywords(values)}),
        Match::Text(text) => json!({"text": text}),
        Match::TextAny(text) => json!({"text_any": text}),
        Match::Phrase(text) => json!({"phrase": text}),
        Match::Prefix(text) => json!({"prefix": text}),
        Match::Substring(text) => json!({"substring": text}),
    }
}

fn keywords(from: &Keywords) -> Value {
    match from {
        Keywords::Texts(texts) => json!(texts),
        Keywords::Integers(integers) => json!(integers),
    }
}

fn range(from: &Range) -> Value {
    match from {
        Range::Numbers(from) => bounds(from, |number| json!(number)),
        Range::Datetimes(from) => bounds(from, |datetime| json!(datetime.to_string())),
    }
}

fn bounds<T>(from: &Bounds<T>, write: impl Fn(&T) -> Value) -> Value {
    let parts = [("lt", &from.lt), ("gt", &from.gt), ("gte", &from.gte), ("lte", &from.lte)];
    parts.into_iter().filter_map(|(name, bound)| bound.as_ref().map(|bound| (name.to_owned(), write(bound)))).collect()
}

fn point(from: GeoPoint) -> Value {
    json!({"lon": from.lon, "lat": from.lat})
}

fn line(from: &[GeoPoint]) -> Value {
    json!({"points": from.iter().map(|at| point(*at)).collect::<Vec<_>>()})
}
