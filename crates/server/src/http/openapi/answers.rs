//! What answers look like: results in the envelope, failures, bytes.

use serde_json::json;
use utoipa::openapi::schema::{Ref, SchemaFormat, Type};
use utoipa::openapi::{Content, KnownFormat, ObjectBuilder, RefOr, Response, ResponseBuilder, Schema};

use super::schema::{object, one_word, seconds, text};

/// The type of an archive.
pub(super) const OCTETS: &str = "application/octet-stream";

/// Every status of a failure that any operation has, and what it says in general.
pub(super) const FAILURES: [(u16, &str); 15] = [
    (400, "The request cannot be read, or asks for something that is wrong."),
    (401, "Keys are configured, and the request has none or a wrong one."),
    (403, "The key of the request does not allow it, or the server's settings do not."),
    (404, "What is asked for does not exist."),
    (408, "The body was not sent in time."),
    (409, "It exists already."),
    (412, "A condition in the request's headers does not hold."),
    (413, "The body is longer than the server takes."),
    (415, "The body is of another type than the operation takes."),
    (416, "The range is outside of the content."),
    (422, "The request was read, and a value in it breaks a rule."),
    (426, "The connection is not one that could change its protocol."),
    (500, "An unexpected failure; the server's log says more."),
    (501, "Not supported by this version."),
    (503, "Not possible at the moment, or the server ends."),
];

/// A result with its status and time.
pub(super) fn result(result: RefOr<Schema>) -> Response {
    let envelope = object()
        .property("result", result)
        .required("result")
        .property("status", one_word("ok"))
        .required("status")
        .property("time", seconds())
        .required("time");
    with("Done.", "application/json", Content::new(Some(envelope)))
}

/// Word that the work goes on.
pub(super) fn accepted() -> Response {
    let envelope =
        object().property("status", one_word("accepted")).required("status").property("time", seconds()).required("time");
    with("Accepted, and done after the answer: `wait=false`.", "application/json", Content::new(Some(envelope)))
}

/// An answer with content.
pub(super) fn with(description: &str, media: &str, content: Content) -> Response {
    ResponseBuilder::new().description(description).content(media, content).build()
}

/// An answer with the bytes of an archive.
pub(in crate::http) fn archive(description: &str) -> Response {
    with(description, OCTETS, Content::new(Some(octets())))
}

/// An answer without content.
pub(in crate::http) fn empty(description: &str) -> Response {
    Response::new(description)
}

/// Any bytes.
pub(super) fn octets() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
}

/// A failure, by the name of its response in the document.
pub(super) fn failure(status: u16) -> Ref {
    assert!(FAILURES.iter().any(|(known, _)| *known == status), "no words are known for the status {status}");
    Ref::from_response_name(failure_name(status))
}

/// What the response of a failure is called.
pub(super) fn failure_name(status: u16) -> String {
    format!("Failure{status}")
}

/// The response of a failure.
pub(super) fn failed(status: u16, description: &str) -> Response {
    let why = object().property("error", text()).required("error");
    let envelope = object().property("status", why).required("status").property("time", seconds()).required("time");
    let example = json!({"status": {"error": description}, "time": 0.001});
    let content = Content::builder().schema(Some(envelope)).example(Some(example)).build();
    with(&format!("{status}: {description}"), "application/json", content)
}
