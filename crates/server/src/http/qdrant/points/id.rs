//! The id of a point in JSON and in paths: an unsigned number, or a UUID in any of its spellings.
//!
//! UUIDs are always written with hyphens and in lower case.

use std::borrow::Cow;
use std::fmt;

use icecore_storage::PointId;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::http::envelope::{ApiError, ApiResult};
use crate::http::openapi::schema::{any_of, count};

/// A point's id with its JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(pub(super) PointId);

/// Reads the id in the path of a route.
pub(super) fn from_path(text: &str) -> ApiResult<PointId> {
    if let Ok(number) = text.parse() {
        return Ok(PointId::Num(number));
    }
    match Uuid::parse_str(text) {
        Ok(uuid) => Ok(PointId::Uuid(uuid.into_bytes())),
        Err(_) => Err(ApiError::wrong_input(format!("Can not recognize \"{text}\" as point id"))),
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            PointId::Num(number) => serializer.serialize_u64(number),
            PointId::Uuid(bytes) => serializer.collect_str(&Uuid::from_bytes(bytes)),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdVisitor)
    }
}

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        point_id()
    }
}

impl ToSchema for Id {
    fn name() -> Cow<'static, str> {
        "PointId".into()
    }
}

/// What an id may be, in bodies and in paths.
pub(in crate::http::qdrant) fn point_id() -> RefOr<Schema> {
    let uuid = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("uuid".to_owned())));
    any_of([count(), uuid.into()])
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a point id: either an unsigned integer or a UUID")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
        Ok(Id(PointId::Num(number)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
        match Uuid::parse_str(text) {
            Ok(uuid) => Ok(Id(PointId::Uuid(uuid.into_bytes()))),
            Err(_) => Err(E::custom(format_args!(
                "value {text} is not a valid point ID, valid values are either an unsigned integer or a UUID"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYPHENATED: &str = "\"550e8400-e29b-41d4-a716-446655440000\"";

    fn read(json: &str) -> Result<Id, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn every_spelling_of_a_uuid_is_one_id() {
        for text in [
            HYPHENATED,
            "\"550E8400-E29B-41D4-A716-446655440000\"",
            "\"550e8400e29b41d4a716446655440000\"",
            "\"urn:uuid:550e8400-e29b-41d4-a716-446655440000\"",
            "\"{550e8400-e29b-41d4-a716-446655440000}\"",
        ] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), HYPHENATED, "{text}");
        }
    }

    #[test]
    fn the_largest_number_round_trips() {
        let text = u64::MAX.to_string();
        assert_eq!(serde_json::to_string(&read(&text).unwrap()).unwrap(), text);
    }

    #[test]
    fn nothing_else_is_an_id() {
        for wrong in ["-1", "1.0", "1.5", "18446744073709551616", "\"5\"", "\"x\"", "null", "true", "[]", "{}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_may_hold_either() {
        assert_eq!(from_path("7"), Ok(PointId::Num(7)));
        assert!(matches!(from_path("550e8400-e29b-41d4-a716-446655440000"), Ok(PointId::Uuid(_))));
        assert_eq!(from_path("seven").unwrap_err().message, "Wrong input: Can not recognize \"seven\" as point id");
    }
}
