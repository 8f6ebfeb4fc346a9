//! What a job is: for whoever submits one, for the work itself, and for whoever makes the work anew after a restart.
//!
//! The words here are what stands in the database, so none of them ever changes its meaning. Neither the database nor threads are
//! known here.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde_json::Value;
use uuid::Uuid;

use super::Running;
use super::control::{Bytes, Pace};
use crate::error::Result;

/// What a job does, on a thread of its own for as long as it takes. What it returns is kept with the job and given to whoever
/// waits for it.
pub(crate) type Work = Box<dyn FnOnce(&Running) -> Result<Value> + Send>;

/// The name of a job: a UUID. Those that the manager's API shows are of version 4, as its clients expect; others of version 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct JobId(pub(super) Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

/// What sort of work a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobKind {
    /// Makes an archive.
    SnapshotCreate,
    /// Deletes an archive.
    SnapshotDelete,
    /// Restores from an archive that is here or fetched.
    SnapshotRecover,
    /// Restores from an archive that came with the request.
    SnapshotUpload,
    /// A backup of a collection, or of everything, that the manager was asked for.
    Backup,
    /// A restore of a collection, or of everything, that the manager was asked for.
    Restore,
    /// A backup of one shard that the manager was asked for.
    ShardBackup,
    /// A restore of one shard that the manager was asked for.
    ShardRestore,
    /// Reading a backup through that the manager was asked for.
    Verify,
}

impl JobKind {
    const ALL: [Self; 9] = [
        Self::SnapshotCreate,
        Self::SnapshotDelete,
        Self::SnapshotRecover,
        Self::SnapshotUpload,
        Self::Backup,
        Self::Restore,
        Self::ShardBackup,
        Self::ShardRestore,
        Self::Verify,
    ];
    /// Those that the manager's API makes, shows, stops and does again.
    pub(crate) const MANAGED: [Self; 5] = [Self::Backup, Self::Restore, Self::ShardBackup, Self::ShardRestore, Self::Verify];

    /// The kind's name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SnapshotCreate => "snapshot_create",
            Self::SnapshotDelete => "snapshot_delete",
            Self::SnapshotRecover => "snapshot_recover",
            Self::SnapshotUpload => "snapshot_upload",
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::ShardBackup => "shard_backup",
            Self::ShardRestore => "shard_restore",
            Self::Verify => "verify",
        }
    }

    /// Whether the manager's API shows jobs of this kind.
    pub(crate) fn is_managed(self) -> bool {
        Self::MANAGED.contains(&self)
    }

    /// Whether jobs of this kind may wait for other servers.
    pub(super) fn may_wait_for_others(self) -> bool {
        match self {
            Self::SnapshotRecover | Self::Restore | Self::ShardRestore => true,
            Self::SnapshotCreate
            | Self::SnapshotDelete
            | Self::SnapshotUpload
            | Self::Backup
            | Self::ShardBackup
            | Self::Verify => false,
        }
    }

    /// The kind of this name; `None` for those of other versions.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What becomes of a job that the end of the process has kept from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnRestart {
    /// The next process does it again.
    Again,
    /// It has failed: whoever asked for it knows that it was not done, or its data is gone.
    Fail,
}

impl OnRestart {
    /// Its name in the database.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Fail => "fail",
        }
    }

    /// What has this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        [Self::Again, Self::Fail].into_iter().find(|choice| choice.as_str() == name)
    }
}

/// Where a job is between its submission and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits for its turn.
    Pending,
    /// It runs.
    Running,
    /// It has returned a result.
    Completed,
    /// It has returned an error, or will never be done.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl State {
    /// All of them, in the order of a job's life.
    pub(crate) const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Failed, Self::Cancelled];

    /// Its name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl From<Ended> for State {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Completed => Self::Completed,
            Ended::Failed => Self::Failed,
            Ended::Cancelled => Self::Cancelled,
        }
    }
}

/// In which way a job has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It has returned a result.
    Completed,
    /// It has returned an error, or will never be done.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl Ended {
    /// Its name in the database.
    pub(super) fn as_str(self) -> &'static str {
        State::from(self).as_str()
    }
}

/// A job to be done.
#[derive(Debug, Clone)]
pub(crate) struct NewJob {
    /// What sort of work it is.
    pub(crate) kind: JobKind,
    /// What it works on, such as `storage` or `collection/name`: jobs of one target are done one after another.
    pub(crate) target: String,
    /// What is needed to do it again after a restart. It is kept as it is: secrets belong into it only if there is no other way.
    pub(crate) request: Value,
    /// What the next process does with it.
    pub(crate) on_restart: OnRestart,
    /// Whether it takes as long as another server likes. The next process takes that of each kind that might.
    pub(crate) waits_for_others: bool,
}

/// A job that a former process has left.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredJob {
    /// Its name.
    pub(crate) id: JobId,
    /// What sort of work it is.
    pub(crate) kind: JobKind,
    /// What it works on.
    pub(crate) target: String,
    /// What was asked for.
    pub(crate) request: Value,
    /// How often it has begun.
    pub(crate) attempts: u32,
    /// What the last run has noted for the next one.
    pub(crate) checkpoint: Option<Value>,
}

/// A job as front doors show it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Description {
    /// Its name.
    pub(crate) id: JobId,
    /// What sort of work it is.
    pub(crate) kind: JobKind,
    /// Where it is.
    pub(crate) state: State,
    /// What was asked for.
    pub(crate) request: Value,
    /// What it has noted for its next run.
    pub(crate) checkpoint: Option<Value>,
    /// Why it has not been completed.
    pub(crate) error: Option<String>,
    /// How often somebody has asked for it again.
    pub(crate) retries: u32,
    /// How far it is, or was at its end.
    pub(crate) bytes: Bytes,
    /// How fast it is, if it runs.
    pub(crate) pace: Option<Pace>,
    /// When it was submitted.
    pub(crate) created: SystemTime,
    /// When it began last.
    pub(crate) started: Option<SystemTime>,
    /// When it ended.
    pub(crate) finished: Option<SystemTime>,
}

/// Which jobs are to be listed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filter {
    /// Those in this state only.
    pub(crate) state: Option<State>,
    /// Those of this kind only.
    pub(crate) kind: Option<JobKind>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        for kind in JobKind::ALL {
            assert_eq!(JobKind::of(kind.as_str()), Some(kind));
        }
        assert_eq!(JobKind::of("snapshot_polish"), None);
        for state in State::ALL {
            assert_eq!(State::of(state.as_str()), Some(state));
        }
        assert_eq!(State::of("paused"), None);
        for choice in [OnRestart::Again, OnRestart::Fail] {
            assert_eq!(OnRestart::of(choice.as_str()), Some(choice));
        }
    }
}
