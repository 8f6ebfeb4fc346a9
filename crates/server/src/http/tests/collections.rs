//! Collections: changed parameters, and what is shown of them.

use std::sync::Arc;

use icecore_io::MemFs;
use serde_json::json;

use super::Server;

#[tokio::test]
async fn an_update_is_shown_and_outlives_a_restart() {
    let fs = Arc::new(MemFs::new());
    let server = Server::on(fs.clone()).and_collection().await;
    server.put("/collections/c/points?wait=true", json!({"points": [{"id": 1, "vector": [1, 2]}]})).await.result();
    let update = json!({
        "vectors": {"": {"on_disk": true, "hnsw_config": {"m": 32}}},
        "params": {"replication_factor": 2, "read_fan_out_factor": 3, "on_disk_payload": false},
        "hnsw_config": {"ef_construct": 123},
        "optimizers_config": {"indexing_threshold": 0},
        "quantization_config": {"scalar": {"type": "int8"}},
        "metadata": {"owner": "a"},
    });
    assert_eq!(server.patch("/collections/c?timeout=10", update).await.result(), json!(true));
    assert_eq!(server.patch("/collections/c", json!({"metadata": {"more": 1}})).await.result(), json!(true));
    drop(server);

    let server = Server::on(fs);
    let info = server.get("/collections/c").await.result();
    let params = &info["config"]["params"];
    assert_eq!(params["vectors"], json!({"size": 2, "distance": "Dot", "on_disk": true, "hnsw_config": {"m": 32}}));
    assert_eq!(params["replication_factor"], 2);
    assert_eq!(params["read_fan_out_factor"], 3);
    assert_eq!(params["on_disk_payload"], false);
    assert_eq!(info["config"]["hnsw_config"]["ef_construct"], 123);
    assert_eq!(info["config"]["optimizer_config"]["indexing_threshold"], 0);
    assert_eq!(info["config"]["quantization_config"], json!({"scalar": {"type": "int8"}}));
    assert_eq!(info["config"]["metadata"], json!({"owner": "a", "more": 1}));
    assert_eq!((&info["points_count"], &info["optimizer_status"]), (&json!(1), &json!("ok")));
    assert_eq!(server.patch("/collections/c", json!({"quantization_config": "Disabled"})).await.result(), json!(true));
    assert!(server.get("/collections/c").await.result()["config"]["quantization_config"].is_null());
    // Writes go on under the changed settings.
    server.put("/collections/c/points?wait=true", json!({"points": [{"id": 2, "vector": [1, 2]}]})).await.result();
    assert_eq!(server.post("/collections/c/points/count", json!({})).await.result(), json!({"count": 2}));
}

#[tokio::test]
async fn an_update_of_what_does_not_exist_is_refused() {
    let server = Server::with_collection().await;
    let before = server.get("/collections/c").await.result();
    let unknown = json!({"vectors": {"x": {"on_disk": true}}, "metadata": {"a": 1}});
    assert_eq!(
        server.patch("/collections/c", unknown).await.error(),
        (400, "Wrong input: Not existing vector name error: x".into())
    );
    let large = json!({"metadata": {"a": "a".repeat(1024 * 1024 - 100)}});
    assert_eq!(server.patch("/collections/c", large.clone()).await.result(), json!(true));
    let too_large = json!({"metadata": {"b": "b".repeat(200)}});
    assert_eq!(server.patch("/collections/c", too_large).await.error().0, 422);
    assert_eq!(server.patch("/collections/c", json!({"metadata": {"a": null}})).await.result(), json!(true));
    let mut after = server.get("/collections/c").await.result();
    assert_eq!(after["config"]["metadata"], json!({}));
    after["config"].as_object_mut().map(|config| config.remove("metadata"));
    assert_eq!(after, before);
    assert_eq!(server.patch("/collections/x", json!({})).await.error(), (404, "Not found: Collection `x` doesn't exist!".into()));
}

#[tokio::test]
async fn shards_are_told_with_their_points() {
    let server = Server::with_collection().await;
    server.put("/collections/c/points?wait=true", json!({"points": [{"id": 1, "vector": [1, 2]}]})).await.result();
    let cluster = server.get("/collections/c/cluster").await.result();
    assert_eq!(cluster["shard_count"], 2);
    let points: u64 =
        cluster["local_shards"].as_array().unwrap().iter().map(|shard| shard["points_count"].as_u64().unwrap()).sum();
    assert_eq!(points, 1);
}
