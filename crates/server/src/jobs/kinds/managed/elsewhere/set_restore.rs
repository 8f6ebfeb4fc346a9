//! A restore of a whole cluster from a set: its archives are sent one after another, then the aliases are made again.
//!
//! Nothing is sent before the store has all that the set lists. A cluster elsewhere has no commit of several collections, so what
//! ends in the middle leaves those that were restored, and the error names them. The note that the cluster may be another is that of
//! a single restore, and stays for all of it.

use icecore_archive::{ArchiveName, Progress, Sha256Digest};

use super::restore::{node, note, sent};
use super::{Site, nodes};
use crate::clusters::{Priority, Upload};
use crate::error::{AppError, Kind, Result};
use crate::stores::Store;
use crate::usecases::sets::{self, Listed, Set, SetError};
use crate::usecases::share::Share;

/// Restores the set of this name of `cluster`, which may be another than the one that is restored.
pub(super) fn run(
    site: &Site<'_>,
    store: &dyn Store,
    cluster: &str,
    name: &ArchiveName,
    checksum: Option<Sha256Digest>,
    priority: Priority,
) -> Result<()> {
    let set = sets::open(store, cluster, name, checksum)?;
    set.check_whole(store, name)?;
    site.running.start(set.bytes());
    let mut restored = Vec::new();
    for archive in &set.archives {
        one(site, store, &set, archive, priority)
            .map_err(|error| stopped(error, format!("at {}", called(archive)), &restored))?;
        restored.push(called(archive));
    }
    aliases(site, &set).map_err(|error| stopped(error, "at the aliases".to_owned(), &restored))
}

fn one(site: &Site<'_>, store: &dyn Store, set: &Set, archive: &Listed, priority: Priority) -> Result<()> {
    if site.running.advance(0).is_break() {
        return Err(icecore_archive::Error::Cancelled.into());
    }
    let stored = archive.open(store, &set.cluster)?;
    let scope = archive.scope();
    let node = node(site, &scope)?;
    let upload = Upload { scope, len: archive.len, priority, checksum: Some(archive.sha256.to_string()) };
    sent(site, node, upload, &stored, &Share::new(site.running, archive.len))
}

fn aliases(site: &Site<'_>, set: &Set) -> Result<()> {
    if set.aliases.is_empty() {
        return Ok(());
    }
    let node = nodes::reachable(site)?;
    note(site)?;
    Ok(site.wait(node.make_aliases(&set.aliases))??)
}

fn called(archive: &Listed) -> String {
    match archive.shard {
        None => format!("{:?}", archive.collection),
        Some(shard) => format!("shard {shard} of {:?}", archive.collection),
    }
}

/// Says where it ended, unless somebody has ended it: jobs that were cancelled have no error.
fn stopped(error: AppError, step: String, restored: &[String]) -> AppError {
    if error.kind() == Kind::Cancelled {
        return error;
    }
    let before = match restored {
        [] => "nothing was restored before".to_owned(),
        restored => format!("restored before: {}", restored.join(", ")),
    };
    SetError::Stopped { error: Box::new(error), step, before }.into()
}
