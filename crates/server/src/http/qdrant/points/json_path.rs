//! Paths into payloads (`a.b`, `a[].b`, `"key with.dot".b`), and the parts of a payload that a list of them selects.
//!
//! The rules are those of Qdrant's payload selectors: a path that ends at an object or a list selects all below it; elements of
//! lists are reached by `[]`, never by an index.

use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into one element of a list. Selects nothing, but is no error.
    Index(usize),
    /// Into every element of a list.
    Every,
}

/// A path; its first step is a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Whether what is at `place` is selected itself, or holds something that is.
    fn reaches(&self, place: &[Step]) -> bool {
        self.0.iter().zip(place).all(|(step, place)| step == place)
    }

    /// Whether what is at `place` is at or below this path.
    fn covers(&self, place: &[Step]) -> bool {
        place.starts_with(&self.0)
    }
}

/// The parts of an object that at least one of the paths selects.
pub(super) fn include(object: &Map<String, Value>, paths: &[JsonPath]) -> Map<String, Value> {
    filtered(object, &mut Vec::new(), &|place| paths.iter().any(|path| path.reaches(place)))
}

/// The parts of an object that none of the paths selects.
pub(super) fn exclude(object: &Map<String, Value>, paths: &[JsonPath]) -> Map<String, Value> {
    filtered(object, &mut Vec::new(), &|place| !paths.iter().any(|path| path.covers(place)))
}

fn filtered(object: &Map<String, Value>, place: &mut Vec<Step>, keep: &dyn Fn(&[Step]) -> bool) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in object {
        place.push(Step::Key(key.clone()));
        if keep(place) {
            kept.insert(key.clone(), filtered_value(value, place, keep));
        }
        place.pop();
    }
    kept
}

fn filtered_value(value: &Value, place: &mut Vec<Step>, keep: &dyn Fn(&[Step]) -> bool) -> Value {
    match value {
        Value::Object(object) => Value::Object(filtered(object, place, keep)),
        Value::Array(elements) => {
            place.push(Step::Every);
            let kept = if keep(place) {
                elements.iter().map(|element| filtered_value(element, place, keep)).collect()
            } else {
                Vec::new()
            };
            place.pop();
            Value::Array(kept)
        }
        scalar => scalar.clone(),
    }
}

impl FromStr for JsonPath {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (key, after) = key(rest)?;
            steps.push(Step::Key(key));
            rest = after;
            while let Some(after) = rest.strip_prefix('[') {
                let (index, after) = after.split_once(']').ok_or(())?;
                steps.push(if index.is_empty() { Step::Every } else { Step::Index(index.parse().map_err(|_| ())?) });
                rest = after;
            }
            if rest.is_empty() {
                return Ok(Self(steps));
            }
            rest = rest.strip_prefix('.').ok_or(())?;
        }
    }
}

/// Splits a key, bare or in double quotes, from what follows it.
fn key(text: &str) -> Result<(String, &str), ()> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, rest) = quoted.split_once('"').ok_or(())?;
        return Ok((key.to_owned(), rest));
    }
    let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    if key.is_empty() { Err(()) } else { Ok((key.to_owned(), rest)) }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| D::Error::custom(format_args!("{text:?} is not a path into a payload")))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payload() -> Map<String, Value> {
        let payload = json!({
            "a": 1,
            "b": {"c": 2, "d": {"e": 3}},
            "list": [{"x": 1, "y": 2}, {"x": 3}],
            "key.dot": 4,
        });
        payload.as_object().unwrap().clone()
    }

    fn paths(texts: &[&str]) -> Vec<JsonPath> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn include_keeps_just_what_paths_lead_to() {
        let cases = [
            (vec!["a"], json!({"a": 1})),
            (vec!["b"], json!({"b": {"c": 2, "d": {"e": 3}}})),
            (vec!["b.d.e", "a"], json!({"a": 1, "b": {"d": {"e": 3}}})),
            (vec!["list[].x"], json!({"list": [{"x": 1}, {"x": 3}]})),
            (vec!["list"], json!({"list": [{"x": 1, "y": 2}, {"x": 3}]})),
            (vec!["list.x"], json!({"list": []})),
            (vec!["list[0].x"], json!({"list": []})),
            (vec!["\"key.dot\""], json!({"key.dot": 4})),
            (vec!["missing"], json!({})),
            (vec![], json!({})),
        ];
        for (texts, expected) in cases {
            assert_eq!(Value::Object(include(&payload(), &paths(&texts))), expected, "{texts:?}");
        }
    }

    #[test]
    fn exclude_drops_just_what_paths_lead_to() {
        let kept = exclude(&payload(), &paths(&["a", "b.d", "list[].x", "key"]));
        assert_eq!(Value::Object(kept), json!({"b": {"c": 2}, "list": [{"y": 2}, {}], "key.dot": 4}));
    }

    #[test]
    fn texts_that_are_no_paths_are_refused() {
        for wrong in ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a]b", "\"a", "[0]", "a[]b"] {
            assert_eq!(wrong.parse::<JsonPath>(), Err(()), "{wrong}");
        }
    }
}
