//! The threads that sync, flush and compact.
//!
//! One syncs buffered writes before they are as old as the flush interval, whatever the others are busy with. One flushes: while
//! the memtables are over their budget it freezes the largest and makes segments of what is frozen. One compacts. No segment
//! is written under a lock that a writer or a snapshot waits for; they do wait for the sync of a log, and for that of the header of
//! the next one when a log file ends.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Inner, Storage};
use crate::error::Result;
use crate::shard::Shard;

/// The longest time between two looks at what there is to do.
const TICK_MAX: Duration = Duration::from_millis(500);
/// How long a failed flush rests before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The running threads.
#[derive(Debug)]
pub(super) struct Background {
    threads: Vec<JoinHandle<()>>,
}

/// How others tell the threads that there is something to do.
#[derive(Debug, Default)]
pub(super) struct Wake {
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wanted {
    flush: bool,
    compaction: bool,
}

impl Wake {
    /// A memtable should be flushed.
    pub(super) fn flush(&self) {
        self.set(|wanted| wanted.flush = true);
    }

    fn compaction(&self) {
        self.set(|wanted| wanted.compaction = true);
    }

    fn set(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until `take` finds (and clears) its wish, or for `time` at most.
    fn wait(&self, time: Duration, mut take: impl FnMut(&mut Wanted) -> bool) {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever ends the waiting, the thread looks at everything.
        drop(self.changed.wait_timeout_while(wanted, time, |wanted| !take(wanted)));
    }
}

impl Background {
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        let spawn = |name: &str, run: fn(&Inner)| {
            let inner = inner.clone();
            std::thread::Builder::new().name(name.into()).spawn(move || run(&inner))
        };
        let threads =
            [spawn("icecore-sync", sync_loop), spawn("icecore-flush", flush_loop), spawn("icecore-compact", compaction_loop)];
        // A thread that cannot be started is a machine out of resources: writes go on until the memtables are full.
        if let Some(error) = threads.iter().find_map(|thread| thread.as_ref().err()) {
            inner.budget().set_stuck(Some(format!("a thread could not be started: {error}")));
        }
        Self { threads: threads.into_iter().filter_map(Result::ok).collect() }
    }

    /// Waits for the threads; the storage is marked as closed before.
    pub(super) fn stop(self, inner: &Inner) {
        inner.wake.set(|wanted| *wanted = Wanted { flush: true, compaction: true });
        for thread in self.threads {
            // A panic of the thread was printed by it; what it was doing is not published.
            let _ = thread.join();
        }
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn shards(&self) -> Vec<Arc<Shard>> {
        self.state().collections.values().flat_map(|collection| collection.shards.iter().cloned()).collect()
    }

    /// Has memtables flushed before `bytes` would have to wait, or before the log of a shard that will be written grows too long:
    /// by the thread for it, or, where there is none, here and now.
    pub(super) fn make_room(&self, bytes: u64, shards: &[Arc<Shard>]) -> Result<()> {
        if self.budget().has_room(bytes) && !shards.iter().any(|shard| self.has_long_log(shard)) {
            Ok(())
        } else if self.options.background {
            self.wake.flush();
            Ok(())
        } else {
            self.flush_while(|| !self.budget().has_room(bytes))
        }
    }

    /// Whether a shard's log is longer than all memtables may be: points that are replaced again and again do not grow a
    /// memtable, but they do grow the log, and with it archives and the time of a start.
    fn has_long_log(&self, shard: &Shard) -> bool {
        shard.log_bytes() > self.options.memtable_bytes_max
    }

    /// Makes segments of the largest memtables for as long as there are `too_many`, and of whatever is frozen.
    fn flush_while(&self, too_many: impl Fn() -> bool) -> Result<()> {
        let usable = |shard: &Arc<Shard>| shard.poisoned().is_none();
        while too_many() && !self.is_closed() {
            let largest = self.shards().into_iter().filter(usable).max_by_key(|shard| shard.memtable_bytes());
            let Some(largest) = largest.filter(|shard| shard.memtable_bytes() > 0) else {
                break;
            };
            // What an earlier flush failed with comes first, or each trial would leave one more small memtable.
            if largest.view().frozen.is_empty() {
                largest.freeze()?;
            }
            largest.flush_oldest()?;
        }
        for shard in self.shards().into_iter().filter(usable) {
            if self.has_long_log(&shard) {
                shard.freeze()?;
            }
            // Just frozen, left over from a start, or from a flush that failed.
            while !self.is_closed() && shard.flush_oldest()? {}
        }
        Ok(())
    }

    /// Does all compactions of a shard that there are to do, unless it rests from one that failed.
    fn compact_in_background(&self, shard: &Shard) {
        if !self.resting.is_due(shard.id(), self.setup.clock.monotonic()) {
            return;
        }
        while !self.is_closed() && shard.poisoned().is_none() {
            match shard.compact() {
                Ok(true) => {}
                Ok(false) => return self.resting.succeeded(shard.id()),
                // Everything is as it was.
                Err(error) => return self.resting.failed(shard.id(), &error, self.setup.clock.monotonic()),
            }
        }
    }

    /// Why memtables that are too large cannot be flushed although no flush failed.
    fn unflushable(&self) -> Option<String> {
        let shards = self.shards();
        let closed = shards.iter().filter(|shard| shard.memtable_bytes() > 0).find_map(|shard| shard.poisoned());
        closed
            .filter(|_| self.budget().is_exceeded())
            .map(|reason| format!("those of a shard that takes no more writes ({reason})"))
    }
}

fn sync_loop(inner: &Inner) {
    // What is too young at one look is not yet as old as the interval at the next.
    let age = inner.options.flush_interval / 2;
    while !inner.is_closed() {
        inner.wake.wait(age.clamp(Duration::from_millis(1), TICK_MAX), |_| inner.is_closed());
        let due: Vec<_> = inner.shards().into_iter().filter(|shard| shard.is_unsynced_for(age)).collect();
        // A failure poisons the shard, which tells everybody who writes to it.
        inner.helpers.map(&due, due.len(), |shard| drop(shard.sync()));
    }
}

fn flush_loop(inner: &Inner) {
    let _told = TellWhenPanicking(inner);
    while !inner.is_closed() {
        inner.wake.wait(TICK_MAX, |wanted| std::mem::take(&mut wanted.flush));
        match inner.flush_while(|| inner.budget().is_exceeded()) {
            Ok(()) => inner.budget().set_stuck(inner.unflushable()),
            Err(error) => {
                inner.budget().set_stuck(Some(error.with_causes()));
                inner.wake.wait(RETRY_AFTER, |_| inner.is_closed());
            }
        }
        inner.wake.compaction();
    }
}

/// Without the thread that flushes nobody must wait for it.
struct TellWhenPanicking<'a>(&'a Inner);

impl Drop for TellWhenPanicking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.budget().set_stuck(Some("the thread that flushes has panicked".into()));
        }
    }
}

fn compaction_loop(inner: &Inner) {
    while !inner.is_closed() {
        inner.wake.wait(TICK_MAX, |wanted| std::mem::take(&mut wanted.compaction));
        let mut shards = inner.shards();
        // One that is closed says so itself.
        shards.retain(|shard| shard.poisoned().is_none());
        inner.resting.forget_all_but(&shards.iter().map(|shard| shard.id()).collect());
        shards.iter().for_each(|shard| inner.compact_in_background(shard));
    }
}

impl Storage {
    /// Makes segments of all memtables and waits for it. A shard that cannot be flushed does not keep the others from it; the first
    /// failure is returned.
    pub fn flush(&self) -> Result<()> {
        for_all(&self.inner().shards(), |shard| shard.flush())
    }

    /// Does all compactions that there are to do and waits for them; failures as in [`Storage::flush`].
    pub fn compact(&self) -> Result<()> {
        for_all(&self.inner().shards(), |shard| {
            while shard.compact()? {}
            Ok(())
        })
    }

    /// Makes everything durable that was written so far; failures as in [`Storage::flush`].
    pub fn sync(&self) -> Result<()> {
        let shards = self.inner().shards();
        let threads = shards.iter().filter(|shard| shard.is_unsynced()).count();
        self.inner().helpers.map(&shards, threads, |shard| shard.sync()).into_iter().fold(Ok(()), Result::and)
    }
}

/// Does it to all shards, and returns the first failure.
fn for_all(shards: &[Arc<Shard>], run: impl Fn(&Shard) -> Result<()>) -> Result<()> {
    shards.iter().map(|shard| run(shard)).fold(Ok(()), Result::and)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use icecore_io::{Fault, FaultFs, ManualClock, MemFs, Operation as Call};

    use super::*;
    use crate::config::CollectionConfig;
    use crate::engine::{Durability, Options};
    use crate::error::ErrorKind;
    use crate::ids::PointId;
    use crate::op::{Operation, Point};

    /// A storage with threads, and room for `memtable_bytes_max` bytes in memory.
    fn open(fs: FaultFs, memtable_bytes_max: u64) -> Storage {
        let options = Options { memtable_bytes_max, ..Options::default() };
        let storage = Storage::open(Arc::new(fs), Arc::new(ManualClock::new(Duration::ZERO)), Path::new("/db"), options).unwrap();
        for name in ["a", "b"] {
            let config = CollectionConfig {
                shard_number: 1,
                vectors: BTreeMap::new(),
                sparse_vectors: BTreeMap::new(),
                settings: serde_json::Value::Null,
            };
            storage.create_collection(name, config).unwrap();
        }
        storage
    }

    fn write(storage: &Storage, collection: &str, id: u64, len: usize) -> Result<u64> {
        let payload = format!(r#"{{"k":"{}"}}"#, "x".repeat(len));
        let points = vec![Point { id: PointId::Num(id), vectors: Vec::new(), payload }];
        storage.write(collection, Operation::upsert(points), Durability::Synced)
    }

    #[test]
    fn a_large_request_has_memtables_flushed_that_are_within_their_budget() {
        let storage = open(FaultFs::new(Arc::new(MemFs::new())), 4000);
        write(&storage, "a", 1, 1000).unwrap();
        assert!(!storage.inner().budget().is_exceeded());
        write(&storage, "b", 2, 3900).unwrap();
        assert_eq!(storage.info("a").unwrap().shards[0].segments, 1, "flushed to make room");
    }

    #[test]
    fn a_closed_shard_that_holds_all_memory_is_an_error_for_other_shards_and_no_endless_wait() {
        let fs = FaultFs::new(Arc::new(MemFs::new()));
        let faults = fs.faults();
        let storage = open(fs, 100);
        faults.inject(Fault::on(Call::SyncData).path_contains(".wal"));
        write(&storage, "a", 1, 1000).unwrap_err();
        let error = write(&storage, "b", 2, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
        assert!(error.to_string().contains("memtables cannot be flushed"), "{error}");
    }
}
