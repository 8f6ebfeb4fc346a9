//! Reads by filter, in the order of a field, counts and facets.

use serde_json::{Value, json};

use super::Server;

async fn server() -> Server {
    let server = Server::new();
    server.put("/collections/c", json!({"vectors": {"size": 1, "distance": "Dot"}, "shard_number": 2})).await.result();
    let payloads = [
        json!({"n": 5, "city": "Bonn", "when": "2024-01-02T00:00:00Z"}),
        json!({"n": 2.5, "city": ["Bonn", "Köln"], "when": "2024-01-01T00:00:00Z"}),
        json!({"n": [7, 1], "city": "Köln", "flag": true}),
        json!({"city": null}),
    ];
    let points: Vec<Value> =
        (1..).zip(payloads).map(|(id, payload)| json!({"id": id, "vector": [id], "payload": payload})).collect();
    server.put("/collections/c/points?wait=true", json!({"points": points})).await.result();
    server
}

/// Ids and values of an ordered scroll.
async fn ordered(server: &Server, body: Value) -> Vec<(u64, Value)> {
    let page = server.post("/collections/c/points/scroll", body).await.result();
    assert_eq!(page["next_page_offset"], Value::Null);
    let points = page["points"].as_array().unwrap().iter();
    points.map(|point| (point["id"].as_u64().unwrap(), point["order_value"].clone())).collect()
}

#[tokio::test]
async fn pages_and_counts_are_of_what_matches() {
    let server = server().await;
    let filter = json!({"must": [{"key": "city", "match": {"value": "Bonn"}}]});
    let page =
        server.post("/collections/c/points/scroll", json!({"filter": filter, "limit": 1, "with_payload": ["n"]})).await.result();
    assert_eq!(page, json!({"points": [{"id": 1, "payload": {"n": 5}}], "next_page_offset": 2}));
    for exact in [true, false] {
        let body = json!({"filter": filter, "exact": exact});
        assert_eq!(server.post("/collections/c/points/count", body).await.result(), json!({"count": 2}));
    }
    assert_eq!(server.post("/collections/c/points/count", json!({"filter": {}})).await.result(), json!({"count": 4}));
    let (status, text) = server.post("/collections/c/points/count", json!({"filter": {"must": [{"x": 1}]}})).await.error();
    assert_eq!(status, 400);
    assert!(text.starts_with("Format error in JSON body: "), "{text}");
}

#[tokio::test]
async fn points_come_in_the_order_of_a_field() {
    let server = server().await;
    assert_eq!(ordered(&server, json!({"order_by": "n"})).await, [(3, json!(1)), (2, json!(2.5)), (1, json!(5)), (3, json!(7))]);
    assert_eq!(
        ordered(&server, json!({"order_by": {"key": "n", "direction": "desc", "start_from": 5}, "limit": 2})).await,
        [(1, json!(5)), (2, json!(2.5))]
    );
    let from = json!({"order_by": {"key": "when", "start_from": "2024-01-01T12:00:00Z"}});
    assert_eq!(ordered(&server, from).await, [(1, json!(1_704_153_600_000_000_i64))]);
    // Points of one value come by their ids, in the direction of the order.
    let more =
        json!({"points": [{"id": 11, "vector": {}, "payload": {"same": 1}}, {"id": 12, "vector": {}, "payload": {"same": 1}}]});
    server.put("/collections/c/points?wait=true", more).await.result();
    assert_eq!(ordered(&server, json!({"order_by": "same", "limit": 1})).await, [(11, json!(1))]);
    let last = json!({"order_by": {"key": "same", "direction": "desc"}, "limit": 1});
    assert_eq!(ordered(&server, last).await, [(12, json!(1))]);
    // An index says which values count.
    server.put("/collections/c/index", json!({"field_name": "n", "field_schema": "integer"})).await.result();
    assert_eq!(ordered(&server, json!({"order_by": "n"})).await, [(3, json!(1)), (1, json!(5)), (3, json!(7))]);
    let (status, text) = server.post("/collections/c/points/scroll", json!({"order_by": "n", "offset": 1})).await.error();
    assert_eq!(status, 400);
    assert!(text.starts_with("Wrong input: Cannot use an `offset` when using `order_by`."), "{text}");
}

#[tokio::test]
async fn values_are_counted() {
    let server = server().await;
    let facet = async |body: Value| server.post("/collections/c/facet?timeout=3", body).await.result();
    let hit = |value: Value, count: u64| json!({"value": value, "count": count});
    assert_eq!(facet(json!({"key": "city"})).await, json!({"hits": [hit(json!("Bonn"), 2), hit(json!("Köln"), 2)]}));
    assert_eq!(facet(json!({"key": "city", "limit": 1, "exact": true})).await, json!({"hits": [hit(json!("Bonn"), 2)]}));
    let filter = json!({"must": [{"has_id": [3]}]});
    assert_eq!(facet(json!({"key": "flag", "filter": filter})).await, json!({"hits": [hit(json!(true), 1)]}));
    assert_eq!(facet(json!({"key": "missing"})).await, json!({"hits": []}));
    assert_eq!(server.post("/collections/c/facet", json!({"key": "city", "limit": 0})).await.status, 422);
    assert_eq!(server.post("/collections/x/facet", json!({"key": "city"})).await.status, 404);
    assert_eq!(server.post("/collections/c/facet", json!({"key": "a["})).await.status, 400);
}
