//! Keys: every route with every kind of key.

use super::*;
use crate::config::Secret;
use crate::http::auth::READING_POSTS;

const NO_KEY: &str = "Must provide an API key or an Authorization bearer token";
const WRONG_KEY: &str = "Invalid API key or JWT";
const READ_ONLY: &str = "Forbidden: Global manage access is required";

/// Answered without a key.
const OPEN: [&str; 7] = ["/", "/api/v1/healthz", "/docs", "/healthz", "/livez", "/openapi.json", "/readyz"];

/// Answered with any key.
const READING_GETS: [&str; 31] = [
    "/aliases",
    "/api/v1/cluster",
    "/api/v1/cluster/nodes",
    "/api/v1/clusters",
    "/api/v1/collections",
    "/api/v1/collections/c",
    "/api/v1/collections/c/cluster",
    "/api/v1/collections/c/shards/0/snapshots",
    "/api/v1/collections/c/shards/0/snapshots/x.snapshot",
    "/api/v1/collections/c/snapshots",
    "/api/v1/collections/c/snapshots/x.snapshot",
    "/api/v1/metrics",
    "/api/v1/storage/config",
    "/api/v1/system/capabilities",
    "/cluster",
    "/collections",
    "/collections/c",
    "/collections/c/aliases",
    "/collections/c/cluster",
    "/collections/c/exists",
    "/collections/c/optimizations",
    "/collections/c/points/1",
    "/collections/c/shards/0/snapshot/partial/manifest",
    "/collections/c/shards/0/snapshots",
    "/collections/c/shards/0/snapshots/x.snapshot",
    "/collections/c/snapshots",
    "/collections/c/snapshots/x.snapshot",
    "/metrics",
    "/snapshots",
    "/snapshots/x.snapshot",
    "/telemetry",
];

/// Answered with a key for everything only.
const WRITES: [(&str, &str); 50] = [
    ("DELETE", "/api/v1/collections/c/shards/0/snapshots/x.snapshot"),
    ("DELETE", "/api/v1/collections/c/snapshots/x.snapshot"),
    ("DELETE", "/api/v1/storage/config/x"),
    ("POST", "/api/v1/collections/c/shards/0/snapshots"),
    ("POST", "/api/v1/collections/c/shards/0/snapshots/recover"),
    ("POST", "/api/v1/collections/c/snapshots"),
    ("POST", "/api/v1/collections/c/snapshots/recover"),
    ("POST", "/api/v1/storage/config"),
    ("POST", "/api/v1/storage/test"),
    ("PUT", "/api/v1/collections/c/shards/0/snapshots/recover"),
    ("PUT", "/api/v1/collections/c/snapshots/recover"),
    ("PUT", "/api/v1/storage/config/x"),
    ("GET", "/collections/c/shards/0/snapshot"),
    ("PATCH", "/collections/c"),
    ("POST", "/collections/aliases"),
    ("POST", "/collections/c/points/batch"),
    ("POST", "/collections/c/points/delete"),
    ("POST", "/collections/c/points/payload"),
    ("POST", "/collections/c/points/payload/clear"),
    ("POST", "/collections/c/points/payload/delete"),
    ("POST", "/collections/c/points/vectors/delete"),
    ("POST", "/collections/c/shards/0/snapshot/partial/create"),
    ("POST", "/collections/c/shards/0/snapshot/partial/recover"),
    ("POST", "/collections/c/shards/0/snapshots"),
    ("POST", "/collections/c/shards/0/snapshots/upload"),
    ("POST", "/collections/c/shards/delete"),
    ("POST", "/collections/c/snapshots"),
    ("POST", "/collections/c/snapshots?wait=false"),
    ("POST", "/collections/c/snapshots/upload"),
    ("POST", "/snapshots"),
    ("PUT", "/collections/c"),
    ("PUT", "/collections/c/index"),
    ("PUT", "/collections/c/points"),
    ("PUT", "/collections/c/points/"),
    ("PUT", "//collections//c//points"),
    ("PUT", "/collections/c/points?wait=true"),
    ("PUT", "/collections/c/points/payload"),
    ("PUT", "/collections/c/points/vectors"),
    ("PUT", "/collections/c/shards"),
    ("PUT", "/collections/c/shards/0/snapshots/recover"),
    ("PUT", "/collections/c/snapshots/recover"),
    ("PUT", "/collections/c/vectors/v"),
    ("DELETE", "/collections/c/index/f"),
    ("DELETE", "/collections/c/shards/0/snapshots/x.snapshot"),
    ("DELETE", "/collections/c/snapshots/x.snapshot"),
    ("DELETE", "/collections/c/snapshots/x.snapshot?wait=false"),
    ("DELETE", "/collections/c/vectors/v"),
    ("DELETE", "/snapshots/x.snapshot"),
    ("DELETE", "/collections/c"),
    ("DELETE", "/collections/c/"),
];

/// No routes; whoever may not do everything does not even learn that.
const NOWHERE: [(&str, &str); 5] = [
    ("GET", "/nothing"),
    ("POST", "/collections/c/points/scrol"),
    ("POST", "/collections/c/points/scrol%6c"),
    ("PUT", "/collections/c/points/scroll"),
    ("POST", "/healthz"),
];

fn guarded_server() -> Server {
    Server::configured(Arc::new(MemFs::new()), |service| {
        service.api_key = Some(Secret::new("all"));
        service.alt_api_key = Some(Secret::new("all-too"));
        service.read_only_api_key = Some(Secret::new("read"));
    })
}

impl Server {
    async fn as_who(&self, who: Option<(&str, &str)>, method: &str, path: &str) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if let Some((header, value)) = who {
            request = request.header(header, value);
        }
        self.request(request.body(Body::empty()).unwrap()).await
    }
}

impl Reply {
    /// Whether a handler has answered.
    fn is_handled(&self) -> bool {
        !matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) && !self.is_nowhere()
    }

    /// Whether the answer is that of a route that does not exist.
    fn is_nowhere(&self) -> bool {
        self.status == StatusCode::NOT_FOUND && self.body.is_empty()
    }
}

fn reads() -> Vec<(&'static str, String)> {
    let posts = READING_POSTS.iter().map(|route| ("POST", route.replace("{}", "c")));
    let gets = READING_GETS.iter().flat_map(|path| [("GET", (*path).to_owned()), ("HEAD", (*path).to_owned())]);
    posts.chain(gets).collect()
}

#[tokio::test]
async fn health_is_told_to_everybody() {
    let server = guarded_server();
    for path in OPEN.into_iter().chain(["/healthz/", "//readyz"]) {
        for who in [None, Some(("api-key", "wrong")), Some(("api-key", "read"))] {
            for method in ["GET", "HEAD"] {
                assert_eq!(server.as_who(who, method, path).await.status, StatusCode::OK, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_right_key_nothing_is_answered() {
    let server = guarded_server();
    let all = reads().into_iter().chain(WRITES.iter().chain(&NOWHERE).map(|(method, path)| (*method, (*path).to_owned())));
    for (method, path) in all {
        for (who, text) in [
            (None, NO_KEY),
            (Some(("authorization", "Basic YWxs")), NO_KEY),
            (Some(("api-key", "wrong")), WRONG_KEY),
            (Some(("api-key", "")), WRONG_KEY),
            (Some(("authorization", "Bearer wrong")), WRONG_KEY),
        ] {
            let reply = server.as_who(who, method, &path).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{method} {path}");
            assert_eq!(reply.headers[header::WWW_AUTHENTICATE], "Bearer");
            if method != "HEAD" {
                assert_eq!(reply.error(), (401, text.to_owned()), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_read_only_key_reads() {
    let server = guarded_server();
    for who in [("api-key", "read"), ("authorization", "Bearer read")] {
        for (method, path) in reads() {
            let reply = server.as_who(Some(who), method, &path).await;
            // The body of an answer to HEAD is cut off, so that it cannot be told from that of no route.
            assert!(reply.is_handled() || (method == "HEAD" && reply.is_nowhere()), "{method} {path}: {}", reply.status);
        }
        for (method, path) in WRITES.iter().chain(&NOWHERE) {
            assert_eq!(server.as_who(Some(who), method, path).await.error(), (403, READ_ONLY.to_owned()), "{method} {path}");
        }
        let path = "/collections/c/shards/0/snapshot";
        assert_eq!(server.as_who(Some(who), "HEAD", path).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn a_key_for_everything_is_one() {
    for who in [("api-key", "all"), ("api-key", "all-too"), ("authorization", "Bearer all"), ("authorization", "bearer all-too")]
    {
        let server = guarded_server();
        let reads = reads().into_iter().filter(|(method, _)| *method != "HEAD");
        for (method, path) in reads.chain(WRITES.iter().map(|(method, path)| (*method, (*path).to_owned()))) {
            let reply = server.as_who(Some(who), method, &path).await;
            assert!(reply.is_handled(), "{method} {path}: {}", reply.status);
        }
        for (method, path) in NOWHERE {
            assert!(server.as_who(Some(who), method, path).await.is_nowhere(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_browser_may_ask_without_a_key_and_read_the_refusal() {
    let server = guarded_server();
    let preflight = Request::builder()
        .method(Method::OPTIONS)
        .uri("/collections/c")
        .header(header::ORIGIN, "https://page.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,api-key");
    let reply = server.request(preflight.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "authorization,api-key");
    let refused = server.delete("/collections/c").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
}

#[tokio::test]
async fn without_cors_a_preflight_is_a_request_like_others() {
    let server = Server::configured(Arc::new(MemFs::new()), |service| {
        service.enable_cors = false;
        service.api_key = Some(Secret::new("all"));
    });
    assert_eq!(server.as_who(None, "OPTIONS", "/collections").await.error(), (401, NO_KEY.to_owned()));
}
