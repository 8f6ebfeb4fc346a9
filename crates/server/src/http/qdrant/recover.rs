//! Restores a collection or a shard from where an archive is: `PUT …/snapshots/recover`.
//!
//! What can be known to be wrong without looking at the archive is answered at once, also to clients that do not wait.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::response::Response;
use icecore_archive::Sha256Digest;
use icecore_storage::{Error, names};
use serde::{Deserialize, Deserializer};
use url::Url;
use utoipa::openapi::schema::{SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::described::{COLLECTION, SNAPSHOTS, in_shard};
use crate::app::App;
use crate::config::Secret;
use crate::http::envelope::{self, ApiError, ApiResult, blocking};
use crate::http::extract::{Body, InCollection, InShard, Query, Wait};
use crate::http::openapi::schema::{self, Schemas, named, object, or_null, text};
use crate::http::openapi::{Door, Operation};
use crate::jobs::kinds::snapshot_recover;
use crate::usecases::location;
use crate::usecases::recover::{self, Recovery};
use crate::usecases::restore::Goal;

/// How the data of an archive and that of other nodes go together (source: Qdrant). There are no other nodes: whatever it says, the
/// archive's data is taken.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SnapshotPriority)]
pub(super) enum Priority {
    /// The archive's, without asking others.
    NoSync,
    /// The archive's.
    Snapshot,
    /// That of others, if there are any.
    Replica,
}

/// What is recovered, from a `L`.
#[derive(Debug, Deserialize)]
pub(super) struct SnapshotRecover<L> {
    location: L,
    #[serde(rename = "priority")]
    _priority: Option<Priority>,
    checksum: Option<String>,
    api_key: Option<Secret>,
}

impl<L: Place> PartialSchema for SnapshotRecover<L> {
    fn schema() -> RefOr<Schema> {
        object()
            .property("location", L::described())
            .required("location")
            .property("priority", or_null(named::<Priority>()))
            .property("checksum", or_null(digest_schema().description(Some("The SHA-256 that the archive has to have."))))
            .property("api_key", or_null(text()))
            .into()
    }
}

impl<L: Place> ToSchema for SnapshotRecover<L> {
    fn name() -> Cow<'static, str> {
        L::NAME.into()
    }

    fn schemas(schemas: &mut Schemas) {
        schema::add::<Priority>(schemas);
    }
}

/// How a request says where an archive is.
trait Place {
    /// What such a request is called.
    const NAME: &str;

    fn described() -> ObjectBuilder;
}

impl Place for AbsoluteUrl {
    const NAME: &str = "SnapshotRecover";

    fn described() -> ObjectBuilder {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uri".to_owned())))
            .description(Some("A URL of `http` or `https`, or of `file` for a file in the directory of snapshots."))
    }
}

impl Place for String {
    const NAME: &str = "ShardSnapshotRecover";

    fn described() -> ObjectBuilder {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A URL of `http` or `https`, or the name of an archive of the shard."))
    }
}

/// 64 hexadecimal digits.
fn digest_schema() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-fA-F]{64}$"))
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let whole =
        Operation::new(SNAPSHOTS, "recover_from_snapshot", "Restore a collection from where an archive is").path(&[COLLECTION]);
    let part = in_shard(SNAPSHOTS, "recover_shard_from_snapshot", "Restore a shard from where an archive is");
    Door::new()
        .put("/collections/{collection}/snapshots/recover", collection, recovering(whole.json::<SnapshotRecover<AbsoluteUrl>>()))
        .put(
            "/collections/{collection}/shards/{shard}/snapshots/recover",
            shard,
            recovering(part.json::<SnapshotRecover<String>>()),
        )
}

fn recovering(operation: Operation) -> Operation {
    operation
        .notes("All or nothing: until the archive is found to be complete and right, nothing is changed.")
        .query::<Wait>()
        .done()
        .accepted()
        .errors(&[403, 404, 409])
}

/// An absolute URL.
#[derive(Debug)]
pub(super) struct AbsoluteUrl(Url);

impl<'de> Deserialize<'de> for AbsoluteUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Url::parse(&text).map(Self).map_err(|error| serde::de::Error::custom(format!("{error}: {text:?}")))
    }
}

/// `PUT /collections/{collection}/snapshots/recover`
pub(super) async fn collection(State(app): State<Arc<App>>, path: InCollection, query: Query<Wait>, body: Body) -> Response {
    run(app, query.0, move |app| {
        let SnapshotRecover { location: AbsoluteUrl(url), checksum, api_key, .. } = body.parse()?;
        let checksum = checksum.map(|text| digest("JSON body", &text)).transpose()?;
        let goal = collection_goal(app, path.collection)?;
        let location = location::of_collection(&url, recover::reach(app)).map_err(ApiError::from)?;
        Ok(Recovery { goal, location, checksum, api_key })
    })
    .await
}

/// `PUT /collections/{collection}/shards/{shard}/snapshots/recover`
pub(super) async fn shard(State(app): State<Arc<App>>, path: InShard, query: Query<Wait>, body: Body) -> Response {
    run(app, query.0, move |app| {
        let SnapshotRecover::<String> { location, checksum, api_key, .. } = body.parse()?;
        let checksum = checksum.map(|text| digest("JSON body", &text)).transpose()?;
        let goal = shard_goal(app, path)?;
        let location = location::of_shard(&location, recover::reach(app)).map_err(ApiError::from)?;
        Ok(Recovery { goal, location, checksum, api_key })
    })
    .await
}

async fn run(app: Arc<App>, wait: Wait, recovery: impl FnOnce(&App) -> ApiResult<Recovery> + Send + 'static) -> Response {
    let started = Instant::now();
    let waiting = wait.waiting();
    let submitted = blocking(move || {
        let recovery = recovery(&app)?;
        recover::check(&app, &recovery)?;
        Ok(snapshot_recover::submit(&app, recovery, waiting)?)
    })
    .await;
    envelope::outcome(submitted, waiting, started, |_| Ok(true)).await
}

/// The collection by its own name if `name` is an alias; else one that may be created.
pub(super) fn collection_goal(app: &App, name: String) -> ApiResult<Goal> {
    match app.storage.resolve(&name) {
        Ok(own) => Ok(Goal::Collection(own)),
        Err(_) => match names::validate(&name) {
            Ok(()) => Ok(Goal::Collection(name)),
            Err(Error::InvalidName { reason, .. }) => {
                Err(ApiError::invalid("path parameters", "name", format!("value invalid, {reason}")))
            }
            Err(error) => Err(error.into()),
        },
    }
}

/// A shard of a collection that exists.
pub(super) fn shard_goal(app: &App, path: InShard) -> ApiResult<Goal> {
    let InShard { collection, shard, .. } = path;
    let scope = icecore_storage::Scope::Shard { collection: collection.clone(), shard };
    crate::usecases::fetch::place(app, &scope)?;
    Ok(Goal::Shard { collection: app.storage.resolve(&collection)?, shard })
}

/// A digest in hexadecimal digits of any case, found in `part` of a request.
pub(super) fn digest(part: &str, text: &str) -> ApiResult<Sha256Digest> {
    text.to_ascii_lowercase()
        .parse()
        .map_err(|_| ApiError::invalid(part, "checksum", "invalid SHA-256 digest, must be 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a, L: Deserialize<'a>>(text: &'a str) -> Result<SnapshotRecover<L>, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_location_is_needed_and_the_rest_is_not() {
        let all = r#"{"location": "http://h/x", "priority": "no_sync", "checksum": null, "api_key": "hush", "wait": "true"}"#;
        let parsed = parse::<AbsoluteUrl>(all).unwrap();
        assert_eq!(parsed.location.0.as_str(), "http://h/x");
        assert!(!format!("{parsed:?}").contains("hush"));
        assert!(parse::<AbsoluteUrl>(r#"{"location": "file:///x", "priority": null}"#).is_ok());
        assert!(parse::<AbsoluteUrl>("{}").unwrap_err().contains("location"));
        assert!(parse::<AbsoluteUrl>(r#"{"location": "x.snapshot"}"#).unwrap_err().contains("relative URL without a base"));
        assert!(parse::<String>(r#"{"location": "x.snapshot"}"#).is_ok());
        assert!(parse::<String>(r#"{"location": "x", "priority": "Snapshot"}"#).unwrap_err().contains("unknown variant"));
    }

    #[test]
    fn digests_are_64_hexadecimal_digits() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(digest("q", &digits.to_uppercase()).unwrap().to_string(), digits);
        for wrong in ["", "abc", &digits[1..], &format!("{digits}0"), &format!(" {}", &digits[1..]), &digits.replace('0', "g")] {
            assert_eq!(digest("q", wrong).unwrap_err().status.as_u16(), 422, "{wrong:?}");
        }
    }
}
