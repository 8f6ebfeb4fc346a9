//! Which parts of a point a request asks for.

use icecore_storage::payload::JsonPath;
use icecore_storage::payload::select::{exclude, include};
use icecore_storage::{Select, WithVectors};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::path::PathSchema;

/// `with_payload`: all, nothing, some keys, or all but some.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged, expecting = "with_payload takes a boolean, a list of paths, or an object with `include` or `exclude`")]
pub(super) enum WithPayload {
    /// All or nothing.
    Whole(bool),
    /// Just these.
    #[schema(value_type = Vec<PathSchema>)]
    Paths(Vec<JsonPath>),
    /// Just these.
    Include {
        /// The paths.
        #[schema(value_type = Vec<PathSchema>)]
        include: Vec<JsonPath>,
    },
    /// All but these.
    Exclude {
        /// The paths.
        #[schema(value_type = Vec<PathSchema>)]
        exclude: Vec<JsonPath>,
    },
}

/// `with_vector`: all, none, or some by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged, expecting = "with_vector takes a boolean or a list of names")]
pub(super) enum WithVector {
    /// All or none.
    Whole(bool),
    /// Those of these names.
    Named(Vec<String>),
}

impl WithPayload {
    /// Whether payloads have to be read at all.
    fn asked(&self) -> bool {
        *self != Self::Whole(false)
    }

    /// The selected part of the text of a payload, which is a JSON object; `None` if the text can be used as it is.
    pub(super) fn part_of(&self, payload: &str) -> Result<Option<Value>, serde_json::Error> {
        let part = match self {
            Self::Whole(_) => return Ok(None),
            Self::Paths(paths) | Self::Include { include: paths } => include(&serde_json::from_str(payload)?, paths),
            Self::Exclude { exclude: paths } => exclude(&serde_json::from_str(payload)?, paths),
        };
        Ok(Some(Value::Object(part)))
    }
}

impl From<WithVector> for WithVectors {
    fn from(asked: WithVector) -> Self {
        match asked {
            WithVector::Whole(true) => Self::All,
            WithVector::Whole(false) => Self::None,
            WithVector::Named(names) => Self::Named(names),
        }
    }
}

/// What the storage has to return for a request.
pub(super) fn select(payload: &WithPayload, vectors: Option<WithVector>) -> Select {
    Select { payload: payload.asked(), vectors: vectors.map_or(WithVectors::None, WithVectors::from) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_of_a_selector_is_read() {
        let payload = r#"{"a":1,"b":{"c":2,"d":3}}"#;
        for (given, expected) in [
            (json!(true), None),
            (json!(["b.c"]), Some(json!({"b": {"c": 2}}))),
            (json!({"include": ["a"]}), Some(json!({"a": 1}))),
            (json!({"exclude": ["b.c"]}), Some(json!({"a": 1, "b": {"d": 3}}))),
        ] {
            let selector: WithPayload = serde_json::from_value(given.clone()).unwrap();
            assert!(selector.asked());
            assert_eq!(selector.part_of(payload).unwrap(), expected, "{given}");
        }
        assert!(!serde_json::from_value::<WithPayload>(json!(false)).unwrap().asked());
        assert!(serde_json::from_value::<WithPayload>(json!("a")).is_err());
    }

    #[test]
    fn vectors_are_selected_by_name() {
        let of = |given| WithVectors::from(serde_json::from_value::<WithVector>(given).unwrap());
        assert_eq!(of(json!(true)), WithVectors::All);
        assert_eq!(of(json!(false)), WithVectors::None);
        assert_eq!(of(json!(["a", ""])), WithVectors::Named(vec!["a".into(), String::new()]));
    }
}
