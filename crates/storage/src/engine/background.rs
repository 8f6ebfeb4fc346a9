//! The threads that flush, sync and compact.
//!
//! One flushes: it syncs buffered writes that have waited for the flush interval, and while the memtables are over their budget
//! it freezes the largest and makes segments of what is frozen. The other compacts. Neither holds a lock that a writer or
//! a snapshot waits for while it does its I/O.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Inner, Storage};
use crate::error::Result;
use crate::shard::Shard;

/// The longest time between two looks at what there is to do.
const TICK_MAX: Duration = Duration::from_millis(500);
/// How long a failed flush or compaction rests before it is tried again.
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
        let threads = [spawn("icecore-flush", flush_loop), spawn("icecore-compact", compaction_loop)];
        // A thread that cannot be started is a machine out of resources; writes then fail for want of memtable space.
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

    /// Where no thread flushes, the writer does, before its `bytes` would have to wait.
    pub(super) fn make_room(&self, bytes: u64) -> Result<()> {
        if self.options.background || self.budget().has_room(bytes) { Ok(()) } else { self.flush_over_budget() }
    }

    /// Makes segments of whatever is frozen or too large.
    fn flush_over_budget(&self) -> Result<()> {
        let usable = |shard: &Arc<Shard>| shard.poisoned().is_none();
        while self.budget().is_exceeded() && !self.is_closed() {
            let Some(largest) = self.shards().into_iter().filter(usable).max_by_key(|shard| shard.memtable_bytes()) else {
                break;
            };
            if largest.memtable_bytes() == 0 {
                break;
            }
            largest.freeze()?;
            largest.flush_oldest()?;
        }
        // Left over from a start, or from a flush that failed.
        for shard in self.shards().into_iter().filter(usable) {
            while !self.is_closed() && shard.flush_oldest()? {}
        }
        Ok(())
    }
}

fn flush_loop(inner: &Inner) {
    let tick = inner.options.flush_interval.clamp(Duration::from_millis(1), TICK_MAX);
    while !inner.is_closed() {
        inner.wake.wait(tick, |wanted| std::mem::take(&mut wanted.flush));
        for shard in inner.shards() {
            // A failure poisons the shard, which tells everybody who writes to it.
            let _ = shard.sync_older_than(inner.options.flush_interval);
        }
        match inner.flush_over_budget() {
            Ok(()) => inner.budget().set_stuck(None),
            Err(error) => {
                inner.budget().set_stuck(Some(error.to_string()));
                inner.wake.wait(RETRY_AFTER, |_| inner.is_closed());
            }
        }
        inner.wake.compaction();
    }
}

fn compaction_loop(inner: &Inner) {
    while !inner.is_closed() {
        inner.wake.wait(TICK_MAX, |wanted| std::mem::take(&mut wanted.compaction));
        for shard in inner.shards() {
            // A failed compaction leaves everything as it was; the next look tries again.
            while !inner.is_closed() && shard.poisoned().is_none() && matches!(shard.compact(), Ok(true)) {}
        }
    }
}

impl Storage {
    /// Makes segments of all memtables and waits for it.
    pub fn flush(&self) -> Result<()> {
        self.inner().shards().iter().try_for_each(|shard| shard.flush())
    }

    /// Does all compactions that there are to do and waits for them.
    pub fn compact(&self) -> Result<()> {
        for shard in self.inner().shards() {
            while shard.compact()? {}
        }
        Ok(())
    }

    /// Makes everything durable that was written so far.
    pub fn sync(&self) -> Result<()> {
        self.inner().shards().iter().try_for_each(|shard| shard.sync())
    }
}
