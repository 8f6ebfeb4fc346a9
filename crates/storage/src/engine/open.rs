//! Opening and closing a storage directory.
//!
//! The catalog is the truth: shard directories that it does not name are left over from a crash and removed, but only after the
//! newest catalog was verified. A directory with shards but without any catalog is refused, because that is damage and not a
//! new storage.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use icecore_io::{Clock, Fs, PublishError};

use super::background::{Background, Wake};
use super::resting::Resting;
use super::{Inner, Options, State, Storage};
use crate::adopt;
use crate::budget::Budget;
use crate::catalog::{self, Catalog, CatalogCollection};
use crate::collection::Collection;
use crate::config::CollectionConfig;
use crate::error::{Error, Result, on};
use crate::ids::ShardDirId;
use crate::parallel::{self, Helpers};
use crate::poison::Poison;
use crate::refs::{DirRef, PinnedBytes};
use crate::shard::{self, Origin, Shard, ShardSetup, vector_specs};
use crate::wal::recovery::TornTail;

/// The directory of the shards.
pub(crate) const SHARDS: &str = "shards";
/// The file that says that a process has the directory.
const LOCK: &str = "LOCK";
/// Memtables of more bytes become segments when the storage is closed, so that the next start need not replay them.
const FLUSH_AT_CLOSE_BYTES_MIN: u64 = 1024 * 1024;

impl Storage {
    /// Opens the storage in `path`, creating it if there is none.
    ///
    /// Errors: [`Error::Locked`] if another process has it; damage to anything that the catalog names, with its place.
    pub fn open(fs: Arc<dyn Fs>, clock: Arc<dyn Clock>, path: &Path, options: Options) -> Result<Self> {
        create_dirs(fs.as_ref(), path)?;
        let lock = match fs.lock(&path.join(LOCK)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err(Error::Locked { path: path.to_owned() });
            }
            Err(error) => return Err(on("lock", &path.join(LOCK))(error)),
        };
        let catalog = open_catalog(fs.as_ref(), path)?;
        remove_unnamed_shards(fs.as_ref(), path, &catalog)?;
        adopt::clear_staging(fs.as_ref(), path)?;

        let budget = Arc::new(Budget::new(options.memtable_bytes_max));
        let setup = ShardSetup { fs, clock, budget, waits: Arc::default() };
        let pinned = Arc::new(PinnedBytes::default());
        let collections = open_collections(&setup, &pinned, path, &catalog)?;
        let inner = Arc::new(Inner {
            setup,
            path: path.to_owned(),
            pinned,
            next_shard_dir: AtomicU64::new(catalog.next_shard_dir.0),
            next_staging: AtomicU64::new(1),
            state: RwLock::new(Arc::new(State { catalog, collections })),
            commits: Mutex::new(()),
            poison: Poison::default(),
            closed: AtomicBool::new(false),
            wake: Wake::default(),
            resting: Resting::default(),
            helpers: Helpers::default(),
            options,
            _lock: lock,
        });
        let background = inner.options.background.then(|| Background::start(&inner));
        Ok(Self { inner, background: Mutex::new(background) })
    }

    /// Ends the background work, flushes large memtables, syncs everything, and refuses what comes later with
    /// [`Error::Closed`]. The first failure is returned; nothing acknowledged is lost by it, only the next start is slower.
    pub fn close(&self) -> Result<()> {
        self.inner.closed.store(true, Ordering::Release);
        self.stop_background();
        let mut outcome = Ok(());
        for collection in self.inner.state().collections.values() {
            for shard in collection.shards.iter().filter(|shard| shard.poisoned().is_none()) {
                let large = shard.memtable_bytes() > FLUSH_AT_CLOSE_BYTES_MIN;
                outcome = outcome.and(if large { shard.flush() } else { shard.sync() });
            }
        }
        outcome
    }

    /// What was cut off the logs when the storage was opened: the last writes before a crash, none of them acknowledged as
    /// durable. Empty after an orderly end.
    pub fn torn_tails(&self) -> Vec<TornTail> {
        let state = self.inner.state();
        let shards = state.collections.values().flat_map(|collection| &collection.shards);
        shards.filter_map(|shard| shard.torn().cloned()).collect()
    }

    /// Reads every byte of every live segment, on all cores, and returns all damage that it finds: in the order of collections by name,
    /// shards, segments and places.
    pub fn scrub(&self) -> Vec<Error> {
        let state = self.inner.state();
        let shards: Vec<_> = state.collections.values().flat_map(|collection| collection.shards.iter().cloned()).collect();
        shard::scrub(&shards, parallel::cores())
    }

    fn stop_background(&self) {
        let background = self.background.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(background) = background {
            background.stop(&self.inner);
        }
        self.inner.budget().close();
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.inner.closed.store(true, Ordering::Release);
        self.stop_background();
    }
}

impl Inner {
    /// The directory of a shard.
    pub(crate) fn shard_path(&self, id: ShardDirId) -> std::path::PathBuf {
        self.path.join(SHARDS).join(id.to_string())
    }

    /// A shard directory id that no shard ever had.
    pub(crate) fn new_shard_dir(&self) -> ShardDirId {
        ShardDirId(self.next_shard_dir.fetch_add(1, Ordering::Relaxed))
    }

    /// Opens the shard in directory `id`.
    pub(crate) fn open_shard(&self, id: ShardDirId, config: &CollectionConfig) -> Result<Arc<Shard>> {
        let dir = DirRef::new(self.setup.fs.clone(), self.shard_path(id), self.pinned.clone());
        Shard::open(&self.setup, id, dir, vector_specs(config), Origin::New)
    }
}

/// The directories that every storage has. Each name is durable afterwards, and so are those of parents that were missing.
fn create_dirs(fs: &dyn Fs, path: &Path) -> Result<()> {
    let mut parents = Vec::new();
    for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
        let parent = dir.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        parents.extend(parent);
        if parent.is_none_or(|parent| fs.exists(parent).is_ok_and(|exists| exists)) {
            break;
        }
    }
    fs.create_dir_all(path).map_err(on("create", path))?;
    for name in [catalog::DIR, SHARDS, adopt::STAGING] {
        let dir = path.join(name);
        fs.create_dir_all(&dir).map_err(on("create", &dir))?;
    }
    fs.sync_dir(path).map_err(on("sync", path))?;
    parents.into_iter().try_for_each(|parent| fs.sync_dir(parent).map_err(on("sync", parent)))
}

fn open_catalog(fs: &dyn Fs, path: &Path) -> Result<Catalog> {
    let dir = path.join(catalog::DIR);
    if let Some(catalog) = catalog::recover(fs, &dir)? {
        return Ok(catalog);
    }
    let shards = path.join(SHARDS);
    if !fs.list(&shards).map_err(on("list", &shards))?.is_empty() {
        let reason = "there are shards but no catalog; restore the storage from an archive, or move it away".into();
        return Err(Error::Malformed { path: dir, offset: 0, reason });
    }
    let catalog = Catalog::empty();
    catalog::write(fs, &dir, &catalog).map_err(PublishError::into_source).map_err(on("publish the first catalog in", &dir))?;
    Ok(catalog)
}

/// Removes the shard directories that no collection has: left-overs of a crash.
fn remove_unnamed_shards(fs: &dyn Fs, path: &Path, catalog: &Catalog) -> Result<()> {
    let named: HashSet<ShardDirId> = catalog.shard_dirs().collect();
    let shards = path.join(SHARDS);
    for entry in fs.list(&shards).map_err(on("list", &shards))? {
        match entry.name.parse::<ShardDirId>() {
            Ok(id) if named.contains(&id) => {}
            Ok(_) => fs.remove_dir_all(&entry.path).map_err(on("remove", &entry.path))?,
            Err(()) => {
                let reason = "nothing of this name belongs here".into();
                return Err(Error::Malformed { path: entry.path, offset: 0, reason });
            }
        }
    }
    Ok(())
}

/// Opens the shards of all collections, many at once. The error is that of the first shard that has one.
fn open_collections(
    setup: &ShardSetup,
    pinned: &Arc<PinnedBytes>,
    path: &Path,
    catalog: &Catalog,
) -> Result<BTreeMap<String, Arc<Collection>>> {
    let entries = catalog.collections.values();
    let named: Vec<_> = entries.flat_map(|entry| entry.shards.iter().map(|id| (*id, &entry.config))).collect();
    let opened = parallel::try_map(&named, parallel::syncing(), |(id, config)| {
        let dir = DirRef::new(setup.fs.clone(), path.join(SHARDS).join(id.to_string()), pinned.clone());
        Shard::open(setup, *id, dir, vector_specs(config), Origin::Catalog)
    })?;
    let mut opened = opened.into_iter();
    let collection = |(name, entry): (&String, &CatalogCollection)| {
        let shards = opened.by_ref().take(entry.shards.len()).collect();
        (name.clone(), Collection::new(name.clone(), entry.config.clone(), shards))
    };
    Ok(catalog.collections.iter().map(collection).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use icecore_io::{CrashKind, ManualClock, MemFs, RecordingFs};

    use super::*;

    #[test]
    fn the_parents_of_a_new_storage_are_as_durable_as_what_is_in_it() {
        let base = MemFs::new();
        let fs = RecordingFs::with_base(Arc::new(base.clone()), &base);
        let path = Path::new("/new/and/deep");
        let options = || Options { background: false, ..Options::default() };
        let clock = || Arc::new(ManualClock::new(Duration::ZERO));
        drop(Storage::open(Arc::new(fs.clone()), clock(), path, options()).unwrap());

        let mut replay = fs.replay();
        while replay.advance() {}
        let after_power_cut = replay.image(CrashKind::PowerLossMin);
        assert!(after_power_cut.exists(&path.join(catalog::DIR)).unwrap());
        Storage::open(Arc::new(after_power_cut), clock(), path, options()).unwrap();
    }
}
