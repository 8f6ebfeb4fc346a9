//! Changes of points: payloads, single vectors, deletions, conditions, batches.

use serde_json::{Value, json};

use super::Server;

async fn server() -> Server {
    let server = Server::new();
    let body = json!({
        "vectors": {"a": {"size": 2, "distance": "Dot"}, "b": {"size": 1, "distance": "Dot"}},
        "sparse_vectors": {"s": {}},
        "shard_number": 3,
    });
    server.put("/collections/c", body).await.result();
    let point = |id: u64| {
        let vector = json!({"a": [id, 1], "b": [id], "s": {"indices": [id], "values": [1]}});
        json!({"id": id, "vector": vector, "payload": {"n": id, "even": id.is_multiple_of(2)}})
    };
    let points: Vec<Value> = (1..=6).map(point).collect();
    server.put("/collections/c/points?wait=true", json!({"points": points})).await.result();
    server
}

fn even() -> Value {
    json!({"must": [{"key": "even", "match": {"value": true}}]})
}

async fn count(server: &Server, filter: Value) -> Value {
    server.post("/collections/c/points/count", json!({"filter": filter, "exact": true})).await.result()["count"].take()
}

#[tokio::test]
async fn payloads_are_set_overwritten_and_deleted_by_ids_and_by_filter() {
    let server = server().await;
    let payload = "/collections/c/points/payload?wait=true&ordering=strong&timeout=5";
    assert_eq!(server.post(payload, json!({"payload": {"x": 1}, "points": [1]})).await.result()["status"], "completed");
    assert_eq!(server.point(1).await["payload"], json!({"n": 1, "even": false, "x": 1}));
    server.post(payload, json!({"payload": {"y": 2}, "filter": even(), "key": "deep.er"})).await.result();
    assert_eq!(server.point(2).await["payload"], json!({"n": 2, "even": true, "deep": {"er": {"y": 2}}}));
    server.post("/collections/c/points/payload/delete", json!({"keys": ["deep.er.y", "n"], "filter": even()})).await.result();
    assert_eq!(server.point(4).await["payload"], json!({"even": true, "deep": {"er": {}}}));
    server.put(payload, json!({"payload": {"z": null}, "points": [2]})).await.result();
    assert_eq!(server.point(2).await["payload"], json!({"z": null}));
    server.post("/collections/c/points/payload/clear", json!({"points": [3]})).await.result();
    server.post("/collections/c/points/payload/clear", json!({"filter": even()})).await.result();
    assert_eq!(server.point(3).await["payload"], json!({}));
    assert_eq!(server.point(4).await["payload"], json!({}));
    assert_eq!(server.point(5).await["payload"], json!({"n": 5, "even": false}));
}

#[tokio::test]
async fn single_vectors_are_replaced_and_deleted() {
    let server = server().await;
    let update =
        json!({"points": [{"id": 1, "vector": {"b": [9]}}, {"id": 2, "vector": {"s": {"indices": [5], "values": [2]}}}]});
    server.put("/collections/c/points/vectors?wait=true", update).await.result();
    assert_eq!(server.point(1).await["vector"], json!({"a": [1.0, 1.0], "b": [9.0], "s": {"indices": [1], "values": [1.0]}}));
    assert_eq!(server.point(2).await["vector"]["s"], json!({"indices": [5], "values": [2.0]}));
    let update = json!({"points": [{"id": 3, "vector": {"b": [8]}}, {"id": 4, "vector": {"b": [8]}}], "update_filter": even()});
    server.put("/collections/c/points/vectors?wait=true", update).await.result();
    assert_eq!(server.point(3).await["vector"]["b"], json!([3.0]));
    assert_eq!(server.point(4).await["vector"]["b"], json!([8.0]));
    let delete = "/collections/c/points/vectors/delete?wait=true";
    server.post(delete, json!({"points": [1], "vector": ["a", "s"]})).await.result();
    assert_eq!(server.point(1).await["vector"], json!({"b": [9.0]}));
    server.post(delete, json!({"filter": even(), "vector": ["b"]})).await.result();
    assert_eq!(server.point(6).await["vector"], json!({"a": [6.0, 1.0], "s": {"indices": [6], "values": [1.0]}}));
    assert_eq!(
        server.post(delete, json!({"points": [1], "vector": ["x"]})).await.error(),
        (400, "Wrong input: Not existing vector name error: x".into())
    );
    let missing = json!({"points": [{"id": 77, "vector": {"b": [9]}}]});
    assert_eq!(
        server.put("/collections/c/points/vectors", missing).await.error(),
        (404, "Not found: No point with id 77 found".into())
    );
}

#[tokio::test]
async fn points_are_deleted_by_filter() {
    let server = server().await;
    server.post("/collections/c/points/delete?wait=true", json!({"filter": even()})).await.result();
    assert_eq!(count(&server, Value::Null).await, json!(3));
    assert_eq!(count(&server, even()).await, json!(0));
    let rest = json!({"filter": {"must": [{"has_id": [1, 2, 3]}]}});
    server.post("/collections/c/points/delete?wait=true", rest).await.result();
    assert_eq!(count(&server, Value::Null).await, json!(1));
}

#[tokio::test]
async fn upserts_have_modes_and_conditions() {
    let server = server().await;
    let points = json!([{"id": 1, "vector": {}, "payload": {"new": 1}}, {"id": 7, "vector": {}, "payload": {"new": 1}}]);
    let upsert = async |more: Value| {
        let mut body = json!({"points": points});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.put("/collections/c/points?wait=true", body).await.result();
        (server.point(1).await["payload"].take(), server.point(7).await["payload"].take())
    };
    let old = json!({"n": 1, "even": false});
    let new = json!({"new": 1});
    assert_eq!(upsert(json!({"update_mode": "update_only", "update_filter": even()})).await, (old.clone(), Value::Null));
    assert_eq!(upsert(json!({"update_mode": "insert_only"})).await, (old, new.clone()));
    assert_eq!(upsert(json!({"update_mode": "upsert"})).await, (new.clone(), new));
}

#[tokio::test]
async fn a_batch_is_done_in_order() {
    let server = server().await;
    let operations = json!({"operations": [
        {"upsert": {"points": [{"id": 10, "vector": {"b": [1]}, "payload": {"a": 1, "b": 2}}]}},
        {"set_payload": {"payload": {"c": 3}, "points": [10]}},
        {"delete_payload": {"keys": ["a"], "points": [10]}},
        {"update_vectors": {"points": [{"id": 10, "vector": {"a": [1, 2]}}]}},
        {"delete_vectors": {"points": [10], "vector": ["b"]}},
        {"overwrite_payload": {"payload": {"only": true}, "points": [1]}},
        {"clear_payload": {"points": [2]}},
        {"delete": {"filter": {"must": [{"key": "n", "range": {"gte": 3}}]}}},
    ]});
    let results = server.post("/collections/c/points/batch?wait=true", operations).await.result();
    assert_eq!(results.as_array().unwrap().len(), 8);
    assert!(results.as_array().unwrap().iter().all(|result| result["status"] == "completed"), "{results}");
    assert_eq!(server.point(10).await, json!({"payload": {"b": 2, "c": 3}, "vector": {"a": [1.0, 2.0]}}));
    assert_eq!(server.point(1).await["payload"], json!({"only": true}));
    assert_eq!(server.point(2).await["payload"], json!({}));
    assert_eq!(count(&server, Value::Null).await, json!(3));
    assert_eq!(server.post("/collections/c/points/batch", json!({"operations": []})).await.result(), json!([]));
}

#[tokio::test]
async fn a_batch_ends_at_its_first_error_and_what_was_done_stays() {
    let server = server().await;
    let operations =
        |middle: Value| json!({"operations": [{"clear_payload": {"points": [1]}}, middle, {"clear_payload": {"points": [2]}}]});
    let wrong = operations(json!({"upsert": {"points": [{"id": 9, "vector": {"a": [1]}}]}}));
    let (status, text) = server.post("/collections/c/points/batch", wrong).await.error();
    assert_eq!((status, text.as_str()), (400, "Wrong input: Vector dimension error: expected dim: 2, got 1"));
    assert_eq!(server.point(1).await["payload"], json!({}));
    assert_eq!(server.point(2).await["payload"], json!({"n": 2, "even": true}));
    // What has no meaning is found before anything is done.
    let wrong = json!({"operations": [{"clear_payload": {"points": [2]}}, {"replace": {}}]});
    assert_eq!(server.post("/collections/c/points/batch", wrong).await.error().0, 400);
    assert_eq!(server.point(2).await["payload"], json!({"n": 2, "even": true}));
}

#[tokio::test]
async fn requests_for_nothing_are_refused() {
    let server = server().await;
    let empty = (400, "Bad request: Empty update request".to_owned());
    assert_eq!(server.put("/collections/c/points", json!({"points": []})).await.error(), empty);
    assert_eq!(server.post("/collections/c/points/delete", json!({"points": []})).await.error(), empty);
    let (status, text) = server.post("/collections/c/points/payload", json!({"payload": {}})).await.error();
    assert_eq!(status, 400);
    assert!(text.contains("Either list of point ids or filter must be provided"), "{text}");
    let (status, text) = server.post("/collections/c/points/delete", json!({"points": [1], "shard_key": "a"})).await.error();
    assert_eq!(status, 400);
    assert!(text.contains("shard_key (custom sharding)"), "{text}");
    assert_eq!(server.post("/collections/c/points/delete", json!({"points": [99], "shard_key": null})).await.status, 200);
    for path in ["points/batch", "points/delete"] {
        let body = json!({"operations": [], "points": []});
        assert_eq!(server.post(&format!("/collections/x/{path}"), body).await.error().0, 404);
    }
}
