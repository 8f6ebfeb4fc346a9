//! Makes an archive: a consistent cut, a plan of it, and one copy into the store.
//!
//! The cut keeps its files until the archive is finished, whatever is written, compacted or deleted meanwhile. Nothing is listed
//! before the archive is complete.

use icecore_archive::{Member, MemberPath, Plan};
use icecore_storage::{Scope, SnapshotFile};

use super::{fetch, naming};
use crate::app::App;
use crate::error::{AppError, Result};
use crate::metrics::Kind;
use crate::stores::{ArchiveInfo, StoreError};

/// Archives a scope, whose collection may be given by an alias. Ends early, leaving nothing, when the server has to stop.
pub(crate) fn create(app: &App, scope: &Scope) -> Result<ArchiveInfo> {
    let place = fetch::place(app, scope)?;
    let counted = app.metrics.snapshot(Kind::Create, &place);
    let snapshot = app.storage.snapshot(scope)?;
    let subject = serde_json::to_value(&snapshot.subject).map_err(AppError::Encode)?;
    let members = snapshot.files.iter().map(member).collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::new(subject, members)?;
    let source = |index: usize| {
        let file = snapshot.files.get(index).ok_or(std::io::ErrorKind::InvalidInput)?;
        app.fs.open_read(&file.source)
    };
    for name in naming::candidates(&place, app.clock.now()) {
        match app.store.put(&place, &name, &plan, &source, &app.shutdown) {
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

fn member(file: &SnapshotFile) -> Result<Member, icecore_archive::Error> {
    let path =
        MemberPath::new(file.member.as_str()).map_err(|rule| icecore_archive::Error::Path { path: file.member.clone(), rule })?;
    let digest = file.digest;
    Ok(Member { path, len: digest.len, sha256: digest.sha256, crc32c: digest.crc32c })
}
