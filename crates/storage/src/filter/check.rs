//! Evaluates a filter on one point.
//!
//! Inside of a nested condition there is only the element: no id, no vectors. There a `should` without conditions is not
//! satisfied, although it is elsewhere; the server does it so, because it evaluates nested filters by other code.

use serde_json::{Map, Value};

use super::Candidate;
use super::geo::GeoPoint;
use super::model::{Condition, FieldCondition, Filter};
use crate::error::Result;
use crate::payload::JsonPath;

impl Filter {
    /// Whether the point satisfies the filter.
    ///
    /// # Errors
    /// Those of the candidate.
    pub fn matches(&self, candidate: &dyn Candidate) -> Result<bool> {
        check(self, Scope::Point(candidate))
    }
}

/// What conditions are evaluated on.
#[derive(Clone, Copy)]
enum Scope<'a> {
    Point(&'a dyn Candidate),
    Element(&'a Map<String, Value>),
}

impl<'a> Scope<'a> {
    fn payload(self) -> Result<&'a Map<String, Value>> {
        match self {
            Self::Point(candidate) => candidate.payload(),
            Self::Element(object) => Ok(object),
        }
    }

    /// Whether a `should` clause without conditions is satisfied.
    fn empty_should(self) -> bool {
        matches!(self, Self::Point(_))
    }
}

fn check(filter: &Filter, scope: Scope<'_>) -> Result<bool> {
    for condition in filter.must.iter().flatten() {
        if !holds(condition, scope)? {
            return Ok(false);
        }
    }
    for condition in filter.must_not.iter().flatten() {
        if holds(condition, scope)? {
            return Ok(false);
        }
    }
    if let Some(conditions) = &filter.should
        && !(conditions.is_empty() && scope.empty_should())
        && !at_least(1, conditions, scope)?
    {
        return Ok(false);
    }
    filter.min_should.as_ref().map_or(Ok(true), |clause| at_least(clause.min_count, &clause.conditions, scope))
}

/// Whether so many of the conditions hold; those after the last that is needed are not evaluated.
fn at_least(count: u64, conditions: &[Condition], scope: Scope<'_>) -> Result<bool> {
    let mut missing = count;
    for condition in conditions {
        if missing == 0 {
            break;
        }
        if holds(condition, scope)? {
            missing -= 1;
        }
    }
    Ok(missing == 0)
}

fn holds(condition: &Condition, scope: Scope<'_>) -> Result<bool> {
    match (condition, scope) {
        (Condition::Field(field), _) => Ok(field_holds(field, scope.payload()?)),
        (Condition::IsEmpty(key), _) => Ok(key.values(scope.payload()?).into_iter().all(is_empty)),
        (Condition::IsNull(key), _) => Ok(key.values(scope.payload()?).into_iter().any(is_null)),
        (Condition::HasId(ids), Scope::Point(candidate)) => Ok(ids.contains(&candidate.id())),
        (Condition::HasVector(name), Scope::Point(candidate)) => candidate.has_vector(name),
        (Condition::Slice(slice), Scope::Point(candidate)) => Ok(slice.holds(candidate.id())),
        (Condition::HasId(_) | Condition::HasVector(_) | Condition::Slice(_), Scope::Element(_)) => Ok(false),
        (Condition::Nested { key, filter }, _) => nested_holds(key, filter, scope.payload()?),
        (Condition::Filter(filter), _) => check(filter, scope),
    }
}

/// Whether an object in the list at the key satisfies the filter.
fn nested_holds(key: &JsonPath, filter: &Filter, payload: &Map<String, Value>) -> Result<bool> {
    for value in key.clone().elements().values(payload) {
        if let Value::Object(element) = value
            && check(filter, Scope::Element(element))?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn field_holds(field: &FieldCondition, payload: &Map<String, Value>) -> bool {
    let values = field.key.values(payload);
    if let Some(bounds) = &field.values_count {
        // No value at all counts as none.
        return if values.is_empty() { bounds.hold(&0) } else { values.into_iter().any(|value| bounds.hold(&count(value))) };
    }
    if let Some(wanted) = field.is_empty {
        return if values.is_empty() { wanted } else { values.into_iter().any(|value| is_empty(value) == wanted) };
    }
    if let Some(wanted) = field.is_null {
        return if values.is_empty() { !wanted } else { values.into_iter().any(|value| is_null(value) == wanted) };
    }
    values.into_iter().any(|value| match value {
        Value::Array(elements) => elements.iter().any(|element| value_holds(field, element)),
        single => value_holds(field, single),
    })
}

fn value_holds(field: &FieldCondition, value: &Value) -> bool {
    field.matching.as_ref().is_some_and(|wanted| wanted.holds(value))
        || field.range.as_ref().is_some_and(|range| range.holds(value))
        || GeoPoint::of(value).is_some_and(|point| {
            field.geo_radius.as_ref().is_some_and(|circle| circle.holds(point))
                || field.geo_bounding_box.as_ref().is_some_and(|rectangle| rectangle.holds(point))
                || field.geo_polygon.as_ref().is_some_and(|polygon| polygon.holds(point))
        })
}

/// How many values a value is.
fn count(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Array(elements) => elements.len() as u64,
        _ => 1,
    }
}

fn is_empty(value: &Value) -> bool {
    count(value) == 0
}

fn is_null(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(Value::is_null),
        single => single.is_null(),
    }
}
