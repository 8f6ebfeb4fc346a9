//! One request after another to the backup manager's API of a server.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Method, redirect};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;

use super::args::{ServerAt, StorePlace};
use super::error::{ManageError, Result};
use crate::config::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer. Whatever takes long is a job.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A server's API.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    runtime: Runtime,
    base: Url,
    cluster: Option<String>,
}

impl Client {
    /// Connects to nothing yet.
    pub(super) fn new(server: &ServerAt) -> Result<Self> {
        let base = server.url.clone();
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(ManageError::NotAServer { url: base });
        }
        let mut headers = HeaderMap::new();
        if let Some(key) = server.api_key()? {
            let mut value = HeaderValue::from_str(key.expose()).map_err(|_| ManageError::Key)?;
            value.set_sensitive(true);
            headers.insert("api-key", value);
        }
        // A key goes to the server that was named, and nowhere else.
        let mut http = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT);
        if let Some(path) = &server.ca_cert {
            let wrong = || ManageError::Certificate { path: path.clone() };
            let authorities = Certificate::from_pem_bundle(&read(path)?).map_err(|_| wrong())?;
            if authorities.is_empty() {
                return Err(wrong());
            }
            http = http.tls_certs_only(authorities);
        }
        let http = http.build().map_err(|error| no_answer(&base, &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ManageError::Runtime)?;
        Ok(Self { http, runtime, base, cluster: server.cluster.clone() })
    }

    /// `GET /api/v1/` and these segments of a path.
    pub(super) fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Value> {
        self.send(Method::GET, segments, query, None)
    }

    /// `POST`, with a body if there is one.
    pub(super) fn post(&self, segments: &[&str], body: Option<&Value>) -> Result<Value> {
        self.send(Method::POST, segments, &[], body)
    }

    /// `DELETE`.
    pub(super) fn delete(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Value> {
        self.send(Method::DELETE, segments, query, None)
    }

    /// Starts a job; the answer is the job. The cluster is that of the arguments.
    pub(super) fn start(&self, mut job: Value) -> Result<Value> {
        if let Some(cluster) = &self.cluster {
            job["cluster"] = json!(cluster);
        }
        self.post(&["jobs"], Some(&job))
    }

    /// The id of a store that is given by its name or id; without one, none.
    pub(super) fn store_id(&self, store: Option<&str>) -> Result<Option<String>> {
        let Some(store) = store else { return Ok(None) };
        let all = self.get(&["storage", "config"], &[])?;
        let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
        let with = |field: &'static str| all.iter().filter(move |one| one[field] == *store).filter_map(|one| one["id"].as_str());
        if let Some(id) = with("id").next() {
            return Ok(Some(id.to_owned()));
        }
        match with("name").collect::<Vec<_>>().as_slice() {
            [] => Err(ManageError::NoStore { store: store.to_owned() }),
            [id] => Ok(Some((*id).to_owned())),
            more => Err(ManageError::Ambiguous { store: store.to_owned(), count: more.len() }),
        }
    }

    /// Sends a request. Answers are the `result` of the envelope, or the whole body where there is none.
    fn send(&self, method: Method, segments: &[&str], query: &[(&str, &str)], body: Option<&Value>) -> Result<Value> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1"]).extend(segments);
        }
        if !query.is_empty() || self.cluster.is_some() {
            let cluster = self.cluster.as_deref().map(|name| ("cluster", name));
            url.query_pairs_mut().extend_pairs(query.iter().copied().chain(cluster));
        }
        let mut request = self.http.request(method, url.clone());
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let (status, bytes) = self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| no_answer(&url, &error))?;
            let status = response.status();
            Ok((status, response.bytes().await.map_err(|error| no_answer(&url, &error))?))
        })?;
        let foreign = || ManageError::Foreign { url: url.clone(), status: status.as_u16() };
        let answer: Value = serde_json::from_slice(&bytes).map_err(|_| foreign())?;
        match (status.is_success(), answer["status"]["error"].as_str()) {
            (_, Some(message)) => Err(ManageError::Refused { message: message.to_owned() }),
            (false, None) => Err(foreign()),
            (true, None) if answer["status"] == "ok" && answer.get("time").is_some() => Ok(answer["result"].clone()),
            (true, None) => Ok(answer),
        }
    }
}

impl StorePlace {
    /// The store as the API takes it.
    pub(super) fn described(&self, name: &str, default: bool) -> Result<Value> {
        let secret = self.secret_key_file.as_deref().map(secret).transpose()?;
        let fields = [
            ("path", self.path.as_ref().map(|path| path.display().to_string())),
            ("s3_bucket", self.bucket.clone()),
            ("s3_endpoint", self.endpoint.clone()),
            ("s3_region", self.region.clone()),
            ("s3_access_key", self.access_key.clone()),
            ("s3_secret_key", secret.map(|secret| secret.expose().to_owned())),
        ];
        let mut described = json!({"name": name, "type": self.kind.as_str(), "is_default": default});
        for (field, value) in fields {
            if let Some(value) = value {
                described[field] = json!(value);
            }
        }
        Ok(described)
    }
}

/// The only line of a file.
pub(super) fn secret(path: &Path) -> Result<Secret> {
    let text = String::from_utf8_lossy(&read(path)?).trim().to_owned();
    Ok(Secret::new(text))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| ManageError::Read { path: path.to_owned(), source })
}

fn no_answer(url: &Url, error: &reqwest::Error) -> ManageError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    ManageError::NoAnswer { url: url.clone(), cause: cause.to_string() }
}
