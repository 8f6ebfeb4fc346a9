//! The document as a whole: what it is of, the keys, and the failures that all operations share.

use std::collections::BTreeMap;

use utoipa::openapi::path::{PathItem, Paths};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, RefOr, Schema, SecurityRequirement, Server,
};

use super::answers;
use super::operation::Tag;
use crate::http::auth::Access;

/// The scheme of the header `api-key`.
const API_KEY: &str = "api-key";

/// The scheme of `Authorization: Bearer`.
const BEARER: &str = "bearer";

const DESCRIPTION: &str = "Storage for points with consistent snapshots, behind the REST API of Qdrant.\n\n\
    What is answered by `GET` is answered to `HEAD` too, without its body. Slashes at the end of a path and repeated ones do not matter. \
    Parameters of the query and fields of bodies that are not described are ignored. What no route matches is answered by 404 with an \
    empty body. Keys are needed only if any are configured: then an operation of the role `read` needs any key, one of the role `full` \
    a key that allows everything.";

/// Puts everything together.
pub(super) fn of(paths: BTreeMap<String, PathItem>, schemas: BTreeMap<String, RefOr<Schema>>, tags: &[Tag]) -> OpenApi {
    let info = InfoBuilder::new()
        .title("icecore")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(License::new(env!("CARGO_PKG_LICENSE"))))
        .build();
    let mut described = Paths::new();
    described.paths = paths;
    let tags = tags.iter().map(|tag| utoipa::openapi::Tag::builder().name(tag.name).description(Some(tag.description)).build());
    OpenApiBuilder::new()
        .info(info)
        // Wherever the document was fetched from.
        .servers(Some([Server::new("/")]))
        .paths(described)
        .components(Some(components(schemas)))
        .tags(Some(tags))
        .build()
}

fn components(schemas: BTreeMap<String, RefOr<Schema>>) -> Components {
    let failures = answers::FAILURES.iter().fold(ComponentsBuilder::new(), |components, (status, description)| {
        components.response(answers::failure_name(*status), answers::failed(*status, description))
    });
    let key = ApiKeyValue::with_description(API_KEY, "One of the configured keys.");
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("The same keys in another header.")).build();
    failures
        .schemas_from_iter(schemas)
        .security_scheme(API_KEY, SecurityScheme::ApiKey(ApiKey::Header(key)))
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build()
}

/// What a request has to carry: a key with a role in either header, or, where nothing is needed, nothing.
pub(super) fn keys(access: Access) -> Vec<SecurityRequirement> {
    let role = match access {
        Access::Nothing => return Vec::new(),
        Access::Read => "read",
        Access::Full => "full",
    };
    [API_KEY, BEARER].map(|name| SecurityRequirement::new(name, [role])).to_vec()
}
