//! Filters in requests. None is evaluated yet: one with any condition is refused, an empty one selects everything.

use serde_json::Value;

use crate::http::envelope::{ApiError, ApiResult};

/// Refuses a filter with conditions.
pub(super) fn refuse_conditions(filter: Option<&Value>) -> ApiResult<()> {
    match filter {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(clauses)) if clauses.values().all(is_empty) => Ok(()),
        Some(Value::Object(_)) => Err(ApiError::unsupported("filter")),
        Some(_) => Err(ApiError::format("filter: invalid type, expected an object")),
    }
}

fn is_empty(clause: &Value) -> bool {
    clause.is_null() || clause.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_filters_without_conditions_pass() {
        for empty in [json!(null), json!({}), json!({"must": [], "should": null})] {
            assert_eq!(refuse_conditions(Some(&empty)), Ok(()));
        }
        for full in [json!({"must": [{"has_id": [1]}]}), json!({"must": {"has_id": [1]}}), json!([])] {
            assert_eq!(refuse_conditions(Some(&full)).unwrap_err().status.as_u16(), 400);
        }
    }
}
