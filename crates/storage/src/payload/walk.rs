//! What a path leads to in an object: reading, setting and removing it.
//!
//! A step only goes into the kind of value it is for: a key into an object, `[]` and `[n]` into a list. A path through a list
//! without brackets leads nowhere (source: Qdrant's json_path/mod.rs, `value_get`, `value_set`, `value_remove`).

use serde_json::{Map, Value};

use super::path::{JsonPath, Step};

impl JsonPath {
    /// All values that the path leads to, in the order of the payload. A list at the end is one value.
    pub fn values<'a>(&self, object: &'a Map<String, Value>) -> Vec<&'a Value> {
        let mut found = Vec::new();
        if let Some(value) = object.get(self.first()) {
            collect(value, self.rest(), &mut found);
        }
        found
    }

    /// Merges `source` into the object that the path leads to.
    ///
    /// What is on the way and of another kind is replaced by an empty object or list; elements are never added to a list.
    pub fn merge(&self, object: &mut Map<String, Value>, source: &Map<String, Value>) {
        merge_at(object.entry(self.first()).or_insert(Value::Null), self.rest(), source);
    }

    /// Removes the key that the path ends with, or empties the list that it ends in with `[]`.
    ///
    /// A path that ends with `[n]` removes nothing: done twice it would remove two elements.
    pub fn remove(&self, object: &mut Map<String, Value>) {
        match self.rest() {
            [] => {
                object.remove(self.first());
            }
            rest => {
                if let Some(value) = object.get_mut(self.first()) {
                    remove_at(value, rest);
                }
            }
        }
    }
}

/// Sets the keys of `source` in `target`; a key with the value null is removed (source: Qdrant's `merge_map`).
pub(super) fn merge_keys(target: &mut Map<String, Value>, source: &Map<String, Value>) {
    for (key, value) in source {
        if value.is_null() {
            target.remove(key);
        } else {
            target.insert(key.clone(), value.clone());
        }
    }
}

fn element(list: &[Value], index: u64) -> Option<&Value> {
    usize::try_from(index).ok().and_then(|index| list.get(index))
}

fn element_mut(list: &mut [Value], index: u64) -> Option<&mut Value> {
    usize::try_from(index).ok().and_then(|index| list.get_mut(index))
}

fn collect<'a>(value: &'a Value, path: &[Step], found: &mut Vec<&'a Value>) {
    let Some((step, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    match (step, value) {
        (Step::Key(key), Value::Object(object)) => {
            if let Some(value) = object.get(key) {
                collect(value, rest, found);
            }
        }
        (Step::Index(index), Value::Array(list)) => {
            if let Some(value) = element(list, *index) {
                collect(value, rest, found);
            }
        }
        (Step::Every, Value::Array(list)) => list.iter().for_each(|value| collect(value, rest, found)),
        _ => {}
    }
}

fn merge_at(target: &mut Value, path: &[Step], source: &Map<String, Value>) {
    let Some((step, rest)) = path.split_first() else {
        merge_keys(as_object(target), source);
        return;
    };
    match step {
        Step::Key(key) => merge_at(as_object(target).entry(key.as_str()).or_insert(Value::Null), rest, source),
        Step::Index(index) => {
            if let Some(value) = element_mut(as_list(target), *index) {
                merge_at(value, rest, source);
            }
        }
        Step::Every => as_list(target).iter_mut().for_each(|value| merge_at(value, rest, source)),
    }
}

fn remove_at(value: &mut Value, path: &[Step]) {
    match (path, value) {
        ([Step::Key(key)], Value::Object(object)) => {
            object.remove(key);
        }
        ([Step::Every], Value::Array(list)) => list.clear(),
        ([_] | [], _) => {}
        ([Step::Key(key), rest @ ..], Value::Object(object)) => {
            if let Some(value) = object.get_mut(key) {
                remove_at(value, rest);
            }
        }
        ([Step::Index(index), rest @ ..], Value::Array(list)) => {
            if let Some(value) = element_mut(list, *index) {
                remove_at(value, rest);
            }
        }
        ([Step::Every, rest @ ..], Value::Array(list)) => list.iter_mut().for_each(|value| remove_at(value, rest)),
        _ => {}
    }
}

/// The object that the value is; any other value is replaced by an empty one.
fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(object) = value else { unreachable!("it was made an object") };
    object
}

/// The list that the value is; any other value is replaced by an empty one.
fn as_list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    let Value::Array(list) = value else { unreachable!("it was made a list") };
    list
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else { panic!("{value} is not an object") };
        object
    }

    fn path(text: &str) -> JsonPath {
        text.parse().unwrap()
    }

    #[test]
    fn values_are_found_through_keys_and_brackets_only() {
        // Source: Qdrant's tests of `value_get`.
        let payload = object(json!({
            "a": {"b": [{"c": 1}, {"c": [2, 3]}, {"d": {"e": 4}}]},
            "f": 5, "g": ["g0", "g1"], "h": [[{"c": 6}]], "x.y": null,
        }));
        let cases = [
            ("f", json!([5])),
            ("a.b", json!([[{"c": 1}, {"c": [2, 3]}, {"d": {"e": 4}}]])),
            ("a.b[].c", json!([1, [2, 3]])),
            ("a.b[].c[]", json!([2, 3])),
            ("a.b[1].c", json!([[2, 3]])),
            ("a.b[2].d.e", json!([4])),
            ("a.b.c", json!([])),
            ("a.b[9]", json!([])),
            ("a[].b", json!([])),
            ("g[1]", json!(["g1"])),
            ("g[]", json!(["g0", "g1"])),
            ("h[].c", json!([])),
            ("h[][].c", json!([6])),
            ("\"x.y\"", json!([null])),
            ("f.g", json!([])),
            ("missing", json!([])),
        ];
        for (text, expected) in cases {
            assert_eq!(json!(path(text).values(&payload)), expected, "{text}");
        }
    }

    #[test]
    fn merging_at_a_path_makes_what_is_missing_but_no_elements() {
        // Source: `set_payload` with a key, done by the engine of qdrant-edge.
        let cases = [
            (json!({"a": 1}), "a", json!({"b": 1}), json!({"a": {"b": 1}})),
            (json!({"a": {"c": 2}}), "a", json!({"b": 1}), json!({"a": {"b": 1, "c": 2}})),
            (json!({"a": {"b": 2}}), "a", json!({"b": null}), json!({"a": {}})),
            (json!({}), "a", json!({"b": null}), json!({"a": {}})),
            (json!({}), "a[]", json!({"b": 1}), json!({"a": []})),
            (json!({}), "a[].c", json!({"b": 1}), json!({"a": []})),
            (json!({}), "a.c[0].d", json!({"b": 1}), json!({"a": {"c": []}})),
            (json!({"a": [1, {"c": 1}]}), "a[]", json!({"b": 1}), json!({"a": [{"b": 1}, {"b": 1, "c": 1}]})),
            (json!({"a": [1, {"c": 1}]}), "a[1]", json!({"b": 1}), json!({"a": [1, {"b": 1, "c": 1}]})),
            (json!({"a": [1]}), "a[5]", json!({"b": 1}), json!({"a": [1]})),
            (json!({"a": {"z": 1}}), "a[0]", json!({"b": 1}), json!({"a": []})),
            (json!({"a": {"z": 1}}), "a[]", json!({"b": 1}), json!({"a": []})),
            (json!({"a": [[1]]}), "a[].c", json!({"b": 1}), json!({"a": [{"c": {"b": 1}}]})),
            (json!({"a": [[1]]}), "a.c.d", json!({"b": 1}), json!({"a": {"c": {"d": {"b": 1}}}})),
            (json!({"a": null}), "a.b", json!({"b": 1}), json!({"a": {"b": {"b": 1}}})),
        ];
        for (before, text, source, after) in cases {
            let mut payload = object(before.clone());
            path(text).merge(&mut payload, &object(source));
            assert_eq!(Value::Object(payload), after, "{text} in {before}");
        }
    }

    #[test]
    fn removing_never_takes_an_element_of_a_list() {
        // Source: `delete_payload`, done by the engine of qdrant-edge.
        let cases = [
            (json!({"a": 1, "b": 2}), "a", json!({"b": 2})),
            (json!({"a": {"b": 1, "c": 2}}), "a.b", json!({"a": {"c": 2}})),
            (json!({"a": [{"b": 1}, {"b": 2}]}), "a[].b", json!({"a": [{}, {}]})),
            (json!({"a": [{"b": 1}, {"b": 2}]}), "a[0].b", json!({"a": [{}, {"b": 2}]})),
            (json!({"a": [1, 2]}), "a[]", json!({"a": []})),
            (json!({"a": [1, 2]}), "a[0]", json!({"a": [1, 2]})),
            (json!({"a": [{"b": 1}]}), "a.b", json!({"a": [{"b": 1}]})),
            (json!({"a": {"b": 1}}), "a[]", json!({"a": {"b": 1}})),
            (json!({"a": 1}), "b.c", json!({"a": 1})),
        ];
        for (before, text, after) in cases {
            let mut payload = object(before.clone());
            path(text).remove(&mut payload);
            assert_eq!(Value::Object(payload), after, "{text} in {before}");
        }
    }
}
