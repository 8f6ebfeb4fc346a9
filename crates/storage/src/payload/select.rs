//! The parts of a payload that a list of paths selects, or leaves.
//!
//! A path that ends at an object or a list selects all below it; elements of lists are reached by `[]` only, so that a path
//! with an index selects nothing and is no error (source: Qdrant's `PayloadSelector`).

use serde_json::{Map, Value};

use super::path::{JsonPath, Step};

/// The parts of an object that at least one of the paths selects.
pub fn include(object: &Map<String, Value>, paths: &[JsonPath]) -> Map<String, Value> {
    let selected = |key: &str, place: &[Step]| {
        paths.iter().any(|path| path.first() == key && path.rest().iter().zip(place).all(|(step, at)| step == at))
    };
    top(object, &selected)
}

/// The parts of an object that none of the paths selects.
pub fn exclude(object: &Map<String, Value>, paths: &[JsonPath]) -> Map<String, Value> {
    let left = |key: &str, place: &[Step]| !paths.iter().any(|path| path.first() == key && place.starts_with(path.rest()));
    top(object, &left)
}

/// Whether what is at a place, given by its top-level key and the steps below it, is kept.
type Keep<'a> = &'a dyn Fn(&str, &[Step]) -> bool;

fn top(object: &Map<String, Value>, keep: Keep<'_>) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in object {
        if keep(key, &[]) {
            kept.insert(key.clone(), below(value, key, &mut Vec::new(), keep));
        }
    }
    kept
}

fn below(value: &Value, first: &str, place: &mut Vec<Step>, keep: Keep<'_>) -> Value {
    match value {
        Value::Object(object) => {
            let mut kept = Map::new();
            for (key, value) in object {
                place.push(Step::Key(key.clone()));
                if keep(first, place) {
                    kept.insert(key.clone(), below(value, first, place, keep));
                }
                place.pop();
            }
            Value::Object(kept)
        }
        Value::Array(list) => {
            place.push(Step::Every);
            let kept =
                if keep(first, place) { list.iter().map(|value| below(value, first, place, keep)).collect() } else { Vec::new() };
            place.pop();
            Value::Array(kept)
        }
        scalar => scalar.clone(),
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
}
