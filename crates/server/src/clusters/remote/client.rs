//! One request to a cluster, and the reading of its answer.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::{ClusterError, Result};
use super::{Remote, segments};
use crate::config::ClusterSettings;
use crate::error::{one_line, shortened};
use crate::remote::client_builder;

/// How long a connection with its encryption may take to come about.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// After how much silence it is probed whether the other machine is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The longest JSON that is read, in bytes.
const ANSWER_LEN_MAX: usize = 64 * 1024 * 1024;
const API_KEY: HeaderName = HeaderName::from_static("api-key");

/// A request to be sent.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) segments: Vec<String>,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Value>,
    /// Whether the answer may take as long as an operation does.
    pub(super) patient: bool,
}

impl Asked<'_> {
    /// A question, which is answered soon.
    pub(super) fn question(segments: Vec<String>) -> Self {
        Self { method: Method::GET, segments, query: &[], headers: HeaderMap::new(), body: None, patient: false }
    }
}

/// What answers of a cluster look like.
#[derive(Deserialize)]
struct Envelope<T> {
    result: Option<T>,
}

#[derive(Deserialize)]
struct Failure {
    status: FailureStatus,
}

#[derive(Deserialize)]
struct FailureStatus {
    error: String,
}

/// The certificates that are trusted, if the settings name any.
pub(super) fn certificates(settings: &ClusterSettings) -> Result<Option<Vec<Certificate>>> {
    let Some(path) = &settings.ca_cert else { return Ok(None) };
    let wrong = |reason: String| ClusterError::Certificate { cluster: settings.name.clone(), path: path.clone(), reason };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err(wrong("there is no certificate in it".to_owned())),
        Ok(found) => Ok(Some(found)),
        Err(error) => Err(wrong(one_line(&error))),
    }
}

/// A client for the nodes of a cluster that gives up after `silence`.
pub(super) fn new(settings: &ClusterSettings, certificates: &Option<Vec<Certificate>>, silence: Duration) -> Result<Client> {
    let builder = client_builder().connect_timeout(CONNECT_TIME).read_timeout(silence).tcp_keepalive(KEEPALIVE);
    let encrypted = settings.urls.iter().any(|url| url.scheme() == "https");
    let builder = match certificates {
        Some(trusted) => builder.tls_certs_only(trusted.iter().cloned()),
        None if encrypted => builder,
        // A machine without certificates can still ask without encryption.
        None => builder.tls_certs_only([]),
    };
    builder.build().map_err(|error| ClusterError::Setup { cluster: settings.name.clone(), reason: one_line(&error) })
}

impl Remote {
    /// Sends a request to the first node that can be connected to. The answer may be any.
    pub(super) async fn send(&self, asked: &Asked<'_>) -> Result<Response> {
        let mut unreachable = Vec::new();
        for node in &self.urls {
            let client = if asked.patient { &self.patient } else { &self.quick };
            let mut request = client
                .request(asked.method.clone(), segments::url(node, &asked.segments, asked.query))
                .headers(asked.headers.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let Some(body) = &asked.body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
            }
            match self.with_key(request)?.send().await {
                Ok(response) => return self.trusted(response),
                // Nothing was sent, so that another node may be asked.
                Err(error) if error.is_connect() => unreachable.push(format!("{node}: {}", one_line(&error.without_url()))),
                Err(error) => {
                    return Err(ClusterError::Unavailable { reason: format!("{node}: {}", one_line(&error.without_url())) });
                }
            }
        }
        Err(ClusterError::Unavailable { reason: unreachable.join("; ") })
    }

    /// The result of a request that has one.
    pub(super) async fn result<T: DeserializeOwned>(&self, asked: Asked<'_>) -> Result<T> {
        let response = self.send(&asked).await?;
        let envelope: Envelope<T> = self.read(response).await?;
        envelope.result.ok_or_else(|| self.nonsense("an answer without a result"))
    }

    /// Sends a request whose result says no more than that it succeeded.
    pub(super) async fn done(&self, asked: Asked<'_>) -> Result<()> {
        self.finished(self.send(&asked).await?).await
    }

    /// The error of an answer, if it is one.
    pub(super) async fn finished(&self, response: Response) -> Result<()> {
        self.read::<Value>(response).await.map(drop)
    }

    /// The answer as JSON; the cluster's own error if it is one.
    async fn read<T: DeserializeOwned>(&self, response: Response) -> Result<T> {
        let status = response.status();
        let bytes = self.body(response).await?;
        if !status.is_success() {
            return Err(failure(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| self.nonsense(&error.to_string()))
    }

    /// The error of an answer that is one.
    pub(super) async fn refused(&self, response: Response) -> ClusterError {
        let status = response.status();
        match self.body(response).await {
            Ok(bytes) => failure(status, &bytes),
            Err(error) => error,
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>> {
        let broken = |error: reqwest::Error| ClusterError::Unavailable { reason: one_line(&error.without_url()) };
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if chunk.len() > ANSWER_LEN_MAX - bytes.len() {
                return Err(self.nonsense(&format!("an answer of more than {ANSWER_LEN_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    pub(super) fn with_key(&self, request: RequestBuilder) -> Result<RequestBuilder> {
        let Some(key) = &self.api_key else { return Ok(request) };
        let mut value = HeaderValue::from_str(key.expose()).map_err(|_| ClusterError::Unavailable {
            reason: "its `api_key` has characters that a header cannot carry".to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(request.header(API_KEY, value))
    }

    /// A refusal of our key is not one of the client's key, and must not look like it. (What our key does not allow, and what the
    /// cluster's settings forbid, are both 403 with a sentence that says so.) A redirect is followed by nobody.
    pub(super) fn trusted(&self, response: Response) -> Result<Response> {
        let status = response.status();
        match status {
            StatusCode::UNAUTHORIZED => {
                Err(ClusterError::Unavailable { reason: format!("it refuses the configured `api_key` ({status})") })
            }
            _ if status.is_redirection() && status != StatusCode::NOT_MODIFIED => {
                Err(ClusterError::Unavailable { reason: format!("it redirects ({status}), which is not followed") })
            }
            _ => Ok(response),
        }
    }

    /// The error of an answer that cannot be understood.
    pub(super) fn nonsense(&self, what: &str) -> ClusterError {
        ClusterError::Unavailable { reason: format!("cluster {:?} does not answer as Qdrant does: {what}", self.name) }
    }
}

/// The cluster's own words, as far as there are any.
fn failure(status: StatusCode, bytes: &[u8]) -> ClusterError {
    let message = match serde_json::from_slice::<Failure>(bytes) {
        Ok(found) => shortened(found.status.error),
        Err(_) => format!("the cluster answered {status}"),
    };
    ClusterError::Answer { status: status.as_u16(), message }
}
