//! Reads a filter from JSON.
//!
//! What Qdrant's server refuses is refused, with the place of the mistake; unknown fields are ignored where it ignores them
//! (in conditions) and refused where it refuses them (in filters). Depth and the number of conditions are bounded, so that
//! neither reading nor evaluating can exhaust the stack.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::geo::{GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius};
use super::model::{Condition, FieldCondition, Filter, MinShould};
use super::slice::Slice;
use super::values::{Bounds, Keywords, Match, Range, Scalar};
use crate::ids::PointId;
use crate::payload::{Datetime, JsonPath};

/// How many filters may stand inside of each other.
pub const DEPTH_MAX: usize = 64;
/// How many conditions a filter may have, with those inside of them.
pub const CONDITIONS_MAX: usize = 65_536;

/// Why a JSON value is not a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFilter {
    /// The steps to the value that is wrong, the last one first.
    place: Vec<String>,
    reason: String,
}

impl fmt::Display for InvalidFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("filter")?;
        self.place.iter().rev().try_for_each(|step| formatter.write_str(step))?;
        write!(formatter, ": {}", self.reason)
    }
}

impl std::error::Error for InvalidFilter {}

type Parsed<T> = Result<T, InvalidFilter>;

impl Filter {
    /// Reads a filter from its text.
    ///
    /// # Errors
    /// If it is no JSON, or no filter.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        let value: Value = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        Self::from_value(&value)
    }

    /// Reads a filter from a JSON value.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_value(value: &Value) -> Result<Self, InvalidFilter> {
        filter(value, &mut Budget { depth: DEPTH_MAX, conditions: CONDITIONS_MAX })
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What may still be read.
struct Budget {
    depth: usize,
    conditions: usize,
}

fn invalid(reason: impl Into<String>) -> InvalidFilter {
    InvalidFilter { place: Vec::new(), reason: reason.into() }
}

/// An error of a value that is not of the type that is needed.
fn expected(what: &str, value: &Value) -> InvalidFilter {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    invalid(format!("expected {what}, found {found}"))
}

/// Adds the step that leads to what is wrong.
fn within(step: impl fmt::Display) -> impl FnOnce(InvalidFilter) -> InvalidFilter {
    move |mut error| {
        error.place.push(step.to_string());
        error
    }
}

fn object(value: &Value) -> Parsed<&Map<String, Value>> {
    value.as_object().ok_or_else(|| expected("an object", value))
}

fn list(value: &Value) -> Parsed<&Vec<Value>> {
    value.as_array().ok_or_else(|| expected("a list", value))
}

fn text(value: &Value) -> Parsed<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| expected("a string", value))
}

fn flag(value: &Value) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| expected("a boolean", value))
}

fn number(value: &Value) -> Parsed<f64> {
    value.as_f64().ok_or_else(|| expected("a number", value))
}

fn unsigned(value: &Value) -> Parsed<u64> {
    value.as_u64().ok_or_else(|| expected("an unsigned integer", value))
}

fn path(value: &Value) -> Parsed<JsonPath> {
    text(value)?.parse().map_err(|error: crate::payload::InvalidPath| invalid(error.to_string()))
}

/// The field of this name; missing and null are the same.
fn optional<T>(from: &Map<String, Value>, name: &str, read: impl FnOnce(&Value) -> Parsed<T>) -> Parsed<Option<T>> {
    match from.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).map_err(within(format_args!(".{name}"))),
    }
}

fn required<T>(from: &Map<String, Value>, name: &str, read: impl FnOnce(&Value) -> Parsed<T>) -> Parsed<T> {
    let value = from.get(name).ok_or_else(|| invalid(format!("missing field `{name}`")))?;
    read(value).map_err(within(format_args!(".{name}")))
}

fn each<T>(values: &[Value], mut read: impl FnMut(&Value) -> Parsed<T>) -> Parsed<Vec<T>> {
    let one = |(index, value)| read(value).map_err(within(format_args!("[{index}]")));
    values.iter().enumerate().map(one).collect()
}

fn filter(value: &Value, budget: &mut Budget) -> Parsed<Filter> {
    const CLAUSES: [&str; 4] = ["should", "min_should", "must", "must_not"];
    let from = object(value)?;
    if let Some(unknown) = from.keys().find(|name| !CLAUSES.contains(&name.as_str())) {
        return Err(invalid(format!(
            "unknown field `{unknown}`; expected a filter with `must`, `should`, `must_not` or `min_should`, or a condition"
        )));
    }
    budget.depth =
        budget.depth.checked_sub(1).ok_or_else(|| invalid(format!("more than {DEPTH_MAX} filters inside of each other")))?;
    let filter = Filter {
        should: optional(from, "should", |value| clause(value, budget))?,
        min_should: optional(from, "min_should", |value| min_should(value, budget))?,
        must: optional(from, "must", |value| clause(value, budget))?,
        must_not: optional(from, "must_not", |value| clause(value, budget))?,
    };
    budget.depth += 1;
    Ok(filter)
}

/// A list of conditions, or one without a list.
fn clause(value: &Value, budget: &mut Budget) -> Parsed<Vec<Condition>> {
    match value {
        Value::Array(values) => each(values, |value| condition(value, budget)),
        single => condition(single, budget).map(|condition| vec![condition]),
    }
}

fn min_should(value: &Value, budget: &mut Budget) -> Parsed<MinShould> {
    let from = object(value)?;
    let conditions = required(from, "conditions", |value| each(list(value)?, |value| condition(value, budget)))?;
    let min_count = required(from, "min_count", unsigned)?;
    if min_count == 0 {
        return Err(invalid("min_count value 0 is invalid. Must be 1 or larger."));
    }
    Ok(MinShould { conditions, min_count })
}

/// What a condition is depends on which field it has; `key` comes first, as in the server.
fn condition(value: &Value, budget: &mut Budget) -> Parsed<Condition> {
    budget.conditions = budget
        .conditions
        .checked_sub(1)
        .ok_or_else(|| invalid(format!("more than {CONDITIONS_MAX} conditions in one filter")))?;
    let from = object(value)?;
    let has = |name| from.contains_key(name);
    if has("key") {
        field(from).map(|field| Condition::Field(Box::new(field)))
    } else if has("is_empty") {
        required(from, "is_empty", |value| required(object(value)?, "key", path)).map(Condition::IsEmpty)
    } else if has("is_null") {
        required(from, "is_null", |value| required(object(value)?, "key", path)).map(Condition::IsNull)
    } else if has("has_id") {
        required(from, "has_id", |value| each(list(value)?, id)).map(|ids| Condition::HasId(ids.into_iter().collect()))
    } else if has("has_vector") {
        required(from, "has_vector", text).map(Condition::HasVector)
    } else if has("slice") {
        required(from, "slice", slice).map(Condition::Slice)
    } else if has("nested") {
        required(from, "nested", |value| {
            let from = object(value)?;
            let key = required(from, "key", path)?;
            Ok(Condition::Nested { key, filter: required(from, "filter", |value| filter(value, budget))? })
        })
    } else {
        filter(value, budget).map(Condition::Filter)
    }
}

fn id(value: &Value) -> Parsed<PointId> {
    let id = match value {
        Value::Number(number) => number.as_u64().map(PointId::Num),
        Value::String(text) => Uuid::parse_str(text).ok().map(|uuid| PointId::Uuid(uuid.into_bytes())),
        _ => None,
    };
    id.ok_or_else(|| {
        invalid(format!("value {value} is not a valid point ID, valid values are either an unsigned integer or a UUID"))
    })
}

fn slice(value: &Value) -> Parsed<Slice> {
    let from = object(value)?;
    let slice = Slice { total: required(from, "total", unsigned)?, index: required(from, "index", unsigned)? };
    if slice.total == 0 {
        return Err(invalid("Slice total must be >= 1, got 0"));
    }
    if slice.index >= slice.total {
        return Err(invalid(format!("Slice index must be in [0;{}], got {}", slice.total - 1, slice.index)));
    }
    Ok(slice)
}

fn field(from: &Map<String, Value>) -> Parsed<FieldCondition> {
    let field = FieldCondition {
        key: required(from, "key", path)?,
        matching: optional(from, "match", matching)?,
        range: optional(from, "range", range)?,
        geo_bounding_box: optional(from, "geo_bounding_box", |value| {
            let from = object(value)?;
            Ok(GeoBoundingBox {
                top_left: required(from, "top_left", point)?,
                bottom_right: required(from, "bottom_right", point)?,
            })
        })?,
        geo_radius: optional(from, "geo_radius", |value| {
            let from = object(value)?;
            Ok(GeoRadius { center: required(from, "center", point)?, radius: required(from, "radius", number)? })
        })?,
        geo_polygon: optional(from, "geo_polygon", |value| {
            let from = object(value)?;
            Ok(GeoPolygon {
                exterior: required(from, "exterior", line)?,
                interiors: optional(from, "interiors", |value| each(list(value)?, line))?,
            })
        })?,
        values_count: optional(from, "values_count", |value| bounds(object(value)?, unsigned))?,
        is_empty: optional(from, "is_empty", flag)?,
        is_null: optional(from, "is_null", flag)?,
    };
    if field == FieldCondition::on(field.key.clone()) {
        return Err(invalid("At least one field condition must be specified"));
    }
    Ok(field)
}

fn matching(value: &Value) -> Parsed<Match> {
    let from = object(value)?;
    let read = [
        optional(from, "value", scalar)?.map(Match::Value),
        optional(from, "text", text)?.map(Match::Text),
        optional(from, "text_any", text)?.map(Match::TextAny),
        optional(from, "phrase", text)?.map(Match::Phrase),
        optional(from, "prefix", text)?.map(Match::Prefix),
        optional(from, "substring", text)?.map(Match::Substring),
        optional(from, "any", keywords)?.map(Match::Any),
        optional(from, "except", keywords)?.map(Match::Except),
    ];
    read.into_iter()
        .flatten()
        .next()
        .ok_or_else(|| invalid("expected one of `value`, `text`, `text_any`, `phrase`, `prefix`, `substring`, `any`, `except`"))
}

fn scalar(value: &Value) -> Parsed<Scalar> {
    let scalar = match value {
        Value::Bool(flag) => Some(Scalar::Bool(*flag)),
        Value::Number(number) => number.as_i64().map(Scalar::Integer),
        Value::String(text) => Some(Scalar::Keyword(text.clone())),
        _ => None,
    };
    scalar.ok_or_else(|| expected("a boolean, a 64-bit integer or a string", value))
}

/// A list of values of one type.
fn keywords(value: &Value) -> Parsed<Keywords> {
    const WANTED: &str = "a list of strings or of 64-bit integers";
    let values = value.as_array().ok_or_else(|| expected(WANTED, value))?;
    let integers: Option<BTreeSet<i64>> = values.iter().map(Value::as_i64).collect();
    let texts: Option<BTreeSet<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    match (texts, integers) {
        (Some(texts), _) => Ok(Keywords::Texts(texts)),
        (None, Some(integers)) => Ok(Keywords::Integers(integers)),
        (None, None) => Err(invalid(format!("expected {WANTED}"))),
    }
}

/// A range is one of datetimes if any of its limits is a string.
fn range(value: &Value) -> Parsed<Range> {
    let from = object(value)?;
    if ["lt", "gt", "gte", "lte"].iter().any(|name| from.get(*name).is_some_and(Value::is_string)) {
        let datetime = |value: &Value| text(value)?.parse::<Datetime>().map_err(|error| invalid(error.to_string()));
        return bounds(from, datetime).map(Range::Datetimes);
    }
    bounds(from, number).map(Range::Numbers)
}

fn bounds<T>(from: &Map<String, Value>, read: impl Fn(&Value) -> Parsed<T>) -> Parsed<Bounds<T>> {
    Ok(Bounds {
        lt: optional(from, "lt", &read)?,
        gt: optional(from, "gt", &read)?,
        gte: optional(from, "gte", &read)?,
        lte: optional(from, "lte", &read)?,
    })
}

fn point(value: &Value) -> Parsed<GeoPoint> {
    let from = object(value)?;
    let point = GeoPoint { lon: required(from, "lon", number)?, lat: required(from, "lat", number)? };
    if (-90.0..=90.0).contains(&point.lat) && (-180.0..=180.0).contains(&point.lon) {
        return Ok(point);
    }
    Err(invalid(format!(
        "Wrong format of GeoPoint payload: expected `lat` = {} within [-90;90] and `lon` = {} within [-180;180]",
        point.lat, point.lon
    )))
}

/// A closed line.
fn line(value: &Value) -> Parsed<Vec<GeoPoint>> {
    let points = required(object(value)?, "points", |value| each(list(value)?, point))?;
    let ([first, .., last], 4..) = (points.as_slice(), points.len()) else {
        return Err(invalid(format!("polygon invalid, the size must be at least 4, got {}", points.len())));
    };
    if (first.lat - last.lat).abs() > f64::EPSILON || (first.lon - last.lon).abs() > f64::EPSILON {
        return Err(invalid("polygon invalid, the first and the last points should be the same to form a closed line"));
    }
    Ok(points)
}
