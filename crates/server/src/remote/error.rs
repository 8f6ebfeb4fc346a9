//! Why an archive cannot be fetched, in words that are meant for the client who gave the URL.
//!
//! So no text, nor any `Debug` output, has a secret in it: URLs are [`redacted`](super::redacted) when an error is made, and causes
//! are kept as text, without the library's errors that know the whole URL.

use std::error::Error;

use reqwest::StatusCode;

use super::policy::Refusal;
use crate::error::{Kind, one_line};

/// The error of a fetch, up to the response's body. URLs in it are redacted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The host or an address of it may not be fetched from.
    #[error("fetching {url} is not allowed: {refusal}")]
    NotAllowed {
        /// The URL, or that of a redirect.
        url: String,
        /// Why.
        refusal: Refusal,
    },
    /// Neither `http` nor `https`.
    #[error("URL {url} with scheme {scheme} is not supported")]
    Scheme {
        /// The URL, or that of a redirect.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A redirect that would give up encryption.
    #[error("{from} redirects to {to}, which is not encrypted; fetch from there directly if that is wanted")]
    Downgrade {
        /// The URL that answered.
        from: String,
        /// Where it points.
        to: String,
    },
    /// A redirect to what is not a URL.
    #[error("{url} redirects to what is not a URL: {reason}")]
    Location {
        /// The URL that answered.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// Redirects without an end.
    #[error("{url} redirects more than {max} times")]
    TooManyRedirects {
        /// The first URL.
        url: String,
        /// How many are followed.
        max: usize,
    },
    /// The key for the remote cannot be sent.
    #[error("`api_key` has characters that a header cannot carry")]
    ApiKey,
    /// Not 200.
    #[error("Failed to download tar from {url}: status - {status}")]
    Status {
        /// The URL that answered.
        url: String,
        /// Its status.
        status: StatusCode,
    },
    /// 200, and nothing in it.
    #[error("Failed to download tar from {url}: its body is empty")]
    Empty {
        /// The URL that answered.
        url: String,
    },
    /// The body is not the file's bytes but some form of them.
    #[error("Failed to download tar from {url}: its `{header}` is {encoding:?} although `identity` was asked for")]
    Encoding {
        /// The URL that answered.
        url: String,
        /// The header that says so.
        header: &'static str,
        /// What it says.
        encoding: String,
    },
    /// The name, the connection, TLS, the protocol or the remote's patience.
    #[error("Http request error: {url}: {cause}")]
    Http {
        /// The URL that was asked.
        url: String,
        /// The whole chain of causes.
        cause: String,
    },
    /// The end of this server has stopped it.
    #[error("Http request error: {url}: {}", Stopping::Server)]
    Stopped {
        /// The first URL.
        url: String,
    },
    /// Somebody has cancelled it.
    #[error("Http request error: {url}: {}", Stopping::Download)]
    Cancelled {
        /// The first URL.
        url: String,
    },
}

/// What has stopped a download, as the error that its reader gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stopping {
    /// The end of this server.
    #[error("this server is being stopped")]
    Server,
    /// Whoever cancelled the operation.
    #[error("the operation was cancelled")]
    Download,
}

impl FetchError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NotAllowed { .. } => Kind::Forbidden,
            Self::Scheme { .. }
            | Self::Downgrade { .. }
            | Self::Location { .. }
            | Self::TooManyRedirects { .. }
            | Self::ApiKey
            | Self::Status { .. }
            | Self::Empty { .. }
            | Self::Encoding { .. } => Kind::InvalidInput,
            Self::Http { .. } => Kind::Internal,
            Self::Stopped { .. } | Self::Cancelled { .. } => Kind::Cancelled,
        }
    }
}

/// What an HTTP error and its causes say, without the URL.
pub(super) fn cause(error: reqwest::Error) -> String {
    one_line(&error.without_url())
}

/// The kind of the system's error below an HTTP error, if there is one.
pub(super) fn io_kind(error: &reqwest::Error) -> Option<std::io::ErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}
