//! Payloads in requests: a JSON object, turned into the compact text that is stored.
//!
//! The object is parsed, not just copied, so that a stored payload can always be parsed again: keys are unique, strings are
//! valid Unicode, numbers are in range. Integers keep all their digits, floats their bits.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::openapi::schema::{object as any_object, or_null};

/// The compact text of a payload; empty for none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PayloadText(pub(super) String);

impl<'de> Deserialize<'de> for PayloadText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<Map<String, Value>>::deserialize(deserializer)? {
            Some(object) if !object.is_empty() => compact(&object),
            _ => Ok(Self::default()),
        }
    }
}

impl PartialSchema for PayloadText {
    fn schema() -> RefOr<Schema> {
        or_null(any_object())
    }
}

impl ToSchema for PayloadText {
    fn name() -> Cow<'static, str> {
        "Payload".into()
    }
}

/// Reads a payload that has to be there and to be an object, by `#[serde(deserialize_with)]`.
pub(super) fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PayloadText, D::Error> {
    let object = Map::<String, Value>::deserialize(deserializer)?;
    if object.is_empty() { Ok(PayloadText::default()) } else { compact(&object) }
}

fn compact<E: serde::de::Error>(object: &Map<String, Value>) -> Result<PayloadText, E> {
    serde_json::to_string(object).map(PayloadText).map_err(E::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<String, String> {
        serde_json::from_str(json).map(|PayloadText(text)| text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_text_is_compact_and_keeps_numbers() {
        let given = r#"{ "big": 18446744073709551615, "small": -9223372036854775808, "float": 0.1, "text": "a\u00e9\n" }"#;
        assert_eq!(
            read(given).unwrap(),
            r#"{"big":18446744073709551615,"float":0.1,"small":-9223372036854775808,"text":"aé\n"}"#
        );
    }

    #[test]
    fn null_and_an_empty_object_are_no_payload() {
        assert_eq!(read("null"), Ok(String::new()));
        assert_eq!(read("{}"), Ok(String::new()));
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        for wrong in ["[]", "1", "\"a\"", r#"{"a": 1e400}"#, r#"{"a": "\ud800"}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_key_given_twice_the_last_counts() {
        assert_eq!(read(r#"{"a": 1, "a": 2}"#).unwrap(), r#"{"a":2}"#);
    }
}
