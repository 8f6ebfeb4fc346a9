//! Why a command that talks to a server failed.

use std::io;
use std::path::PathBuf;

use url::Url;

/// The result of such a command.
pub(super) type Result<T, E = ManageError> = std::result::Result<T, E>;

/// Why such a command failed. Never shows a key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManageError {
    /// A file of the arguments.
    #[error("cannot read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file has no certificate.
    #[error("{path:?} has no certificate in PEM form")]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// The server's URL is none that could be asked.
    #[error("{url} is not the URL of a server; it has to begin with http:// or https://")]
    NotAServer {
        /// The URL.
        url: Url,
    },
    /// A key that no request can carry.
    #[error("the API key has characters that no request can carry")]
    Key,
    /// There was no answer.
    #[error("no answer from {url}: {cause}")]
    NoAnswer {
        /// What was asked.
        url: Url,
        /// Why not.
        cause: String,
    },
    /// The answer was an error.
    #[error("{message}")]
    Refused {
        /// The server's words.
        message: String,
    },
    /// The answer was something else.
    #[error("{url} answers {status}, and not as a server with the backup manager's API would")]
    Foreign {
        /// What was asked.
        url: Url,
        /// The status of the answer.
        status: u16,
    },
    /// There is no such store.
    #[error("there is no store {store:?}; `icecore stores list` shows which there are")]
    NoStore {
        /// The name or id.
        store: String,
    },
    /// More than one store is called so.
    #[error("{count} stores are called {store:?}; name one by its id")]
    Ambiguous {
        /// The name.
        store: String,
        /// How many.
        count: usize,
    },
    /// The job did not end well.
    #[error("job {id} {status}{}{error}", if .error.is_empty() { "" } else { ": " })]
    Job {
        /// Its name.
        id: String,
        /// Its state.
        status: String,
        /// Its error, if any.
        error: String,
    },
    /// The store is not reachable.
    #[error("{0}")]
    Store(String),
    /// Something of the process itself failed.
    #[error("start the runtime")]
    Runtime(#[source] io::Error),
    /// Standard output is closed or full.
    #[error("write the result")]
    Output(#[source] io::Error),
}
