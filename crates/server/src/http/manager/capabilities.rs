//! What the manager's web client asks before anything else, and what the server counts.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::described::{SERVICE, door};
use crate::http::openapi::{Door, Operation};
use crate::http::{envelope, qdrant};

/// What there is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    /// Whether clusters are made here too.
    is_cloud: bool,
}

/// That the server is up.
#[derive(Serialize, ToSchema)]
struct Healthy {
    /// `ok`
    status: &'static str,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let operation = |id, summary| Operation::new(SERVICE, id, summary);
    door()
        .get(
            "/system/capabilities",
            capabilities,
            operation("manager_capabilities", "What the manager can do").result::<Capabilities>(),
        )
        .get("/healthz", healthz, operation("manager_healthz", "Whether the server is up").plain::<Healthy>())
        .get(
            "/metrics",
            qdrant::metrics,
            operation("manager_metrics", "What the server counts").text("The text format of Prometheus."),
        )
}

/// `GET /api/v1/system/capabilities`
pub(super) async fn capabilities() -> Response {
    envelope::success(&Capabilities { is_cloud: false }, Instant::now())
}

/// `GET /api/v1/healthz`, without the envelope. The port is opened only after everything is loaded.
pub(super) async fn healthz() -> Response {
    envelope::json(StatusCode::OK, &Healthy { status: "ok" })
}
