//! Restores a collection or a shard from an archive that the client sends: `POST …/snapshots/upload`.
//!
//! The archive is unpacked and verified while it arrives: its members are written to the disk once, the archive itself never. Where it
//! goes is decided by the path of the request alone; names of files in the body mean nothing. Only after the whole body was read,
//! and was found to be complete, anything is put in place. Whatever ends the request before that leaves nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::multipart::{Field, Multipart, MultipartRejection};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use icecore_archive::Sha256Digest;
use serde::Deserialize;
use tokio::sync::oneshot;
use utoipa::IntoParams;

use super::described::{COLLECTION, SNAPSHOTS, in_shard};
use super::form::{FormBody, broken};
use super::recover::{Priority, collection_goal, digest, shard_goal};
use crate::app::App;
use crate::error::{AppError, Result};
use crate::http::envelope::{self, ApiError, ApiResult, blocking};
use crate::http::extract::{InCollection, InShard, Query, Wait};
use crate::http::limits;
use crate::http::openapi::{Door, Operation};
use crate::jobs::kinds::snapshot_upload;
use crate::metrics::Kind;
use crate::pipe::{self, PipeReader, PipeWriter};
use crate::threads;
use crate::usecases::restore::{self, Expected, Goal, Input, RestoreError, Staged};

/// The part of the body that has the archive (source: Qdrant).
const FIELD: &str = "snapshot";
/// What the archive is called in errors.
const LABEL: &str = "uploaded snapshot";
/// Chunks that wait to be unpacked.
const CHUNKS_AHEAD: usize = 4;

/// The query of an upload.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Parameters {
    /// Whether to answer only when it is done; `true` if it is not given.
    #[param(value_type = bool, required = false)]
    wait: Option<bool>,
    /// Makes no difference: there are no other nodes.
    #[serde(rename = "priority")]
    #[param(inline, value_type = Priority, required = false)]
    _priority: Option<Priority>,
    /// The SHA-256 that the archive has to have.
    #[param(value_type = String, required = false, pattern = "^[0-9a-fA-F]{64}$")]
    checksum: Option<String>,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let whole =
        Operation::new(SNAPSHOTS, "recover_from_uploaded_snapshot", "Restore a collection from an archive in the request");
    let part = in_shard(SNAPSHOTS, "recover_shard_from_uploaded_snapshot", "Restore a shard from an archive in the request");
    Door::new()
        .post("/collections/{collection}/snapshots/upload", collection, uploading(whole.path(&[COLLECTION])))
        .post("/collections/{collection}/shards/{shard}/snapshots/upload", shard, uploading(part))
        .without_body_limit()
}

fn uploading(operation: Operation) -> Operation {
    operation
        .notes("All or nothing: until the whole body was read and found to be complete and right, nothing is changed.")
        .query::<Parameters>()
        .file(FIELD, "The archive.")
        .done()
        .accepted()
        .errors(&[404, 409, 422])
}

/// `POST /collections/{collection}/snapshots/upload`
pub(super) async fn collection(
    State(app): State<Arc<App>>,
    path: InCollection,
    query: Query<Parameters>,
    request: Request,
) -> Response {
    run(app, query.0, request, move |app| collection_goal(app, path.collection)).await
}

/// `POST /collections/{collection}/shards/{shard}/snapshots/upload`
pub(super) async fn shard(State(app): State<Arc<App>>, path: InShard, query: Query<Parameters>, request: Request) -> Response {
    run(app, query.0, request, move |app| shard_goal(app, path)).await
}

async fn run(
    app: Arc<App>,
    parameters: Parameters,
    request: Request,
    goal: impl FnOnce(&App) -> ApiResult<Goal> + Send + 'static,
) -> Response {
    let started = Instant::now();
    let waiting = Wait { wait: parameters.wait }.waiting();
    let submitted = async {
        let checksum = parameters.checksum.map(|text| digest("query parameters", &text)).transpose()?;
        let finding = Arc::clone(&app);
        let goal = blocking(move || goal(&finding)).await?;
        let staged = receive(&app, request, goal.clone(), checksum).await?;
        blocking(move || Ok(snapshot_upload::submit(&app, &goal, staged)?)).await
    };
    envelope::outcome(submitted.await, waiting, started, |_| Ok(true)).await
}

/// Reads the whole body, and unpacks the archive in it. After an error nothing of it is left.
async fn receive(app: &Arc<App>, request: Request, goal: Goal, checksum: Option<Sha256Digest>) -> ApiResult<Staged> {
    let limit = app.config.service.upload_bytes_max();
    check_type(request.headers())?;
    limits::check_announced(&request, limit)?;
    let (head, body) = request.into_parts();
    let body = FormBody::new(body);
    let form = Request::from_parts(head, Body::new(body.clone()));
    let mut multipart = Multipart::from_request(form, &()).await.map_err(no_multipart)?;
    loop {
        match multipart.next_field().await.map_err(|error| broken(&error))? {
            Some(field) if field.name() == Some(FIELD) => {
                let mut staging = Staging::begin(app, goal, checksum);
                let read = match until_the_end(app, staging.feed(&body, field, limit)).await {
                    Ok(Fed::Whole) => {
                        let whole = async {
                            rest(&body, &mut multipart).await?;
                            body.finish().await
                        };
                        until_the_end(app, whole).await
                    }
                    // What is wrong with the archive is said before the rest of the body is read.
                    Ok(Fed::Refused) => Ok(()),
                    Err(error) => Err(error),
                };
                return staging.end(read).await;
            }
            Some(field) => body.skip(field).await?,
            None => return Err(ApiError::bad_request(format!("Required field is missing: {FIELD}"))),
        }
    }
}

/// Waits for the client, unless the end of the server comes first.
async fn until_the_end<T>(app: &App, reading: impl Future<Output = ApiResult<T>>) -> ApiResult<T> {
    tokio::select! {
        read = reading => read,
        () = app.shutdown.forced() => Err(ApiError::stopped()),
    }
}

/// A thread that unpacks what it is sent.
struct Staging {
    /// `None` once all is sent.
    writer: Option<PipeWriter>,
    work: oneshot::Receiver<Result<Staged>>,
}

/// How much of an archive was sent to the thread.
enum Fed {
    /// All of it.
    Whole,
    /// As much as it took to know that it is refused.
    Refused,
}

impl Staging {
    fn begin(app: &Arc<App>, goal: Goal, checksum: Option<Sha256Digest>) -> Self {
        let (writer, reader) = pipe::pipe(CHUNKS_AHEAD);
        let app = Arc::clone(app);
        // The end of the server waits for it, so that what was unpacked is removed.
        let begun = app.shutdown.begin();
        let work = threads::spawn("upload", move || {
            let _begun = begun;
            stage(&app, reader, goal, checksum)
        });
        Self { writer: Some(writer), work }
    }

    async fn feed(&mut self, body: &FormBody, mut field: Field<'_>, limit: u64) -> ApiResult<Fed> {
        let Some(writer) = self.writer.take() else { return Ok(Fed::Whole) };
        let mut received = 0_u64;
        while let Some(chunk) = body.chunk(&mut field).await? {
            received = received.saturating_add(chunk.len() as u64);
            if received > limit {
                return Err(limits::too_long(received, limit));
            }
            if writer.send(Ok(chunk)).await.is_err() {
                return Ok(Fed::Refused);
            }
        }
        writer.finish();
        Ok(Fed::Whole)
    }

    /// Waits for the thread, which removes what it has made unless all is well.
    async fn end(self, read: ApiResult<()>) -> ApiResult<Staged> {
        drop(self.writer);
        let staged = self.work.await.map_err(|_| ApiError::internal())?;
        read?;
        staged.map_err(refused)
    }
}

/// Reads what comes after the archive.
async fn rest(body: &FormBody, multipart: &mut Multipart) -> ApiResult<()> {
    while let Some(field) = multipart.next_field().await.map_err(|error| broken(&error))? {
        if field.name() == Some(FIELD) {
            return Err(ApiError::bad_request(format!("the field `{FIELD}` is there twice; send one snapshot")));
        }
        body.skip(field).await?;
    }
    Ok(())
}

fn stage(app: &App, reader: PipeReader, goal: Goal, checksum: Option<Sha256Digest>) -> Result<Staged> {
    let counted = app.metrics.snapshot(Kind::Upload, &goal.place());
    let input = Input::stream(Box::new(reader), Path::new(LABEL), None)?;
    let staged = restore::stage(app, input, goal, checksum.map(Expected::Given), &app.shutdown)?;
    counted.finish(staged.bytes());
    Ok(staged)
}

/// Uploads have a text of their own for a wrong digest (source: Qdrant, which has the two the wrong way round).
fn refused(error: AppError) -> ApiError {
    match error {
        AppError::Restore(RestoreError::GivenChecksum { expected, actual }) => ApiError {
            status: StatusCode::BAD_REQUEST,
            message: format!("Checksum mismatch: expected {expected}, actual {actual}"),
        },
        error => error.into(),
    }
}

/// Refuses what is not said to be a form with parts; statuses are Qdrant's.
fn check_type(headers: &HeaderMap) -> ApiResult<()> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Err(ApiError::bad_request("Could not find Content-Type header; an upload is sent as multipart/form-data"));
    };
    let name = given.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if name.eq_ignore_ascii_case(b"multipart/form-data") {
        return Ok(());
    }
    let found: String = String::from_utf8_lossy(name).chars().take(100).collect();
    let message = format!("Multipart error: the Content-Type is {found:?}; an upload is sent as multipart/form-data");
    Err(ApiError { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message })
}

/// The type is right by then, so it is the boundary that is missing.
fn no_multipart(rejection: MultipartRejection) -> ApiError {
    ApiError::bad_request(format!("Multipart error: {}", rejection.body_text()))
}
