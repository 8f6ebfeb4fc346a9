//! Requests that the library does not know: it signs their URLs, and they are sent from here.
//!
//! A signed URL is a key for as long as it is valid, so no error shows it. Nothing is repeated here: whoever asks knows whether that
//! is of use.

use std::time::Duration;

use axum::body::Bytes;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use reqwest::{Client, Method, StatusCode, redirect};

use super::bucket::Bucket;
use super::error::{Fault, S3Error};
use super::options::CONNECT_TIMEOUT;

/// Longest answer that is looked at, in bytes: a thousand uploads with their owners.
const ANSWER_LEN_MAX: usize = 4 << 20;

/// A request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// What is attempted, as a verb for errors.
    pub(super) operation: &'static str,
    /// On which object, for errors.
    pub(super) about: &'a Path,
    pub(super) method: Method,
    /// The key in the URL; the root for the bucket itself.
    pub(super) key: &'a Path,
    /// What is signed beside them. The headers are sent.
    pub(super) options: SignedUrlOptions,
    /// How long the URL is valid, and how long the answer may take.
    pub(super) timeout: Duration,
}

/// What the server says to it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Request<'_> {
    /// Sends it, without a body. An answer is no error, whatever its status.
    pub(super) async fn send(self, bucket: &Bucket, http: &Client) -> Result<Answer, S3Error> {
        let url = bucket.client.signed_url_opts(self.method.clone(), self.key, self.timeout, &self.options).await;
        let url = url.map_err(|error| S3Error::new(self.operation, bucket.url(self.about), &error))?;
        let broken = |error: reqwest::Error| {
            let reason = crate::error::one_line(&error.without_url());
            self.failed(bucket, Fault::Unavailable, reason)
        };
        let mut request = http.request(self.method.clone(), url).timeout(self.timeout);
        request = request.headers(self.options.signed_headers.clone());
        if self.method != Method::GET {
            request = request.header(CONTENT_LENGTH, HeaderValue::from_static("0")).body(Bytes::new());
        }
        let mut response = request.send().await.map_err(broken)?;
        let (status, mut bytes) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_LEN_MAX {
                return Err(self.failed(bucket, Fault::Other, "the answer is too long".to_owned()));
            }
        }
        Ok(Answer { status, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn failed(&self, bucket: &Bucket, fault: Fault, reason: String) -> S3Error {
        S3Error { operation: self.operation, object: bucket.url(self.about), reason, fault }
    }
}

/// A client for such requests, which follows no redirect: what was signed for one server is no other's business. `about` is for errors.
pub(super) fn client(bucket: &Bucket, about: &Path) -> Result<Client, S3Error> {
    let failed = |error: reqwest::Error| S3Error {
        operation: "make a client for",
        object: bucket.url(about),
        reason: crate::error::one_line(&error),
        fault: Fault::Other,
    };
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(redirect::Policy::none()).referer(false);
    client.build().map_err(failed)
}

/// The text of the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}
