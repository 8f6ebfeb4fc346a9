//! The backup manager's API under `/api/v1`: one file a resource, with its routes and what they mean.
//!
//! Every success is 200 with the envelope, but for who does not wait (202). What is not there is 404 in the envelope too, a wrong
//! method included.

mod backups;
mod capabilities;
mod cluster;
mod collections;
mod described;
mod errors;
mod events;
mod job;
mod jobs;
mod live;
mod on;
mod passing;
mod snapshots;
mod storage;

use std::time::Instant;

use axum::response::Response;
use serde::Serialize;

use crate::http::envelope::{self, ApiError, ApiResult};
use crate::http::openapi::Door;

/// All routes, with their prefix.
pub(super) fn routes() -> Door {
    cluster::routes()
        .merge(collections::routes())
        .merge(snapshots::routes())
        .merge(storage::routes())
        .merge(backups::routes())
        .merge(jobs::routes())
        .merge(live::routes())
        .merge(events::routes())
        .merge(capabilities::routes())
        .below("/api/v1", nothing)
}

/// Renders what came of a request.
fn render<T: Serialize>(outcome: ApiResult<T>, started: Instant) -> Response {
    match outcome {
        Ok(result) => envelope::success(&result, started),
        Err(error) => envelope::failure(&error, started.elapsed().as_secs_f64()),
    }
}

async fn nothing() -> ApiError {
    ApiError::not_found("there is no such route")
}
