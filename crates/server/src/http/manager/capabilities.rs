//! What the manager's web client asks before anything else.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::envelope;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    is_cloud: bool,
}

#[derive(Serialize)]
struct Healthy {
    status: &'static str,
}

/// `GET /api/v1/system/capabilities`
pub(super) async fn capabilities() -> Response {
    envelope::success(&Capabilities { is_cloud: false }, Instant::now())
}

/// `GET /api/v1/healthz`, without the envelope. The port is opened only after everything is loaded.
pub(super) async fn healthz() -> Response {
    envelope::json(StatusCode::OK, &Healthy { status: "ok" })
}
