//! Finds multipart uploads of a key that were begun and whose id nobody learned: the answer was lost, or the process ended before it.
//!
//! The library has no such request, so it is made here, with a URL that the library signs. Only to be asked for a key whose name is
//! claimed: then every upload of it is ours. Servers that do not know the request, or do not allow it, have nothing to say, which is no
//! failure.

use std::time::Duration;

use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::{Client, Method, StatusCode};

use super::bucket::Bucket;
use super::error::{Fault, S3Error};

/// How long the URL is valid, and how long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is looked at, in bytes: a thousand uploads with their owners.
const ANSWER_LEN_MAX: u64 = 4 << 20;
const OPERATION: &str = "list the uploads of";

/// The ids of the uploads of exactly this key, a thousand at most.
pub(super) fn of_key(bucket: &Bucket, key: &Path) -> Result<Vec<String>, S3Error> {
    let failed = |fault, reason: String| S3Error { operation: OPERATION, object: bucket.url(key), reason, fault };
    let options = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", key.as_ref())]);
    bucket.runtime.block_on(async {
        let root = Path::ROOT;
        let url = bucket.client.signed_url_opts(Method::GET, &root, TIMEOUT, &options);
        let url = url.await.map_err(|error| S3Error::new(OPERATION, bucket.url(key), &error))?;
        // The URL is a key for as long as it is valid: no error may show it.
        let broken = |error: reqwest::Error| failed(Fault::Unavailable, crate::error::one_line(&error.without_url()));
        let client = Client::builder().timeout(TIMEOUT).build().map_err(broken)?;
        let response = client.get(url).send().await.map_err(broken)?;
        let status = response.status();
        if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED {
            tracing::debug!("{OPERATION} {}: the server says {status}", bucket.url(key));
            return Ok(Vec::new());
        }
        if !status.is_success() {
            return Err(failed(Fault::Unavailable, format!("the server says {status}")));
        }
        if response.content_length().is_some_and(|len| len > ANSWER_LEN_MAX) {
            return Err(failed(Fault::Other, "the answer is too long".to_owned()));
        }
        let text = response.text().await.map_err(broken)?;
        Ok(ids(&text, key.as_ref()))
    })
}

/// The ids in an answer that belong to this key.
fn ids(text: &str, key: &str) -> Vec<String> {
    let uploads = text.split("<Upload>").skip(1);
    let of_key = uploads.filter(|upload| element(upload, "Key").is_some_and(|found| found == key));
    of_key.filter_map(|upload| element(upload, "UploadId")).collect()
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_exactly_this_key_are_found() {
        let upload = |key: &str, id: &str| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
        let text = format!(
            "<ListMultipartUploadsResult><KeyMarker></KeyMarker>{}{}{}</ListMultipartUploadsResult>",
            upload("c/a &amp; b.snapshot", "1"),
            upload("c/a &amp; b.snapshot.zst", "2"),
            upload("c/a &amp; b.snapshot", "3")
        );
        assert_eq!(ids(&text, "c/a & b.snapshot"), ["1", "3"]);
        assert_eq!(ids("<Upload><Key>x", "x"), [] as [String; 0]);
    }
}
