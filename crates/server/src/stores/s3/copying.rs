//! Copies one part of an object into an upload, by the server: the bytes do not pass here.
//!
//! The library has no such request, so it is made here, with a URL that the library signs. The server is asked to copy only what still
//! has the original's ETag. Not every server heeds that, so whoever completes the upload has to look at what it has become.

use std::ops::Range;
use std::time::Duration;

use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::signer::{HeaderName, HeaderValue, SignedUrlOptions};
use reqwest::{Client, Method, StatusCode};
use url::form_urlencoded::byte_serialize;

use super::bucket::Bucket;
use super::error::{Fault, S3Error};
use super::signed::{self, Answer, Request, element};

const OPERATION: &str = "copy a part of";
/// How long the server may take for a part.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Times that a part is asked for.
const ATTEMPTS_MAX: u32 = 3;
/// The pause before the second time; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// What is copied.
#[derive(Debug, Clone)]
pub(super) struct Original {
    pub(super) key: Path,
    /// Its ETag.
    pub(super) version: String,
    /// Its length in bytes.
    pub(super) len: u64,
}

/// A copy of an object, part by part.
pub(super) struct Copying {
    bucket: Bucket,
    http: Client,
    original: Original,
    /// The key of the upload.
    to: Path,
}

impl Copying {
    pub(super) fn new(bucket: &Bucket, original: Original, to: &Path) -> Result<Self, S3Error> {
        let http = signed::client(bucket, &original.key)?;
        Ok(Self { bucket: bucket.clone(), http, original, to: to.clone() })
    }

    /// Length of the original in bytes.
    pub(super) fn len(&self) -> u64 {
        self.original.len
    }

    /// Copies a part, whose number is `index` from 0, into the upload of this id.
    pub(super) async fn part(&self, upload: &str, index: usize, range: Range<u64>) -> Result<PartId, S3Error> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS_MAX {
            match self.ask(upload, index, range.clone()).await {
                Err(error) if error.fault == Fault::Unavailable => tokio::time::sleep(pause).await,
                done => return done,
            }
            pause *= 2;
        }
        self.ask(upload, index, range).await
    }

    async fn ask(&self, upload: &str, index: usize, range: Range<u64>) -> Result<PartId, S3Error> {
        let number = (index + 1).to_string();
        let options = SignedUrlOptions::new().with_query([("partNumber", number.as_str()), ("uploadId", upload)]);
        let headers = [
            ("x-amz-copy-source", source(self.bucket.name(), &self.original.key)),
            ("x-amz-copy-source-range", format!("bytes={}-{}", range.start, range.end.saturating_sub(1))),
            ("x-amz-copy-source-if-match", self.original.version.clone()),
        ];
        let options = headers.into_iter().try_fold(options, |options, (name, value)| {
            let value = HeaderValue::from_str(&value).map_err(|error| self.failed(Fault::Other, error.to_string()))?;
            Ok(options.with_signed_header(HeaderName::from_static(name), value))
        })?;
        let request = Request {
            operation: OPERATION,
            about: &self.original.key,
            method: Method::PUT,
            key: &self.to,
            options,
            timeout: TIMEOUT,
        };
        let Answer { status, text } = request.send(&self.bucket, &self.http).await?;
        // A failure after the answer has begun is told in it, under a status that says otherwise. A server that does not know how to copy
        // takes the request for that of an empty part, and has nothing to say.
        let copied = element(&text, "ETag").filter(|_| status.is_success() && text.contains("<CopyPartResult"));
        match copied {
            Some(content_id) => Ok(PartId { content_id }),
            None => Err(self.refused(status, element(&text, "Code"))),
        }
    }

    fn refused(&self, status: StatusCode, code: Option<String>) -> S3Error {
        let may_pass = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            || matches!(code.as_deref(), Some("InternalError" | "SlowDown"));
        let fault = if may_pass { Fault::Unavailable } else { Fault::Other };
        let reason = match code {
            Some(code) => format!("the server says {code} ({status})"),
            None => format!("the server says {status} and not that it has copied it"),
        };
        self.failed(fault, reason)
    }

    fn failed(&self, fault: Fault, reason: String) -> S3Error {
        S3Error { operation: OPERATION, object: self.bucket.url(&self.original.key), reason, fault }
    }
}

/// How an object is named in a header: all but its slashes encoded.
fn source(bucket: &str, key: &Path) -> String {
    let encoded = |part: &str| byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20");
    let parts: Vec<String> = key.as_ref().split('/').map(encoded).collect();
    format!("{bucket}/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_named_so_that_no_server_takes_it_for_another() {
        for (key, expected) in
            [("c/x.snapshot", "b/c/x.snapshot"), ("a b+c/ü?&%41.snapshot", "b/a%20b%2Bc/%C3%BC%3F%26%2541.snapshot")]
        {
            assert_eq!(source("b", &Path::parse(key).unwrap()), expected);
        }
    }
}
