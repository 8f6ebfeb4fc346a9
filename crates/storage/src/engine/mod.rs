//! The storage as a whole: the open collections under one catalog.
//!
//! Locks, always taken in this order: `commits` (one change of the catalog, or one cut, at a time), the exclusive side of the
//! collections' barriers by name, `state` (a pointer; held for an instant). Requests take the shared side of one barrier,
//! and `state` for an instant before.

mod background;
mod collections;
mod commit;
mod open;
mod requests;
mod resting;

pub use crate::alias::AliasAction;
pub(crate) use open::SHARDS;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use icecore_io::{Fs, Lock};

use self::background::Background;
use self::resting::Resting;
use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::collection::Collection;
use crate::config::CollectionConfig;
use crate::error::{Error, Result};
use crate::ids::{Lsn, ShardDirId};
use crate::parallel::Helpers;
use crate::poison::Poison;
use crate::refs::PinnedBytes;
use crate::shard::ShardSetup;
use crate::waits::WaitStats;

/// What a storage is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes that all memtables together may take before the largest is flushed. Twice as much makes requests wait.
    pub memtable_bytes_max: u64,
    /// The longest time that a buffered write stays unsynced.
    pub flush_interval: Duration,
    /// Whether threads of the storage flush, compact and sync by themselves. Without them it is up to [`Storage::flush`],
    /// [`Storage::compact`] and [`Storage::sync`].
    pub background: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { memtable_bytes_max: 64 * 1024 * 1024, flush_interval: Duration::from_secs(1), background: true }
    }
}

/// What an answered write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, but not a power cut within the flush interval.
    Buffered,
    /// A power cut.
    Synced,
}

/// What is known of a collection.
#[derive(Debug, Clone)]
pub struct CollectionInfo {
    /// Its name, never an alias.
    pub name: String,
    /// Its configuration.
    pub config: CollectionConfig,
    /// Payload field to index schema.
    pub payload_schema: BTreeMap<String, serde_json::Value>,
    /// Its shards by number.
    pub shards: Vec<ShardInfo>,
}

/// What is known of a shard.
#[derive(Debug, Clone)]
pub struct ShardInfo {
    /// Its number in the collection.
    pub number: u32,
    /// Its directory. A restore puts another in its place, so the id tells whether one was committed.
    pub dir: ShardDirId,
    /// Live points.
    pub points: u64,
    /// Sealed segments.
    pub segments: u64,
    /// Bytes of points that are not in segments yet.
    pub memtable_bytes: u64,
    /// The last record written.
    pub last_lsn: Lsn,
    /// Why it takes no more writes, if so.
    pub poisoned: Option<String>,
}

/// An open storage directory. Dropping it ends the background work; [`Storage::close`] also reports what goes wrong.
#[derive(Debug)]
pub struct Storage {
    inner: Arc<Inner>,
    background: Mutex<Option<Background>>,
}

/// What the background threads share with the storage.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) setup: ShardSetup,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    pub(crate) pinned: Arc<PinnedBytes>,
    state: RwLock<Arc<State>>,
    commits: Mutex<()>,
    /// Thrown when it is unknown which catalog the disk holds.
    poison: Poison,
    next_shard_dir: AtomicU64,
    pub(crate) next_staging: AtomicU64,
    closed: AtomicBool,
    wake: background::Wake,
    /// Shards whose last compaction in the background has failed.
    resting: Resting,
    /// For waiting for several logs at once.
    pub(crate) helpers: Helpers,
    /// Kept for its lifetime: no other process opens the directory.
    _lock: Box<dyn Lock>,
}

/// The catalog with its collections open.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) catalog: Catalog,
    pub(crate) collections: BTreeMap<String, Arc<Collection>>,
}

impl State {
    /// The collection that a name or an alias means.
    pub(crate) fn resolve(&self, name: &str) -> Result<&Arc<Collection>> {
        let collection = self.catalog.resolve(name).and_then(|name| self.collections.get(name));
        collection.ok_or_else(|| Error::CollectionNotFound { name: name.to_owned() })
    }
}

impl Storage {
    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Bytes of files that only running snapshots, readers and replaced collections still keep.
    pub fn pinned_bytes(&self) -> u64 {
        self.inner.pinned.get()
    }

    /// Why points cannot be moved from memory into segments, if they cannot: a full disk, say. Writes go on until the memory for
    /// them is full. Nothing acknowledged is in danger: it is in the log.
    pub fn flush_problem(&self) -> Option<String> {
        self.inner.budget().stuck()
    }

    /// Why segments cannot be merged in the background, if the last attempt has failed: damage, a full disk. It is made again and again.
    /// Nothing acknowledged is in danger, but reads get slower and dead rows keep their space.
    pub fn compaction_problem(&self) -> Option<String> {
        self.inner.resting.problem()
    }

    /// How long writes have waited inside the engine since it was opened, apart from the syncs that they asked for.
    pub fn waits(&self) -> WaitStats {
        self.inner.setup.waits.stats()
    }

    /// Bytes of points that are not in segments yet.
    pub fn memtable_bytes(&self) -> u64 {
        self.inner.budget().used()
    }
}

impl Inner {
    pub(crate) fn fs(&self) -> &dyn Fs {
        self.setup.fs.as_ref()
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.setup.budget
    }

    /// The collections of this instant.
    pub(crate) fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The right to change the catalog, or to cut: no catalog changes meanwhile.
    pub(crate) fn lock_commits(&self) -> MutexGuard<'_, ()> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }
}
