//! What went wrong with a cluster or a store, in the statuses and sentences of the manager's contract.
//!
//! The contract has a sentence for what does not exist and a prefix for recoveries; behind it stands what the cluster says, word for
//! word. Statuses are those of the contract, which knows no 422.

use axum::http::StatusCode;

use crate::clusters::{ClusterError, Result};
use crate::error::{AppError, one_line};
use crate::http::envelope::{ApiError, ApiResult};
use crate::stores::StoresError;

/// How an error about a missing thing begins, whatever it is of.
const NOT_FOUND: &str = "Not found: ";

impl From<ClusterError> for ApiError {
    fn from(error: ClusterError) -> Self {
        let (status, message) = match error {
            ClusterError::App(error) => return (*error).into(),
            ClusterError::Location(error) => return error.into(),
            ClusterError::Panicked => return Self::internal(),
            ClusterError::Unknown { .. } => (StatusCode::NOT_FOUND, error.to_string()),
            ClusterError::Answer { status, message } => (answered(status), message),
            ClusterError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            ClusterError::Certificate { .. } | ClusterError::Setup { .. } => {
                tracing::error!("{}", one_line(&error));
                return Self::internal();
            }
        };
        Self { status, message }
    }
}

/// The status of a cluster's own answer, if it is one of an error.
fn answered(status: u16) -> StatusCode {
    match StatusCode::from_u16(status) {
        Ok(status) if status.is_client_error() || status.is_server_error() => status,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl From<StoresError> for ApiError {
    fn from(error: StoresError) -> Self {
        match &error {
            StoresError::NotFound => Self { status: StatusCode::NOT_FOUND, message: error.to_string() },
            StoresError::DefaultDeleted
            | StoresError::DefaultUnset
            | StoresError::Invalid { .. }
            | StoresError::TooMany { .. } => Self { status: StatusCode::BAD_REQUEST, message: error.to_string() },
            shown if shown.is_presentable() => {
                tracing::error!("{error}");
                Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: format!("Service internal error: {error}") }
            }
            _ => AppError::from(error).into(),
        }
    }
}

/// The outcome of what is about a collection or a snapshot of one.
pub(super) fn of_collection<T>(outcome: Result<T>) -> ApiResult<T> {
    outcome.map_err(|error| missing(plain(error.into())))
}

/// The outcome of a recovery.
pub(super) fn of_recovery<T>(outcome: Result<T>) -> ApiResult<T> {
    let prefixed = |error: ApiError| match error.status {
        StatusCode::BAD_REQUEST => ApiError { message: format!("Recovery failed: {}", error.message), ..error },
        _ => error,
    };
    of_collection(outcome).map_err(prefixed)
}

/// A broken rule has the status of a bad request.
fn plain(error: ApiError) -> ApiError {
    match error.status {
        StatusCode::UNPROCESSABLE_ENTITY => ApiError { status: StatusCode::BAD_REQUEST, ..error },
        _ => error,
    }
}

/// The contract's sentence for what does not exist.
fn missing(error: ApiError) -> ApiError {
    if error.status != StatusCode::NOT_FOUND {
        return error;
    }
    let message = match error.message.strip_prefix(NOT_FOUND) {
        Some(text) if text.starts_with("Snapshot ") => "Snapshot not found".to_owned(),
        Some(text) if text.starts_with("Collection ") => format!("Collection not found: {text}"),
        _ => error.message,
    };
    ApiError { message, ..error }
}
