//! Reads and writes of points.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Durability, Storage};
use crate::config::{CollectionConfig, DenseParams, SparseParams};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ids::PointId;
use crate::op::Operation;
use crate::payload::OrderValue;
use crate::read::{Facet, FacetHit, OrderedScroll, Page, Record, Scroll, Select};
use crate::shard::PreparedWrite;

/// How often a write looks up a collection that is replaced again and again before it gives up.
const LOOKUPS_MAX: usize = 16;

impl Storage {
    /// Writes one request, which may hold points of any shards, and returns the number of the operation: the highest LSN that it
    /// got. Vectors are checked (name, dimension, finite numbers) before anything is written; cosine vectors are normalised.
    ///
    /// A request over several shards is in every snapshot wholly or not at all; after a crash, or an error of one shard, it is
    /// whole in each shard by itself. `PointNotFound` from a `SetPayload` means that the points that do exist were changed.
    pub fn write(&self, collection: &str, operation: Operation, durability: Durability) -> Result<u64> {
        let inner = self.inner();
        inner.check_open()?;
        let (prepared, shape) = {
            let open = inner.state().resolve(collection)?.clone();
            let mut prepared = Vec::new();
            for (shard, part) in open.prepare(operation)? {
                open.shards[shard].check_change(&part)?;
                prepared.push((shard, PreparedWrite::new(part, durability)?));
            }
            (prepared, shape(&open.config))
        };
        let bytes = prepared.iter().map(|(_, write)| write.bytes()).sum();
        for _ in 0..LOOKUPS_MAX {
            let open = inner.state().resolve(collection)?.clone();
            if self::shape(&open.config) != shape {
                // What was checked and split for other vectors or shards would have to be checked again as it was sent.
                break;
            }
            inner.make_room(bytes, &open.shards)?;
            // Whoever waits for room keeps no collection: if it is replaced meanwhile, its memtables are the room.
            let weak = Arc::downgrade(&open);
            drop(open);
            let (waits, clock) = (&inner.setup.waits, inner.setup.clock.as_ref());
            let permit = {
                let mut wait = waits.memory.wait(1, clock);
                inner.budget().acquire(bytes, || wait.begins())?
            };
            let open = weak.upgrade();
            let entered = open.as_ref().and_then(|open| Some((open, open.enter(waits.barrier.wait(1, clock))?)));
            let Some((open, barrier)) = entered else {
                // The collection was replaced meanwhile.
                continue;
            };
            let tickets: Vec<_> =
                prepared.into_iter().map(|(shard, write)| (shard, open.shards[shard].enqueue_write(write))).collect();
            drop(barrier);
            let wait = |(shard, ticket): &(usize, _)| open.shards[*shard].wait(ticket);
            let outcome = if let [ticket] = tickets.as_slice() {
                wait(ticket).map(|lsn| lsn.0)
            } else {
                // Buffered writes wait for no disk; the others wait for all of their logs at once.
                let threads = if durability == Durability::Synced { tickets.len() } else { 1 };
                let answers = inner.helpers.map(&tickets, threads, wait);
                answers.into_iter().try_fold(0, |last: u64, lsn| Ok(last.max(lsn?.0)))
            };
            drop(permit);
            if inner.budget().is_exceeded() {
                inner.wake.flush();
            }
            return outcome;
        }
        Err(Error::Busy { collection: collection.to_owned() })
    }

    /// The points of these ids that exist, each once, in the order asked.
    pub fn retrieve(&self, collection: &str, ids: &[PointId], select: &Select) -> Result<Vec<Record>> {
        self.inner().state().resolve(collection)?.retrieve(ids, select)
    }

    /// A page of points in the order of ids.
    pub fn scroll(&self, collection: &str, scroll: &Scroll) -> Result<Page> {
        self.inner().state().resolve(collection)?.scroll(scroll)
    }

    /// Points in the order of values in their payloads, each with its value.
    pub fn scroll_ordered(&self, collection: &str, scroll: &OrderedScroll) -> Result<Vec<(Record, OrderValue)>> {
        self.inner().state().resolve(collection)?.scroll_ordered(scroll)
    }

    /// Live points, or those of them that match.
    pub fn count(&self, collection: &str, filter: Option<&Filter>) -> Result<u64> {
        self.inner().state().resolve(collection)?.count(filter)
    }

    /// How many points have each value of a key.
    pub fn facet(&self, collection: &str, facet: &Facet) -> Result<Vec<FacetHit>> {
        self.inner().state().resolve(collection)?.facet(facet)
    }
}

/// What of a configuration a prepared operation depends on.
fn shape(config: &CollectionConfig) -> (BTreeMap<String, DenseParams>, BTreeMap<String, SparseParams>, u32) {
    (config.vectors.clone(), config.sparse_vectors.clone(), config.shard_number)
}
