//! Makes one path of all the spellings of a path: trailing slashes are cut, repeated ones merged.
//!
//! It works on the path as it was sent. Encoded slashes (`%2F`) stay what they are: part of a segment.

use axum::extract::Request;
use axum::http::uri::{PathAndQuery, Uri};

/// Rewrites the path of a request before it is routed.
pub(super) async fn normalised(mut request: Request) -> Request {
    if let Some(uri) = rewrite(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// The normalised address; `None` if it is that already (or cannot be written, which no parsed address is known to do).
fn rewrite(uri: &Uri) -> Option<Uri> {
    let path = normal_path(uri.path())?;
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

fn normal_path(path: &str) -> Option<String> {
    if !path.contains("//") && (path.len() == 1 || !path.ends_with('/')) {
        return None;
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Some(format!("/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_are_trimmed_and_merged_and_queries_kept() {
        let cases = [
            ("/collections/", Some("/collections")),
            ("//collections///a//?wait=true", Some("/collections/a?wait=true")),
            ("///", Some("/")),
            ("/", None),
            ("/collections/a%2F?x=//", None),
            ("/collections?x=/", None),
        ];
        for (given, expected) in cases {
            let uri: Uri = given.parse().unwrap();
            assert_eq!(rewrite(&uri).map(|uri| uri.to_string()).as_deref(), expected, "{given}");
        }
    }
}
