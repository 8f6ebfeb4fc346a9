//! A job as the manager's API shows it.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::http::openapi::schema::one_of_words;
use crate::jobs::kinds::managed;
use crate::jobs::{Bytes, Description, JobKind, State};
use crate::usecases::naming::timestamp;

/// What cannot happen unless somebody changes the database by hand.
const NOT_DESCRIBED: &str = "?";

/// A job. What it does not have is left out. The numbers of bytes are more than the manager's schema asks for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Job {
    id: String,
    #[schema(schema_with = kinds)]
    r#type: &'static str,
    #[schema(schema_with = states)]
    status: &'static str,
    collection_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// In percent; 100 only when it is completed.
    #[schema(maximum = 100)]
    progress: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What came with the request, and the number of the `attempt`.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    #[schema(format = DateTime)]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    completed_at: Option<String>,
    bytes_done: u64,
    bytes_total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_seconds: Option<u64>,
}

impl From<Description> for Job {
    fn from(job: Description) -> Self {
        let request = managed::described(&job);
        let (mut metadata, mut collection_name) = (Map::new(), NOT_DESCRIBED.to_owned());
        let (mut shard_id, mut snapshot_name, mut storage_id, mut cluster) = (None, None, None, None);
        if let Some(request) = request {
            (metadata, collection_name) = (request.metadata, request.collection_name);
            (shard_id, snapshot_name) = (request.shard_id, request.snapshot_name);
            (storage_id, cluster) = (request.storage_id, request.cluster);
        }
        metadata.insert("attempt".to_owned(), Value::from(u64::from(job.retries) + 1));
        Self {
            id: job.id.to_string(),
            r#type: job.kind.as_str(),
            status: job.state.as_str(),
            collection_name,
            shard_id,
            snapshot_name,
            storage_id,
            cluster,
            progress: progress(job.state, job.bytes),
            error: job.error.filter(|_| job.state == State::Failed),
            metadata,
            created_at: timestamp(job.created),
            started_at: job.started.map(timestamp),
            completed_at: job.finished.map(timestamp),
            bytes_done: job.bytes.done,
            bytes_total: job.bytes.total,
            bytes_per_second: job.pace.map(|pace| pace.bytes_per_second),
            remaining_seconds: job.pace.map(|pace| pace.remaining_seconds),
        }
    }
}

/// The types that jobs may have.
pub(super) fn kinds() -> RefOr<Schema> {
    one_of_words(&JobKind::MANAGED.map(JobKind::as_str))
}

/// The states that jobs may be in.
pub(super) fn states() -> RefOr<Schema> {
    one_of_words(&State::ALL.map(State::as_str))
}

/// In percent; 100 only for what is complete, because the last byte is not the last step.
pub(super) fn progress(state: State, bytes: Bytes) -> u8 {
    match state {
        State::Completed => 100,
        State::Pending | State::Running | State::Failed | State::Cancelled => bytes.percent().min(99),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::jobs::{JobKind, Pace};

    #[test]
    fn a_job_is_shown_with_what_it_has() {
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(1_721_637_115_000 + ms);
        let job = Description {
            id: "0191a0c8-6f3e-4d1a-9c3a-2f6f7d1b1a11".parse().unwrap(),
            kind: JobKind::ShardBackup,
            state: State::Running,
            request: json!({"collection_name": "a", "collection": "b", "shard_id": 1, "metadata": {"x": 1, "attempt": "mine"}}),
            checkpoint: Some(json!({"name": "b-shard-1.snapshot"})),
            error: Some("of the run before".to_owned()),
            retries: 1,
            bytes: Bytes { done: 10, total: 10 },
            pace: Some(Pace { bytes_per_second: 5, remaining_seconds: 0 }),
            created: at(7),
            started: Some(at(1000)),
            finished: None,
        };
        let expected = json!({
            "id": "0191a0c8-6f3e-4d1a-9c3a-2f6f7d1b1a11", "type": "shard_backup", "status": "running", "collection_name": "a",
            "shard_id": 1, "snapshot_name": "b-shard-1.snapshot", "progress": 99, "metadata": {"x": 1, "attempt": 2},
            "created_at": "2024-07-22T08:31:55.007Z", "started_at": "2024-07-22T08:31:56.000Z",
            "bytes_done": 10, "bytes_total": 10, "bytes_per_second": 5, "remaining_seconds": 0,
        });
        assert_eq!(serde_json::to_value(Job::from(job.clone())).unwrap(), expected);
        let done = Job::from(Description { state: State::Completed, bytes: Bytes::default(), ..job });
        assert_eq!((done.progress, done.error), (100, None));
    }
}
