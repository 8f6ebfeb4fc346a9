//! The description of the operations against the router.

use std::collections::BTreeSet;

use super::*;
use crate::http::auth::{OPEN, READING_POSTS, WRITING_GETS};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The operation whose answer lasts as long as the server.
const ENDLESS: &str = "live_events";

async fn document() -> Value {
    let reply = Server::new().get("/openapi.json").await;
    assert_eq!((reply.status, &reply.headers[header::CONTENT_TYPE]), (StatusCode::OK, &"application/json".parse().unwrap()));
    reply.json()
}

/// Method, path and description of each operation whose answer ends.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method).filter(|operation| operation["operationId"] != ENDLESS) {
                found.push((method.to_uppercase().parse().unwrap(), path.clone(), operation.clone()));
            }
        }
    }
    found
}

/// A path that the route of a described path matches.
fn example(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment {
        "{collection}" => "c",
        "{shard}" | "{id}" => "0",
        _ if segment.starts_with('{') => "x",
        _ => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn what_is_described_is_served() {
    let operations = operations(&document().await);
    assert!(operations.len() > 80, "{}", operations.len());
    for (method, path, operation) in operations {
        let server = Server::with_collection().await;
        let reply = server.send(method.clone(), &example(&path), "{}").await;
        // What no route matches is the only 404 without a body, or, of the manager, with this one.
        let is_nowhere = reply.status == StatusCode::NOT_FOUND
            && (reply.body.is_empty() || reply.json()["status"]["error"] == "Not found: there is no such route");
        assert!(!is_nowhere, "{method} {path}");
        let status = reply.status.as_str();
        assert!(operation["responses"].get(status).is_some(), "{method} {path} answers {status}, which is not described");
    }
}

#[tokio::test]
async fn every_operation_has_an_id_of_its_own_a_tag_and_a_summary() {
    let document = document().await;
    let tags: BTreeSet<&str> = document["tags"].as_array().unwrap().iter().filter_map(|tag| tag["name"].as_str()).collect();
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
        assert!(tags.contains(operation["tags"][0].as_str().unwrap()), "{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty() && !text.ends_with('.')), "{method} {path}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = document().await;
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// What needs which key is told as it is decided.
#[tokio::test]
async fn the_keys_that_are_described_are_those_that_are_needed() {
    let server = Server::configured(Arc::new(MemFs::new()), |service| {
        service.api_key = Some(crate::config::Secret::new("all"));
        service.read_only_api_key = Some(crate::config::Secret::new("read"));
    });
    for (method, path, operation) in operations(&document().await) {
        let request = |key: Option<&str>| {
            let builder = Request::builder().method(method.clone()).uri(example(&path));
            let builder = key.into_iter().fold(builder, |builder, key| builder.header("api-key", key));
            server.request(builder.body(Body::empty()).unwrap())
        };
        let refused = |status| operation["responses"].get(status).is_some();
        if request(None).await.status != StatusCode::UNAUTHORIZED {
            assert!(operation["security"].as_array().is_none_or(Vec::is_empty) && !refused("401"), "{method} {path}");
            continue;
        }
        let is_full = request(Some("read")).await.status == StatusCode::FORBIDDEN;
        let role = if is_full { "full" } else { "read" };
        assert_eq!(operation["security"], json!([{"api-key": [role]}, {"bearer": [role]}]), "{method} {path}");
        assert!(refused("401") && (refused("403") || !is_full), "{method} {path}");
    }
}

/// A path in the tables of `auth` that no route has would be a mistake in one of them.
#[tokio::test]
async fn the_tables_of_keys_name_routes_that_there_are() {
    let nameless =
        |path: &str| path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/");
    let described: BTreeSet<(Method, String)> =
        operations(&document().await).into_iter().map(|(method, path, _)| (method, nameless(&path))).collect();
    let gets = OPEN.iter().chain(&WRITING_GETS).map(|path| (Method::GET, *path));
    for (method, path) in gets.chain(READING_POSTS.iter().map(|path| (Method::POST, *path))) {
        assert!(described.contains(&(method.clone(), path.to_owned())), "{method} {path}");
    }
}

#[tokio::test]
async fn the_page_is_whole_and_loads_nothing_from_elsewhere() {
    let page = Server::new().get("/docs").await;
    assert_eq!(
        (page.status, &page.headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("/openapi.json") && text.trim_end().ends_with("</html>"));
    for foreign in ["http:", "https:", "src=", "@import", "url(", "innerHTML"] {
        assert!(!text.contains(foreign), "{foreign}");
    }
}
