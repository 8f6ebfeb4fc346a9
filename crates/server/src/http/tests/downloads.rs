//! Downloads: parts, conditions, and what is said in the headers.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use icecore_io::{Fault, FaultFs, MemFs, Operation};
use serde_json::Value;
use tower::ServiceExt;

use super::{Reply, Server};

impl Server {
    /// Makes an archive; where it is, and all its bytes.
    async fn archive(&self) -> (String, Vec<u8>) {
        let made = self.post("/collections/c/snapshots", Value::Null).await.result();
        let path = format!("/collections/c/snapshots/{}", made["name"].as_str().unwrap());
        let whole = self.get(&path).await;
        assert_eq!((whole.status.as_u16(), whole.body.len() as u64), (200, made["size"].as_u64().unwrap()));
        (path, whole.body.to_vec())
    }

    async fn ask(&self, method: Method, path: &str, lines: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Reply { status: parts.status, headers: parts.headers, body }
    }
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_part_is_sent_with_its_place() {
    let server = Server::with_collection().await;
    let (path, whole) = server.archive().await;
    let len = whole.len();
    let cases = [
        ("bytes=0-".to_owned(), 0..len),
        ("bytes=5-9".to_owned(), 5..10),
        (format!("bytes={}-", len - 1), len - 1..len),
        ("bytes=-3".to_owned(), len - 3..len),
        (format!("bytes=-{}", len * 2), 0..len),
    ];
    for (range, bytes) in cases {
        let part = server.ask(Method::GET, &path, &[("range", &range)]).await;
        assert_eq!(part.status.as_u16(), 206, "{range}");
        assert_eq!(text(&part.headers, "content-range"), format!("bytes {}-{}/{len}", bytes.start, bytes.end - 1));
        assert_eq!(text(&part.headers, "content-length"), bytes.len().to_string());
        assert_eq!(part.body, whole[bytes], "{range}");
    }
    for ignored in ["bytes=0-1,3-4", "lines=0-1", "bytes=9-2", "bytes=x"] {
        let all = server.ask(Method::GET, &path, &[("range", ignored)]).await;
        assert_eq!((all.status.as_u16(), all.body.len()), (200, len), "{ignored}");
        assert!(!all.headers.contains_key(header::CONTENT_RANGE));
    }
    for beyond in [format!("bytes={len}-"), "bytes=-0".to_owned()] {
        let refused = server.ask(Method::GET, &path, &[("range", &beyond)]).await;
        assert_eq!(text(&refused.headers, "content-range"), format!("bytes */{len}"));
        let expected = format!("Bad request: the range is outside of the snapshot, which has {len} bytes");
        assert_eq!(refused.error(), (416, expected));
    }
}

#[tokio::test]
async fn conditions_are_answered_by_what_the_archive_says_of_itself() {
    let server = Server::with_collection().await;
    let (path, whole) = server.archive().await;
    let head = server.ask(Method::HEAD, &path, &[]).await;
    let (tag, date) = (text(&head.headers, "etag"), text(&head.headers, "last-modified"));
    assert!(!tag.is_empty() && !date.is_empty(), "{:?}", head.headers);
    let part = [("range", "bytes=1-2")];
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("if-none-match", &tag)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-modified-since", &date)], 304),
        (&[("if-match", &tag)], 200),
        (&[("if-match", "\"x\"")], 412),
        (&[("if-unmodified-since", &date)], 200),
        (&[("if-unmodified-since", "Mon, 22 Jul 2024 08:31:55 GMT")], 412),
        (&[part[0], ("if-range", &tag)], 206),
        (&[part[0], ("if-range", &date)], 206),
        (&[part[0], ("if-range", "\"x\"")], 200),
        (&[part[0], ("if-none-match", &tag)], 304),
    ];
    for (lines, status) in cases {
        let reply = server.ask(Method::GET, &path, lines).await;
        assert_eq!(reply.status.as_u16(), *status, "{lines:?}");
        assert_eq!(text(&reply.headers, "etag"), tag, "{lines:?}");
        match status {
            200 => assert_eq!(reply.body, whole),
            206 => assert_eq!(reply.body, whole[1..3]),
            304 => assert_eq!(reply.body, ""),
            _ => assert!(reply.error().1.starts_with("Pre-condition failure: "), "{:?}", reply.body),
        }
    }
}

#[tokio::test]
async fn a_head_says_everything_and_reads_nothing() {
    let memory = Arc::new(MemFs::new());
    let fs = FaultFs::new(memory.clone());
    let faults = fs.faults();
    let server = Server::on(Arc::new(fs)).and_collection().await;
    let (path, whole) = server.archive().await;
    let get = server.get(&path).await;
    let name = path.rsplit('/').next().unwrap();
    faults.inject(Fault::on(Operation::ReadAt).path_contains(format!("/c/{name}")).from_then_on());
    // The side files have names that begin like the archive's, and reading them has to go well.
    for suffix in ["checksum", "meta.json"] {
        icecore_io::Fs::remove_file(memory.as_ref(), format!("/snapshots/c/{name}.{suffix}").as_ref()).unwrap();
    }
    let head = server.ask(Method::HEAD, &path, &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len(), faults.fired()), (200, 0, 0));
    assert_eq!(text(&head.headers, "content-length"), whole.len().to_string());
    for name in ["content-type", "content-disposition", "accept-ranges", "cache-control"] {
        assert_eq!(text(&head.headers, name), text(&get.headers, name), "{name}");
    }
    assert_eq!(text(&head.headers, "cache-control"), "no-transform");
    assert_eq!(text(&head.headers, "accept-ranges"), "bytes");
    assert_eq!(server.ask(Method::HEAD, "/collections/c/snapshots/x.snapshot", &[]).await.status.as_u16(), 404);
}
