//! What the server says of itself: its version, and whether it is up.

use std::time::Instant;

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::described::SERVICE;
use crate::http::envelope;
use crate::http::openapi::{Door, Operation};

/// The version of Qdrant's API that is spoken here. Clients compare it with their own and warn at a distance of more than one
/// minor version.
pub(super) const API_VERSION: &str = "1.20.0";

/// What the server is.
// Without the envelope, as clients expect it.
#[derive(Serialize, ToSchema)]
struct Version {
    /// Its name.
    title: &'static str,
    /// The version of Qdrant's API that it speaks.
    version: &'static str,
    /// Its own version.
    icecore_version: &'static str,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let probe = |id, summary| Operation::new(SERVICE, id, summary).text("It is.");
    Door::new()
        .get("/", version, Operation::new(SERVICE, "root", "Name and version").plain::<Version>())
        .get("/healthz", healthz, probe("healthz", "Whether the server is up"))
        .get("/livez", livez, probe("livez", "Whether the server is up"))
        .get("/readyz", readyz, probe("readyz", "Whether all shards are loaded"))
        .get("/issues", issues, Operation::new(SERVICE, "get_issues", "Advice on slow searches: none").result::<Issues>())
        .delete("/issues", clear_issues, Operation::new(SERVICE, "clear_issues", "Forget the advice").done())
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

/// Advice.
#[derive(Serialize, ToSchema)]
struct Issues {
    #[schema(value_type = Vec<String>, max_items = 0)]
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
