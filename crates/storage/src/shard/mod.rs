//! A shard: one log, the memtables that it fills, and the segments that they become.
//!
//! Four locks. `structure`: one change of the file set at a time, held over its I/O; only flushes and compactions take it.
//! `freezing`: one freeze at a time, from the preparation of the next log file on. `committer`: appending to the log, syncing it and
//! applying; whoever leads a commit takes it, and a freeze inside its own. `view`: a pointer, held for an instant; readers take nothing
//! else. `structure` is never held together with those two, `view` may be taken under any.

mod admission;
mod apply;
pub(crate) mod candidate;
mod commit;
pub(crate) mod compaction;
mod flush;
mod found;
mod layout;
mod merge;
mod recovery;
mod scan;
mod scrub;
mod structure;
mod view;

pub(crate) use commit::{Cut, PreparedWrite};
pub(crate) use found::Found;
pub(crate) use layout::create as create_dir;
pub(crate) use layout::{SEGMENTS, TOMBSTONES, WAL, segment_name, tombstones_name};
pub(crate) use recovery::{Origin, ShardSetup};
pub(crate) use scrub::{scrub, scrub_until_damaged};
pub(crate) use view::{LiveSegment, View};

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use icecore_io::{Clock, Fs};

use self::commit::{Committer, Queue};
use crate::budget::Budget;
use crate::config::{CollectionConfig, DenseParams};
use crate::error::Result;
use crate::ids::{Lsn, PointId, ShardDirId};
use crate::poison::Poison;
use crate::refs::DirRef;
use crate::segment::{VectorKind, VectorSpec};
use crate::waits::Waits;
use crate::wal::recovery::TornTail;

/// An open shard.
#[derive(Debug)]
pub(crate) struct Shard {
    id: ShardDirId,
    fs: Arc<dyn Fs>,
    clock: Arc<dyn Clock>,
    dir: Arc<DirRef>,
    vectors: Vec<VectorSpec>,
    budget: Arc<Budget>,
    waits: Arc<Waits>,
    poison: Poison,
    queue: Queue,
    structure: Mutex<()>,
    freezing: Mutex<()>,
    committer: Mutex<Committer>,
    view: RwLock<Arc<View>>,
    next_segment_id: AtomicU64,
    log_bytes: AtomicU64,
    last_lsn: AtomicU64,
    /// Whether the log was written to since its last sync.
    unsynced: AtomicBool,
    /// Live points. Signed, because a damaged shard may count a point out that it never counted in.
    points: AtomicI64,
    torn: Option<TornTail>,
}

impl Shard {
    pub(crate) fn id(&self) -> ShardDirId {
        self.id
    }

    /// The state to read from now on; what it refers to stays as long as the value.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Live points.
    pub(crate) fn points(&self) -> u64 {
        u64::try_from(self.points.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Bytes in memtables.
    pub(crate) fn memtable_bytes(&self) -> u64 {
        let view = self.view();
        view.frozen.iter().map(|memtable| memtable.bytes()).sum::<u64>() + view.active.bytes()
    }

    /// Why no writes are taken, if so.
    pub(crate) fn poisoned(&self) -> Option<&str> {
        self.poison.reason()
    }

    /// From now on the directory, with all that is in it, only lives as long as something refers to it.
    pub(crate) fn retire(&self) {
        let view = self.view();
        for live in &view.version.segments {
            live.file.retire();
            if let Some((_, file)) = &live.tombstones {
                file.retire();
            }
        }
        for memtable in &view.frozen {
            memtable.log.file.retire_with_len(memtable.log.sealed().map_or(0, crate::wal::writer::WalMark::len));
        }
        view.active.log.file.retire_with_len(self.log_bytes());
        self.dir.retire();
    }

    /// Takes no more writes from now on.
    pub(crate) fn close_for_writes(&self, reason: &str) {
        self.poison.set(reason);
    }

    /// Bytes of the log file that takes the writes.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// The last record in the log.
    pub(crate) fn last_lsn(&self) -> Lsn {
        Lsn(self.last_lsn.load(Ordering::Relaxed))
    }

    /// The point `id`, if it is live.
    pub(crate) fn get(&self, id: PointId) -> Result<Option<Found>> {
        self.view().get(id)
    }

    /// What was cut off the log when it was opened.
    pub(crate) fn torn(&self) -> Option<&TornTail> {
        self.torn.as_ref()
    }

    /// Whether a sync of the log would have anything to do. Only a hint: that may change at any moment.
    pub(crate) fn is_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Relaxed)
    }

    /// Whether a buffered write has waited for `age` or longer for a sync of the log.
    pub(crate) fn is_unsynced_for(&self, age: Duration) -> bool {
        let now = self.clock.monotonic();
        self.is_unsynced() && self.lock_committer().unsynced_since.is_some_and(|since| now.saturating_sub(since) >= age)
    }

    fn poison_check(&self) -> Result<()> {
        self.poison.check(|| format!("shard {}", self.id))
    }

    fn lock_committer(&self) -> std::sync::MutexGuard<'_, Committer> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the view by what `change` makes of the current one.
    fn update_view(&self, change: impl FnOnce(&View) -> View) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(change(&view));
        let last = std::mem::replace(&mut *view, next);
        drop(view);
        // Only now, because it may have been the last to keep a large file.
        drop(last);
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// The vectors of a configuration as segments name them, sorted by name.
pub(crate) fn vector_specs(config: &CollectionConfig) -> Vec<VectorSpec> {
    let dense = config.vectors.iter().map(|(name, &DenseParams { size: dim, datatype, multi, .. })| {
        let kind = if multi { VectorKind::Multi { dim, datatype } } else { VectorKind::Dense { dim, datatype } };
        VectorSpec { name: name.clone(), kind }
    });
    let sparse = config.sparse_vectors.keys().map(|name| VectorSpec { name: name.clone(), kind: VectorKind::Sparse });
    let mut specs: Vec<VectorSpec> = dense.chain(sparse).collect();
    specs.sort_by(|a, b| a.name.cmp(&b.name));
    specs
}
