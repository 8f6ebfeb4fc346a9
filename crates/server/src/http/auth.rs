//! Who may do what: API keys, and which requests need which.
//!
//! A request is decided on by its method and the route that it matched, before a handler sees it and so before anything of its
//! body is read. What reads is listed here; everything else needs a key that may do everything, what matches no route included.
//! So a route that is new and not listed is closed to read-only keys, never open. Where no key is configured, everybody may do
//! everything.
//!
//! A key is compared as its digest and in constant time, so that neither its beginning nor its length can be found out by asking.
//! There are no tokens (JWT) and no rights to single collections. Statuses and sentences are Qdrant's.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use icecore_archive::Sha256Digest;
use subtle::{Choice, ConstantTimeEq};

use super::envelope::{ApiError, ApiResult};
use crate::config::{Secret, Service};

/// The header that carries a key, beside `Authorization: Bearer`.
const KEY_HEADER: &str = "api-key";

/// Answered without a key: whether the server is up, what it is, and the description of its operations, which is the same on every
/// server. Everything of the tables below is compared segment by segment; `{}` is any parameter.
pub(super) const OPEN: [&str; 7] = ["/", "/api/v1/healthz", "/docs", "/healthz", "/livez", "/openapi.json", "/readyz"];

/// Requests by `GET` that do more than read: this one makes a snapshot.
pub(super) const WRITING_GETS: [&str; 1] = ["/collections/{}/shards/{}/snapshot"];

/// Requests by `POST` that read.
pub(super) const READING_POSTS: [&str; 18] = [
    "/collections/{}/facet",
    "/collections/{}/points",
    "/collections/{}/points/count",
    "/collections/{}/points/discover",
    "/collections/{}/points/discover/batch",
    "/collections/{}/points/discover/groups",
    "/collections/{}/points/query",
    "/collections/{}/points/query/batch",
    "/collections/{}/points/query/groups",
    "/collections/{}/points/recommend",
    "/collections/{}/points/recommend/batch",
    "/collections/{}/points/recommend/groups",
    "/collections/{}/points/scroll",
    "/collections/{}/points/search",
    "/collections/{}/points/search/batch",
    "/collections/{}/points/search/groups",
    "/collections/{}/points/search/matrix/offsets",
    "/collections/{}/points/search/matrix/pairs",
];

/// What a request needs, or what a key allows. The later includes the former.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Anybody may do it.
    Nothing,
    /// Any key.
    Read,
    /// A key that may do everything.
    Full,
}

/// The keys of the server, as digests. Not to be printed: who knows the digest of a short key can find the key.
pub(super) struct Keys {
    full: Vec<Sha256Digest>,
    read_only: Option<Sha256Digest>,
}

impl Keys {
    /// The configured keys; `None` if there is none.
    pub(super) fn new(service: &Service) -> Option<Self> {
        let digest = |key: &Secret| Sha256Digest::of(key.expose().as_bytes());
        let keys =
            Self { full: service.full_keys().map(digest).collect(), read_only: service.read_only_api_key.as_ref().map(digest) };
        (!keys.full.is_empty() || keys.read_only.is_some()).then_some(keys)
    }

    /// What the key of a request allows.
    fn allowed(&self, headers: &HeaderMap) -> ApiResult<Access> {
        let Some(given) = given(headers) else {
            return Err(ApiError::unauthorized("Must provide an API key or an Authorization bearer token"));
        };
        let given = Sha256Digest::of(given);
        // All are compared, whichever fits.
        let is_one_of = |keys: &[Sha256Digest]| keys.iter().fold(Choice::from(0), |found, key| found | key.0.ct_eq(&given.0));
        let (full, read_only) = (is_one_of(&self.full), is_one_of(self.read_only.as_slice()));
        if full.into() {
            Ok(Access::Full)
        } else if read_only.into() {
            Ok(Access::Read)
        } else {
            Err(ApiError::unauthorized("Invalid API key or JWT"))
        }
    }

    fn check(&self, request: &Request) -> ApiResult<()> {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let needed = needed(request.method(), route);
        if needed == Access::Nothing || self.allowed(request.headers())? >= needed {
            return Ok(());
        }
        Err(ApiError::forbidden("Global manage access is required"))
    }
}

/// Answers requests that their key does not allow, and hands on the others. Has to be a layer of the routes, so that it knows
/// which of them was matched.
pub(super) async fn authorised(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    match keys.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let unauthorised = error.status == StatusCode::UNAUTHORIZED;
            let mut response = error.into_response();
            if unauthorised {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

/// The key that a request carries; `api-key` comes before `Authorization` (source: Qdrant).
fn given(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, key) = value.split_at_checked("bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
    };
    headers.get(KEY_HEADER).map(HeaderValue::as_bytes).or_else(bearer)
}

/// What a request needs, by its method and the route that it matched, if any.
pub(super) fn needed(method: &Method, route: Option<&str>) -> Access {
    let is_one_of = |routes: &[&str]| route.is_some_and(|route| routes.iter().any(|listed| is_same(listed, route)));
    match *method {
        Method::GET | Method::HEAD if is_one_of(&OPEN) => Access::Nothing,
        Method::GET | Method::HEAD if route.is_some() && !is_one_of(&WRITING_GETS) => Access::Read,
        Method::POST if is_one_of(&READING_POSTS) => Access::Read,
        _ => Access::Full,
    }
}

/// Whether a route of the router is a route of a table; names of parameters do not matter.
fn is_same(listed: &str, route: &str) -> bool {
    let mut of_route = route.split('/');
    let same = listed.split('/').all(|segment| {
        of_route
            .next()
            .is_some_and(|other| segment == other || (segment == "{}" && other.starts_with('{') && other.ends_with('}')))
    });
    same && of_route.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        let service = Service {
            api_key: Some(Secret::new("first")),
            alt_api_key: Some(Secret::new("second")),
            read_only_api_key: Some(Secret::new("reader")),
            ..Service::default()
        };
        Keys::new(&service).unwrap()
    }

    fn allowed(headers: &[(&str, &str)]) -> Result<Access, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap());
        }
        keys().allowed(&map).map_err(|error| error.message)
    }

    #[test]
    fn both_headers_carry_keys() {
        for (key, access) in [("first", Access::Full), ("second", Access::Full), ("reader", Access::Read)] {
            assert_eq!(allowed(&[("api-key", key)]), Ok(access));
            for scheme in ["Bearer", "bearer", "BEARER"] {
                assert_eq!(allowed(&[("authorization", &format!("{scheme} {key}"))]), Ok(access));
            }
        }
    }

    #[test]
    fn anything_but_a_key_is_refused() {
        let missing = Err("Must provide an API key or an Authorization bearer token".to_owned());
        for headers in
            [&[][..], &[("authorization", "Basic first")], &[("authorization", "first")], &[("authorization", "Bearer")]]
        {
            assert_eq!(allowed(headers), missing, "{headers:?}");
        }
        let wrong = Err("Invalid API key or JWT".to_owned());
        for key in ["", "firs", "firstt", "FIRST", "first,second", "***"] {
            assert_eq!(allowed(&[("api-key", key)]), wrong, "{key}");
            assert_eq!(allowed(&[("authorization", &format!("Bearer x{key}"))]), wrong, "{key}");
            // The key beside it does not help.
            assert_eq!(allowed(&[("api-key", key), ("authorization", "Bearer first")]), wrong, "{key}");
        }
    }

    #[test]
    fn without_keys_there_is_nothing_to_check() {
        assert!(Keys::new(&Service::default()).is_none());
        let only = Service { read_only_api_key: Some(Secret::new("reader")), ..Service::default() };
        assert!(Keys::new(&only).is_some());
    }

    #[test]
    fn what_is_not_listed_needs_full_access() {
        let cases = [
            (Method::GET, Some("/healthz"), Access::Nothing),
            (Method::HEAD, Some("/"), Access::Nothing),
            (Method::POST, Some("/"), Access::Full),
            (Method::GET, Some("/metrics"), Access::Read),
            (Method::GET, Some("/collections/{anything}/snapshots/{name}"), Access::Read),
            (Method::GET, Some("/collections/{a}/shards/{b}/snapshot"), Access::Full),
            (Method::HEAD, Some("/collections/{a}/shards/{b}/snapshot"), Access::Full),
            (Method::GET, Some("/collections/{a}/shards/{b}/snapshots"), Access::Read),
            (Method::GET, None, Access::Full),
            (Method::POST, None, Access::Full),
            (Method::POST, Some("/collections/{name}/points/scroll"), Access::Read),
            (Method::POST, Some("/collections/scroll/points"), Access::Full),
            (Method::POST, Some("/collections/{name}/points/{id}"), Access::Full),
            (Method::POST, Some("/collections/{name}/points/scroll/new"), Access::Full),
            (Method::POST, Some("/collections/{name}"), Access::Full),
            (Method::PUT, Some("/collections/{name}/points"), Access::Full),
            (Method::DELETE, Some("/collections/{name}/points/scroll"), Access::Full),
            (Method::OPTIONS, Some("/collections"), Access::Full),
            (Method::GET, Some("/api/v1/jobs/{id}"), Access::Read),
            (Method::GET, Some("/api/v1/ws"), Access::Read),
            (Method::GET, Some("/api/v1/events"), Access::Read),
            (Method::POST, Some("/api/v1/jobs"), Access::Full),
            (Method::POST, Some("/api/v1/jobs/{id}/cancel"), Access::Full),
        ];
        for (method, route, access) in cases {
            assert_eq!(needed(&method, route), access, "{method} {route:?}");
        }
    }
}
