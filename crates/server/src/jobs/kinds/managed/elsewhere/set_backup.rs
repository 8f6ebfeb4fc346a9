//! A backup of a whole cluster: the archives of its collections one after another, and a set that lists them, written last.
//!
//! The set is what the backup is known by: while it is not there, there are only archives. A collection that is deleted meanwhile is
//! not in it, and neither are its aliases. Its name is noted before it is put, so that no run makes a second one. Of a collection that
//! a former run has taken in another form, whole or shard by shard, it lists only what this run takes.

use std::collections::BTreeSet;

use icecore_archive::{Draft, Progress};
use icecore_storage::Scope;

use super::super::super::Subject;
use super::backup::{self, Archive, Archived};
use super::{Site, nodes};
use crate::error::{Kind, Result, one_line};
use crate::stores::{Store, StoreError};
use crate::usecases::naming::{self, Place};
use crate::usecases::sets::{Listed, Set, SetError};

/// Backs all of it up, and says in `done` what is in the store.
pub(super) fn run(site: &Site<'_>, store: &dyn Store, done: &mut Archived) -> Result<()> {
    let place = Place::Cluster(site.remote.name().to_owned());
    if let Some(name) = done.set.take()
        && is_kept(store, &place, &name)?
    {
        // A former run has done everything but to say so.
        done.set = Some(name);
        return Ok(());
    }
    done.aliases = Some(site.wait(site.remote.aliases())??);
    let mut archived = BTreeSet::new();
    for collection in site.wait(site.remote.collections())?? {
        let made = nodes::of_collection(site, &collection).and_then(|parts| {
            forget_other_parts(&mut done.archives, &collection, parts.iter().map(|part| &part.scope));
            backup::all(site, store, parts, done)
        });
        match made {
            Ok(()) => drop(archived.insert(collection)),
            // One that was deleted since the list was made, which is not so of everything that is not found.
            Err(error) if error.kind() == Kind::NotFound && !site.wait(site.remote.collections())??.contains(&collection) => {}
            Err(error) => return Err(error),
        }
    }
    let set = set(site.remote.name(), store, done, &archived)?;
    keep(site, store, &set, done)
}

/// Whether a set that was noted is in the store.
fn is_kept(store: &dyn Store, place: &Place, name: &str) -> Result<bool> {
    let Ok(name) = name.parse() else { return Ok(false) };
    match store.open(place, &name) {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Drops the archives of the collection that are of none of these parts: since a former run its shards may have come together on one
/// node, or have left it. They stay in the store, where they can be restored by themselves.
fn forget_other_parts<'a>(archives: &mut Vec<Archive>, collection: &str, parts: impl Iterator<Item = &'a Scope>) {
    let taken: BTreeSet<_> = parts.map(|scope| Subject::of(scope).shard).collect();
    archives.retain(|archive| archive.collection != collection || taken.contains(&archive.shard_id));
}

/// The set of what was archived of these collections.
fn set(cluster: &str, store: &dyn Store, done: &Archived, collections: &BTreeSet<String>) -> Result<Set> {
    let cluster = cluster.to_owned();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use icecore_io::{ManualClock, MemFs};

    use super::*;
    use crate::stores::LocalStore;

    fn whole(collection: &str) -> Scope {
        Scope::Collection(collection.to_owned())
    }

    fn shard(collection: &str, shard: u32) -> Scope {
        Scope::Shard { collection: collection.to_owned(), shard }
    }

    /// An archive of this part, as a former run has put it into the store.
    fn kept(store: &dyn Store, scope: &Scope) -> Archive {
        let name = "a.snapshot".parse().unwrap();
        store.put_stream(&backup::place("east", scope), &name, &mut b"bytes".as_slice(), None, &()).unwrap();
        let Subject { collection, shard } = Subject::of(scope);
        Archive { collection: collection.unwrap(), shard_id: shard, snapshot_name: name.to_string() }
    }

    /// A run ended after it had archived a collection whole, because one node had all of its shards. The next one found them on two
    /// nodes and took each by itself; the set would have listed both forms, which no set may, and the job panicked.
    #[test]
    fn a_collection_that_is_taken_in_another_form_is_in_the_set_in_one_form() {
        let shards = vec![shard("c", 0), shard("c", 1)];
        for (former, now) in [
            (vec![whole("c")], shards.clone()),
            (shards.clone(), vec![whole("c")]),
            // It was made anew, with fewer shards.
            (vec![shard("c", 0), shard("c", 1), shard("c", 2)], shards),
        ] {
            let clock = Arc::new(ManualClock::new(Duration::from_secs(1_721_637_115)));
            let store = LocalStore::open(Arc::new(MemFs::new()), clock, "/s".into()).unwrap();
            let mut done = Archived::default();
            done.archives.extend(former.iter().chain(&[whole("d"), shard("e", 7)]).map(|scope| kept(&store, scope)));
            forget_other_parts(&mut done.archives, "c", now.iter());
            // What a former run has of the same part, this one does not take again.
            let of_part = |scope: &&Scope| !former.contains(*scope);
            done.archives.extend(now.iter().filter(of_part).map(|scope| kept(&store, scope)));
            let collections = ["c", "d", "e"].map(str::to_owned).into();
            let set = set("east", &store, &done, &collections).unwrap();
            assert_eq!(Set::of(set.plan().unwrap().manifest()).as_ref(), Ok(&set));
            let listed: Vec<_> = set.archives.iter().map(Listed::scope).collect();
            assert_eq!(listed, now.into_iter().chain([whole("d"), shard("e", 7)]).collect::<Vec<_>>());
        }
    }
}
