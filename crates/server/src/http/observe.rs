//! Counts requests by method, route and status.
//!
//! Method and route are taken from what the server knows, so that clients cannot make series: an unknown method is `other`, a path
//! without a route `unknown`.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;

use crate::app::App;

/// The route of a path that no route matches.
const UNKNOWN: &str = "unknown";

/// A layer of the router: has to see the route, so it belongs inside of whatever rewrites paths.
pub(super) async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let start = app.clock.monotonic();
    let response = next.run(request).await;
    let time = app.clock.monotonic().saturating_sub(start);
    let endpoint = route.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
    app.metrics.response(method, endpoint, response.status().as_u16(), time);
    response
}

fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_that_a_client_invents_are_one() {
        assert_eq!(known(&Method::GET), "GET");
        assert_eq!(known(&Method::TRACE), "other");
        assert_eq!(known(&Method::from_bytes(b"MKCOL").unwrap()), "other");
    }
}
