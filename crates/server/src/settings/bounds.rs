//! How large and how deep may be what is kept for clients without being used: settings of collections, schemas of indexes.
//!
//! It all ends up in one document of the storage and in the description inside every snapshot, and both are read back by decoders
//! with limits of their own. What got past here and not past those would make a storage that cannot be opened again, so these
//! bounds are well below theirs. Payloads and vectors are not kept there and have nothing to do with this.

use serde_json::Value;

use super::SettingsError;

/// Objects and lists inside each other.
const DEPTH_MAX: usize = 32;

/// Bytes of JSON.
const LEN_MAX: usize = 1024 * 1024;

/// Bytes of the name of a payload field.
const FIELD_NAME_LEN_MAX: usize = 4096;

/// Refuses a value that is too large or too deep to be kept; the error names `field`.
pub(crate) fn check(field: &str, value: &Value) -> Result<(), SettingsError> {
    if !within_depth(value, DEPTH_MAX) {
        return refuse(field, &format!("value invalid, must not be nested deeper than {DEPTH_MAX} levels"));
    }
    let len = value.to_string().len();
    if len > LEN_MAX {
        return refuse(field, &format!("value invalid, its JSON has {len} bytes, more than {LEN_MAX}"));
    }
    Ok(())
}

/// Refuses a name of a payload field that is empty or too long to be kept; the error names `field`, where it stands.
pub(crate) fn check_field_name(field: &str, name: &str) -> Result<(), SettingsError> {
    if !(1..=FIELD_NAME_LEN_MAX).contains(&name.len()) {
        let len = name.len();
        return refuse(field, &format!("value invalid, must have from 1 to {FIELD_NAME_LEN_MAX} bytes, not {len}"));
    }
    Ok(())
}

fn refuse(field: &str, rule: &str) -> Result<(), SettingsError> {
    Err(SettingsError::of_bound(field, rule))
}

/// Whether no list or object is inside more than `levels - 1` others.
fn within_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| within_depth(item, levels - 1)),
        Value::Object(fields) => levels > 0 && fields.values().all(|item| within_depth(item, levels - 1)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, _| json!([inner]))
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused_by_its_field() {
        assert_eq!(check("x", &nested(DEPTH_MAX)), Ok(()));
        assert_eq!(check("x", &json!("a".repeat(LEN_MAX - 2))), Ok(()));
        for value in [nested(DEPTH_MAX + 1), json!({ "a": nested(DEPTH_MAX) }), json!("a".repeat(LEN_MAX - 1))] {
            let error = check("x", &value).unwrap_err();
            assert!(matches!(error, SettingsError::Bound { .. }) && error.to_string().starts_with("x: value invalid"), "{error}");
        }
    }

    #[test]
    fn names_of_fields_have_a_length() {
        assert_eq!(check_field_name("x", "a.b"), Ok(()));
        assert_eq!(check_field_name("x", &"a".repeat(FIELD_NAME_LEN_MAX)), Ok(()));
        for name in ["", &"a".repeat(FIELD_NAME_LEN_MAX + 1)] {
            assert!(matches!(check_field_name("x", name), Err(SettingsError::Bound { .. })));
        }
    }
}
