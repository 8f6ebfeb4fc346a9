//! Puts the front doors on one router.
//!
//! What no route matches, and a wrong method, answer 404 with an empty body, as Qdrant's server does.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_request};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use super::envelope::ApiError;
use super::{observe, paths, qdrant};
use crate::app::App;

/// All routes of the server.
pub(crate) fn router(app: Arc<App>) -> Router {
    let cors = app.config.service.enable_cors.then(CorsLayer::permissive);
    let routes = qdrant::routes()
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app);
    // Routing takes place inside the fallback service, so that the layer sees the path before it.
    let outer = Router::new().fallback_service(routes).layer(map_request(paths::normalised));
    match cors {
        Some(cors) => outer.layer(cors),
        None => outer,
    }
}

async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// The answer to a request whose handler panicked outside of its blocking work. The panic hook has logged it.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::internal().into_response()
}
