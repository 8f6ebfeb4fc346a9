//! Why a job of the manager's cannot be done as it was asked for. Texts that others wait for are the backup manager's.

use icecore_archive::Sha256Digest;

use crate::clusters::ClusterError;
use crate::error::Kind;
use crate::usecases::location::LocationError;

/// The error of a request for a job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManagedError {
    /// Neither an archive nor a URL.
    #[error("No restore source specified")]
    NoSource,
    /// Which archive?
    #[error("snapshot_name is required for a verification")]
    NoName,
    /// An archive is not as it was made.
    #[error("{name} is damaged, in {count} place{}: {first}", if *.count == 1 { "" } else { "s, the first being" })]
    Damaged {
        /// The archive.
        name: String,
        /// How many things are wrong.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// There is nothing to compare an archive with.
    #[error("{name} cannot be verified: the store has no digest of it, and {reason}")]
    NoDigest {
        /// The archive.
        name: String,
        /// Why it is not checked by itself.
        reason: String,
    },
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
    /// The cluster's own word, or that it has none.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A snapshot is another one than the cluster has made.
    #[error("the snapshot has arrived with the SHA-256 {actual}, the cluster says {expected}; nothing is kept of it")]
    OtherChecksum {
        /// What the cluster says.
        expected: Sha256Digest,
        /// What the bytes have.
        actual: Sha256Digest,
    },
    /// A snapshot has not come to its end.
    #[error("{reason}; nothing is kept of it")]
    NotArrived {
        /// How far it came, and why no further.
        reason: String,
    },
    /// A part of a collection is out of reach.
    #[error("shard {shard} of {collection:?} is on none of the nodes that can be asked")]
    NoReplica {
        /// The collection.
        collection: String,
        /// The shard's number.
        shard: u32,
    },
    /// Only a set can be sent collection by collection.
    #[error(
        "everything can be restored on a cluster from a set only, which the backup of a whole cluster is: back up the collections of \
         the engine one by one, and restore these"
    )]
    EverythingElsewhere,
    /// Nobody here has heard what a cluster made of what it was sent.
    #[error("the server ended while the cluster restored; whether it has, only a look at it tells; a retry restores once more")]
    OutcomeUnknown,
    /// The archive is nowhere that may be reached.
    #[error(transparent)]
    Location(#[from] LocationError),
}

impl ManagedError {
    /// Whether it is about a cluster, and its text says nothing of this machine.
    pub(crate) fn is_of_cluster(&self) -> bool {
        matches!(
            self,
            Self::Cluster(ClusterError::Answer { .. } | ClusterError::Unavailable { .. })
                | Self::OtherChecksum { .. }
                | Self::NotArrived { .. }
                | Self::NoReplica { .. }
                | Self::OutcomeUnknown
        )
    }

    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Location(LocationError::Outside { .. } | LocationError::Disabled) => Kind::Forbidden,
            Self::Location(LocationError::NoArchive { .. }) => Kind::NotFound,
            Self::Location(LocationError::Unreadable { .. }) => Kind::Internal,
            Self::Cluster(ClusterError::App(error)) => error.kind(),
            Self::Cluster(ClusterError::Answer { status, .. }) => match status {
                404 => Kind::NotFound,
                403 => Kind::Forbidden,
                409 => Kind::Conflict,
                500.. => Kind::Internal,
                _ => Kind::InvalidInput,
            },
            Self::Cluster(ClusterError::Unknown { .. } | ClusterError::Location(_)) => Kind::InvalidInput,
            Self::Cluster(ClusterError::Unavailable { .. }) | Self::NoReplica { .. } | Self::NotArrived { .. } => {
                Kind::Unavailable
            }
            Self::Cluster(ClusterError::Panicked | ClusterError::Certificate { .. } | ClusterError::Setup { .. })
            | Self::OutcomeUnknown => Kind::Internal,
            Self::OtherChecksum { .. } | Self::Damaged { .. } => Kind::Corrupt,
            Self::NoSource
            | Self::NoName
            | Self::NoDigest { .. }
            | Self::EverythingElsewhere
            | Self::ShardRequired { .. }
            | Self::ShardOfEverything
            | Self::Upload
            | Self::UnknownCluster { .. }
            | Self::Metadata { .. }
            | Self::Location(_) => Kind::InvalidInput,
        }
    }
}
