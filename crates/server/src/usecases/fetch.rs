//! Lists, opens and deletes archives, those of collections that were deleted included.

use icecore_archive::ArchiveName;
use icecore_storage::Scope;

use super::naming::Place;
use crate::app::App;
use crate::error::Result;
use crate::metrics::Kind;
use crate::stores::{ArchiveInfo, StoreError, StoredArchive};

/// Where archives of a scope belong. Fails if the collection (its name or an alias) or the shard does not exist.
pub(crate) fn place(app: &App, scope: &Scope) -> Result<Place> {
    Ok(match scope {
        Scope::Storage => Place::Storage,
        Scope::Collection(collection) => Place::Collection(app.storage.resolve(collection)?),
        Scope::Shard { collection, shard } => {
            let info = app.storage.info(collection)?;
            if !info.shards.iter().any(|found| found.number == *shard) {
                return Err(icecore_storage::Error::ShardNotFound { collection: info.name, shard: *shard }.into());
            }
            Place::Shard { collection: info.name, shard: *shard }
        }
    })
}

/// The archives of a scope, sorted by name.
pub(crate) fn list(app: &App, scope: &Scope) -> Result<Vec<ArchiveInfo>> {
    Ok(app.store.list(&archived(app, scope)?)?)
}

/// Opens an archive of a scope for a download.
pub(crate) fn open(app: &App, scope: &Scope, name: &str) -> Result<StoredArchive> {
    let place = archived(app, scope)?;
    Ok(app.store.open(&place, &existing(name)?)?)
}

/// Deletes an archive of a scope.
pub(crate) fn delete(app: &App, scope: &Scope, name: &str) -> Result<()> {
    let place = archived(app, scope)?;
    let name = existing(name)?;
    let counted = app.metrics.snapshot(Kind::Delete, &place);
    match app.store.delete(&place, &name) {
        Ok(()) => counted.finish(0),
        Err(error @ StoreError::NotFound { .. }) => {
            counted.refuse();
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Where archives of a scope are. Archives outlive their collection, so one that is gone and has some is as good as one that
/// exists; for any other the error is that of [`place`].
fn archived(app: &App, scope: &Scope) -> Result<Place> {
    let missing = match place(app, scope) {
        Ok(place) => return Ok(place),
        Err(error) => error,
    };
    let place = match scope {
        Scope::Storage => return Err(missing),
        Scope::Collection(collection) => Place::Collection(collection.clone()),
        Scope::Shard { collection, shard } => {
            let collection = app.storage.resolve(collection).unwrap_or_else(|_| collection.clone());
            Place::Shard { collection, shard: *shard }
        }
    };
    match app.store.list(&place) {
        Ok(found) if !found.is_empty() => Ok(place),
        // A name that cannot be a collection's names none.
        Ok(_) | Err(StoreError::Place(_)) => Err(missing),
        Err(error) => Err(error.into()),
    }
}

/// A name that no archive can have names none.
fn existing(name: &str) -> Result<ArchiveName, StoreError> {
    name.parse().map_err(|_| StoreError::NotFound { name: name.chars().take(300).collect() })
}
