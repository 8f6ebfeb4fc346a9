//! Operations on the text of a payload: setting keys and deleting keys.
//!
//! Each takes the stored text and gives the text to store. Overwriting and clearing need no function: the text to store is
//! what was sent, or empty.

use serde_json::{Map, Value};

use super::path::JsonPath;
use super::walk::merge_keys;
use super::{DEPTH_MAX, parse, to_text};

/// Why a payload cannot be edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The stored text is not a JSON object.
    #[error("the stored payload is not a JSON object")]
    NotAnObject,
    /// What is set would lie deeper than any parser follows.
    #[error("objects and lists can be {DEPTH_MAX} levels deep, the path and what is set there need {0}")]
    TooDeep(usize),
}

/// Checks that setting `values` at a path leaves payloads that can be parsed again.
///
/// The path makes objects that no text limits: without a check a long one writes a payload that no later operation can read.
pub fn check_depth(values: &Map<String, Value>, at: Option<&JsonPath>) -> Result<(), EditError> {
    let above = at.map_or(0, |path| 1 + path.rest().len());
    let levels = above.saturating_add(levels(values.values()));
    if levels > DEPTH_MAX { Err(EditError::TooDeep(levels)) } else { Ok(()) }
}

/// Levels of an object or a list with these values. The values were parsed, so that they are not deep themselves.
fn levels<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    let inner = values.map(|value| match value {
        Value::Array(list) => levels(list.iter()),
        Value::Object(object) => levels(object.values()),
        _ => 0,
    });
    1 + inner.max().unwrap_or(0)
}

/// Sets the keys of `values`, at the top or in the object that `at` leads to, and leaves all others.
///
/// A key of `values` that is null is removed; nulls deeper in it are kept (source: Qdrant's `merge_map`).
pub fn set(text: &str, values: &Map<String, Value>, at: Option<&JsonPath>) -> Result<String, EditError> {
    check_depth(values, at)?;
    let mut object = parse(text).ok_or(EditError::NotAnObject)?;
    match at {
        Some(path) => path.merge(&mut object, values),
        None => merge_keys(&mut object, values),
    }
    Ok(to_text(&object))
}

/// Removes what each path leads to, one after the other; paths that lead nowhere are no error.
pub fn delete(text: &str, paths: &[JsonPath]) -> Result<String, EditError> {
    let mut object = parse(text).ok_or(EditError::NotAnObject)?;
    for path in paths {
        path.remove(&mut object);
    }
    Ok(to_text(&object))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn set_merges_top_level_keys_and_null_removes_one() {
        let cases = [
            ("", json!({}), ""),
            ("", json!({"a": 1}), r#"{"a":1}"#),
            (r#"{"a":1}"#, json!({"b": {"x": null}}), r#"{"a":1,"b":{"x":null}}"#),
            (r#"{"a":{"x":1}}"#, json!({"a": {"y": 2}}), r#"{"a":{"y":2}}"#),
            (r#"{"a":1}"#, json!({"a": null, "b": null}), ""),
            (r#"{"a":null,"b":1}"#, json!({"b": 2}), r#"{"a":null,"b":2}"#),
        ];
        for (before, values, after) in cases {
            assert_eq!(set(before, &map(&values), None).as_deref(), Ok(after), "{values} into {before}");
        }
    }

    #[test]
    fn set_with_a_path_merges_there() {
        let path = "a.b".parse().unwrap();
        let values = map(&json!({"x": 1}));
        assert_eq!(set(r#"{"a":{"b":{"y":2},"c":3}}"#, &values, Some(&path)).unwrap(), r#"{"a":{"b":{"x":1,"y":2},"c":3}}"#);
        assert_eq!(set("", &values, Some(&path)).unwrap(), r#"{"a":{"b":{"x":1}}}"#);
    }

    /// A path of a hundred thousand keys made a payload whose text no stack could write, at each replay of the log again; one of
    /// two hundred made a payload that was never read again.
    #[test]
    fn nothing_is_set_deeper_than_it_can_be_read() {
        let path = |steps: usize| vec!["k"; steps].join(".").parse::<JsonPath>().unwrap();
        let values = map(&json!({"x": [1]}));
        let deepest = set("", &values, Some(&path(DEPTH_MAX - 2))).unwrap();
        assert!(parse(&deepest).is_some());
        let deeper = format!(r#"{{"k":{deepest}}}"#);
        assert!(parse(&deeper).is_none(), "the limit is the parser's");
        for steps in [DEPTH_MAX - 1, 100_000] {
            assert_eq!(set("", &values, Some(&path(steps))), Err(EditError::TooDeep(steps + 2)));
        }
        let lists = "k[]".repeat(3 * DEPTH_MAX).replace("]k", "].k").parse().unwrap();
        assert!(matches!(set(r#"{"a":1}"#, &values, Some(&lists)), Err(EditError::TooDeep(_))));
    }

    #[test]
    fn delete_removes_paths_in_turn() {
        let paths = ["a", "b.c", "missing"].map(|text| text.parse().unwrap());
        assert_eq!(delete(r#"{"a":1,"b":{"c":1,"d":2}}"#, &paths).unwrap(), r#"{"b":{"d":2}}"#);
        assert_eq!(delete(r#"{"a":1}"#, &paths).unwrap(), "");
        assert_eq!(delete("", &paths).unwrap(), "");
    }

    #[test]
    fn numbers_at_their_limits_survive_an_edit() {
        let text = r#"{"big":18446744073709551615,"float":1.7976931348623157e+308,"small":5e-324,"odd":9007199254740993}"#;
        let edited = set(text, &map(&json!({"x": 1})), None).unwrap();
        let removed = delete(&edited, &["x".parse().unwrap()]).unwrap();
        assert_eq!(parse(&removed), parse(text));
        assert!(removed.contains("9007199254740993") && removed.contains("18446744073709551615"), "{removed}");
    }

    #[test]
    fn damaged_text_is_an_error_and_never_replaced() {
        for text in ["[1]", "{", "1", "null"] {
            assert_eq!(set(text, &map(&json!({"a": 1})), None), Err(EditError::NotAnObject), "{text}");
            assert_eq!(delete(text, &[]), Err(EditError::NotAnObject), "{text}");
        }
    }
}
