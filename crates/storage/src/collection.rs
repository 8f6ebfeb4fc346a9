//! An open collection: its shards, the rules for what may be written to it, and its side of the barrier.
//!
//! Every writer holds the shared side of the barrier while it queues its parts in all shards; a cut or a replacement holds the
//! exclusive side. So each request is wholly before or wholly after either, and a write never goes to a collection that was
//! replaced.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use crate::config::CollectionConfig;
use crate::error::{Error, Result};
use crate::ids::{PointId, ShardDirId};
use crate::shard::Shard;
use crate::waits::Wait;

/// An open collection.
#[derive(Debug)]
pub(crate) struct Collection {
    /// The name that it was opened under, for messages.
    name: String,
    pub(crate) config: CollectionConfig,
    /// By shard number.
    pub(crate) shards: Vec<Arc<Shard>>,
    barrier: RwLock<()>,
    /// Set, under the exclusive side of the barrier, when another collection took its place or it was deleted.
    retired: AtomicBool,
}

impl Collection {
    pub(crate) fn new(name: String, config: CollectionConfig, shards: Vec<Arc<Shard>>) -> Arc<Self> {
        debug_assert_eq!(shards.len(), config.shard_number as usize, "every shard is open");
        Arc::new(Self { name, config, shards, barrier: RwLock::new(()), retired: AtomicBool::new(false) })
    }

    /// The writers' side; `None` if the collection was replaced, and the name must be looked up again.
    pub(crate) fn enter(&self, mut wait: Wait<'_>) -> Option<RwLockReadGuard<'_, ()>> {
        let guard = match self.barrier.try_read() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                wait.begins();
                self.barrier.read().unwrap_or_else(PoisonError::into_inner)
            }
        };
        (!self.retired.load(Ordering::Acquire)).then_some(guard)
    }

    /// The side of cuts and replacements.
    pub(crate) fn close_barrier(&self) -> RwLockWriteGuard<'_, ()> {
        self.barrier.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nobody writes here; the directories of all shards but `kept` go when nothing refers to them. Call under
    /// the exclusive side.
    pub(crate) fn retire_except(&self, kept: &[ShardDirId]) {
        self.retired.store(true, Ordering::Release);
        self.shards.iter().filter(|shard| !kept.contains(&shard.id())).for_each(|shard| shard.retire());
    }

    /// The shard of this number.
    pub(crate) fn shard(&self, number: u32) -> Result<&Arc<Shard>> {
        let missing = || Error::ShardNotFound { collection: self.name.clone(), shard: number };
        self.shards.get(number as usize).ok_or_else(missing)
    }

    pub(crate) fn shard_of(&self, id: PointId) -> &Shard {
        &self.shards[id.shard(self.config.shard_number) as usize]
    }
}
