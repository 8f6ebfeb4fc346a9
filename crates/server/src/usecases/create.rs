//! Makes an archive: a consistent cut, a plan of it, and one copy into the store.
//!
//! The cut keeps its files until the archive is finished, whatever is written, compacted or deleted meanwhile. Nothing is listed
//! before the archive is complete.

use std::io;
use std::sync::Arc;

use icecore_archive::{ArchiveName, Compression, Draft, Member, MemberPath, Plan, Progress, Sink, Written};
use icecore_io::{File, in_background};
use icecore_storage::{Scope, Snapshot, SnapshotFile};

use super::{fetch, naming};
use crate::app::App;
use crate::error::{AppError, Result};
use crate::metrics::Kind;
use crate::stores::{ArchiveInfo, StoreError};

/// Archives a scope, whose collection may be given by an alias. `chosen` is called with the archive's name, which no archive has
/// then, before anything is written; an error of it ends the attempt. What fails or is stopped leaves nothing.
pub(crate) fn create(
    app: &App,
    scope: &Scope,
    compression: Option<Compression>,
    progress: &dyn Progress,
    mut chosen: impl FnMut(&ArchiveName) -> Result<()>,
) -> Result<ArchiveInfo> {
    let place = fetch::place(app, scope)?;
    let limited = app.bandwidth.limit(progress);
    let counted = app.metrics.snapshot(Kind::Create, &place);
    let cut = Cut::take(app, scope)?;
    for name in naming::candidates(&place, compression.is_some(), app.jobs.peer_id(), app.clock.now()) {
        // A name that is taken is not told: whoever is told it takes the archive of that name for what was made here.
        match app.store.open(&place, &name) {
            Ok(_) => continue,
            Err(StoreError::NotFound { .. }) => chosen(&name)?,
            Err(error) => return Err(error.into()),
        }
        let draft = Draft { plan: cut.plan(), source: &|index: usize| cut.open(app, index), compression };
        match in_background(|| app.store.put(&place, &name, draft, &limited)) {
            Err(StoreError::Exists { .. }) => {}
            done => {
                let made = done?;
                counted.finish(made.size);
                return Ok(made);
            }
        }
    }
    unreachable!("the candidates have no end that could be reached")
}

/// A consistent cut and the plan of its archive. The cut keeps its files for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Cut {
    snapshot: Snapshot,
    plan: Plan,
}

impl Cut {
    /// Cuts a scope.
    pub(crate) fn take(app: &App, scope: &Scope) -> Result<Self> {
        let snapshot = app.storage.snapshot(scope)?;
        let subject = serde_json::to_value(&snapshot.subject).map_err(AppError::Encode)?;
        let members = snapshot.files.iter().map(member).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { plan: Plan::new(subject, members)?, snapshot })
    }

    /// What the archive will be.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Writes the archive to `sink`.
    pub(crate) fn write(&self, app: &App, sink: &mut dyn Sink, progress: &dyn Progress) -> Result<Written> {
        Ok(icecore_archive::write_archive(
            &self.plan,
            &|index: usize| self.open(app, index),
            sink,
            &app.bandwidth.limit(progress),
        )?)
    }

    /// Opens the source of a member.
    fn open(&self, app: &App, index: usize) -> io::Result<Arc<dyn File>> {
        let file = self.snapshot.files.get(index).ok_or(io::ErrorKind::InvalidInput)?;
        app.fs.open_read(&file.source)
    }
}

fn member(file: &SnapshotFile) -> Result<Member, icecore_archive::Error> {
    let path =
        MemberPath::new(file.member.as_str()).map_err(|rule| icecore_archive::Error::Path { path: file.member.clone(), rule })?;
    let digest = file.digest;
    Ok(Member { path, len: digest.len, sha256: digest.sha256, crc32c: digest.crc32c })
}
