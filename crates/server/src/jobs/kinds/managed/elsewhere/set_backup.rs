//! A backup of a whole cluster: the archives of its collections one after another, and a set that lists them, written last.
//!
//! The set is what the backup is known by: while it is not there, there are only archives. A collection that is deleted meanwhile is
//! not in it, and neither are its aliases. Its name is noted before it is put, so that no run makes a second one.

use std::collections::BTreeSet;

use icecore_archive::{Draft, Progress};

use super::backup::{self, Archive, Archived};
use super::{Site, nodes};
use crate::error::{Kind, Result, one_line};
use crate::stores::{Store, StoreError};
use crate::usecases::naming::{self, Place};
use crate::usecases::sets::{Listed, Set, SetError};

/// Backs all of it up, and says in `done` what is in the store.
pub(super) fn run(site: &Site<'_>, store: &dyn Store, done: &mut Archived) -> Result<()> {
    let place = Place::Cluster(site.remote.name().to_owned());
    let is_kept = |name: &String| name.parse().is_ok_and(|name| store.open(&place, &name).is_ok());
    if done.set.as_ref().is_some_and(is_kept) {
        // A former run has done everything but to say so.
        return Ok(());
    }
    done.set = None;
    done.aliases = Some(site.wait(site.remote.aliases())??);
    let mut archived = BTreeSet::new();
    for collection in site.wait(site.remote.collections())?? {
        let made = nodes::of_collection(site, &collection).and_then(|parts| backup::all(site, store, parts, done));
        match made {
            Ok(()) => drop(archived.insert(collection)),
            // One that was deleted since the list was made, which is not so of everything that is not found.
            Err(error) if error.kind() == Kind::NotFound && !site.wait(site.remote.collections())??.contains(&collection) => {}
            Err(error) => return Err(error),
        }
    }
    let set = set(site, store, done, &archived)?;
    keep(site, store, &set, done)
}

/// The set of what was archived of these collections.
fn set(site: &Site<'_>, store: &dyn Store, done: &Archived, collections: &BTreeSet<String>) -> Result<Set> {
    let cluster = site.remote.name().to_owned();
    let of_them = done.archives.iter().filter(|archive| collections.contains(&archive.collection));
    let mut archives = of_them.map(|archive| listed(store, &cluster, archive)).collect::<Result<Vec<_>>>()?;
    archives.sort_by(|a, b| (&a.collection, a.shard).cmp(&(&b.collection, b.shard)));
    let aliases = done.aliases.iter().flatten().filter(|alias| collections.contains(&alias.collection_name));
    let aliases = aliases.map(|alias| (alias.alias_name.clone(), alias.collection_name.clone())).collect();
    Ok(Set { cluster, archives, aliases })
}

fn listed(store: &dyn Store, cluster: &str, archive: &Archive) -> Result<Listed> {
    let Archive { collection, shard_id, snapshot_name } = archive.clone();
    let place = Place::Elsewhere { cluster: cluster.to_owned(), collection: collection.clone(), shard: shard_id };
    let name = snapshot_name.parse().map_err(|_| StoreError::NotFound { name: snapshot_name })?;
    let info = store.open(&place, &name)?.info;
    let sha256 = info.sha256.ok_or_else(|| SetError::NoDigest { name: name.clone() })?;
    Ok(Listed { collection, shard: shard_id, name, len: info.size, sha256 })
}

/// Puts the set into the store, under the first free name.
fn keep(site: &Site<'_>, store: &dyn Store, set: &Set, done: &mut Archived) -> Result<()> {
    let (place, plan) = (set.place(), set.plan()?);
    // It has no members that could be opened.
    let source = |_| Err(std::io::ErrorKind::NotFound.into());
    if site.running.advance(0).is_break() {
        return Err(icecore_archive::Error::Cancelled.into());
    }
    for name in naming::candidates(&place, false, site.app.jobs.peer_id(), site.app.clock.now()) {
        match store.open(&place, &name) {
            Ok(_) => continue,
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        done.set = Some(name.to_string());
        backup::note(site, done)?;
        // It is short, and the progress is that of the archives.
        match store.put(&place, &name, Draft { plan: &plan, source: &source, compression: None, sharing: None }, &()) {
            Ok(_) => return Ok(()),
            Err(error) => {
                done.set = None;
                if matches!(error, StoreError::Exists { .. }) {
                    continue;
                }
                if let Err(error) = backup::note(site, done) {
                    tracing::warn!("cannot note that a set was not made: {}", one_line(&error));
                }
                return Err(error.into());
            }
        }
    }
    unreachable!("the candidates have no end that could be reached")
}
