//! The configurations of stores: list, create, change, delete, try.
//!
//! A secret goes in and never comes out: of an access key there is a mask, of a secret key nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::described::{ID, STORAGE, outside_clusters};
use crate::app::App;
use crate::config::Secret;
use crate::http::envelope::{ApiError, ApiResult, answer};
use crate::http::extract::{Body, Segment};
use crate::http::openapi::Door;
use crate::stores::StoresError;
use crate::stores::registry::{Change, Draft, Kind, MASK, Record, S3Fields, Settings, Tested, time_of};
use crate::usecases::naming::timestamp;

/// A configuration as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
struct StorageConfig {
    id: String,
    name: String,
    r#type: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_bucket: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3_access_key: Option<&'static str>,
    is_default: bool,
    created_at: String,
    updated_at: String,
}

impl From<Record> for StorageConfig {
    fn from(record: Record) -> Self {
        let [created_at, updated_at] = [record.created_ms, record.updated_ms].map(|ms| timestamp(time_of(ms)));
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

/// The fields that all requests have, of which S3 has its own.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StorageS3)]
struct S3Request {
    s3_endpoint: Option<String>,
    s3_bucket: Option<String>,
    s3_region: Option<String>,
    #[schema(value_type = Option<String>)]
    s3_access_key: Option<Secret>,
    #[schema(value_type = Option<String>)]
    s3_secret_key: Option<Secret>,
}

impl From<S3Request> for S3Fields {
    fn from(request: S3Request) -> Self {
        let S3Request { s3_endpoint, s3_bucket, s3_region, s3_access_key, s3_secret_key } = request;
        Self { endpoint: s3_endpoint, bucket: s3_bucket, region: s3_region, access_key: s3_access_key, secret_key: s3_secret_key }
    }
}

/// A new configuration.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StorageCreate)]
struct CreateRequest {
    name: String,
    r#type: Kind,
    path: Option<String>,
    #[serde(flatten)]
    s3: S3Request,
    is_default: Option<bool>,
}

/// What is to be tried; a name makes no difference.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StorageTest)]
struct TestRequest {
    name: Option<String>,
    r#type: Kind,
    path: Option<String>,
    #[serde(flatten)]
    s3: S3Request,
}

/// What is to change; the type cannot.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StorageUpdate)]
struct UpdateRequest {
    name: Option<String>,
    r#type: Option<Kind>,
    path: Option<String>,
    #[serde(flatten)]
    s3: S3Request,
    is_default: Option<bool>,
}

/// What came of a try.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StorageTested)]
struct TestResult {
    success: bool,
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
    let any = |id, summary| outside_clusters(STORAGE, id, summary);
    let one = |id, summary| any(id, summary).path(&[ID]).errors(&[404]);
    Door::new()
        .get(ALL, list, any("list_storage_configs", "All configurations").results::<StorageConfig>())
        .post(
            ALL,
            create,
            any("create_storage_config", "Create a configuration").json::<CreateRequest>().result::<StorageConfig>(),
        )
        .put(
            ONE,
            update,
            one("update_storage_config", "Change a configuration").json::<UpdateRequest>().result::<StorageConfig>(),
        )
        .delete(ONE, delete, one("delete_storage_config", "Delete a configuration").done())
        .post(
            "/storage/config/{id}/test",
            test_existing,
            one("test_storage_config", "Whether a configured store could be used").result::<TestResult>(),
        )
        .post(
            "/storage/test",
            test,
            any("test_storage", "Whether a store could be used").json::<TestRequest>().result::<TestResult>(),
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
