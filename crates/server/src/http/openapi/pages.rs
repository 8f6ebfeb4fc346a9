//! `GET /openapi.json` and `GET /docs`: the description, and a page to browse it.
//!
//! Both are the same for everybody and say nothing of the data. The page is one file without any of other servers, and may load nothing
//! but the description.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::Type;
use utoipa::{PartialSchema, ToSchema};

use super::door::Door;
use super::operation::{Operation, Tag};
use super::schema::{object, text};
use crate::app::App;
use crate::http::envelope::ApiError;

const TAG: Tag = Tag { name: "Description", description: "This description." };

const PAGE: &str = include_str!("docs.html");

/// What the page may do: run its own script and style, and ask this server.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The description as a schema of itself, as far as its readers rely on it.
struct Document;

impl PartialSchema for Document {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let any_object = || ObjectBuilder::new().schema_type(Type::Object);
        object()
            .description(Some("A document of OpenAPI 3.1."))
            .property("openapi", text())
            .required("openapi")
            .property("info", any_object())
            .required("info")
            .property("paths", any_object())
            .required("paths")
            .property("components", any_object())
            .required("components")
            .into()
    }
}

impl ToSchema for Document {}

/// The routes, those of the description and of its page included.
pub(in crate::http) fn served(door: Door) -> Router<Arc<App>> {
    // The description is complete only when the routes are, which includes the one that serves it.
    let text = Arc::new(OnceLock::new());
    let served = Arc::clone(&text);
    let json = Operation::new(TAG, "openapi", "The description of all operations").plain::<Document>();
    let page = Operation::new(TAG, "docs", "A page to browse the description").media("text/html", "The page.");
    let (router, document) =
        door.get("/openapi.json", move || async move { described(served.get()) }, json).get("/docs", docs, page).open();
    match document.to_json() {
        Ok(json) => drop(text.set(Bytes::from(json))),
        Err(error) => tracing::error!("the description of the operations cannot be written: {error}"),
    }
    router
}

fn described(text: Option<&Bytes>) -> Response {
    match text {
        Some(text) => ([(header::CONTENT_TYPE, "application/json")], text.clone()).into_response(),
        None => ApiError::internal().into_response(),
    }
}

async fn docs() -> Response {
    let headers: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::OK, headers, PAGE).into_response()
}
