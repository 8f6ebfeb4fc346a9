//! Why a job of the manager's cannot be done as it was asked for. Texts that others wait for are the backup manager's.

use crate::error::Kind;
use crate::usecases::location::LocationError;

/// The error of a request for a job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagedError {
    /// Neither an archive nor a URL.
    #[error("No restore source specified")]
    NoSource,
    /// Which shard?
    #[error("Shard ID required for shard {work}")]
    ShardRequired {
        /// What was to be done with it.
        work: &'static str,
    },
    /// A shard of everything.
    #[error("a shard belongs to one collection: name that instead of `*`")]
    ShardOfEverything,
    /// The archive would have to come with the request.
    #[error("a job cannot take an upload: send the archive to POST /collections/{{name}}/snapshots/upload instead")]
    Upload,
    /// No such cluster.
    #[error("unknown cluster {name:?}")]
    UnknownCluster {
        /// What was asked for.
        name: String,
    },
    /// A key of the metadata that means something has a value that means nothing. The value is not told, for it may be a secret.
    #[error("metadata.{key}: {rule}")]
    Metadata {
        /// The key.
        key: &'static str,
        /// What the value has to be.
        rule: String,
    },
    /// The archive is nowhere that may be reached.
    #[error(transparent)]
    Location(#[from] LocationError),
}

impl ManagedError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Location(LocationError::Outside { .. } | LocationError::Disabled) => Kind::Forbidden,
            Self::Location(LocationError::NoArchive { .. }) => Kind::NotFound,
            Self::Location(LocationError::Unreadable { .. }) => Kind::Internal,
            Self::NoSource
            | Self::ShardRequired { .. }
            | Self::ShardOfEverything
            | Self::Upload
            | Self::UnknownCluster { .. }
            | Self::Metadata { .. }
            | Self::Location(_) => Kind::InvalidInput,
        }
    }
}
