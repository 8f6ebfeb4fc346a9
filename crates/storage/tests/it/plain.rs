//! The filters and paths that the tests write, done by code that shares nothing with the engine's.
//!
//! A filter has `must` and `must_not` with conditions on the id, on a vector's name, or on an integer at a key; a path has keys and dots.
//! Anything else fails the test that wrote it.

use icecore_storage::PointId;
use serde_json::{Map, Value, json};

use crate::state::Stored;

/// The points whose payload has this number at `key`.
pub(crate) fn number_at(key: &str, number: u64) -> String {
    json!({"must": [{"key": key, "match": {"value": number}}]}).to_string()
}

/// The points whose payload does not have this number at `key`.
pub(crate) fn other_than(key: &str, number: u64) -> String {
    json!({"must_not": [{"key": key, "match": {"value": number}}]}).to_string()
}

/// The points that have a vector of this name.
pub(crate) fn with_vector(name: &str) -> String {
    json!({"must": [{"has_vector": name}]}).to_string()
}

/// The points that are among these.
pub(crate) fn among(ids: &[PointId]) -> String {
    json!({"must": [{"has_id": ids.iter().map(id_value).collect::<Vec<_>>()}]}).to_string()
}

fn id_value(id: &PointId) -> Value {
    match id {
        PointId::Num(number) => json!(number),
        PointId::Uuid(_) => json!(id.to_string()),
    }
}

/// Whether a point matches.
pub(crate) fn matches(filter: &str, id: PointId, point: &Stored) -> bool {
    let filter: Map<String, Value> = serde_json::from_str(filter).unwrap();
    filter.iter().all(|(clause, conditions)| {
        let mut conditions = conditions.as_array().unwrap().iter();
        match clause.as_str() {
            "must" => conditions.all(|condition| holds(condition, id, point)),
            "must_not" => !conditions.any(|condition| holds(condition, id, point)),
            other => panic!("{other} is not for the model"),
        }
    })
}

fn holds(condition: &Value, id: PointId, point: &Stored) -> bool {
    if let Some(ids) = condition.get("has_id") {
        return ids.as_array().unwrap().contains(&id_value(&id));
    }
    if let Some(name) = condition.get("has_vector") {
        return point.vectors.contains_key(name.as_str().unwrap());
    }
    let number = condition["match"]["value"].as_u64().unwrap();
    let payload: Value = if point.payload.is_empty() { json!({}) } else { serde_json::from_str(&point.payload).unwrap() };
    let keys = condition["key"].as_str().unwrap().split('.');
    let value = keys.fold(&payload, |value, key| value.get(key).unwrap_or(&Value::Null));
    match value {
        Value::Array(values) => values.iter().any(|value| value.as_u64() == Some(number)),
        value => value.as_u64() == Some(number),
    }
}

/// Sets the keys of `values` in the object at `path`, which is made if need be; null removes a key.
pub(crate) fn set_at(object: &mut Map<String, Value>, path: Option<&str>, values: &Map<String, Value>) {
    let mut at = object;
    for key in path.iter().flat_map(|path| path.split('.')) {
        let value = at.entry(key).or_insert_with(|| json!({}));
        if !value.is_object() {
            *value = json!({});
        }
        at = value.as_object_mut().unwrap();
    }
    for (key, value) in values {
        match value {
            Value::Null => drop(at.remove(key)),
            value => drop(at.insert(key.clone(), value.clone())),
        }
    }
}

/// Removes what is at `path`, if anything is.
pub(crate) fn remove(object: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        None => drop(object.remove(path)),
        Some((key, rest)) => {
            if let Some(Value::Object(inner)) = object.get_mut(key) {
                remove(inner, rest);
            }
        }
    }
}
