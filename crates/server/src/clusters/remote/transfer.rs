//! Whole snapshots out of a cluster and into one, as they come: nothing is kept here but a few chunks.
//!
//! A reader sees a clean end only after all that the cluster has announced; an upload has exactly the length that it says, or ends as an
//! error there too. What the bytes are is not looked at: whoever keeps or restores them verifies them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use icecore_storage::Scope;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::super::model::Priority;
use super::super::{ClusterError, Result};
use super::client::Asked;
use super::{Remote, segments};
use crate::error::one_line;
use crate::pipe::{PipeReader, PipeWriter, pipe};

/// Chunks between a connection and a reader.
const CHUNKS: usize = 16;
/// The length of a chunk of an upload, in bytes.
const CHUNK_LEN: u64 = 256 * 1024;
/// Between the parts of a form; no snapshot has it, and if one had, its length would still be known.
const BOUNDARY: &str = "icecore-6b8f0d5e7c1a4f7c9a3e";

/// A snapshot that has begun to arrive.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Its length in bytes, if the cluster says so. The reader has exactly that many, or fails.
    pub(crate) len: Option<u64>,
    /// Its bytes, to be read on a blocking thread or polled. Dropping it ends the connection.
    pub(crate) body: PipeReader,
}

/// What is sent to a cluster, and how it is to be restored there.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// The collection or shard that it becomes.
    pub(crate) scope: Scope,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// How its data and that of the nodes go together.
    pub(crate) priority: Priority,
    /// The SHA-256 that it has to have.
    pub(crate) checksum: Option<String>,
}

/// Another name of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alias {
    pub(crate) alias_name: String,
    pub(crate) collection_name: String,
}

#[derive(Deserialize)]
struct Aliases {
    aliases: Vec<Alias>,
}

impl Remote {
    /// The cluster once for each of its nodes, of which then that one alone is asked: snapshots are of a node.
    pub(crate) fn nodes_apart(&self) -> Vec<Self> {
        let only = |node: &url::Url| Self {
            name: self.name.clone(),
            urls: vec![node.clone()],
            api_key: self.api_key.clone(),
            quick: self.quick.clone(),
            patient: self.patient.clone(),
        };
        self.urls.iter().map(only).collect()
    }

    /// Asks for a whole snapshot and waits until its first bytes may be read.
    pub(crate) async fn fetch(&self, scope: &Scope, name: &str) -> Result<Fetched> {
        let response = self.send(&Asked::question(segments::of_snapshot(scope, name)?)).await?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_success() => return Err(self.nonsense(&format!("{status} for a whole snapshot"))),
            _ => return Err(self.refused(response).await),
        }
        Ok(arriving(response))
    }

    /// Sends a snapshot to the first node and waits until it is restored there. `reader` is read on a thread for blocking work.
    pub(crate) async fn upload(&self, upload: Upload, reader: impl Read + Send + 'static) -> Result<()> {
        let mut path = segments::of_snapshots(&upload.scope)?;
        path.push("upload".to_owned());
        let priority = json!(upload.priority);
        let mut query = vec![("wait", "true"), ("priority", priority.as_str().unwrap_or_default())];
        query.extend(upload.checksum.as_deref().map(|checksum| ("checksum", checksum)));
        let node = self.urls.first().ok_or_else(|| self.nonsense("it has no node"))?;
        let request = self
            .patient
            .request(Method::POST, segments::url(node, &path, &query))
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
            .body(reqwest::Body::wrap(form(upload.len, reader)));
        let sent = self.with_key(request)?.send().await;
        let failed =
            |error: reqwest::Error| ClusterError::Unavailable { reason: format!("{node}: {}", one_line(&error.without_url())) };
        self.finished(self.trusted(sent.map_err(failed)?)?).await
    }

    /// Makes all of these aliases in one request.
    pub(crate) async fn make_aliases(&self, aliases: &BTreeMap<String, String>) -> Result<()> {
        let action = |(alias, collection)| json!({"create_alias": {"alias_name": alias, "collection_name": collection}});
        let body = json!({"actions": aliases.iter().map(action).collect::<Vec<Value>>()});
        let segments = vec!["collections".to_owned(), "aliases".to_owned()];
        self.done(Asked { method: Method::POST, body: Some(body), patient: true, ..Asked::question(segments) }).await
    }

    /// All aliases of the cluster.
    pub(crate) async fn aliases(&self) -> Result<Vec<Alias>> {
        let found: Aliases = self.result(Asked::question(vec!["aliases".to_owned()])).await?;
        Ok(found.aliases)
    }
}

/// The body of a response, carried by a task of its own, so that the silence of the cluster is told from that of who reads.
pub(super) fn arriving(response: Response) -> Fetched {
    let len = response.content_length();
    let (writer, body) = pipe(CHUNKS);
    tokio::spawn(pump(response, len, writer));
    Fetched { len, body }
}

/// Carries a body into the pipe, to its end or until nobody reads.
async fn pump(mut response: Response, len: Option<u64>, writer: PipeWriter) {
    let mut received = 0_u64;
    loop {
        let next = tokio::select! {
            next = response.chunk() => next,
            () = writer.closed() => return,
        };
        let chunk = match next {
            Ok(Some(chunk)) => {
                received = received.saturating_add(chunk.len() as u64);
                Ok(chunk)
            }
            Ok(None) if len.is_none_or(|len| len == received) => return writer.finish(),
            Ok(None) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the snapshot ended after {received} bytes"))),
            Err(error) => {
                let reason = one_line(&error.without_url());
                Err(io::Error::other(format!("the snapshot broke off after {received} bytes: {reason}")))
            }
        };
        let failed = chunk.is_err();
        if writer.send(chunk).await.is_err() || failed {
            return;
        }
    }
}

/// A form with one part: its head, what a thread reads, its end.
struct Form {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

/// The form with `len` bytes of `reader`.
fn form(len: u64, mut reader: impl Read + Send + 'static) -> Form {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"snapshot\"; filename=\"upload.snapshot\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let total = len.saturating_add((head.len() + tail.len()) as u64);
    let (sender, chunks) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let send = |chunk: io::Result<Bytes>| sender.blocking_send(chunk).is_ok();
        let mut left = len;
        let mut open = send(Ok(head.into()));
        while open && left > 0 {
            let mut chunk = Vec::new();
            match reader.by_ref().take(left.min(CHUNK_LEN)).read_to_end(&mut chunk) {
                Ok(0) => {
                    send(Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{left} bytes are missing"))));
                    return;
                }
                Ok(read) => {
                    left -= read as u64;
                    open = send(Ok(chunk.into()));
                }
                Err(error) => {
                    send(Err(error));
                    return;
                }
            }
        }
        if open {
            send(Ok(tail.into()));
        }
    });
    Form { chunks, left: total }
}

impl Body for Form {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.chunks.poll_recv(context).map(|next| match next {
            Some(Ok(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(error)) => Some(Err(error)),
            None if self.left > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        })
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
