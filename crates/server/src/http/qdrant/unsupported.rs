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
        .route("/collections/{collection}/optimizations", get(optimizations))
        .route("/collections/{collection}/snapshots/recover", put(recover))
        .route("/collections/{collection}/snapshots/upload", post(recover));
    for verb in ["query", "search", "recommend", "discover"] {
        for suffix in ["", "/batch", "/groups"] {
            router = router.route(&format!("/collections/{{collection}}/points/{verb}{suffix}"), post(search));
        }
    }
    for kind in ["pairs", "offsets"] {
        router = router.route(&format!("/collections/{{collection}}/points/search/matrix/{kind}"), post(search));
    }
    let shard: [(&str, MethodRouter<Arc<App>>); 8] = [
        ("snapshots", get(shard_snapshots).post(shard_snapshots)),
        ("snapshots/{name}", get(shard_snapshots).delete(shard_snapshots)),
        ("snapshots/recover", put(shard_snapshots)),
        ("snapshots/upload", post(shard_snapshots)),
        ("snapshot", get(shard_snapshots)),
        ("snapshot/partial/create", post(shard_snapshots)),
        ("snapshot/partial/recover", post(shard_snapshots)),
        ("snapshot/partial/manifest", get(shard_snapshots)),
    ];
    for (path, methods) in shard {
        router = router.route(&format!("/collections/{{collection}}/shards/{{shard}}/{path}"), methods);
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

async fn recover() -> Response {
    refuse("recovery of snapshots through the API")
}

async fn shard_snapshots() -> Response {
    refuse("a snapshot of a single shard through the API")
}

fn refuse(what: &str) -> Response {
    ApiError::not_implemented(what).into_response()
}
