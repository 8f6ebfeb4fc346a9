//! The snapshots of a cluster: list, make, delete, fetch, restore.

use icecore_storage::Scope;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, Response, StatusCode, header};
use serde_json::json;

use super::super::{Done, Recovery, Result, SnapshotInfo};
use super::client::Asked;
use super::transfer::{Fetched, arriving};
use super::{Remote, segments};
use crate::config::Secret;
use crate::jobs::kinds::Waiting;

/// What of a request for a snapshot the cluster has to know.
const FORWARDED: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// A snapshot that has begun to arrive, or the word that it need not.
#[derive(Debug)]
pub(crate) struct Download {
    /// 200, 206, 304, 412 or 416.
    pub(crate) status: StatusCode,
    /// The cluster's headers.
    pub(crate) headers: HeaderMap,
    /// The bytes as they come, if any do: an error if the cluster is silent for too long or ends too early.
    pub(crate) body: Option<Fetched>,
}

impl Remote {
    pub(crate) async fn snapshots(&self, scope: &Scope) -> Result<Vec<SnapshotInfo>> {
        let mut found: Vec<SnapshotInfo> = self.result(Asked::question(segments::of_snapshots(scope)?)).await?;
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found.into_iter().map(SnapshotInfo::with_zone).collect())
    }

    pub(crate) async fn create_snapshot(&self, scope: &Scope, waiting: Waiting) -> Result<Option<SnapshotInfo>> {
        let asked = operation(Method::POST, segments::of_snapshots(scope)?, waiting);
        match waiting {
            Waiting::Caller => Ok(Some(self.result::<SnapshotInfo>(asked).await?.with_zone())),
            Waiting::Nobody => self.done(asked).await.map(|()| None),
        }
    }

    pub(crate) async fn delete_snapshot(&self, scope: &Scope, name: &str, waiting: Waiting) -> Result<Done> {
        self.done(operation(Method::DELETE, segments::of_snapshot(scope, name)?, waiting)).await?;
        Ok(done(waiting))
    }

    pub(crate) async fn recover(&self, recovery: Recovery, waiting: Waiting) -> Result<Done> {
        let mut path = segments::of_snapshots(&recovery.scope)?;
        path.push("recover".to_owned());
        let mut body = json!({"location": recovery.location, "priority": recovery.priority});
        if let Some(checksum) = recovery.checksum {
            body["checksum"] = checksum.into();
        }
        if let Some(key) = recovery.api_key.as_ref().map(Secret::expose) {
            body["api_key"] = key.into();
        }
        let asked = Asked { body: Some(body), ..operation(Method::PUT, path, waiting) };
        self.done(asked).await?;
        Ok(done(waiting))
    }

    /// Asks for a snapshot, or the part of it that `headers` ask for; with `HEAD` for what there is to say of it.
    pub(crate) async fn download(&self, scope: &Scope, name: &str, method: &Method, headers: &HeaderMap) -> Result<Download> {
        let mut forwarded = HeaderMap::new();
        for name in FORWARDED {
            for value in headers.get_all(&name) {
                forwarded.append(name.clone(), value.clone());
            }
        }
        let path = segments::of_snapshot(scope, name)?;
        let response = self.send(&Asked { method: method.clone(), headers: forwarded, ..Asked::question(path) }).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(Download::of(response, *method == Method::GET)),
            StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => {
                Ok(Download::of(response, false))
            }
            _ => Err(self.refused(response).await),
        }
    }
}

impl Download {
    fn of(response: Response, has_body: bool) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: has_body.then(|| arriving(response)) }
    }
}

fn operation(method: Method, segments: Vec<String>, waiting: Waiting) -> Asked<'static> {
    let query = match waiting {
        Waiting::Caller => &[("wait", "true")],
        Waiting::Nobody => &[("wait", "false")],
    };
    Asked { method, segments, query, headers: HeaderMap::new(), body: None, patient: true }
}

fn done(waiting: Waiting) -> Done {
    match waiting {
        Waiting::Caller => Done::Yes,
        Waiting::Nobody => Done::Accepted,
    }
}
