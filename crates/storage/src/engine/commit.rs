//! The one way to change the catalog: the next generation is published, then it is what everybody sees.
//!
//! If it is not known whether a publication is durable, no further one is made until a restart has read what the disk holds:
//! a second generation on top of an unknown first one could bring back what was answered as gone. For the same reason the
//! shards that the unknown generation drops take no more writes: the next start may find them gone.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use icecore_io::PublishError;

use super::{Inner, State};
use crate::catalog::{self, Catalog};
use crate::collection::Collection;
use crate::document;
use crate::error::{Error, Result};
use crate::ids::ShardDirId;

impl Inner {
    /// Whether the catalog can be changed at all.
    pub(crate) fn check_catalog(&self) -> Result<()> {
        self.check_open()?;
        self.poison.check(|| "the catalog".into())
    }

    /// Publishes the catalog that `change` makes of the current one, and from then on shows `collections` with it.
    /// `_held` shows that the change was made for the current catalog.
    pub(crate) fn commit(
        &self,
        change: impl FnOnce(&mut Catalog),
        collections: BTreeMap<String, Arc<Collection>>,
        _held: &MutexGuard<'_, ()>,
    ) -> Result<()> {
        self.check_catalog()?;
        let before = self.state();
        let mut next = before.catalog.clone();
        change(&mut next);
        next.generation = before.catalog.generation.next();
        next.next_shard_dir = ShardDirId(self.next_shard_dir.load(Ordering::Relaxed));
        let dir = self.path.join(catalog::DIR);
        if let Err(failure) = catalog::write(self.fs(), &dir, &next) {
            if let PublishError::Uncertain(error) = &failure {
                let reason = format!("publication of catalog {}: {error}", next.generation);
                close_dropped(&before.collections, &collections, &reason);
                self.poison.set(reason);
            }
            let operation = "publish the next catalog in";
            return Err(Error::Io { operation, path: dir, source: failure.into_source() });
        }
        document::remove(self.fs(), &dir, before.catalog.generation);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(State { catalog: next, collections });
        Ok(())
    }

    /// Whether directories made for a commit that failed may be removed: not if the commit may be durable after all.
    pub(crate) fn failed_for_sure(&self) -> bool {
        self.poison.reason().is_none()
    }
}

/// Closes the shards that are in `before` and not in `after`.
fn close_dropped(before: &BTreeMap<String, Arc<Collection>>, after: &BTreeMap<String, Arc<Collection>>, reason: &str) {
    let shards = |collections: &BTreeMap<String, Arc<Collection>>| {
        collections.values().flat_map(|collection| collection.shards.clone()).collect::<Vec<_>>()
    };
    let kept: HashSet<ShardDirId> = shards(after).iter().map(|shard| shard.id()).collect();
    for shard in shards(before).iter().filter(|shard| !kept.contains(&shard.id())) {
        shard.close_for_writes(reason);
    }
}
