//! The command line. Without a subcommand it starts the server, with Qdrant's flags for restoring snapshots at the start.
//!
//! Only parsing happens here; a mapping that parses has a non-empty path and a name that a collection can have. Mappings are kept
//! as they were written until the server asks for them: a name that cannot be is an operator's mistake like a missing file, told
//! in one line, and not a reason to explain the usage.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};

use crate::manage::{BackupCommand, JobsCommand, StoresCommand};
use crate::tools::BenchArgs;

/// icecore stores collections of points and archives them.
#[derive(Debug, Parser)]
#[command(name = "icecore", version, about, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    /// Flags of the server.
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Anything but the server.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags of the server.
#[derive(Debug, Default, Args)]
pub(crate) struct ServerArgs {
    /// Restore a collection before serving: the snapshot's file, a colon, and the name that the collection gets.
    ///
    /// May be given several times. All are restored, or none. The name comes after the last colon. A snapshot of the whole storage
    /// is accepted too, if it holds a collection of that name, or just one.
    #[arg(long, value_name = "PATH:NAME", alias = "collection-snapshot")]
    snapshot: Vec<String>,

    /// Restore a snapshot of the whole storage, aliases included, before serving.
    #[arg(long, value_name = "PATH")]
    pub(crate) storage_snapshot: Option<PathBuf>,

    /// Replace collections and aliases that exist already by those of the snapshots.
    #[arg(short, long, alias = "force_snapshot")]
    pub(crate) force_snapshot: bool,

    /// Read settings from this YAML file, after `config/config.yaml` if there is one.
    #[arg(long, value_name = "PATH")]
    pub(crate) config_path: Option<PathBuf>,

    /// Accepted for compatibility: there is no telemetry.
    #[arg(long)]
    pub(crate) disable_telemetry: bool,
}

/// What `--snapshot` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The archive, relative to the working directory.
    pub(crate) path: PathBuf,
    /// The collection to restore to.
    pub(crate) name: String,
}

/// Anything but the server.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make, check and unpack archives.
    #[command(subcommand)]
    Archive(ArchiveCommand),
    /// Show what a storage directory, or an archive, consists of: collections, shards, segments, log files, points, bytes, LSNs.
    ///
    /// Changes nothing, and works while a server runs on the directory.
    Inspect {
        /// A storage directory or an archive.
        path: PathBuf,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure what making, verifying and restoring archives costs on this machine, beside plain programs on the same files.
    ///
    /// Makes its data in a new directory, which takes about four times the size of the data and is removed afterwards.
    Bench(BenchArgs),
    /// Make, list, restore, verify and delete backups of a running server, or of a cluster that it manages.
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Watch and control the jobs of a running server.
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// The stores in which a running server keeps backups.
    #[command(subcommand)]
    Stores(StoresCommand),
}

/// Tools for archives.
#[derive(Debug, Subcommand)]
pub(crate) enum ArchiveCommand {
    /// Make an archive of any directory but a storage.
    ///
    /// Files must not change meanwhile. Links and special files are refused. Of the permissions only the owner's executable bit is
    /// kept.
    Create {
        /// The directory.
        dir: PathBuf,
        /// The archive: a file that does not exist yet, outside of the directory.
        file: PathBuf,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read a whole snapshot and report everything that is wrong with it.
    Verify {
        /// The snapshot.
        file: PathBuf,
        /// Print the report as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is in a snapshot.
    List {
        /// The snapshot.
        file: PathBuf,
        /// Print the list as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Unpack a snapshot's files, verifying each.
    Extract {
        /// The snapshot.
        file: PathBuf,
        /// A directory that does not exist yet, or is empty.
        dir: PathBuf,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Why a mapping is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--snapshot {text:?}: {reason}")]
pub(crate) struct MappingError {
    text: String,
    reason: String,
}

impl ServerArgs {
    /// What to restore to single collections.
    pub(crate) fn mappings(&self) -> Result<Vec<Mapping>, MappingError> {
        self.snapshot.iter().map(|text| text.parse()).collect()
    }
}

impl FromStr for Mapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let refuse = |reason: String| Err(MappingError { text: text.to_owned(), reason });
        let (path, name) = text.rsplit_once(':').unwrap_or((text, ""));
        if path.is_empty() {
            return refuse("the path of the snapshot is missing; write PATH:NAME".to_owned());
        }
        if name.is_empty() {
            return refuse("the name of the collection is missing; write PATH:NAME".to_owned());
        }
        match icecore_storage::names::validate(name) {
            Ok(()) => Ok(Self { path: path.into(), name: name.to_owned() }),
            Err(error) => refuse(format!("{error}; choose another name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["icecore"], arguments].concat())
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn mappings_are_split_at_the_last_colon() {
        let cli = parse(&["--snapshot", "a:b.snapshot:c", "--collection-snapshot", "/x y.snapshot:d e"]).unwrap();
        let expected = [("a:b.snapshot", "c"), ("/x y.snapshot", "d e")];
        let expected = expected.map(|(path, name)| Mapping { path: path.into(), name: name.to_owned() });
        assert_eq!(cli.server.mappings().unwrap(), expected);
        assert!(cli.command.is_none());
    }

    #[test]
    fn impossible_mappings_are_refused() {
        for wrong in ["x.snapshot", ":c", "x.snapshot:", "x:../c", "x:a/b", "x:a\\b", "x:..", "x:a\nb", ":", ""] {
            let error = parse(&["--snapshot", wrong]).unwrap().server.mappings().unwrap_err().to_string();
            assert!(error.starts_with(&format!("--snapshot {wrong:?}: ")) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn force_has_three_spellings() {
        for spelling in ["--force-snapshot", "--force_snapshot", "-f"] {
            assert!(parse(&[spelling]).unwrap().server.force_snapshot, "{spelling}");
        }
        assert!(!parse(&[]).unwrap().server.force_snapshot);
    }

    #[test]
    fn flags_of_a_cluster_are_refused_and_telemetry_is_not() {
        for wrong in [&["--uri", "http://x"][..], &["--bootstrap", "http://x"], &["--reinit"], &["serve"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&["--disable-telemetry"]).is_ok());
    }

    #[test]
    fn subcommands_take_their_files() {
        let cli = parse(&["archive", "extract", "a", "b", "--json"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Archive(ArchiveCommand::Extract { json: true, .. }))));
        let cli = parse(&["inspect", "--json", "a"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Inspect { json: true, .. })));
        assert!(parse(&["archive", "create", "a", "b"]).is_ok());
        for good in [
            &["backup", "create", "c", "--zstd", "--level", "3", "--store", "s"][..],
            &["backup", "create", "--all"],
            &["backup", "restore", "c", "--shard", "1", "--name", "n"],
            &["backup", "restore", "c", "--from-url", "http://h/x"],
            &["jobs", "list", "--status", "failed", "--type", "backup"],
            &["stores", "add", "s", "--type", "local", "--path", "/x"],
            &["stores", "test", "s"],
            &["stores", "test", "--type", "s3", "--bucket", "b"],
        ] {
            assert!(parse(good).is_ok(), "{:?}", parse(good));
        }
        for bad in [
            &["backup", "create"][..],
            &["backup", "create", "c", "--all"],
            &["backup", "create", "c", "--level", "3"],
            &["backup", "restore", "c"],
            &["stores", "add", "s", "--type", "local"],
            &["stores", "add", "s", "--type", "s3", "--bucket", "b", "--access-key", "k"],
            &["stores", "test"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(parse(&["archive", "create", "a"]).is_err());
        assert!(parse(&["archive", "verify"]).is_err());
        assert!(parse(&["-f", "archive", "verify", "x"]).is_err());
    }
}
