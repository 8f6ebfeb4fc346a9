//! What the server says of itself: its version, and whether it is up.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::http::envelope;

/// The version of Qdrant's API that is spoken here. Clients compare it with their own and warn at a distance of more than one
/// minor version.
pub(super) const API_VERSION: &str = "1.20.0";

/// Without the envelope, as clients expect it.
#[derive(Serialize)]
struct Version {
    title: &'static str,
    version: &'static str,
    icecore_version: &'static str,
}

/// `GET /`
pub(super) async fn version() -> Response {
    let body = Version {
        title: "icecore - Qdrant-compatible storage with consistent snapshots",
        version: API_VERSION,
        icecore_version: env!("CARGO_PKG_VERSION"),
    };
    envelope::json(StatusCode::OK, &body)
}

/// `GET /healthz`
pub(super) async fn healthz() -> &'static str {
    "healthz check passed"
}

/// `GET /livez`
pub(super) async fn livez() -> &'static str {
    "healthz check passed"
}

/// `GET /readyz`. The port is opened only after everything is loaded, so whoever can ask is answered yes.
pub(super) async fn readyz() -> &'static str {
    "all shards are ready"
}

#[derive(Serialize)]
struct Issues {
    issues: [(); 0],
}

/// `GET /issues`: advice on slow searches, of which there are none.
pub(super) async fn issues() -> Response {
    constant(&Issues { issues: [] })
}

/// `DELETE /issues`
pub(super) async fn clear_issues() -> Response {
    constant(&true)
}

/// A result that needs no work.
pub(super) fn constant<T: Serialize>(result: &T) -> Response {
    envelope::success(result, Instant::now())
}
