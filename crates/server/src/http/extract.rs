//! Extractors whose refusals are JSON in the common envelope.
//!
//! They read; whether a name or an id makes sense to the storage is not decided here, except that a collection's name may not
//! hold what a path separator decodes to.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use icecore_archive::LEVELS;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::envelope::{ApiError, ApiResult};
use super::limits;
use crate::app::App;
use crate::config::{Form, SnapshotSettings};
use crate::jobs::kinds::{Waiting, snapshot_create};

/// The longest name of a collection, in characters (source: Qdrant's validator).
const COLLECTION_NAME_LEN_MAX: usize = 255;

/// The parameters in the path of a route below `/collections/{name}`: the collection's name, then the others.
#[derive(Debug)]
pub(super) struct InCollection<T = ()> {
    /// The name as it was given: a collection's or an alias.
    pub(super) collection: String,
    /// What follows it.
    pub(super) rest: T,
}

impl<S: Send + Sync> FromRequestParts<S> for InCollection<()> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let collection: String = path(parts, state).await?;
        checked(collection, ())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InCollection<String> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (collection, rest): (String, String) = path(parts, state).await?;
        checked(collection, rest)
    }
}

/// The parameters in the path of a route below `/collections/{name}/shards/{shard}`.
#[derive(Debug)]
pub(super) struct InShard<T = ()> {
    /// The collection's name as it was given: its own or an alias.
    pub(super) collection: String,
    /// The shard's number.
    pub(super) shard: u32,
    /// What follows it.
    pub(super) rest: T,
}

impl<S: Send + Sync> FromRequestParts<S> for InShard<()> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (collection, shard): (String, u32) = path(parts, state).await?;
        let InCollection { collection, rest } = checked(collection, ())?;
        Ok(Self { collection, shard, rest })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for InShard<String> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let (collection, shard, rest): (String, u32, String) = path(parts, state).await?;
        let InCollection { collection, rest } = checked(collection, rest)?;
        Ok(Self { collection, shard, rest })
    }
}

/// The single parameter in the path of a route that is not about a collection.
#[derive(Debug)]
pub(super) struct Segment(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        path(parts, state).await.map(Self)
    }
}

async fn path<T: DeserializeOwned + Send, S: Send + Sync>(parts: &mut Parts, state: &S) -> ApiResult<T> {
    let found: Result<axum::extract::Path<T>, PathRejection> = axum::extract::Path::from_request_parts(parts, state).await;
    found.map(|path| path.0).map_err(|rejection| ApiError::deserialize("path parameters", rejection.body_text()))
}

fn checked<T>(collection: String, rest: T) -> ApiResult<InCollection<T>> {
    let refuse = |rule: &str| Err(ApiError::invalid("path parameters", "name", rule));
    if collection.is_empty() || collection.chars().count() > COLLECTION_NAME_LEN_MAX {
        return refuse("must be from 1 to 255 characters long");
    }
    if collection.contains(['/', '\0']) {
        return refuse("value invalid, must not contain `/` or NUL");
    }
    Ok(InCollection { collection, rest })
}

/// The query of a request; parameters that it does not name are ignored.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found: Result<axum::extract::Query<T>, QueryRejection> = axum::extract::Query::from_request_parts(parts, state).await;
        found.map(|query| Self(query.0)).map_err(|rejection| ApiError::deserialize("query parameters", rejection.body_text()))
    }
}

/// Whether the client waits for the end of the operation; each route has its own default.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub(super) struct Wait {
    /// Whether to answer only when it is done.
    #[param(value_type = bool, required = false)]
    pub(super) wait: Option<bool>,
}

/// How an archive is to be made.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub(super) struct Making {
    /// Whether to answer only when it is done; `true` if it is not given.
    #[param(value_type = bool, required = false)]
    wait: Option<bool>,
    /// Whether the archive is compressed; as the settings say if it is not given.
    #[param(inline, value_type = Form, required = false)]
    compression: Option<Form>,
    /// The level of zstd, from 1 to 22; only with `compression=zstd`.
    #[param(value_type = i32, required = false, minimum = 1, maximum = 22)]
    level: Option<i32>,
    full: Option<bool>,
}

impl Making {
    /// Whether the client waits.
    pub(super) fn waiting(self) -> Waiting {
        Wait { wait: self.wait }.waiting()
    }

    /// The rest; by default as `settings` say.
    pub(super) fn options(self, settings: &SnapshotSettings) -> ApiResult<snapshot_create::Options> {
        Ok(snapshot_create::Options { zstd_level: self.zstd_level(settings)?, full: self.full.unwrap_or(false) })
    }

    /// The level of zstd, if the archive is to be compressed.
    fn zstd_level(self, settings: &SnapshotSettings) -> ApiResult<Option<i32>> {
        let wrong = |rule| Err(ApiError::invalid("query parameters", "level", rule));
        match (self.compression.unwrap_or(settings.compression), self.level) {
            (Form::None, None) => Ok(None),
            (Form::None, Some(_)) => wrong("only an archive with `compression=zstd` has a level"),
            (Form::Zstd, None) => Ok(Some(settings.compression_level.0)),
            (Form::Zstd, Some(level)) if LEVELS.contains(&level) => Ok(Some(level)),
            (Form::Zstd, Some(_)) => wrong("must be from 1 to 22"),
        }
    }
}

impl Wait {
    /// Clients wait for snapshots unless they say otherwise (source: Qdrant).
    pub(super) fn waiting(self) -> Waiting {
        if self.wait.unwrap_or(true) { Waiting::Caller } else { Waiting::Nobody }
    }
}

/// A body of JSON, read whole but not yet parsed: parsing belongs on a blocking thread.
#[derive(Debug)]
pub(super) struct Body(Vec<u8>);

impl Body {
    /// Parses the body, and frees it: what was parsed may be large too.
    pub(super) fn parse<T: DeserializeOwned>(self) -> ApiResult<T> {
        serde_json::from_slice(&self.0).map_err(ApiError::format)
    }
}

impl FromRequest<Arc<App>> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        limits::read_body(request, app.config.service.request_bytes_max()).await.map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_decoded_slash_are_refused() {
        for name in ["a/b", "/", "a\0b", "", &"n".repeat(256)] {
            let error = checked(name.to_owned(), ()).unwrap_err();
            assert_eq!(error.status.as_u16(), 422, "{name:?}");
            assert!(error.message.starts_with("Validation error in path parameters: [name: "), "{}", error.message);
        }
        assert!(checked("Größe".to_owned(), ()).is_ok());
    }

    #[test]
    fn a_body_that_is_not_json_says_where() {
        let error = Body(b"{\"a\": }".to_vec()).parse::<serde_json::Value>().unwrap_err();
        assert_eq!(error.status.as_u16(), 400);
        assert_eq!(error.message, "Format error in JSON body: expected value at line 1 column 7");
    }
}
