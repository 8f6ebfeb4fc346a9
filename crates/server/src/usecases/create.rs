//! Makes an archive: a consistent cut, a plan of it, and one copy into the store.
//!
//! The cut keeps its files until the archive is finished, whatever is written, compacted or deleted meanwhile. Nothing is listed
//! before the archive is complete.

use std::io;
use std::sync::Arc;

use icecore_archive::{ArchiveName, Compression, Draft, Member, MemberPath, Plan, Progress, Sharing, Sink, Written};
use icecore_io::{File, Share, in_background};
use icecore_storage::{Scope, Snapshot, SnapshotFile};

use super::{fetch, naming};
use crate::app::App;
use crate::error::{AppError, Result, one_line};
use crate::metrics::Kind;
use crate::stores::{ArchiveInfo, Store, StoreError};

/// How an archive is made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Whether it is compressed.
    pub(crate) compression: Option<Compression>,
    /// Whether it is written even if it could share the bytes of an equal one.
    pub(crate) full: bool,
}

/// Archives a scope into the store of the server, as [`create_in`] does.
pub(crate) fn create(
    app: &App,
    scope: &Scope,
    options: Options,
    progress: &dyn Progress,
    chosen: impl FnMut(&ArchiveName) -> Result<()>,
) -> Result<ArchiveInfo> {
    create_in(app, &app.store, scope, options, progress, chosen)
}

/// Archives a scope, whose collection may be given by an alias, into `store`. `chosen` is called with the archive's name, which no archive has
/// then, before anything is written; an error of it ends the attempt. What fails or is stopped leaves nothing. What was copied is read back
/// later, in the background.
pub(crate) fn create_in(
    app: &App,
    store: &Arc<dyn Store>,
    scope: &Scope,
    options: Options,
    progress: &dyn Progress,
    mut chosen: impl FnMut(&ArchiveName) -> Result<()>,
) -> Result<ArchiveInfo> {
    let place = fetch::place(app, scope)?;
    let limited = app.bandwidth.limit(progress);
    let counted = app.metrics.snapshot(Kind::Create, &place);
    let cut = Cut::take(app, scope)?;
    let Options { compression, full } = options;
    let reverify_after = app.config.snapshots.reverify_after();
    let sharing = (!full).then_some(Sharing { reverify_after, damaged: &warn_of_damage });
    for name in naming::candidates(&place, compression.is_some(), app.jobs.peer_id(), app.clock.now()) {
        // A name that is taken is not told: whoever is told it takes the archive of that name for what was made here.
        match store.open(&place, &name) {
            Ok(_) => continue,
            Err(StoreError::NotFound { .. }) => chosen(&name)?,
            Err(error) => return Err(error.into()),
        }
        let draft = Draft { plan: cut.plan(), source: &|index: usize| cut.open(app, index), compression, sharing };
        match in_background(Share::Least, || store.put(&place, &name, draft, &limited)) {
            Err(StoreError::Exists { .. }) => {}
            done => {
                let made = done?;
                counted.finish(made.size);
                if !made.shared {
                    app.verifier.submit(&app.metrics, store, &place, &made.name);
                }
                return Ok(made);
            }
        }
    }
    unreachable!("the candidates have no end that could be reached")
}

/// The archive that is being made is a copy then, and sound.
fn warn_of_damage(error: &icecore_archive::Error) {
    tracing::warn!("a snapshot that was made earlier is damaged; delete it: {}", one_line(error));
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
