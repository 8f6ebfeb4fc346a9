//! Sends an archive to a client: the whole, the part that it lacks, or word that it has it already.
//!
//! Never compressed on the way, so that the client gets the bytes whose digest the list shows, and can go on where a connection broke
//! off: the tag is the digest where it is known, and an archive never changes. A HEAD reads no byte of it.

mod body;
mod conditions;
mod file;
mod range;
mod streamed;

use std::convert::Infallible;
use std::io::Write;
use std::ops::Range;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use self::conditions::{Outcome, Validators};
use self::range::Selection;
use super::envelope::ApiError;
use crate::app::App;
use crate::error::Result;
use crate::stores::StoredArchive;

/// What a request says of how it wants an archive.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self { method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

impl Asked {
    /// `GET` or `HEAD`.
    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// All headers of the request.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Whole,
    Part(Range<u64>),
    NotModified,
    ConditionFailed,
    Unsatisfiable,
}

/// The response to a request for an archive. Has to be called on a thread of the runtime, blocking ones included.
pub(super) fn response(app: &App, archive: StoredArchive, asked: &Asked) -> Response {
    let StoredArchive { info, tag, file } = archive;
    let len = info.size;
    let tag = info.sha256.map_or(tag, |digest| digest.to_string());
    let found = Validators::new(tag, info.created, app.clock.now());
    let answer = decide(asked, &found, len);
    let mut response = match &answer {
        Answer::Whole => content(StatusCode::OK, info.name.as_str(), len),
        Answer::Part(bytes) => content(StatusCode::PARTIAL_CONTENT, info.name.as_str(), bytes.end - bytes.start),
        Answer::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Answer::ConditionFailed => {
            refuse(StatusCode::PRECONDITION_FAILED, "Pre-condition failure: the snapshot is another one".into())
        }
        Answer::Unsatisfiable => {
            let text = format!("Bad request: the range is outside of the snapshot, which has {len} bytes");
            refuse(StatusCode::RANGE_NOT_SATISFIABLE, text)
        }
    };
    let range = match &answer {
        Answer::Part(bytes) => Some(format!("bytes {}-{}/{len}", bytes.start, bytes.end - 1)),
        Answer::Unsatisfiable => Some(format!("bytes */{len}")),
        _ => None,
    };
    let headers = response.headers_mut();
    describe(headers, &found);
    if let Some(range) = range {
        insert(headers, header::CONTENT_RANGE, &range);
    }
    let bytes = match answer {
        Answer::Whole => 0..len,
        Answer::Part(bytes) => bytes,
        _ => return response,
    };
    if asked.method != Method::HEAD {
        *response.body_mut() = file::body(file, bytes, app.metrics.download());
    }
    response
}

/// The response that carries an archive of `len` bytes while `produce` makes it. Has to be called on a thread of the runtime,
/// blocking ones included.
///
/// What `produce` writes to fails with `BrokenPipe` once the client is gone. If `produce` fails, or writes another number of bytes,
/// the connection is cut and the reason logged. A producer occupies a thread until its client has got everything or is gone.
pub(super) fn streamed<P>(app: &App, len: u64, file_name: &str, produce: P) -> Response
where
    P: FnOnce(&mut dyn Write) -> Result<()> + Send + 'static,
{
    let mut response = content(StatusCode::OK, file_name, len);
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    *response.body_mut() = streamed::body(len, app.metrics.download(), produce);
    response
}

fn decide(asked: &Asked, found: &Validators, len: u64) -> Answer {
    match conditions::check(&asked.headers, found) {
        Outcome::Failed => return Answer::ConditionFailed,
        Outcome::NotModified => return Answer::NotModified,
        Outcome::Proceed => {}
    }
    let mut ranges = asked.headers.get_all(header::RANGE).iter();
    match (ranges.next(), ranges.next()) {
        // A range is defined for GET alone.
        (Some(range), None) if asked.method == Method::GET && conditions::range_counts(&asked.headers, found) => {
            match range::select(range.as_bytes(), len) {
                Selection::Whole => Answer::Whole,
                Selection::Part(bytes) => Answer::Part(bytes),
                Selection::Unsatisfiable => Answer::Unsatisfiable,
            }
        }
        _ => Answer::Whole,
    }
}

/// A response without its body: that follows.
fn content(status: StatusCode, file_name: &str, len: u64) -> Response {
    let mut response = content_of(status, file_name);
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    response
}

/// A response with a file of any length, without its body.
pub(super) fn content_of(status: StatusCode, file_name: &str) -> Response {
    let mut response = (status, Body::empty()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-transform"));
    insert(headers, header::CONTENT_DISPOSITION, &disposition(file_name));
    response
}

fn refuse(status: StatusCode, message: String) -> Response {
    ApiError { status, message }.into_response()
}

/// What belongs to every answer about an archive.
fn describe(headers: &mut HeaderMap, found: &Validators) {
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-transform"));
    insert(headers, header::ETAG, &format!("\"{}\"", found.tag));
    if let Some(modified) = found.modified {
        insert(headers, header::LAST_MODIFIED, &httpdate::fmt_http_date(modified));
    }
}

/// Leaves out what cannot be a header, which nothing here is known to do.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The value of `Content-Disposition` for a file name, with the exact name beside an ASCII one where they differ (RFC 6266).
fn disposition(name: &str) -> String {
    let plain = |character: char| (character.is_ascii_graphic() || character == ' ') && !matches!(character, '"' | '\\');
    let ascii: String = name.chars().map(|character| if plain(character) { character } else { '_' }).collect();
    if ascii == name {
        return format!("attachment; filename=\"{ascii}\"");
    }
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use axum::body::to_bytes;
    use icecore_io::MemFs;

    use super::*;
    use crate::stores::StoreError;
    use crate::testing;

    #[test]
    fn file_names_are_quoted_safely() {
        assert_eq!(disposition("a b-1.snapshot"), "attachment; filename=\"a b-1.snapshot\"");
        assert_eq!(disposition("ü\".x"), "attachment; filename=\"__.x\"; filename*=UTF-8''%C3%BC%22.x");
    }

    #[tokio::test]
    async fn what_is_made_on_the_way_has_a_length_and_no_parts() {
        let app = testing::app(&MemFs::new());
        let response = streamed(&app, 5, "a.snapshot", |out| {
            out.write_all(b"whole").map_err(|source| StoreError::Io { operation: "write", path: "a".into(), source }.into())
        });
        let headers = response.headers();
        assert_eq!(
            (&headers[header::CONTENT_LENGTH], &headers[header::ACCEPT_RANGES]),
            (&"5".parse().unwrap(), &"none".parse().unwrap())
        );
        assert_eq!(headers[header::CONTENT_DISPOSITION], "attachment; filename=\"a.snapshot\"");
        assert!(!headers.contains_key(header::ETAG));
        assert_eq!(to_bytes(response.into_body(), 100).await.unwrap(), "whole");
    }

    #[test]
    fn conditions_come_before_ranges() {
        let found = Validators::new("abc".to_owned(), UNIX_EPOCH, UNIX_EPOCH);
        type Lines = &'static [(&'static str, &'static str)];
        let get = Method::GET;
        let cases: &[(Method, Lines, Answer)] = &[
            (get.clone(), &[], Answer::Whole),
            (get.clone(), &[("range", "bytes=2-3")], Answer::Part(2..4)),
            (get.clone(), &[("range", "bytes=2-3"), ("if-range", "\"abc\"")], Answer::Part(2..4)),
            (get.clone(), &[("range", "bytes=2-3"), ("if-range", "\"old\"")], Answer::Whole),
            (get.clone(), &[("range", "bytes=10-"), ("if-range", "\"old\"")], Answer::Whole),
            (get.clone(), &[("range", "bytes=10-")], Answer::Unsatisfiable),
            (get.clone(), &[("range", "bytes=2-3"), ("range", "bytes=2-3")], Answer::Whole),
            (get.clone(), &[("range", "bytes=2-3"), ("if-none-match", "\"abc\"")], Answer::NotModified),
            (get.clone(), &[("range", "bytes=10-"), ("if-match", "\"x\"")], Answer::ConditionFailed),
            (get, &[("if-range", "\"abc\"")], Answer::Whole),
            (Method::HEAD, &[("range", "bytes=2-3")], Answer::Whole),
            (Method::HEAD, &[("range", "bytes=10-")], Answer::Whole),
            (Method::HEAD, &[("if-none-match", "\"abc\"")], Answer::NotModified),
        ];
        for (method, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in *lines {
                headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
            }
            let asked = Asked { method: method.clone(), headers };
            assert_eq!(&decide(&asked, &found, 10), expected, "{method} {lines:?}");
        }
    }
}
