//! `GET /metrics`: what the server counts, as text for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::described::SERVICE;
use crate::app::App;
use crate::http::envelope::{ApiError, respond};
use crate::http::openapi::{Door, Operation};
use crate::metrics;

/// The text format of Prometheus.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The route, and what it means.
pub(super) fn routes() -> Door {
    let operation = Operation::new(SERVICE, "metrics", "What the server counts").text("The text format of Prometheus.");
    Door::new().get("/metrics", metrics, operation)
}

/// `GET /metrics`
pub(in crate::http) async fn metrics(State(app): State<Arc<App>>) -> Response {
    respond(move |_| {
        let text = metrics::render(&app).map_err(|error| {
            tracing::error!("the metrics cannot be written: {error}");
            ApiError::internal()
        })?;
        Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
    })
    .await
}
