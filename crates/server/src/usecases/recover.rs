//! Recovers everything, a collection or a shard from where an archive is: opens it there and restores it.

use std::path::Path;

use icecore_archive::{ArchiveName, Progress, Sha256Digest};
use icecore_storage::{Scope, ShardDirId};

use super::location::{Location, Reach};
use super::naming::Place;
use super::restore::{self, Expected, Goal, Input, Part, Staged};
use super::sets::{Listed, Set, SetError};
use crate::app::App;
use crate::cancellation::Cancellation;
use crate::config::{KeptIn, Secret};
use crate::error::Result;
use crate::stores::Store;

/// What is to be recovered, and from where.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// What the archive is to become.
    pub(crate) goal: Goal,
    /// Where it is.
    pub(crate) location: Location,
    /// The digest that it has to have.
    pub(crate) checksum: Option<Sha256Digest>,
    /// Sent to the server that has it.
    pub(crate) api_key: Option<Secret>,
}

impl Recovery {
    /// Whether it holds something that must not be written down: a key, or a URL that is one (with a user, or a signature in its
    /// query).
    pub(crate) fn has_secrets(&self) -> bool {
        let in_url = match &self.location {
            Location::Remote(url) => !url.username().is_empty() || url.password().is_some() || url.query().is_some(),
            Location::File(_) | Location::Stored(_) | Location::Placed(..) | Location::Object(_) => false,
        };
        in_url || self.api_key.is_some()
    }
}

impl Goal {
    /// What is restored, as a scope.
    pub(crate) fn scope(&self) -> Scope {
        match self.clone() {
            Self::Storage => Scope::Storage,
            Self::Collection(collection) => Scope::Collection(collection),
            Self::Shard { collection, shard } => Scope::Shard { collection, shard },
        }
    }

    /// Where archives of it belong.
    pub(crate) fn place(&self) -> Place {
        Place::of(self.scope())
    }
}

/// What recoveries may reach.
pub(crate) fn reach(app: &App) -> Reach<'_> {
    let storage = &app.config.storage;
    Reach {
        snapshots_path: &storage.snapshots_path,
        urls: app.config.service.enable_snapshot_url_recovery,
        objects: storage.snapshots.kept_in == KeptIn::S3,
    }
}

/// Refuses at once what would be refused later for certain.
pub(crate) fn check(app: &App, recovery: &Recovery) -> Result<()> {
    match &recovery.location {
        Location::Remote(_) => Ok(()),
        Location::Stored(name) => Ok(app.store.open(&recovery.goal.place(), name).map(drop)?),
        Location::Placed(place, name) => Ok(app.store.open(place, name).map(drop)?),
        // Looked at when it was located.
        Location::File(_) => Ok(()),
        Location::Object(address) => Ok(app.store.open_object(address).map(drop)?),
    }
}

/// Opens the archive, one that is stored in `store`, and restores it as far as [`restore::stage`] does. `cancellation` ends waiting for
/// another server, `progress` everything else.
pub(crate) fn stage(
    app: &App,
    store: &dyn Store,
    recovery: &Recovery,
    progress: &dyn Progress,
    cancellation: &Cancellation,
) -> Result<Staged> {
    let given = recovery.checksum.map(Expected::Given);
    let (input, expected) = match &recovery.location {
        Location::Remote(url) => {
            let remote = app.fetcher.open(url, recovery.api_key.as_ref().map(Secret::expose), cancellation)?;
            let label = recovery.location.redacted();
            (Input::stream(Box::new(remote.body), Path::new(&label), remote.len)?, given)
        }
        Location::File(path) => {
            let (input, beside) = Input::file(app.fs.as_ref(), path)?;
            (input, given.or(beside))
        }
        Location::Stored(name) => kept(store, &recovery.goal, &recovery.goal.place(), name, given)?,
        Location::Placed(place, name) => kept(store, &recovery.goal, place, name, given)?,
        Location::Object(address) => {
            let object = app.store.open_object(address)?;
            let noted = object.sha256.map(Expected::Beside);
            Input::fetched(object.file, Path::new(&address.to_string()), &recovery.goal, given, noted)?
        }
    };
    restore::stage(app, input, recovery.goal.clone(), expected, progress)
}

/// Opens all collections of a set, which may be of a cluster that there is no more, and stages them as [`restore::stage_all`] does.
pub(crate) fn stage_set(app: &App, store: &dyn Store, name: &ArchiveName, set: &Set, progress: &dyn Progress) -> Result<Staged> {
    set.check_whole(store, name)?;
    let part = |archive: &Listed| -> Result<Part> {
        let collection = archive.collection.clone();
        if archive.shard.is_some() {
            return Err(SetError::ByShards { name: name.clone(), collection }.into());
        }
        let given = Some(Expected::Given(archive.sha256));
        let goal = Goal::Collection(collection.clone());
        let (input, expected) = kept(store, &goal, &archive.place(&set.cluster), &archive.name, given)?;
        Ok((input, collection, expected))
    };
    let parts = set.archives.iter().map(part).collect::<Result<Vec<_>>>()?;
    restore::stage_all(app, parts, set.aliases.clone(), progress)
}

/// The archive of this name of a place of the store.
fn kept(
    store: &dyn Store,
    goal: &Goal,
    place: &Place,
    name: &ArchiveName,
    given: Option<Expected>,
) -> Result<(Input, Option<Expected>)> {
    let stored = store.open(place, name)?;
    let noted = stored.info.sha256.map(Expected::Beside);
    let label = Path::new(name.as_str());
    Ok(match store.is_remote() {
        true => Input::fetched(stored.file, label, goal, given, noted)?,
        false => (Input::opened(stored.file, label)?, given.or(noted)),
    })
}

/// The directories of a collection's shards, or of the one of this number; none if there is no such collection.
pub(crate) fn directories(app: &App, collection: &str, shard: Option<u32>) -> Vec<ShardDirId> {
    let shards = app.storage.info(collection).map(|info| info.shards).unwrap_or_default();
    shards.into_iter().filter(|found| shard.is_none_or(|shard| found.number == shard)).map(|found| found.dir).collect()
}
