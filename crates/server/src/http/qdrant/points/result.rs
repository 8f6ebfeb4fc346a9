//! The answer to a write.

use icecore_storage::Durability;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::extract::Wait;

/// What became of an operation.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http::qdrant) struct UpdateResult {
    /// The number of the operation, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    operation_id: Option<u64>,
    /// `completed` for a client that waits, else `acknowledged`.
    status: &'static str,
}

impl UpdateResult {
    /// Of an operation that has a number.
    pub(in crate::http::qdrant) fn numbered(operation_id: u64, wait: Wait) -> Self {
        Self { operation_id: Some(operation_id), ..Self::without_number(wait) }
    }

    /// Of an operation that has none.
    pub(in crate::http::qdrant) fn without_number(wait: Wait) -> Self {
        let status = if waits(wait) { "completed" } else { "acknowledged" };
        Self { operation_id: None, status }
    }
}

/// Whether the client waits; writes of points do not by default (source: Qdrant).
fn waits(wait: Wait) -> bool {
    wait.wait.unwrap_or(false)
}

/// What a write has to survive before it is answered.
pub(super) fn durability(wait: Wait) -> Durability {
    if waits(wait) { Durability::Synced } else { Durability::Buffered }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_waits_is_told_that_it_is_complete() {
        let json = |result: UpdateResult| serde_json::to_string(&result).unwrap();
        assert_eq!(json(UpdateResult::numbered(3, Wait { wait: Some(true) })), r#"{"operation_id":3,"status":"completed"}"#);
        assert_eq!(json(UpdateResult::without_number(Wait { wait: None })), r#"{"status":"acknowledged"}"#);
        assert_eq!(durability(Wait { wait: None }), Durability::Buffered);
        assert_eq!(durability(Wait { wait: Some(true) }), Durability::Synced);
    }
}
