//! The configurations of stores: list, create, change, delete, try.
//!
//! A secret goes in and never comes out: of an access key there is a mask, of a secret key nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{STORE, STORES, door, outside_clusters};
use crate::app::App;
use crate::config::Secret;
use crate::http::envelope::{ApiError, ApiResult, answer};
use crate::http::extract::{Body, Segment};
use crate::http::openapi::{Door, Operation};
use crate::stores::StoresError;
use crate::stores::registry::{Change, Draft, Kind, MASK, Record, S3Fields, Settings, Tested, time_of};

/// A configuration as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
struct StorageConfig {
    #[schema(format = "uuid")]
    id: String,
    /// What people call it.
    name: String,
    r#type: Kind,
    /// Of a local one.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// A mask, if there is one.
    s3_access_key: Option<&'static str>,
    /// Whether archives go there that are not to go anywhere else.
    is_default: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

impl From<Record> for StorageConfig {
    fn from(record: Record) -> Self {
        let (created_at, updated_at) = (rfc3339(record.created_ms), rfc3339(record.updated_ms));
        let mut shown = Self {
            id: record.id.to_string(),
            name: record.name,
            r#type: Kind::Local,
            path: None,
            s3_endpoint: None,
            s3_bucket: None,
            s3_region: None,
            s3_access_key: None,
            is_default: record.is_default,
            created_at,
            updated_at,
        };
        match record.settings {
            Settings::Local { path } => shown.path = Some(path.display().to_string()),
            Settings::S3 { endpoint, bucket, region, keys } => {
                shown.r#type = Kind::S3;
                (shown.s3_endpoint, shown.s3_bucket, shown.s3_region) = (endpoint, Some(bucket), region);
                shown.s3_access_key = keys.map(|_| MASK);
            }
        }
        shown
    }
}

fn rfc3339(ms: i64) -> String {
    Timestamp::try_from(time_of(ms)).unwrap_or_default().to_string()
}

/// The fields that all requests have, of which S3 has its own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = S3StorageFields)]
struct S3Request {
    s3_endpoint: Option<String>,
    s3_bucket: Option<String>,
    s3_region: Option<String>,
    #[schema(value_type = Option<String>, format = Password)]
    s3_access_key: Option<Secret>,
    #[schema(value_type = Option<String>, format = Password)]
    s3_secret_key: Option<Secret>,
}

impl From<S3Request> for S3Fields {
    fn from(request: S3Request) -> Self {
        let S3Request { s3_endpoint, s3_bucket, s3_region, s3_access_key, s3_secret_key } = request;
        Self { endpoint: s3_endpoint, bucket: s3_bucket, region: s3_region, access_key: s3_access_key, secret_key: s3_secret_key }
    }
}

/// A configuration to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StorageConfigCreate)]
struct CreateRequest {
    #[schema(min_length = 1)]
    name: String,
    r#type: Kind,
    /// An absolute path, for a local one.
    path: Option<String>,
    #[serde(flatten)]
    s3: S3Request,
    is_default: Option<bool>,
}

/// A configuration to be tried, and not kept.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StorageTest)]
struct TestRequest {
    name: Option<String>,
    r#type: Kind,
    path: Option<String>,
    #[serde(flatten)]
    s3: S3Request,
}

/// What is to change of a configuration; the rest stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StorageConfigUpdate)]
struct UpdateRequest {
    name: Option<String>,
    r#type: Option<Kind>,
    path: Option<String>,
    #[serde(flatten)]
    s3: S3Request,
    is_default: Option<bool>,
}

/// Whether archives could be kept there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageTestResult)]
struct TestResult {
    success: bool,
    /// Why not, or that it could.
    message: String,
}

impl From<Tested> for TestResult {
    fn from(Tested { success, message }: Tested) -> Self {
        Self { success, message }
    }
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    const ALL: &str = "/storage/config";
    const ONE: &str = "/storage/config/{id}";
    let operation = |id, summary| outside_clusters(STORES, id, summary);
    let of_one = |id, summary| operation(id, summary).path(&[STORE]).errors(&[404]);
    let trying = |operation: Operation| operation.notes("200 whatever comes of it.").result::<TestResult>();
    door()
        .get(ALL, list, operation("manager_list_stores", "The configurations").results::<StorageConfig>())
        .post(
            ALL,
            create,
            operation("manager_create_store", "Create a configuration").json::<CreateRequest>().result::<StorageConfig>(),
        )
        .put(
            ONE,
            update,
            of_one("manager_update_store", "Change a configuration").json::<UpdateRequest>().result::<StorageConfig>(),
        )
        .delete(
            ONE,
            delete,
            of_one("manager_delete_store", "Delete a configuration")
                .notes("Nothing is deleted in the store.")
                .done()
                .errors(&[400]),
        )
        .post(
            "/storage/config/{id}/test",
            test_existing,
            trying(of_one("manager_test_store", "Try whether archives can be kept where a configuration says")),
        )
        .post(
            "/storage/test",
            test,
            trying(operation("manager_try_store", "Try a configuration that is not kept").json::<TestRequest>()),
        )
}

/// `GET /api/v1/storage/config`
pub(super) async fn list(State(app): State<Arc<App>>) -> Response {
    answer(move || Ok(app.stores.list().into_iter().map(StorageConfig::from).collect::<Vec<_>>())).await
}

/// `POST /api/v1/storage/config`
pub(super) async fn create(State(app): State<Arc<App>>, body: Body) -> Response {
    answer(move || {
        let CreateRequest { name, r#type: kind, path, s3, is_default } = body.parse()?;
        let draft = Draft { name, kind, path, s3: s3.into(), is_default: is_default.unwrap_or(false) };
        Ok(StorageConfig::from(app.stores.create(draft)?))
    })
    .await
}

/// `PUT /api/v1/storage/config/{id}`
pub(super) async fn update(State(app): State<Arc<App>>, id: Segment, body: Body) -> Response {
    answer(move || {
        let UpdateRequest { name, r#type: kind, path, s3, is_default } = body.parse()?;
        let change = Change { name, kind, path, s3: s3.into(), is_default };
        updated(app.stores.update(&id.0, change)).map(StorageConfig::from)
    })
    .await
}

/// The contract's sentences for what cannot be changed.
fn updated(outcome: Result<Record, StoresError>) -> ApiResult<Record> {
    outcome.map_err(|error| {
        let text = match &error {
            StoresError::NotFound => Some("Configuration not found".to_owned()),
            StoresError::DefaultUnset => Some(format!("Update failed: {error}")),
            _ => None,
        };
        let shown = ApiError::from(error);
        ApiError { message: text.unwrap_or(shown.message), ..shown }
    })
}

/// `DELETE /api/v1/storage/config/{id}`
pub(super) async fn delete(State(app): State<Arc<App>>, id: Segment) -> Response {
    answer(move || {
        app.stores.delete(&id.0)?;
        Ok(true)
    })
    .await
}

/// `POST /api/v1/storage/config/{id}/test`: like `storage/test`, with the keys that are kept.
pub(super) async fn test_existing(State(app): State<Arc<App>>, id: Segment) -> Response {
    answer(move || Ok(TestResult::from(app.stores.test_existing(&id.0)?))).await
}

/// `POST /api/v1/storage/test`: 200 also when it fails.
pub(super) async fn test(State(app): State<Arc<App>>, body: Body) -> Response {
    answer(move || {
        let TestRequest { name, r#type: kind, path, s3 } = body.parse()?;
        // Whether it has a name yet does not matter to what is tried.
        let name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "test".to_owned());
        let draft = Draft { name, kind, path, s3: s3.into(), is_default: false };
        Ok(TestResult::from(app.stores.test(draft)))
    })
    .await
}
