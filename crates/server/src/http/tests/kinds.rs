//! Vectors of every kind: written in each form of a request, read back, refused.

use serde_json::{Value, json};

use super::Server;

/// A collection with a dense vector, half floats, bytes, a multi-vector and two sparse ones.
async fn server() -> Server {
    let server = Server::new();
    let body = json!({
        "vectors": {
            "": {"size": 2, "distance": "Dot"},
            "half": {"size": 2, "distance": "Euclid", "datatype": "float16"},
            "byte": {"size": 2, "distance": "Manhattan", "datatype": "uint8"},
            "multi": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
        },
        "sparse_vectors": {"plain": {}, "idf": {"modifier": "idf"}},
        "shard_number": 2,
    });
    assert_eq!(server.put("/collections/c", body).await.result(), json!(true));
    server
}

fn all() -> Value {
    json!({
        "": [0.1, -2.5],
        "half": [0.5, 1.5],
        "byte": [0.0, 255.0],
        "multi": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        "plain": {"indices": [1, 7], "values": [0.5, -0.25]},
        "idf": {"indices": [4_294_967_295_u64], "values": [1.0]},
    })
}

#[tokio::test]
async fn all_kinds_come_back_as_they_went_in() {
    let server = server().await;
    let points = json!({"points": [{"id": 1, "vector": all()}, {"id": 2, "vector": {"plain": all()["plain"]}}]});
    server.put("/collections/c/points?wait=true", points).await.result();
    assert_eq!(server.point(1).await["vector"], all());
    assert_eq!(server.point(2).await["vector"], json!({"plain": all()["plain"]}));
    let page = json!({"with_vector": ["multi", "half"], "limit": 1});
    let page = server.post("/collections/c/points/scroll", page).await.result();
    assert_eq!(page["points"][0]["vector"], json!({"multi": all()["multi"], "half": all()["half"]}));
    assert_eq!(server.get("/collections/c/points/1").await.result()["vector"], all());
}

#[tokio::test]
async fn all_kinds_come_in_columns() {
    let server = server().await;
    let columns = |one: &Value, two: &Value| json!([one, two]);
    let batch = json!({"batch": {"ids": [1, 2], "vectors": {
        "multi": columns(&all()["multi"], &json!([[9.0, 8.0]])),
        "plain": columns(&all()["plain"], &json!({"indices": [], "values": []})),
        "": columns(&all()[""], &json!([1.0, 1.0])),
    }}});
    server.put("/collections/c/points?wait=true", batch).await.result();
    assert_eq!(
        server.point(2).await["vector"],
        json!({"": [1.0, 1.0], "multi": [[9.0, 8.0]], "plain": {"indices": [], "values": []}})
    );
}

#[tokio::test]
async fn a_collection_whose_only_vector_is_a_multi_vector() {
    let server = Server::new();
    let body = json!({"vectors": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}});
    server.put("/collections/c", body).await.result();
    let points = json!({"points": [{"id": 1, "vector": [[1, 2], [3, 4]]}, {"id": 2, "vector": [5, 6]}]});
    server.put("/collections/c/points", points).await.result();
    server.put("/collections/c/points", json!({"batch": {"ids": [3], "vectors": [[[7, 8]]]}})).await.result();
    assert_eq!(server.point(1).await["vector"], json!([[1.0, 2.0], [3.0, 4.0]]));
    assert_eq!(server.point(2).await["vector"], json!([[5.0, 6.0]]));
    assert_eq!(server.point(3).await["vector"], json!([[7.0, 8.0]]));
}

#[tokio::test]
async fn sparse_vectors_are_sorted_by_index() {
    let server = server().await;
    let unsorted = json!({"indices": [9, 3, 5], "values": [0.9, 0.3, 0.5]});
    server.put("/collections/c/points", json!({"points": [{"id": 1, "vector": {"plain": unsorted}}]})).await.result();
    assert_eq!(server.point(1).await["vector"]["plain"], json!({"indices": [3, 5, 9], "values": [0.3, 0.5, 0.9]}));
}

#[tokio::test]
async fn vectors_that_do_not_fit_are_refused_with_all_their_batch() {
    let server = server().await;
    let cases = [
        (json!([1, 2, 3]), 400, "Wrong input: Vector dimension error: expected dim: 2, got 3"),
        (json!([]), 400, "Wrong input: Vector dimension error: expected dim: 2, got 0"),
        (json!({"x": [1, 2]}), 400, "Wrong input: Not existing vector name error: x"),
        (json!({"multi": [[1, 2, 3, 4]]}), 400, "Wrong input: Vector dimension error: expected dim: 2, got 4"),
        (json!({"multi": [1, 2, 3, 4]}), 400, "Wrong input: Vector dimension error: expected dim: 2, got 4"),
        (json!({"multi": [[1], [2]]}), 400, "Wrong input: Vector dimension error: expected dim: 2, got 1"),
        (json!({"multi": [[1, 2], [3]]}), 422, "all vectors must have the same dimension"),
        (json!({"multi": [[]]}), 422, "all vectors must be non-empty"),
        (json!({"multi": []}), 422, "must be non-empty"),
        (json!({"plain": {"indices": [1, 1], "values": [1, 2]}}), 422, "must be unique"),
        (json!({"plain": {"indices": [1], "values": [1, 2]}}), 422, "must be the same length"),
        (json!({"plain": [1, 2]}), 400, "Wrong input: "),
        (json!({"half": {"indices": [1], "values": [1]}}), 400, "Wrong input: "),
        (json!({"half": [[1, 2]]}), 400, "Wrong input: "),
        (json!({"half": [1e6, 0]}), 400, "float16"),
        (json!({"half": {"text": "a", "model": "m"}}), 400, "inference"),
        (json!([1e39, 0]), 400, "Format error in JSON body: "),
    ];
    for (vector, status, part) in cases {
        let points = json!({"points": [{"id": 1, "vector": {}}, {"id": 2, "vector": vector}]});
        let (actual, text) = server.put("/collections/c/points?wait=true", points).await.error();
        assert_eq!(actual, status, "{vector}: {text}");
        assert!(text.contains(part), "{vector}: {text}");
    }
    assert_eq!(server.post("/collections/c/points/count", json!({})).await.result(), json!({"count": 0}));
}
