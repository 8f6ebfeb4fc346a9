//! Lists, opens and deletes archives of what exists: a collection that is not there has no archives to be seen.

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
    Ok(app.store.list(&place(app, scope)?)?)
}

/// Opens an archive of a scope for a download.
pub(crate) fn open(app: &App, scope: &Scope, name: &str) -> Result<StoredArchive> {
    let place = place(app, scope)?;
    Ok(app.store.open(&place, &existing(name)?)?)
}

/// Deletes an archive of a scope.
pub(crate) fn delete(app: &App, scope: &Scope, name: &str) -> Result<()> {
    let place = place(app, scope)?;
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

/// A name that no archive can have names none.
fn existing(name: &str) -> Result<ArchiveName, StoreError> {
    name.parse().map_err(|_| StoreError::NotFound { name: name.chars().take(300).collect() })
}
