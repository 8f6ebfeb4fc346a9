//! Routes that Qdrant has and this version has not: each answers 501 and says what it would be.

use axum::response::{IntoResponse, Response};

use super::described::{CLUSTER, COLLECTION, COLLECTIONS, SEARCH, SHARD, SNAPSHOTS, VECTOR};
use crate::http::envelope::ApiError;
use crate::http::openapi::{Door, Operation, Tag};

/// Searches: what follows the path of the points, and the operation.
const SEARCHES: [(&str, &str, &str); 14] = [
    ("query", "query_points", "Search, recommend, discover"),
    ("query/batch", "query_batch_points", "Several queries at once"),
    ("query/groups", "query_points_groups", "Query, grouped by a payload field"),
    ("search", "search_points", "Search the nearest points"),
    ("search/batch", "search_batch_points", "Several searches at once"),
    ("search/groups", "search_point_groups", "Search, grouped by a payload field"),
    ("recommend", "recommend_points", "Search by examples"),
    ("recommend/batch", "recommend_batch_points", "Several searches by examples at once"),
    ("recommend/groups", "recommend_point_groups", "Search by examples, grouped by a payload field"),
    ("discover", "discover_points", "Search by pairs of examples"),
    ("discover/batch", "discover_batch_points", "Several searches by pairs of examples at once"),
    ("discover/groups", "discover_point_groups", "Search by pairs of examples, grouped by a payload field"),
    ("search/matrix/pairs", "search_matrix_pairs", "Distances of points, as pairs"),
    ("search/matrix/offsets", "search_matrix_offsets", "Distances of points, as offsets"),
];

/// Routes of which no method is supported.
pub(super) fn routes() -> Door {
    let in_collection = |tag: Tag, id, summary| Operation::unsupported(tag, id, summary).path(&[COLLECTION]);
    let vector = |id, summary| Operation::unsupported(COLLECTIONS, id, summary).path(&[COLLECTION, VECTOR]);
    let partial = |id, summary| Operation::unsupported(SNAPSHOTS, id, summary).path(&[COLLECTION, SHARD]);
    let place = |last: &str| format!("/collections/{{collection}}/shards/{{shard}}/snapshot/partial/{last}");
    let door = Door::new()
        .put("/collections/{collection}/shards", shard_keys, in_collection(CLUSTER, "create_shard_key", "Create a shard key"))
        .post(
            "/collections/{collection}/shards/delete",
            shard_keys,
            in_collection(CLUSTER, "delete_shard_key", "Delete a shard key"),
        )
        .put("/collections/{collection}/vectors/{name}", vectors, vector("create_vector_name", "Add a vector to a collection"))
        .delete(
            "/collections/{collection}/vectors/{name}",
            vectors,
            vector("delete_vector_name", "Remove a vector from a collection"),
        )
        .get(
            "/collections/{collection}/optimizations",
            optimizations,
            in_collection(COLLECTIONS, "get_optimizations", "What is being optimized"),
        )
        .post(&place("create"), partial_snapshots, partial("create_partial_snapshot", "Archive what another node lacks"))
        .post(&place("recover"), partial_snapshots, partial("recover_partial_snapshot", "Restore what this node lacks"))
        .post(
            &place("recover_from"),
            partial_snapshots,
            partial("recover_partial_snapshot_from", "Restore what this node lacks from another"),
        )
        .get(&place("manifest"), partial_snapshots, partial("get_partial_snapshot_manifest", "What this node has of a shard"));
    SEARCHES.into_iter().fold(door, |door, (last, id, summary)| {
        door.post(&format!("/collections/{{collection}}/points/{last}"), search, in_collection(SEARCH, id, summary))
    })
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
