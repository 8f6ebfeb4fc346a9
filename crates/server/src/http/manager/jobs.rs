//! Jobs: list, create, look at, cancel, do again.
//!
//! Texts and statuses are the backup manager's: every success is 200, and a list has no envelope. What a body asks for is judged for
//! its form here, and by the job for what it means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::described::{ID, JOBS, outside_clusters};
use super::job::{self, Job};
use crate::app::App;
use crate::error::AppError;
use crate::http::envelope::{self, ApiError, ApiResult, answer, blocking, json, respond};
use crate::http::extract::{Body, Query, Segment};
use crate::http::openapi::Door;
use crate::jobs::kinds::managed::{self, Wanted};
use crate::jobs::{Cancel, Description, Filter, JobId, JobKind, Retry, State as JobState};
use crate::stores::StoresError;

/// Jobs of a page that does not say how many it wants, and the most it may want.
const LIMIT: (u32, u32) = (20, 100);
/// The longest name of a collection, in characters.
const NAME_LEN_MAX: usize = 255;
/// The longest metadata of a job, in bytes of JSON: they are in every list.
const METADATA_LEN_MAX: usize = 64 * 1024;
/// How long a cancellation waits for the job's end.
const CANCEL_TIME: Duration = Duration::from_secs(10);

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let any = |id, summary| outside_clusters(JOBS, id, summary);
    let one = |id, summary| any(id, summary).path(&[ID]).result::<Job>().errors(&[404]);
    Door::new()
        .get("/jobs", list, any("list_jobs", "A page of jobs, the newest first").query::<Wish>().plain::<Page>())
        .post(
            "/jobs",
            create,
            any("create_job", "Ask for a backup, a restore or a verification").json::<JobCreate>().result::<Job>().errors(&[404]),
        )
        .get("/jobs/{id}", self::one, one("get_job", "A job"))
        .post("/jobs/{id}/cancel", cancel, one("cancel_job", "Cancel a job"))
        .post("/jobs/{id}/retry", retry, one("retry_job", "Do a job again"))
}

/// What a list may be asked for. Texts, so that each can be refused in its own words.
#[derive(Debug, Deserialize, IntoParams)]
struct Wish {
    /// Only those in this state; in any case.
    #[param(schema_with = job::states, required = false)]
    status: Option<String>,
    /// Only those of this type; in any case.
    #[param(schema_with = job::kinds, required = false)]
    r#type: Option<String>,
    /// Counted from 1.
    #[param(value_type = u64, required = false, minimum = 1)]
    page: Option<String>,
    /// Jobs of a page; 20 if it is not given.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 100)]
    limit: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobPage)]
struct Page {
    items: Vec<Job>,
    total: u64,
    page: u64,
    limit: u32,
}

/// What a client sends to make a job. Other fields are ignored.
#[derive(Debug, Deserialize, ToSchema)]
struct JobCreate {
    /// In any case.
    #[serde(deserialize_with = "kind")]
    #[schema(schema_with = job::kinds)]
    r#type: JobKind,
    #[schema(min_length = 1, max_length = 255)]
    collection_name: String,
    shard_id: Option<u32>,
    snapshot_name: Option<String>,
    /// The configuration of the store; without it the default one.
    storage_id: Option<String>,
    /// The name of a cluster; without it the default one.
    cluster: Option<String>,
    /// Kept with the job, at most 64 KiB of it; some of it says how the job is done.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// `GET /api/v1/jobs`
async fn list(State(app): State<Arc<App>>, query: Query<Wish>) -> Response {
    respond(move |_| {
        let Wish { status, r#type, page, limit } = query.0;
        let state = parsed("status", status, |text| JobState::of(&text.to_ascii_lowercase()))?;
        let kind = parsed("type", r#type, managed_kind)?;
        let page = parsed("page", page, |text| text.parse().ok().filter(|page| *page >= 1_u64))?.unwrap_or(1);
        let limit = parsed("limit", limit, |text| text.parse().ok().filter(|limit| (1..=LIMIT.1).contains(limit)))?;
        let limit = limit.unwrap_or(LIMIT.0);
        let offset = (page - 1).saturating_mul(u64::from(limit));
        let (found, total) = app.jobs.list(Filter { state, kind }, offset, limit)?;
        let items = found.into_iter().map(Job::from).collect();
        Ok(json(StatusCode::OK, &Page { items, total, page, limit }))
    })
    .await
}

/// `POST /api/v1/jobs`
async fn create(State(app): State<Arc<App>>, body: Body) -> Response {
    answer(move || {
        let wanted = checked(body.parse()?)?;
        let id = managed::submit(&app, wanted).map_err(refusal)?;
        found(&app, id)
    })
    .await
}

/// `GET /api/v1/jobs/{id}`
async fn one(State(app): State<Arc<App>>, id: Segment) -> Response {
    answer(move || found(&app, known(&id.0)?)).await
}

/// `POST /api/v1/jobs/{id}/cancel`
///
/// The answer comes with the job's end, or after [`CANCEL_TIME`] with the job still running: then it is on its way to its end, and may
/// have been too far to be stopped.
async fn cancel(State(app): State<Arc<App>>, id: Segment) -> Response {
    let started = Instant::now();
    let asking = Arc::clone(&app);
    let asked = blocking(move || {
        let id = known(&id.0)?;
        let before = description(&asking, id)?;
        Ok((before, asking.jobs.cancel(id)?))
    })
    .await;
    let (before, first) = match asked {
        Err(error) => return envelope::failure(&error, started.elapsed().as_secs_f64()),
        Ok((before, Cancel::Unknown)) => (before, false),
        Ok((before, Cancel::Done)) => (before, true),
        Ok((before, Cancel::Asked { first, end })) => {
            // Whether it has ended in time is seen in its state.
            let _ = tokio::time::timeout(CANCEL_TIME, end.wait()).await;
            (before, first)
        }
    };
    respond(move |_| {
        let after = description(&app, before.id)?;
        match (first, after.state) {
            (true, JobState::Cancelled | JobState::Running) => Ok(envelope::success(&Job::from(after), started)),
            // Nothing is taken back while the server ends; the next process does it.
            (_, JobState::Pending | JobState::Running) if app.shutdown.is_requested() => Err(ApiError::stopped()),
            (_, state) => Err(not_possible("cancel", state)),
        }
    })
    .await
}

/// `POST /api/v1/jobs/{id}/retry`
async fn retry(State(app): State<Arc<App>>, id: Segment) -> Response {
    answer(move || {
        let id = known(&id.0)?;
        let before = description(&app, id)?;
        match app.jobs.retry(id, |job| managed::rebuild(&app, job))? {
            Retry::Done => found(&app, id),
            Retry::Unknown => Err(not_possible("retry", description(&app, id)?.state)),
            Retry::Impossible => Err(bad(format!(
                "Cannot retry job with status: {}: it needs a key or a signed URL, which is kept nowhere; create a new job",
                upper(before.state)
            ))),
        }
    })
    .await
}

/// The job of this name as it is now.
fn found(app: &App, id: JobId) -> ApiResult<Job> {
    description(app, id).map(Job::from)
}

/// Jobs that are not the manager's are none.
fn description(app: &App, id: JobId) -> ApiResult<Description> {
    app.jobs.describe(id)?.filter(|job| job.kind.is_managed()).ok_or_else(not_found)
}

/// What cannot be the name of a job names none.
fn known(id: &str) -> ApiResult<JobId> {
    id.parse().map_err(|_| not_found())
}

fn checked(body: JobCreate) -> ApiResult<Wanted> {
    let JobCreate { r#type: kind, collection_name, shard_id, snapshot_name, storage_id, cluster, metadata } = body;
    if collection_name.is_empty() || collection_name.chars().count() > NAME_LEN_MAX {
        return Err(bad(format!("collection_name must be from 1 to {NAME_LEN_MAX} characters long")));
    }
    let metadata = metadata.unwrap_or_default();
    let len = serde_json::to_vec(&metadata).map_or(usize::MAX, |text| text.len());
    if len > METADATA_LEN_MAX {
        return Err(bad(format!("metadata has {len} bytes, at most {METADATA_LEN_MAX} are possible")));
    }
    // Web forms send what was left empty.
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let (snapshot_name, storage_id, cluster) = (given(snapshot_name), given(storage_id), given(cluster));
    Ok(Wanted { kind, collection_name, shard_id, snapshot_name, storage_id, cluster, metadata })
}

/// The kind of this name in either case, if the manager has it.
fn managed_kind(name: &str) -> Option<JobKind> {
    JobKind::of(&name.to_ascii_lowercase()).filter(|kind| kind.is_managed())
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<JobKind, D::Error> {
    let name = String::deserialize(deserializer)?;
    managed_kind(&name).ok_or_else(|| {
        let names = JobKind::MANAGED.map(|kind| format!("`{kind}`")).join(", ");
        serde::de::Error::custom(format!("unknown type {name:?}, expected one of {names}"))
    })
}

/// A parameter of the query; none if it is empty.
fn parsed<T>(name: &str, text: Option<String>, parse: impl FnOnce(&str) -> Option<T>) -> ApiResult<Option<T>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| bad(format!("Invalid value for parameter {name}: {text:?}")))
}

fn refusal(error: AppError) -> ApiError {
    match error {
        AppError::Stores(error @ StoresError::NotFound) => ApiError { status: StatusCode::NOT_FOUND, message: error.to_string() },
        AppError::Managed(error) => bad(error.to_string()),
        error => error.into(),
    }
}

fn bad(message: String) -> ApiError {
    ApiError { status: StatusCode::BAD_REQUEST, message }
}

fn not_found() -> ApiError {
    ApiError { status: StatusCode::NOT_FOUND, message: "Job not found".to_owned() }
}

fn not_possible(what: &str, state: JobState) -> ApiError {
    bad(format!("Cannot {what} job with status: {}", upper(state)))
}

fn upper(state: JobState) -> String {
    state.as_str().to_ascii_uppercase()
}
