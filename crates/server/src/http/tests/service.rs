//! What dashboards and clients ask of a server as such: telemetry, metrics, issues, clusters.

use axum::http::{HeaderMap, Method, header};
use serde_json::{Value, json};

use super::Server;

#[tokio::test]
async fn telemetry_tells_collections_and_snapshots() {
    let server = Server::with_collection().await;
    server.put("/collections/c/points?wait=true", json!({"points": [{"id": 1, "vector": [1, 2]}]})).await.result();
    server.post("/collections/c/snapshots", Value::Null).await.result();
    let told = server.get("/telemetry?details_level=3&anonymize=false").await.result();
    assert_eq!((&told["app"]["name"], &told["cluster"]), (&json!("icecore"), &json!({"enabled": false})));
    let collections = &told["collections"];
    assert_eq!((&collections["number_of_collections"], &collections["collections"][0]["id"]), (&json!(1), &json!("c")));
    let points =
        |shards: &Value| shards.as_array().unwrap().iter().filter_map(|s| s["local"]["num_points"].as_u64()).sum::<u64>();
    assert_eq!(points(&collections["collections"][0]["shards"]), 1);
    let snapshots = json!([{"id": "c", "running_snapshots": 0, "running_snapshot_recovery": 0, "total_snapshot_creations": 1}]);
    assert_eq!(collections["snapshots"], snapshots);

    let told = server.get("/cluster/telemetry").await.result();
    assert_eq!(told["cluster"], json!({"enabled": false, "number_of_peers": null, "peers": {}}));
    assert_eq!(told["collections"]["c"]["shards"][1]["replicas"][0]["state"], "Active");
}

#[tokio::test]
async fn a_cluster_cannot_be_changed() {
    let server = Server::with_collection().await;
    for (method, path) in
        [(Method::POST, "/cluster/recover"), (Method::DELETE, "/cluster/peer/1"), (Method::POST, "/collections/c/cluster")]
    {
        let refused = server.send(method, path, "{}").await.error();
        assert_eq!(refused, (400, "Bad request: Distributed mode disabled.".to_owned()), "{path}");
    }
    assert_eq!(server.get("/collections/c/shards").await.result(), json!({"shard_keys": null}));
    assert_eq!(server.get("/collections/x/shards").await.error().0, 404);
    assert_eq!(server.put("/collections/c/shards", json!({"shard_key": "a"})).await.error().0, 501);
    assert_eq!(server.get("/issues").await.result(), json!({"issues": []}));
    assert_eq!(server.delete("/issues").await.result(), json!(true));
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    let server = Server::with_collection().await;
    for name in ["a", "b", "x/y/z"] {
        server.get(&format!("/collections/{name}")).await;
    }
    server.get("/collections//c//").await.result();
    server.send(Method::from_bytes(b"MKCOL").unwrap(), "/nothing", "").await;
    let metrics = server.get("/metrics").await;
    assert_eq!(content_type(&metrics.headers), "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        "rest_responses_total{method=\"GET\",endpoint=\"/collections/{collection}\",status=\"404\"} 2",
        "rest_responses_total{method=\"GET\",endpoint=\"/collections/{collection}\",status=\"200\"} 1",
        "rest_responses_total{method=\"GET\",endpoint=\"unknown\",status=\"404\"} 1",
        "rest_responses_total{method=\"other\",endpoint=\"unknown\",status=\"404\"} 1",
        "rest_responses_duration_seconds_count{method=\"GET\",endpoint=\"/collections/{collection}\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

/// What was sent is counted when it was sent, and a body that breaks off is no complete download.
#[tokio::test]
async fn downloads_are_counted_by_how_they_end() {
    let server = Server::with_collection().await;
    let made = server.post("/collections/c/snapshots", Value::Null).await.result();
    let path = format!("/collections/c/snapshots/{}", made["name"].as_str().unwrap());
    server.download(&path).await.unwrap();
    // A response whose body nobody takes.
    let request = axum::http::Request::get(&path).body(axum::body::Body::empty()).unwrap();
    drop(tower::ServiceExt::oneshot(server.router.clone(), request).await.unwrap());
    let text = String::from_utf8(server.get("/metrics").await.body.to_vec()).unwrap();
    for line in [
        "snapshot_downloads_running 0",
        "snapshot_downloads_total{result=\"complete\"} 1",
        "snapshot_downloads_total{result=\"aborted\"} 1",
        &format!("snapshot_downloaded_bytes_total {}", made["size"]),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers[header::CONTENT_TYPE].to_str().unwrap()
}
