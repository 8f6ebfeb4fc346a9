//! What every answer looks like: `{"result": …, "status": "ok", "time": seconds}`, or `{"status": {"error": …}, "time": seconds}`.
//!
//! One exhaustive `match` maps kinds of errors to statuses and prefixes (source: Qdrant's `StorageError`). What of an error a
//! client may read is decided in [`told`](crate::told): the whole chain of causes goes to the log, once, here.

use std::time::Instant;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::{AppError, Kind, one_line, shortened};
use crate::jobs::Submitted;
use crate::jobs::kinds::Waiting;
use crate::remote::FetchError;
use crate::settings::SettingsError;
use crate::told::{DAMAGED, STOPPED, UNEXPECTED, told};
use crate::usecases::location::LocationError;

/// Why a request is not answered with a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    /// The status of the response.
    pub(super) status: StatusCode,
    /// The text of the response, with its prefix.
    pub(super) message: String,
}

/// What a handler's work returns.
pub(super) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    fn new(status: StatusCode, message: String) -> Self {
        Self { status, message }
    }

    /// The request asks for something that is wrong.
    pub(super) fn wrong_input(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("Wrong input: {text}"))
    }

    /// The request makes no sense.
    pub(super) fn bad_request(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("Bad request: {text}"))
    }

    /// The named thing does not exist; `text` is the whole sentence.
    pub(super) fn not_found(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("Not found: {text}"))
    }

    /// A part of the request (`path parameters`, `query parameters`) cannot be read.
    pub(super) fn deserialize(part: &str, text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("Deserialize error in {part}: {text}"))
    }

    /// The body is not the JSON that the route takes.
    pub(super) fn format(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("Format error in JSON body: {text}"))
    }

    /// The body is longer than the server takes.
    pub(super) fn payload(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("Payload error: {text}"))
    }

    /// The client sent nothing for too long.
    pub(super) fn timeout(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, format!("Timeout: {text}"))
    }

    /// The request has no key, or a wrong one; `text` is the whole sentence.
    pub(super) fn unauthorized(text: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text.to_owned())
    }

    /// The request may not be made.
    pub(super) fn forbidden(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("Forbidden: {text}"))
    }

    /// A part of the request was read, and a field of it breaks a rule.
    pub(super) fn invalid(part: &str, field: &str, rule: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, format!("Validation error in {part}: [{field}: {rule}]"))
    }

    /// The request asks for something that Qdrant has and this version has not, by its field or value.
    pub(super) fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::wrong_input(format!("{what} is not supported yet by this version of icecore"))
    }

    /// The route exists in Qdrant and not here.
    pub(super) fn not_implemented(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("Not implemented: {what} is not supported by this version of icecore"))
    }

    /// The end of the server comes first.
    pub(super) fn stopped() -> Self {
        let (status, message) = unavailable(STOPPED);
        Self::new(status, message)
    }

    /// Something of ours broke; what it was stands in the log.
    pub(super) fn internal() -> Self {
        let (status, message) = internal(UNEXPECTED);
        Self::new(status, message)
    }

    /// What was stored is not what was written; where, stands in the log.
    pub(super) fn damaged() -> Self {
        let (status, message) = internal(DAMAGED);
        Self::new(status, message)
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let text = told(&error);
        let (status, message) = match error.kind() {
            Kind::NotFound => (StatusCode::NOT_FOUND, format!("Not found: {text}")),
            Kind::Conflict => (StatusCode::CONFLICT, format!("Wrong input: {text}")),
            Kind::Forbidden => (StatusCode::FORBIDDEN, format!("Forbidden: {text}")),
            Kind::InvalidInput if matches!(error, AppError::Fetch(FetchError::Scheme { .. })) => {
                (StatusCode::BAD_REQUEST, format!("Bad request: {text}"))
            }
            Kind::InvalidInput | Kind::Unsupported => (StatusCode::BAD_REQUEST, format!("Wrong input: {text}")),
            Kind::Corrupt if matches!(error, AppError::Restore(_)) => (StatusCode::BAD_REQUEST, format!("Wrong input: {text}")),
            Kind::Unavailable | Kind::Cancelled => unavailable(&text),
            Kind::Corrupt | Kind::Poisoned | Kind::NoSpace | Kind::Internal => internal(&text),
        };
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), "{}", one_line(&error));
        }
        Self::new(status, message)
    }
}

fn internal(text: &str) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("Service internal error: {text}"))
}

fn unavailable(text: &str) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, format!("Service temporarily unavailable: {text}"))
}

impl From<icecore_storage::Error> for ApiError {
    /// Vectors that contradict themselves are a mistake in the body, which has a status of its own (source: Qdrant's validators).
    fn from(error: icecore_storage::Error) -> Self {
        use icecore_storage::Error;

        match &error {
            Error::SparseVector { name, reason, .. } => Self::invalid("JSON body", &format!("vector.{name}"), reason),
            Error::EmptyMultiVector { name, .. } => {
                Self::invalid("JSON body", &format!("vector.{name}"), "multi-vectors must be non-empty")
            }
            _ => AppError::from(error).into(),
        }
    }
}

impl From<SettingsError> for ApiError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Type { .. } => Self::format(error),
            SettingsError::Bound { field, rule } => Self::invalid("JSON body", &field, rule),
        }
    }
}

impl From<LocationError> for ApiError {
    fn from(error: LocationError) -> Self {
        match error {
            LocationError::Scheme { .. } | LocationError::FileHost | LocationError::Missing { .. } => Self::bad_request(error),
            LocationError::ShardScheme { .. } | LocationError::Object { .. } | LocationError::NoBucket => {
                Self::wrong_input(error)
            }
            LocationError::NoArchive { .. } => Self::not_found(error),
            LocationError::Outside { .. } | LocationError::Disabled => Self::forbidden(error),
            LocationError::Unreadable { .. } => {
                tracing::error!("{}", one_line(&error));
                Self::internal()
            }
        }
    }
}

impl IntoResponse for ApiError {
    /// The response of a request that was refused before its work began.
    fn into_response(self) -> Response {
        failure(&self, 0.0)
    }
}

#[derive(Serialize)]
struct Success<'a, T> {
    result: &'a T,
    status: &'static str,
    time: f64,
}

#[derive(Serialize)]
struct Failure<'a> {
    status: FailureStatus<'a>,
    time: f64,
}

#[derive(Serialize)]
struct FailureStatus<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct Accepted {
    status: &'static str,
    time: f64,
}

/// Does a handler's work on a blocking thread and renders what it returns, there too: bodies may be large.
///
/// The work runs to its end even if the client goes away. If it panics, the answer is 500.
pub(super) async fn answer<T, W>(work: W) -> Response
where
    T: Serialize,
    W: FnOnce() -> ApiResult<T> + Send + 'static,
{
    respond(move |started| Ok(success(&work()?, started))).await
}

/// Like [`answer`], for work that makes its own response.
pub(super) async fn respond<W>(work: W) -> Response
where
    W: FnOnce(Instant) -> ApiResult<Response> + Send + 'static,
{
    let started = Instant::now();
    let done = tokio::task::spawn_blocking(move || work(started)).await;
    match done {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => failure(&error, started.elapsed().as_secs_f64()),
        // The panic hook has logged the message and the place.
        Err(_) => failure(&ApiError::internal(), started.elapsed().as_secs_f64()),
    }
}

/// Does work on a blocking thread. A panic is an internal error.
pub(super) async fn blocking<T, W>(work: W) -> ApiResult<T>
where
    T: Send + 'static,
    W: FnOnce() -> ApiResult<T> + Send + 'static,
{
    // The panic hook has logged the message and the place.
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(ApiError::internal()))
}

/// The response to a request that is a job: its rendered result for a client that waits, `accepted` for one that does not.
pub(super) async fn outcome<T: Serialize>(
    submitted: ApiResult<Submitted>,
    waiting: Waiting,
    started: Instant,
    render: impl FnOnce(serde_json::Value) -> ApiResult<T>,
) -> Response {
    let done = match (submitted, waiting) {
        (Err(error), _) => Err(error),
        (Ok(_), Waiting::Nobody) => return accepted(started),
        (Ok(submitted), Waiting::Caller) => submitted.outcome().await.map_err(ApiError::from).and_then(render),
    };
    match done {
        Ok(result) => success(&result, started),
        Err(error) => failure(&error, started.elapsed().as_secs_f64()),
    }
}

/// The response to a client that does not wait: `accepted`, or why not.
pub(super) fn submission(submitted: ApiResult<()>, started: Instant) -> Response {
    match submitted {
        Ok(()) => accepted(started),
        Err(error) => failure(&error, started.elapsed().as_secs_f64()),
    }
}

/// Renders a result.
pub(super) fn success<T: Serialize>(result: &T, started: Instant) -> Response {
    json(StatusCode::OK, &Success { result, status: "ok", time: started.elapsed().as_secs_f64() })
}

/// Says that the work has begun and will go on after the response.
pub(super) fn accepted(started: Instant) -> Response {
    json(StatusCode::ACCEPTED, &Accepted { status: "accepted", time: started.elapsed().as_secs_f64() })
}

/// The response to a request that is refused, after so many seconds.
pub(super) fn failure(error: &ApiError, time: f64) -> Response {
    let message = shortened(error.message.clone());
    json(error.status, &Failure { status: FailureStatus { error: &message }, time })
}

/// Renders `body` as JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => {
            let mut response = (status, text).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!("a response cannot be rendered: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use crate::stores::{Fault, S3Error, StoreError};
    use crate::usecases::restore::RestoreError;

    use super::*;

    async fn parts(response: Response) -> (StatusCode, Value) {
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_result_is_wrapped_with_status_and_time() {
        let (status, body) = parts(answer(|| Ok(json!({"count": 3}))).await).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(body["result"], json!({"count": 3}));
        assert_eq!(body["status"], "ok");
        assert!(body["time"].as_f64().unwrap() >= 0.0);
    }

    #[tokio::test]
    async fn an_error_is_a_status_object_without_a_result() {
        let (status, body) = parts(answer(|| Err::<(), _>(ApiError::wrong_input("no"))).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["status"], json!({"error": "Wrong input: no"}));
        assert!(body.get("result").is_none());
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        let (status, body) = parts(answer(|| -> ApiResult<()> { panic!("boom") }).await).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let text = body["status"]["error"].as_str().unwrap();
        assert!(text.starts_with("Service internal error: ") && !text.contains("boom"), "{text}");
    }

    #[test]
    fn storage_errors_have_the_statuses_and_texts_of_qdrant() {
        let cases: [(icecore_storage::Error, u16, &str); 3] = [
            (icecore_storage::Error::CollectionNotFound { name: "x".into() }, 404, "Not found: Collection `x` doesn't exist!"),
            (icecore_storage::Error::CollectionExists { name: "x".into() }, 409, "Wrong input: Collection `x` already exists!"),
            (
                icecore_storage::Error::VectorDimension { name: String::new(), expected: 4, actual: 3 },
                400,
                "Wrong input: Vector dimension error: expected dim: 4, got 3",
            ),
        ];
        for (error, status, message) in cases {
            let answer = ApiError::from(error);
            assert_eq!((answer.status.as_u16(), answer.message.as_str()), (status, message));
        }
    }

    #[test]
    fn vectors_that_contradict_themselves_are_invalid() {
        use icecore_storage::PointId;

        let (name, id) = ("t".to_owned(), PointId::Num(7));
        let sparse = icecore_storage::Error::SparseVector { name: name.clone(), id, reason: "indices must be unique".into() };
        let answer = ApiError::from(sparse);
        assert_eq!(answer.status.as_u16(), 422);
        assert_eq!(answer.message, "Validation error in JSON body: [vector.t: indices must be unique]");
        assert_eq!(ApiError::from(icecore_storage::Error::EmptyMultiVector { name, id }).status.as_u16(), 422);
    }

    #[test]
    fn a_failed_fetch_tells_the_client_what_failed() {
        let url = || "http://h/a".to_owned();
        let refusal = crate::remote::Policy::default().name("metadata").unwrap_err();
        let cases: [(FetchError, u16, &str); 4] = [
            (FetchError::NotAllowed { url: url(), refusal }, 403, "Forbidden: fetching http://h/a is not allowed: `metadata` "),
            (
                FetchError::Scheme { url: "ftp://h/a".to_owned(), scheme: "ftp".to_owned() },
                400,
                "Bad request: URL ftp://h/a with scheme ftp is not supported",
            ),
            (
                FetchError::Status { url: url(), status: StatusCode::NOT_FOUND },
                400,
                "Wrong input: Failed to download tar from http://h/a: status - 404 Not Found",
            ),
            (
                FetchError::Http { url: url(), cause: "no response".to_owned() },
                500,
                "Service internal error: Http request error: http://h/a: no response",
            ),
        ];
        for (error, status, message) in cases {
            let answer = ApiError::from(AppError::from(error));
            assert_eq!(answer.status.as_u16(), status);
            assert!(answer.message.starts_with(message), "{}", answer.message);
        }
    }

    #[test]
    fn failures_of_a_bucket_are_told_wherever_they_happen() {
        let failed = |fault| S3Error {
            operation: "read",
            object: "s3://b/k".to_owned(),
            reason: "the server says SlowDown".to_owned(),
            fault,
        };
        let while_reading = icecore_archive::Error::Io {
            action: "read",
            path: "/secret/file".into(),
            source: io::Error::from(failed(Fault::Other)),
        };
        let errors: [(AppError, u16); 3] = [
            (StoreError::from(failed(Fault::Unavailable)).into(), 503),
            (StoreError::from(failed(Fault::Denied)).into(), 500),
            (RestoreError::Archive(while_reading).into(), 500),
        ];
        for (error, status) in errors {
            let answer = ApiError::from(error);
            assert_eq!(answer.status.as_u16(), status);
            assert!(answer.message.ends_with(": read s3://b/k: the server says SlowDown"), "{}", answer.message);
        }
    }

    #[test]
    fn paths_never_leave_the_server() {
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::Other, io::ErrorKind::StorageFull] {
            let source = || io::Error::new(kind, "secret cause");
            let errors: [AppError; 5] = [
                StoreError::Io { operation: "open", path: "/secret/file".into(), source: source() }.into(),
                StoreError::Occupied { path: "/secret/file".into() }.into(),
                icecore_storage::Error::Io { operation: "open", path: "/secret/file".into(), source: source() }.into(),
                icecore_storage::Error::Malformed { path: "/secret/file".into(), offset: 3, reason: "secret".into() }.into(),
                icecore_storage::Error::Poisoned { what: "shard 0".into(), reason: "sync /secret/file".into() }.into(),
            ];
            for error in errors {
                let answer = ApiError::from(error);
                assert!(!answer.message.contains("secret"), "{}", answer.message);
            }
        }
    }
}
