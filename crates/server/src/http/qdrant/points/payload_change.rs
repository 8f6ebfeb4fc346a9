//! Changes of payloads in requests: setting keys, overwriting, deleting keys.

use icecore_storage::Operation;
use icecore_storage::filter::Filter;
use icecore_storage::payload::JsonPath;
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::id::Id;
use super::path::PathSchema;
use super::payload::{self, PayloadText};
use super::shard_key::ShardKey;
use super::target::{add_targets, target, targeted};
use super::write::Change;
use crate::http::envelope::ApiResult;
use crate::http::openapi::schema::{Schemas, list, named, object, or_null};

/// The body of a request that sets keys of payloads or overwrites them.
#[derive(Debug, Deserialize)]
pub(super) struct SetPayload {
    #[serde(deserialize_with = "payload::object")]
    payload: PayloadText,
    points: Option<Vec<Id>>,
    filter: Option<Filter>,
    key: Option<JsonPath>,
    #[serde(default)]
    shard_key: ShardKey,
}

impl PartialSchema for SetPayload {
    fn schema() -> RefOr<Schema> {
        targeted(|| {
            object()
                .property("payload", object())
                .required("payload")
                // Where in the payload; for an overwrite it has no meaning.
                .property("key", or_null(named::<PathSchema>()))
        })
    }
}

impl ToSchema for SetPayload {
    fn schemas(schemas: &mut Schemas) {
        add_targets(schemas);
    }
}

impl SetPayload {
    /// To set keys, of the payload or of what is at `key` in it.
    pub(super) fn set(self) -> ApiResult<Change> {
        self.shard_key.refuse()?;
        let key = self.key.map(|key| key.to_string());
        Ok(Operation::SetPayload { target: target(self.points, self.filter)?, payload: self.payload.0, key }.into())
    }

    /// To overwrite payloads as a whole; there `key` has no meaning (source: Qdrant's `OverwritePayload`).
    pub(super) fn overwrite(self) -> ApiResult<Change> {
        self.shard_key.refuse()?;
        Ok(Operation::OverwritePayload { target: target(self.points, self.filter)?, payload: self.payload.0 }.into())
    }
}

/// The body of a request that deletes keys of payloads.
#[derive(Debug, Deserialize)]
pub(super) struct DeletePayload {
    keys: Vec<JsonPath>,
    points: Option<Vec<Id>>,
    filter: Option<Filter>,
    #[serde(default)]
    shard_key: ShardKey,
}

impl PartialSchema for DeletePayload {
    fn schema() -> RefOr<Schema> {
        targeted(|| object().property("keys", list(named::<PathSchema>())).required("keys"))
    }
}

impl ToSchema for DeletePayload {
    fn schemas(schemas: &mut Schemas) {
        add_targets(schemas);
    }
}

impl DeletePayload {
    /// What the request asks for.
    pub(super) fn change(self) -> ApiResult<Change> {
        self.shard_key.refuse()?;
        let keys = self.keys.iter().map(JsonPath::to_string).collect();
        Ok(Operation::DeletePayload { target: target(self.points, self.filter)?, keys }.into())
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::{PointId, Target};

    use super::*;

    fn set(json: &str) -> SetPayload {
        serde_json::from_str(json).unwrap()
    }

    fn one() -> Target {
        Target::Ids(vec![PointId::Num(1)])
    }

    #[test]
    fn keys_are_set_at_the_top_or_at_a_path() {
        let payload = r#"{"a":1}"#.to_owned();
        assert_eq!(
            set(r#"{"payload": {"a": 1}, "points": [1]}"#).set().unwrap().operation,
            Operation::SetPayload { target: one(), payload: payload.clone(), key: None }
        );
        assert_eq!(
            set(r#"{"payload": {"a": 1}, "points": [1], "key": "x.y"}"#).set().unwrap().operation,
            Operation::SetPayload { target: one(), payload, key: Some("x.y".into()) }
        );
    }

    #[test]
    fn an_overwrite_has_no_path() {
        assert_eq!(
            set(r#"{"payload": {}, "points": [1], "key": "x"}"#).overwrite().unwrap().operation,
            Operation::OverwritePayload { target: one(), payload: String::new() }
        );
    }

    #[test]
    fn keys_are_deleted_by_their_paths() {
        let delete: DeletePayload = serde_json::from_str(r#"{"keys": ["a", "b[].c"], "filter": {}}"#).unwrap();
        let Operation::DeletePayload { target: Target::Filter(_), keys } = delete.change().unwrap().operation else {
            panic!("a deletion by filter")
        };
        assert_eq!(keys, ["a", "b[].c"]);
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for json in [
            r#"{"points": [1]}"#,
            r#"{"payload": null, "points": [1]}"#,
            r#"{"payload": 1, "points": [1]}"#,
            r#"{"payload": {}, "points": [1], "key": "a["}"#,
        ] {
            assert!(serde_json::from_str::<SetPayload>(json).is_err(), "{json}");
        }
        for json in [r#"{"points": [1]}"#, r#"{"keys": "a", "points": [1]}"#, r#"{"keys": [""], "points": [1]}"#] {
            assert!(serde_json::from_str::<DeletePayload>(json).is_err(), "{json}");
        }
        assert!(set(r#"{"payload": {}}"#).set().unwrap_err().message.contains("Either list of point ids or filter"));
    }
}
