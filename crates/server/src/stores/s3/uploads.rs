//! Finds multipart uploads of a key that were begun and whose id nobody learned: the answer was lost, or the process ended before it.
//!
//! Only to be asked for a key whose name is claimed: then every upload of it is ours. Servers that do not know the request, or do not
//! allow it, have nothing to say, which is no failure.

use std::time::Duration;

use object_store::path::Path;
use object_store::signer::SignedUrlOptions;
use reqwest::{Method, StatusCode};

use super::bucket::Bucket;
use super::error::{Fault, S3Error};
use super::signed::{self, Request, element};

const TIMEOUT: Duration = Duration::from_secs(30);
const OPERATION: &str = "list the uploads of";

/// The ids of the uploads of exactly this key, a thousand at most.
pub(super) fn of_key(bucket: &Bucket, key: &Path) -> Result<Vec<String>, S3Error> {
    let options = SignedUrlOptions::new().with_query([("uploads", ""), ("prefix", key.as_ref())]);
    let request = Request { operation: OPERATION, about: key, method: Method::GET, key: &Path::ROOT, options, timeout: TIMEOUT };
    let http = signed::client(bucket, key)?;
    let answer = bucket.runtime.block_on(request.send(bucket, &http))?;
    let status = answer.status;
    if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED {
        tracing::debug!("{OPERATION} {}: the server says {status}", bucket.url(key));
        return Ok(Vec::new());
    }
    if !status.is_success() {
        let reason = format!("the server says {status}");
        return Err(S3Error { operation: OPERATION, object: bucket.url(key), reason, fault: Fault::Unavailable });
    }
    Ok(ids(&answer.text, key.as_ref()))
}

/// The ids in an answer that belong to this key.
fn ids(text: &str, key: &str) -> Vec<String> {
    let uploads = text.split("<Upload>").skip(1);
    let of_key = uploads.filter(|upload| element(upload, "Key").is_some_and(|found| found == key));
    of_key.filter_map(|upload| element(upload, "UploadId")).collect()
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
