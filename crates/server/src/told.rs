//! What a client may be told of an error: its text without paths of this machine and contents of files.
//!
//! Front doors put their own prefixes before it, and the log has the whole chain of causes.

use crate::error::{AppError, Kind, one_line};
use crate::stores::{S3Error, StoreError};
use crate::usecases::restore::RestoreError;
use crate::usecases::sets::SetError;

/// What a client is told of a failure that has no kind of its own.
pub(crate) const UNEXPECTED: &str = "an unexpected failure; the server's log says more";

/// What a client is told whose operation was stopped, mostly because the server ends.
pub(crate) const STOPPED: &str = "the operation was stopped";

/// What a client is told of data that is not as it was written.
pub(crate) const DAMAGED: &str = "stored data is damaged; the server's log says where";

/// The text for the client.
pub(crate) fn told(error: &AppError) -> String {
    match error.kind() {
        // They are the words of another machine, or about it.
        _ if let AppError::Managed(failed) = error
            && failed.is_of_cluster() =>
        {
            failed.to_string()
        }
        // Its cause is told as it would be alone.
        _ if let AppError::Set(stopped @ SetError::Stopped { .. }) = error => stopped.to_string(),
        Kind::NotFound | Kind::Conflict | Kind::Forbidden | Kind::InvalidInput | Kind::Unsupported => shown(error),
        // What a client has sent, or named, is damaged; nothing of ours is.
        Kind::Corrupt if matches!(error, AppError::Restore(_) | AppError::Managed(_) | AppError::Set(_)) => shown(error),
        Kind::Corrupt => DAMAGED.to_owned(),
        // As of the failures of a remote: they name an object and a reason, nothing of this machine.
        Kind::Unavailable | Kind::Internal if let Some(failed) = of_bucket(error) => failed.to_string(),
        Kind::Unavailable => "not possible at the moment; the server's log says why".to_owned(),
        Kind::Poisoned => {
            "writes are refused since an earlier failure; restart the server once the cause that its log names is fixed"
                .to_owned()
        }
        Kind::Cancelled => STOPPED.to_owned(),
        Kind::NoSpace => no_space(error),
        // Their texts say nothing of this machine, and the client alone can mend the cause.
        Kind::Internal if matches!(error, AppError::Fetch(_) | AppError::Restore(RestoreError::Broken { .. })) => one_line(error),
        Kind::Internal => UNEXPECTED.to_owned(),
    }
}

/// Both numbers, where they are known.
fn no_space(error: &AppError) -> String {
    use icecore_archive::Error::NoSpace;
    let numbers = match error {
        AppError::Restore(RestoreError::NoSpace { needed, free, .. }) => Some((needed, free)),
        AppError::Archive(NoSpace { needed, free, .. })
        | AppError::Restore(RestoreError::Archive(NoSpace { needed, free, .. }))
        | AppError::Store(StoreError::Archive(NoSpace { needed, free, .. })) => Some((needed, free)),
        _ => None,
    };
    match numbers {
        Some((needed, free)) => format!("No space left on device: {needed} bytes are needed, {free} bytes are free"),
        None => "No space left on device".to_owned(),
    }
}

/// What the client may read of an error that is about its request: no paths of the machine. An archive that is restored is called
/// by what the client called it.
fn shown(error: &AppError) -> String {
    match error {
        AppError::Stores(error) if error.is_presentable() => error.to_string(),
        AppError::Storage(_)
        | AppError::Fetch(_)
        | AppError::Managed(_)
        | AppError::Set(_)
        | AppError::Store(
            StoreError::NotFound { .. }
            | StoreError::Exists { .. }
            | StoreError::Place(_)
            | StoreError::NoBucket
            | StoreError::Options(_)
            | StoreError::Object(_),
        ) => error.to_string(),
        // Its cause is about files of this machine.
        AppError::Restore(RestoreError::Content { .. }) => {
            tracing::warn!("{}", one_line(error));
            error.to_string()
        }
        AppError::Restore(error) => one_line(error),
        other => {
            tracing::warn!("{}", one_line(other));
            "something on the server's disk stands in the way; its log says what".to_owned()
        }
    }
}

/// The request to a bucket that failed, if that is the cause.
fn of_bucket(error: &AppError) -> Option<&S3Error> {
    match error {
        AppError::Store(StoreError::Object(failed)) => Some(failed),
        other => S3Error::find(other),
    }
}
