//! What the manager's web client asks before anything else.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::described::SYSTEM;
use crate::http::envelope;
use crate::http::openapi::{Door, Operation};
use crate::http::qdrant;

/// What the web client may show.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    is_cloud: bool,
}

/// That the server is up.
#[derive(Serialize, ToSchema)]
struct Healthy {
    status: &'static str,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let system = |id, summary| Operation::new(SYSTEM, id, summary);
    Door::new()
        .get("/metrics", qdrant::metrics, system("manager_metrics", "What the server counts").text("As `GET /metrics`."))
        .get("/system/capabilities", capabilities, system("manager_capabilities", "What there is").result::<Capabilities>())
        .get("/healthz", healthz, system("manager_healthz", "Whether the server is up").plain::<Healthy>())
}

/// `GET /api/v1/system/capabilities`
pub(super) async fn capabilities() -> Response {
    envelope::success(&Capabilities { is_cloud: false }, Instant::now())
}

/// `GET /api/v1/healthz`, without the envelope. The port is opened only after everything is loaded.
pub(super) async fn healthz() -> Response {
    envelope::json(StatusCode::OK, &Healthy { status: "ok" })
}
