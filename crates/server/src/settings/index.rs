//! The index schemas of payload fields, which are recorded so that clients and restored collections find them again.

use serde_json::Value;

use super::SettingsError;

/// The types that a payload field can be indexed as.
pub(crate) const TYPES: [&str; 8] = ["keyword", "integer", "float", "geo", "text", "bool", "datetime", "uuid"];

/// Checks a schema, which is the name of a type or an object with one; its nulls are dropped. Errors name `field`.
pub(crate) fn keep(field: &str, given: Value) -> Result<Value, SettingsError> {
    let known = |data_type: &Value| data_type.as_str().is_some_and(|name| TYPES.contains(&name));
    match given {
        Value::Object(mut fields) => {
            fields.retain(|_, value| !value.is_null());
            match fields.get("type") {
                Some(data_type) if known(data_type) => Ok(Value::Object(fields)),
                Some(data_type) => Err(unknown(field, data_type)),
                None => Err(SettingsError::of_type(field, "missing field `type`")),
            }
        }
        data_type if known(&data_type) => Ok(data_type),
        other => Err(unknown(field, &other)),
    }
}

fn unknown(field: &str, data_type: &Value) -> SettingsError {
    SettingsError::of_type(field, format!("unknown type {data_type}, expected one of {}", TYPES.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_stand_alone_or_in_an_object() {
        assert_eq!(keep("x", json!("keyword")), Ok(json!("keyword")));
        assert_eq!(
            keep("x", json!({"type": "text", "lowercase": true, "stemmer": null})),
            Ok(json!({"type": "text", "lowercase": true}))
        );
    }

    #[test]
    fn unknown_types_are_refused() {
        for wrong in [json!("string"), json!({"type": "json"}), json!({}), json!(3), json!(null)] {
            assert!(matches!(keep("x", wrong), Err(SettingsError::Type { field, .. }) if field == "x"));
        }
    }
}
