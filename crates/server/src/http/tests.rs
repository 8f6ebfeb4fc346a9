//! The routes as clients see them: requests through the whole router to a storage in memory.

mod access;
mod bodies;
mod changes;
mod collections;
mod described;
mod downloads;
mod kinds;
mod queries;
mod service;

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use icecore_archive::Sha256Digest;
use icecore_io::{Clock, Fault, FaultFs, Fs, MemFs, Operation, OsClock};
use icecore_storage::{Options, Storage};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::router;
use crate::app::App;
use crate::clusters::Clusters;
use crate::config::{Config, Service};
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::stores::{LocalStore, Store, Stores};

struct Server {
    router: Router,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Server {
    fn new() -> Self {
        Self::on(Arc::new(MemFs::new()))
    }

    fn on(fs: Arc<dyn Fs>) -> Self {
        Self::configured(fs, |_| {})
    }

    fn configured(fs: Arc<dyn Fs>, configure: impl FnOnce(&mut Service)) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(OsClock::new());
        let storage = Storage::open(Arc::clone(&fs), Arc::clone(&clock), Path::new("/storage"), Options::default()).unwrap();
        let store = LocalStore::open(Arc::clone(&fs), Arc::clone(&clock), "/snapshots".into()).unwrap();
        let mut config = Config::default();
        config.service.max_request_size_mb = 1;
        configure(&mut config.service);
        let shutdown = Shutdown::new();
        let jobs = Arc::new(Jobs::open(None, Arc::clone(&clock), shutdown.clone(), config.jobs.options()).unwrap());
        jobs.start().unwrap();
        let metrics = Arc::new(Metrics::new(Arc::clone(&clock)));
        let (storage, store): (_, Arc<dyn Store>) = (Arc::new(storage), Arc::new(store));
        let stores = Stores::open(
            Arc::clone(&fs),
            Arc::clone(&clock),
            &config.storage,
            None,
            Arc::clone(&store),
            crate::testing::runtime(),
        )
        .unwrap();
        let clusters = Clusters::new(&config, crate::testing::runtime()).unwrap();
        let app = App {
            storage,
            store,
            stores,
            clusters,
            jobs,
            fs,
            clock,
            bandwidth: crate::bandwidth::Bandwidth::new(Arc::new(icecore_io::OsClock::new()), 0),
            verifier: crate::verifier::Verifier::new(true),
            metrics,
            fetcher: crate::testing::fetcher(),
            config,
            shutdown: shutdown.clone(),
        };
        Self { router: router(Arc::new(app)) }
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Reply {
        self.request(Request::builder().method(method).uri(path).body(body.into()).unwrap()).await
    }

    async fn request(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Reply { status: parts.status, headers: parts.headers, body: to_bytes(body, usize::MAX).await.unwrap() }
    }

    /// The body of a download; the error of one that breaks off.
    async fn download(&self, path: &str) -> Result<Bytes, axum::Error> {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        to_bytes(response.into_body(), usize::MAX).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Body::empty()).await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, Body::empty()).await
    }

    async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, body.to_string()).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, body.to_string()).await
    }

    async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, body.to_string()).await
    }

    /// The point's record without its id, or null if there is none.
    async fn point(&self, id: u64) -> Value {
        let body = json!({"ids": [id], "with_vector": true});
        let found = self.post("/collections/c/points", body).await.result();
        let mut record = found.get(0).cloned().unwrap_or_default();
        record.as_object_mut().map(|fields| fields.remove("id"));
        record
    }

    async fn with_collection() -> Self {
        Self::new().and_collection().await
    }

    async fn and_collection(self) -> Self {
        let server = self;
        let body = json!({"vectors": {"size": 2, "distance": "Dot"}, "shard_number": 2});
        assert_eq!(server.put("/collections/c", body).await.result(), json!(true));
        server
    }
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The result of a request that has to have succeeded.
    fn result(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        self.json()["result"].clone()
    }

    /// The status and the text of a request that has to have failed.
    fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["status"]["error"].as_str().unwrap().to_owned())
    }
}

#[tokio::test]
async fn points_are_written_and_read_back() {
    let server = Server::with_collection().await;
    let points = json!({"points": [
        {"id": 1, "vector": [0.1, 0.2], "payload": {"a": {"b": 1, "c": 2}}},
        {"id": "550E8400E29B41D4A716446655440000", "vector": [1, 2]},
    ]});
    let written = server.put("/collections/c/points?wait=true", points).await.result();
    assert_eq!(written["status"], "completed");
    let set = json!({"payload": {"d": 3}, "points": [1]});
    assert_eq!(server.post("/collections/c/points/payload", set).await.result()["status"], "acknowledged");

    let page = server.post("/collections/c/points/scroll", json!({"limit": 1, "with_vector": true})).await.result();
    assert_eq!(
        page,
        json!({
            "points": [{"id": 1, "payload": {"a": {"b": 1, "c": 2}, "d": 3}, "vector": [0.1, 0.2]}],
            "next_page_offset": "550e8400-e29b-41d4-a716-446655440000",
        })
    );
    let next = json!({"offset": page["next_page_offset"], "with_payload": false});
    assert_eq!(
        server.post("/collections/c/points/scroll", next).await.result(),
        json!({"points": [{"id": "550e8400-e29b-41d4-a716-446655440000"}], "next_page_offset": null})
    );
    let retrieve = json!({"ids": [9, 1], "with_payload": ["a.b"]});
    assert_eq!(server.post("/collections/c/points", retrieve).await.result(), json!([{"id": 1, "payload": {"a": {"b": 1}}}]));
    server.post("/collections/c/points/delete?wait=true", json!({"points": [1, 7]})).await.result();
    assert_eq!(server.post("/collections/c/points/count", json!({"exact": true})).await.result(), json!({"count": 1}));
    assert_eq!(server.get("/collections/c/points/1").await.error(), (404, "Not found: Point with id 1 does not exists!".into()));
}

#[tokio::test]
async fn an_alias_is_as_good_as_its_collection() {
    let server = Server::with_collection().await;
    let actions = json!({"actions": [{"create_alias": {"collection_name": "c", "alias_name": "a"}}]});
    assert_eq!(server.post("/collections/aliases", actions).await.result(), json!(true));
    assert_eq!(server.get("/collections/a/exists").await.result(), json!({"exists": true}));
    assert_eq!(server.get("/collections/a").await.result()["config"]["params"]["shard_number"], 2);
    server.put("/collections/a/points?wait=true", json!({"points": [{"id": 1, "vector": [1, 2]}]})).await.result();
    assert_eq!(server.post("/collections/c/points/count", json!({})).await.result(), json!({"count": 1}));
    let listed = json!({"aliases": [{"alias_name": "a", "collection_name": "c"}]});
    assert_eq!(server.get("/aliases").await.result(), listed);
    assert_eq!(server.get("/collections/c/aliases").await.result(), listed);
}

#[tokio::test]
async fn a_collection_may_be_called_aliases() {
    let server = Server::new();
    assert_eq!(server.put("/collections/aliases", json!({})).await.result(), json!(true));
    assert_eq!(server.get("/collections/aliases").await.result()["points_count"], 0);
    assert_eq!(server.delete("/collections/aliases").await.result(), json!(true));
    assert_eq!(server.delete("/collections/aliases").await.result(), json!(false));
}

#[tokio::test]
async fn a_snapshot_is_made_listed_downloaded_and_deleted() {
    let server = Server::with_collection().await;
    server.put("/collections/c/points", json!({"points": [{"id": 1, "vector": [1, 2]}]})).await.result();
    for snapshots in ["/collections/c/snapshots", "/snapshots"] {
        let made = server.post(snapshots, Value::Null).await.result();
        assert_eq!(server.get(snapshots).await.result(), json!([made]));
        let path = format!("{snapshots}/{}", made["name"].as_str().unwrap());
        let download = server.get(&path).await;
        assert_eq!(download.status, StatusCode::OK);
        assert_eq!(download.headers[header::CONTENT_TYPE], "application/octet-stream");
        assert_eq!(download.headers[header::CONTENT_LENGTH], made["size"].to_string());
        assert_eq!(download.headers[header::ETAG], made["checksum"].to_string());
        assert_eq!(Sha256Digest::of(&download.body).to_string(), made["checksum"].as_str().unwrap());
        assert_eq!(server.delete(&path).await.result(), json!(true));
        assert_eq!(server.get(snapshots).await.result(), json!([]));
        assert_eq!(server.delete(&path).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_download_that_cannot_be_read_to_its_end_breaks_off() {
    let memory = Arc::new(MemFs::new());
    let fs = FaultFs::new(memory.clone());
    let faults = fs.faults();
    let server = Server::on(Arc::new(fs)).and_collection().await;
    let made = server.post("/collections/c/snapshots", Value::Null).await.result();
    let name = made["name"].as_str().unwrap();
    let path = format!("/collections/c/snapshots/{name}");
    // Side files are read before the response begins; without them, every read of a file of this name is one of the archive.
    for suffix in ["checksum", "meta.json"] {
        memory.remove_file(Path::new(&format!("/snapshots/c/{name}.{suffix}"))).unwrap();
    }
    assert!(server.download(&path).await.is_ok());
    faults.inject(Fault::on(Operation::ReadAt).path_contains(name));
    assert!(server.download(&path).await.is_err());
    assert_eq!(faults.fired(), 1);
}

/// Writes to a full disk were answered "not possible at the moment; the server's log says why".
#[tokio::test]
async fn a_full_disk_is_called_that() {
    let fs = FaultFs::new(Arc::new(MemFs::new()));
    let faults = fs.faults();
    let server = Server::on(Arc::new(fs)).and_collection().await;
    faults.inject(Fault::on(Operation::WriteAt).kind(io::ErrorKind::StorageFull).from_then_on());
    let full = (500, "Service internal error: No space left on device".to_owned());
    let point = json!({"points": [{"id": 1, "vector": [1, 2]}]});
    assert_eq!(server.put("/collections/c/points?wait=true", point).await.error(), full);
    assert_eq!(server.put("/collections/d", json!({})).await.error(), full);
    assert_eq!(server.post("/collections/c/snapshots", Value::Null).await.error(), full);
    assert_eq!(server.get("/collections/c/snapshots").await.result(), json!([]));
}

#[tokio::test]
async fn names_of_snapshots_never_leave_their_place() {
    let server = Server::with_collection().await;
    for name in ["..%2F..%2Fetc%2Fpasswd", "%2e%2e", "%2Fetc%2Fpasswd", "..%5cx.snapshot", "a%00b", "shards", "x.checksum"] {
        for place in ["/collections/c/snapshots", "/snapshots"] {
            for method in [Method::GET, Method::DELETE] {
                let (status, text) = server.send(method, &format!("{place}/{name}"), Body::empty()).await.error();
                assert_eq!(status, 404, "{name}");
                assert!(text.starts_with("Not found: Snapshot "), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn who_does_not_wait_is_told_at_once_what_cannot_be() {
    let server = Server::with_collection().await;
    let accepted = server.post("/collections/c/snapshots?wait=false", Value::Null).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED);
    assert_eq!(accepted.json()["status"], "accepted");
    assert!(accepted.json().get("result").is_none());
    // Jobs of a collection are done in turn, so when the second is done the first is too.
    let second = server.post("/collections/c/snapshots", Value::Null).await.result()["name"].clone();
    let listed = server.get("/collections/c/snapshots").await.result();
    let name = listed.as_array().unwrap().iter().map(|one| &one["name"]).find(|name| **name != second).unwrap();
    let path = format!("/collections/c/snapshots/{}?wait=false", name.as_str().unwrap());
    assert_eq!(server.delete(&path).await.status, StatusCode::ACCEPTED);
    let third = server.post("/collections/c/snapshots", Value::Null).await.result()["name"].clone();
    let listed = server.get("/collections/c/snapshots").await.result();
    let mut left: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    left.sort_by_key(|name| name.to_string());
    let mut wanted = [&second, &third];
    wanted.sort_by_key(|name| name.to_string());
    assert_eq!(left, wanted);
    assert_eq!(server.post("/collections/x/snapshots?wait=false", Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.delete("/snapshots/x.snapshot?wait=false").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn slashes_too_many_do_not_matter() {
    let server = Server::with_collection().await;
    assert_eq!(server.get("//collections///c/exists/").await.result(), json!({"exists": true}));
    let (status, _) = server.get("/collections/c%2Fexists").await.error();
    assert_eq!(status, 422);
}

#[tokio::test]
async fn what_is_no_route_is_404_without_a_body_and_what_is_none_yet_is_501() {
    let server = Server::with_collection().await;
    for (method, path) in [
        (Method::GET, "/nothing"),
        (Method::PATCH, "/collections"),
        (Method::PUT, "/collections/c/points/count"),
        (Method::POST, "/collections/c"),
    ] {
        let reply = server.send(method, path, "{}").await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (404, 0), "{path}");
    }
    for path in
        ["/collections/c/points/query", "/collections/c/points/search/batch", "/collections/c/shards/0/snapshot/partial/create"]
    {
        let (status, text) = server.post(path, json!({})).await.error();
        assert_eq!(status, 501);
        assert!(text.starts_with("Not implemented: "), "{text}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let server = Server::with_collection().await;
    let (status, text) = server.send(Method::PUT, "/collections/c/points", vec![b' '; 1024 * 1024 + 1]).await.error();
    assert_eq!(status, 400);
    assert_eq!(text, "Payload error: JSON payload (1048577 bytes) is larger than allowed (limit: 1048576 bytes).");
}

/// A collection whose metadata was nested as deep as the parser of requests allows got into the catalog, where it was a few levels
/// deeper: the parser of the catalog refused it, and the server did not start again.
#[tokio::test]
async fn what_was_accepted_is_read_at_the_next_start() {
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let fs = Arc::new(MemFs::new());
    let server = Server::on(fs.clone()).and_collection().await;
    for levels in [32, 125] {
        let (status, text) =
            server.send(Method::PUT, "/collections/d", format!("{{\"metadata\":{}}}", nested(levels))).await.error();
        assert!((400..500).contains(&status), "{status} {text}");
        let index = format!("{{\"field_name\":\"f\",\"field_schema\":{{\"type\":\"keyword\",\"x\":{}}}}}", nested(levels));
        assert_eq!(server.send(Method::PUT, "/collections/c/index", index).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let deepest = format!("{{\"metadata\":{}}}", nested(31));
    assert_eq!(server.send(Method::PUT, "/collections/d", deepest).await.result(), json!(true));
    let index = format!("{{\"field_name\":\"f\",\"field_schema\":{{\"type\":\"keyword\",\"x\":{}}}}}", nested(31));
    server.send(Method::PUT, "/collections/d/index", index).await.result();
    server.post("/snapshots", Value::Null).await.result();
    drop(server);
    assert_eq!(Server::on(fs).get("/collections/d/exists").await.result(), json!({"exists": true}));
}
