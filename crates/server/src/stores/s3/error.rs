//! What goes wrong with a bucket, told without what is secret.
//!
//! Servers answer errors with XML that may quote requests and access keys. Of it only the code is taken; of failures of the
//! network, the last cause. So a text names the object and the reason, and nothing else.

use std::error::Error;
use std::io;

/// Longest reason that is taken over from a server or a library, in bytes.
const REASON_LEN_MAX: usize = 300;

/// A request to a bucket that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation} {object}: {reason}")]
pub(crate) struct S3Error {
    /// What was attempted, as a verb.
    pub(crate) operation: &'static str,
    /// On what: `s3://bucket/key`.
    pub(crate) object: String,
    /// Why it failed.
    pub(crate) reason: String,
    /// Which sort of failure it is.
    pub(crate) fault: Fault,
}

/// Sorts of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no such object.
    NoObject,
    /// There is no such bucket.
    NoBucket,
    /// The credentials are wrong, or do not suffice.
    Denied,
    /// The object is another than before.
    Changed,
    /// The server cannot be reached, does not answer, or is overloaded.
    Unavailable,
    /// Anything else.
    Other,
}

impl S3Error {
    /// From the library's error.
    pub(super) fn new(operation: &'static str, object: String, error: &object_store::Error) -> Self {
        let (fault, reason) = told(error);
        Self { operation, object, reason, fault }
    }

    /// The one among the causes of an error, if there is one.
    pub(crate) fn find<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // An I/O error does not name as its cause the error that it carries.
            let carried =
                error.downcast_ref::<io::Error>().and_then(io::Error::get_ref).map(|error| error as &(dyn Error + 'static));
            cause = carried.or_else(|| error.source());
        }
        None
    }
}

impl From<S3Error> for io::Error {
    fn from(error: S3Error) -> Self {
        let kind = match error.fault {
            Fault::NoObject | Fault::NoBucket => io::ErrorKind::NotFound,
            Fault::Denied => io::ErrorKind::PermissionDenied,
            Fault::Unavailable => io::ErrorKind::TimedOut,
            Fault::Changed | Fault::Other => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// The sort of an error, and its reason in words.
fn told(error: &object_store::Error) -> (Fault, String) {
    use object_store::Error as E;
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    let code = texts.iter().find_map(|text| between(text, "<Code>", "</Code>"));
    let status = texts.iter().find_map(|text| between(text, "non-2xx status code: ", ":"));
    let fault = match status.as_deref().and_then(|status| status.get(..3)) {
        _ if code.as_deref() == Some("NoSuchBucket") => Fault::NoBucket,
        Some("404") => Fault::NoObject,
        Some("401" | "403") => Fault::Denied,
        Some("304" | "412") => Fault::Changed,
        Some("501") => Fault::Other,
        Some(status) if status.starts_with('5') || matches!(status, "408" | "429") => Fault::Unavailable,
        Some(_) => Fault::Other,
        None => match error {
            E::NotFound { .. } => Fault::NoObject,
            // Bare failures have no status: the server was not reached, or did not answer.
            E::Generic { .. } => Fault::Unavailable,
            _ => Fault::Other,
        },
    };
    let reason = match (code, status) {
        (Some(code), Some(status)) => format!("the server says {code} ({})", status.trim()),
        (Some(text), None) | (None, Some(text)) => format!("the server says {}", text.trim()),
        (None, None) => texts.pop().unwrap_or_default(),
    };
    (fault, shortened(reason))
}

fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (found, _) = rest.split_once(after)?;
    Some(found.to_owned())
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(REASON_LEN_MAX));
    text.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> object_store::Error {
        let body = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code>\
                    <AWSAccessKeyId>hush</AWSAccessKeyId><StringToSign>hush</StringToSign></Error>";
        object_store::Error::PermissionDenied { path: "a".to_owned(), source: body.into() }
    }

    #[test]
    fn of_an_answer_only_the_code_is_told() {
        let error = S3Error::new("read", "s3://b/a".to_owned(), &denied());
        assert_eq!(error.to_string(), "read s3://b/a: the server says SignatureDoesNotMatch (403 Forbidden)");
        assert_eq!(error.fault, Fault::Denied);
    }

    #[test]
    fn a_server_that_is_not_there_is_unavailable() {
        let gone = object_store::Error::Generic { store: "S3", source: Box::new(io::Error::other("connection refused")) };
        let error = S3Error::new("read", "s3://b/a".to_owned(), &gone);
        assert_eq!((error.fault, error.reason.as_str()), (Fault::Unavailable, "connection refused"));
        let slow = "Server returned non-2xx status code: 503 Service Unavailable: <Error><Code>SlowDown</Code></Error>";
        let slow = object_store::Error::Generic { store: "S3", source: slow.into() };
        assert_eq!(S3Error::new("read", String::new(), &slow).fault, Fault::Unavailable);
    }

    #[test]
    fn it_is_found_among_causes() {
        let error = S3Error::new("read", "s3://b/a".to_owned(), &denied());
        let io = io::Error::from(error);
        assert_eq!(io.kind(), io::ErrorKind::PermissionDenied);
        let archive = icecore_archive::Error::Io { action: "read", path: "x".into(), source: io };
        assert_eq!(S3Error::find(&archive).unwrap().fault, Fault::Denied);
        assert!(S3Error::find(&icecore_archive::Error::Cancelled).is_none());
    }
}
