//! Several changes in one request.
//!
//! They are read and checked for their form before the first is made; then they are made one after the other. If one fails, those
//! before it stay, those after it are not made, and the answer is the error (source: Qdrant's `do_batch_update_points`).

use std::borrow::Cow;

use icecore_storage::Operation;
use serde::Deserialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::payload_change::{DeletePayload, SetPayload};
use super::target::Selector;
use super::upsert::Upsert;
use super::vector_change::{DeleteVectors, UpdateVectors};
use super::write::Change;
use crate::http::envelope::ApiResult;
use crate::http::openapi::schema::{self, Schemas, named, tagged};

/// The body of a batch.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = UpdateBatch)]
pub(super) struct Batch {
    operations: Vec<Member>,
}

/// One change of a batch: an object with one field, which says what it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Member {
    Upsert(Upsert),
    Delete(Selector),
    SetPayload(SetPayload),
    OverwritePayload(SetPayload),
    DeletePayload(DeletePayload),
    ClearPayload(Selector),
    UpdateVectors(UpdateVectors),
    DeleteVectors(DeleteVectors),
}

impl PartialSchema for Member {
    fn schema() -> RefOr<Schema> {
        tagged([
            ("upsert", named::<Upsert>()),
            ("delete", named::<Selector>()),
            ("set_payload", named::<SetPayload>()),
            ("overwrite_payload", named::<SetPayload>()),
            ("delete_payload", named::<DeletePayload>()),
            ("clear_payload", named::<Selector>()),
            ("update_vectors", named::<UpdateVectors>()),
            ("delete_vectors", named::<DeleteVectors>()),
        ])
    }
}

impl ToSchema for Member {
    fn name() -> Cow<'static, str> {
        "UpdateOperation".into()
    }

    fn schemas(schemas: &mut Schemas) {
        schema::add::<Upsert>(schemas);
        schema::add::<Selector>(schemas);
        schema::add::<SetPayload>(schemas);
        schema::add::<DeletePayload>(schemas);
        schema::add::<UpdateVectors>(schemas);
        schema::add::<DeleteVectors>(schemas);
    }
}

impl Batch {
    /// The changes of each member, in order.
    pub(super) fn members(self) -> ApiResult<Vec<Vec<Change>>> {
        self.operations.into_iter().map(Member::changes).collect()
    }
}

impl Member {
    fn changes(self) -> ApiResult<Vec<Change>> {
        let change = match self {
            Self::Upsert(upsert) => upsert.change()?,
            Self::Delete(selector) => Operation::Delete { target: selector.target()? }.into(),
            Self::SetPayload(set) => set.set()?,
            Self::OverwritePayload(set) => set.overwrite()?,
            Self::DeletePayload(delete) => delete.change()?,
            Self::ClearPayload(selector) => Operation::ClearPayload { target: selector.target()? }.into(),
            Self::UpdateVectors(update) => update.change()?,
            Self::DeleteVectors(delete) => return delete.changes(),
        };
        Ok(vec![change])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_read_in_order() {
        let batch: Batch = serde_json::from_str(
            r#"{"operations": [
                {"upsert": {"points": [{"id": 1, "vector": [1]}]}},
                {"upsert": {"batch": {"ids": [1], "vectors": [[1]]}}},
                {"delete": {"points": [1]}},
                {"set_payload": {"payload": {"a": 1}, "points": [1]}},
                {"overwrite_payload": {"payload": {"a": 1}, "filter": {}}},
                {"delete_payload": {"keys": ["a"], "points": [1]}},
                {"clear_payload": {"filter": {}}},
                {"update_vectors": {"points": [{"id": 1, "vector": [1]}]}},
                {"delete_vectors": {"points": [1], "filter": {}, "vector": [""]}}
            ]}"#,
        )
        .unwrap();
        let members = batch.members().unwrap();
        let counts: Vec<usize> = members.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 1, 1, 1, 1, 1, 1, 1, 2]);
        let kinds: Vec<String> = members
            .iter()
            .map(|changes| format!("{:?}", changes[0].operation).split(' ').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(
            kinds,
            [
                "Upsert",
                "Upsert",
                "Delete",
                "SetPayload",
                "OverwritePayload",
                "DeletePayload",
                "ClearPayload",
                "UpdateVectors",
                "DeleteVectors"
            ]
        );
    }

    #[test]
    fn unknown_operations_and_two_in_one_object_are_refused() {
        for json in [
            r#"{"operations": [{"replace": {"points": [1]}}]}"#,
            r#"{"operations": [{"delete": {"points": [1]}, "clear_payload": {"points": [1]}}]}"#,
            r#"{"operations": [{}]}"#,
            "{}",
        ] {
            assert!(serde_json::from_str::<Batch>(json).is_err(), "{json}");
        }
    }
}
