//! The arguments of the commands that talk to a server.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use url::Url;

use crate::config::Secret;

/// Which server, and how to talk to it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerAt {
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://localhost:6333", env = "ICECORE_URL")]
    pub(super) url: Url,
    /// A file with the server's API key. Without it the variable ICECORE_API_KEY is used, if it is set.
    #[arg(long, value_name = "FILE")]
    pub(super) api_key_file: Option<PathBuf>,
    /// A file with the authorities that have signed the server's certificate, in PEM form, in place of the system's.
    #[arg(long, value_name = "FILE")]
    pub(super) ca_cert: Option<PathBuf>,
    /// The cluster to act on, one of those in the server's configuration; by default the server itself.
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// Print what the server answers as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Whose archive: a collection's, a shard's, or that of everything.
#[derive(Debug, Clone, Args)]
pub(crate) struct Of {
    /// The collection.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(super) collection: Option<String>,
    /// All collections and aliases: in one archive, or, of another cluster, in a set that lists one for each collection.
    #[arg(long)]
    pub(super) all: bool,
    /// Only this shard of the collection.
    #[arg(long, value_name = "NUMBER", conflicts_with = "all")]
    pub(super) shard: Option<u32>,
    /// The name or the id of a store; by default the default one.
    #[arg(long, value_name = "STORE")]
    pub(super) store: Option<String>,
}

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Make a backup, and wait for it.
    Create {
        #[command(flatten)]
        server: ServerAt,
        #[command(flatten)]
        of: Of,
        /// Compress it with zstd.
        #[arg(long)]
        zstd: bool,
        /// The level of zstd, from 1 to 22.
        #[arg(long, requires = "zstd")]
        level: Option<i32>,
        /// Only start the job.
        #[arg(long)]
        no_wait: bool,
    },
    /// List the backups in a store.
    List {
        #[command(flatten)]
        server: ServerAt,
        /// Only those of this collection; `*` for those of everything.
        collection: Option<String>,
        /// The name or the id of a store; by default the default one.
        #[arg(long, value_name = "STORE")]
        store: Option<String>,
    },
    /// Restore from a backup, and wait for it.
    Restore {
        #[command(flatten)]
        server: ServerAt,
        #[command(flatten)]
        of: Of,
        /// The name of the backup.
        #[arg(long, value_name = "NAME", required_unless_present = "from_url", conflicts_with = "from_url")]
        name: Option<String>,
        /// Fetch the archive from this URL instead of a store.
        #[arg(long, value_name = "URL", conflicts_with = "store")]
        from_url: Option<String>,
        /// The SHA-256 that the archive must have.
        #[arg(long, value_name = "HEX")]
        checksum: Option<String>,
        /// Only start the job.
        #[arg(long)]
        no_wait: bool,
    },
    /// Read a whole backup where it is stored, and compare everything with its digests.
    Verify {
        #[command(flatten)]
        server: ServerAt,
        #[command(flatten)]
        of: Of,
        /// The name of the backup.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Only start the job.
        #[arg(long)]
        no_wait: bool,
    },
    /// Delete a backup. A set is deleted without the archives that it lists.
    Delete {
        #[command(flatten)]
        server: ServerAt,
        #[command(flatten)]
        of: Of,
        /// The name of the backup.
        #[arg(long, value_name = "NAME")]
        name: String,
    },
}

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, the newest first.
    List {
        #[command(flatten)]
        server: ServerAt,
        /// Only those in this state.
        #[arg(long)]
        status: Option<String>,
        /// Only those of this type.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// Which page, from 1.
        #[arg(long, default_value_t = 1)]
        page: u32,
        /// How many on a page, up to 100.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show how far a job is until it ends; fails if the job does.
    Watch {
        #[command(flatten)]
        server: ServerAt,
        /// The job.
        id: String,
    },
    /// Stop a job.
    Cancel {
        #[command(flatten)]
        server: ServerAt,
        /// The job.
        id: String,
    },
    /// Start a job anew that has failed or was cancelled.
    Retry {
        #[command(flatten)]
        server: ServerAt,
        /// The job.
        id: String,
    },
}

/// What to do with stores.
#[derive(Debug, Subcommand)]
pub(crate) enum StoresCommand {
    /// List the stores.
    List {
        #[command(flatten)]
        server: ServerAt,
    },
    /// Add a store.
    Add {
        #[command(flatten)]
        server: ServerAt,
        /// What it is called.
        name: String,
        #[command(flatten)]
        place: StorePlace,
        /// Use it where none is named.
        #[arg(long)]
        default: bool,
    },
    /// Try whether the server reaches a store that it has, or one that is described.
    Test {
        #[command(flatten)]
        server: ServerAt,
        /// The name or the id of a store that the server has.
        #[arg(required_unless_present = "type", conflicts_with = "type")]
        store: Option<String>,
        #[command(flatten)]
        place: Option<StorePlace>,
    },
}

/// The place of a store.
#[derive(Debug, Clone, Args)]
pub(crate) struct StorePlace {
    /// What sort of store.
    #[arg(long = "type", id = "type")]
    pub(super) kind: StoreKind,
    /// The directory on the server's machine.
    #[arg(long, required_if_eq("type", "local"))]
    pub(super) path: Option<PathBuf>,
    /// The bucket.
    #[arg(long, required_if_eq("type", "s3"))]
    pub(super) bucket: Option<String>,
    /// The URL of the S3 server, if it is not Amazon's.
    #[arg(long)]
    pub(super) endpoint: Option<String>,
    /// The region.
    #[arg(long)]
    pub(super) region: Option<String>,
    /// The access key; by default the server takes its own credentials.
    #[arg(long, requires = "secret_key_file")]
    pub(super) access_key: Option<String>,
    /// A file with the secret of the access key.
    #[arg(long, value_name = "FILE", requires = "access_key")]
    pub(super) secret_key_file: Option<PathBuf>,
}

/// What sort of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoreKind {
    /// A directory.
    Local,
    /// A bucket.
    S3,
}

impl StoreKind {
    /// Its name in the API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::S3 => "s3",
        }
    }
}

impl ServerAt {
    /// The key, if there is one: of the file, or else of the environment.
    pub(super) fn api_key(&self) -> super::Result<Option<Secret>> {
        match &self.api_key_file {
            Some(file) => super::client::secret(file).map(Some),
            None => Ok(std::env::var("ICECORE_API_KEY").ok().filter(|key| !key.is_empty()).map(Secret::new)),
        }
    }
}

impl Of {
    /// The collection as the API names it.
    pub(super) fn collection_name(&self) -> &str {
        self.collection.as_deref().unwrap_or("*")
    }
}
