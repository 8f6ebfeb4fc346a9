//! Routes that Qdrant has and this version has not: each answers 501 and says what it would be.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};

use crate::app::App;
use crate::http::envelope::ApiError;

/// Routes of which no method is supported.
pub(super) fn routes() -> Router<Arc<App>> {
    let mut router = Router::new()
        .route("/collections/{collection}/shards", put(shard_keys))
        .route("/collections/{collection}/shards/delete", post(shard_keys))
        .route("/collections/{collection}/vectors/{name}", put(vectors).delete(vectors))
        .route("/collections/{collection}/optimizations", get(optimizations));
    for verb in ["query", "search", "recommend", "discover"] {
        for suffix in ["", "/batch", "/groups"] {
            router = router.route(&format!("/collections/{{collection}}/points/{verb}{suffix}"), post(search));
        }
    }
    for kind in ["pairs", "offsets"] {
        router = router.route(&format!("/collections/{{collection}}/points/search/matrix/{kind}"), post(search));
    }
    let partial: [(&str, MethodRouter<Arc<App>>); 4] = [
        ("create", post(partial_snapshots)),
        ("recover", post(partial_snapshots)),
        ("recover_from", post(partial_snapshots)),
        ("manifest", get(partial_snapshots)),
    ];
    for (path, methods) in partial {
        router = router.route(&format!("/collections/{{collection}}/shards/{{shard}}/snapshot/partial/{path}"), methods);
    }
    router
}

async fn shard_keys() -> Response {
    refuse("custom sharding")
}

async fn vectors() -> Response {
    refuse("adding and removing vectors of a collection")
}

async fn optimizations() -> Response {
    refuse("a list of optimizations")
}

async fn search() -> Response {
    refuse("search")
}

async fn partial_snapshots() -> Response {
    refuse("a partial snapshot of a shard")
}

fn refuse(what: &str) -> Response {
    ApiError::not_implemented(what).into_response()
}
