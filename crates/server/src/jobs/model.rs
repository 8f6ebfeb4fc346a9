//! What a job is: for whoever submits one, for the work itself, and for whoever makes the work anew after a restart.
//!
//! The words here are what stands in the database, so none of them ever changes its meaning. Neither the database nor threads are
//! known here.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

use super::Running;
use crate::error::Result;

/// What a job does, on a thread of its own for as long as it takes. What it returns is kept with the job and given to whoever
/// waits for it.
pub(crate) type Work = Box<dyn FnOnce(&Running) -> Result<Value> + Send>;

/// The name of a job: a UUID of version 7, so that newer ones sort last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct JobId(pub(super) Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What sort of work a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "they are called as in the database, where more than snapshots has a place")]
pub(crate) enum JobKind {
    /// Makes an archive.
    SnapshotCreate,
    /// Deletes an archive.
    SnapshotDelete,
    /// Restores from an archive that is here or fetched.
    SnapshotRecover,
    /// Restores from an archive that came with the request.
    SnapshotUpload,
}

impl JobKind {
    const ALL: [Self; 4] = [Self::SnapshotCreate, Self::SnapshotDelete, Self::SnapshotRecover, Self::SnapshotUpload];

    /// The kind's name in the database.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SnapshotCreate => "snapshot_create",
            Self::SnapshotDelete => "snapshot_delete",
            Self::SnapshotRecover => "snapshot_recover",
            Self::SnapshotUpload => "snapshot_upload",
        }
    }

    /// Whether jobs of this kind may wait for other servers.
    pub(super) fn may_wait_for_others(self) -> bool {
        match self {
            Self::SnapshotRecover => true,
            Self::SnapshotCreate | Self::SnapshotDelete | Self::SnapshotUpload => false,
        }
    }

    /// The kind of this name; `None` for those of other versions.
    pub(super) fn of(name: &str) -> Option<Self> {
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

/// In which way a job has come to its end. Before that it is `pending` or `running`, which only the database says.
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
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        for kind in JobKind::ALL {
            assert_eq!(JobKind::of(kind.as_str()), Some(kind));
        }
        assert_eq!(JobKind::of("snapshot_polish"), None);
        for choice in [OnRestart::Again, OnRestart::Fail] {
            assert_eq!(OnRestart::of(choice.as_str()), Some(choice));
        }
    }
}
