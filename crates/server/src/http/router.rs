//! Puts the front doors on one router.
//!
//! What no route matches, and a wrong method, answer 404 with an empty body, as Qdrant's server does. On its way in a request
//! passes, from the outside: the headers for browsers (so that errors carry them too, and a browser's preflight needs no key), the
//! guard of its body, the spelling of its path, the count of requests, and, before any handler, the keys.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_request};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, CorsLayer};

use super::auth::{Keys, authorised};
use super::envelope::ApiError;
use super::incoming::guarded;
use super::{manager, observe, openapi, paths, qdrant};
use crate::app::App;

/// All routes of the server.
pub(crate) fn router(app: Arc<App>) -> Router {
    assembled(app, openapi::served(qdrant::routes().merge(manager::routes())))
}

/// The routes of the backup manager alone, and their description.
pub(crate) fn manager_router(app: Arc<App>) -> Router {
    assembled(app, openapi::served(manager::routes()))
}

/// Routes with all that a request passes on its way to them.
fn assembled(app: Arc<App>, routes: Router<Arc<App>>) -> Router {
    let service = &app.config.service;
    let (keys, idle, with_cors) = (Keys::new(service).map(Arc::new), service.idle_timeout(), service.enable_cors);
    let mut routes = routes.fallback(nothing).method_not_allowed_fallback(nothing);
    if let Some(keys) = keys {
        routes = routes.layer(from_fn_with_state(keys, authorised));
    }
    let routes = routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app);
    // Routing takes place inside the fallback service, so that the layers see the request before it.
    let outer =
        Router::new().fallback_service(routes).layer(map_request(paths::normalised)).layer(from_fn_with_state(idle, guarded));
    if with_cors { outer.layer(cors()) } else { outer }
}

/// Pages of any origin may send anything. The headers are named one by one, because to a browser "all" does not mean
/// `Authorization`.
fn cors() -> CorsLayer {
    CorsLayer::permissive().allow_headers(AllowHeaders::mirror_request())
}

async fn nothing() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// The answer to a request whose handler panicked outside of its blocking work. The panic hook has logged it.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    ApiError::internal().into_response()
}
