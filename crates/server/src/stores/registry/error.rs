//! Why a configuration of a store cannot be read, made or used. Texts for clients are those of the backup manager's contract.

use std::io;
use std::path::PathBuf;

use crate::error::{Kind, of_io};
use crate::stores::StoreError;

/// The error of the configurations of stores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoresError {
    /// There is none of this id.
    #[error("Storage config not found")]
    NotFound,
    /// The default one stays.
    #[error("Cannot delete default storage config")]
    DefaultDeleted,
    /// The default one stays the default until there is another.
    #[error("Cannot unset default storage without setting another as default")]
    DefaultUnset,
    /// What was asked for breaks a rule.
    #[error("Invalid configuration: {reason}")]
    Invalid {
        /// The rule.
        reason: String,
    },
    /// One too many.
    #[error("Invalid configuration: there are {max} configurations already, which is the most there may be; delete some")]
    TooMany {
        /// How many there may be.
        max: usize,
    },
    /// The secrets were encrypted with another key, or are damaged.
    #[error(
        "the secrets of the storage configuration {name:?} cannot be decrypted: the encryption key (`manager.encryption_key`, or the \
         file `secrets.key` in the storage directory) is not the one that they were encrypted with; give that one, or send both keys anew"
    )]
    WrongKey {
        /// The name of the configuration.
        name: String,
    },
    /// There is no key to decrypt them with.
    #[error(
        "the secrets of the storage configuration {name:?} cannot be decrypted: there is no encryption key; give `manager.encryption_key`, \
         put back the file `secrets.key` of the storage directory, or send both keys anew"
    )]
    NoKey {
        /// The name of the configuration.
        name: String,
    },
    /// The key file is none.
    #[error("{path:?} is not a key file: it has to hold 64 hexadecimal digits")]
    KeyFile {
        /// The file.
        path: PathBuf,
    },
    /// The library that encrypts failed.
    #[error("encrypt the secrets of a storage configuration")]
    Encryption,
    /// The document is not as it was written.
    #[error(
        "the storage configurations {path:?} are damaged ({reason}); put back a copy, or move it away: archives are not touched"
    )]
    Damaged {
        /// The document.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A later version has written it.
    #[error(
        "the storage configurations {path:?} have format {found}, this program knows up to {known}; start the version that wrote it"
    )]
    Newer {
        /// The document.
        path: PathBuf,
        /// The format of the file.
        found: u32,
        /// The format that this program writes.
        known: u32,
    },
    /// Nobody knows what the disk holds.
    #[error("the storage configurations take no more changes since a failed sync; restart the server")]
    Poisoned,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error("{operation} {path:?}")]
    Io {
        /// What was attempted, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl StoresError {
    /// What the caller can do about it.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::DefaultDeleted | Self::DefaultUnset | Self::Invalid { .. } | Self::TooMany { .. } => Kind::InvalidInput,
            Self::WrongKey { .. } | Self::NoKey { .. } | Self::KeyFile { .. } | Self::Encryption => Kind::Internal,
            Self::Damaged { .. } => Kind::Corrupt,
            Self::Newer { .. } => Kind::Unsupported,
            Self::Poisoned => Kind::Poisoned,
            Self::Store(error) => crate::error::of_store(error),
            Self::Io { source, .. } => of_io(source),
        }
    }

    /// Whether its text may be shown to clients: it names no path and holds no secret.
    pub(crate) fn is_presentable(&self) -> bool {
        match self {
            Self::NotFound
            | Self::DefaultDeleted
            | Self::DefaultUnset
            | Self::Invalid { .. }
            | Self::TooMany { .. }
            | Self::WrongKey { .. }
            | Self::NoKey { .. }
            | Self::Poisoned => true,
            Self::KeyFile { .. }
            | Self::Encryption
            | Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::Store(_)
            | Self::Io { .. } => false,
        }
    }
}
