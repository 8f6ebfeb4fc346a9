//! Changes of the file set: the one way from a manifest generation to the next.
//!
//! New files are synced before the manifest that names them is published; old ones are retired after. A change that fails
//! before the publication removes what it wrote and leaves everything as it was. If it is not known whether the publication
//! is durable, the shard is poisoned.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use icecore_io::PublishError;

use super::view::{LiveSegment, Version, View};
use super::{Shard, layout};
use crate::checksum::FileDigest;
use crate::document;
use crate::error::{Result, on};
use crate::ids::{Generation, SegmentId};
use crate::manifest::{self, SegmentEntry, ShardManifest, TombstoneEntry};
use crate::memtable::Memtable;
use crate::refs::FileRef;
use crate::segment::Segment;
use crate::tombstones::{Tombstones, TombstonesId};

/// What the next generation does to the current one.
#[derive(Default)]
pub(super) struct Change {
    /// A segment that was written and synced, with its digest.
    pub(super) add: Option<NewSegment>,
    /// Segments that are no longer live.
    pub(super) remove: Vec<SegmentId>,
    /// Rows that are dead from now on, by segment; the added one may be among them.
    pub(super) marks: BTreeMap<SegmentId, Vec<u32>>,
    /// The memtable (the oldest) whose records are in the segments from now on.
    pub(super) flushed: Option<Arc<Memtable>>,
}

/// A sealed segment that no manifest names yet. Its file goes away with the value unless it becomes part of one.
pub(super) struct NewSegment {
    pub(super) segment: Arc<Segment>,
    file: Arc<FileRef>,
    digest: FileDigest,
    unnamed: Unnamed,
}

/// Files that no manifest names yet. They go away with the value unless they are kept, because a manifest names them or may.
pub(super) struct Unnamed(Vec<Arc<FileRef>>);

/// One segment in the generation that is being made.
struct Draft {
    live: Arc<LiveSegment>,
    entry: SegmentEntry,
}

impl NewSegment {
    pub(super) fn new(segment: Arc<Segment>, file: &Arc<FileRef>, digest: FileDigest, unnamed: Unnamed) -> Self {
        Self { segment, file: file.clone(), digest, unnamed }
    }
}

impl Unnamed {
    pub(super) fn new(files: impl IntoIterator<Item = Arc<FileRef>>) -> Self {
        Self(files.into_iter().collect())
    }

    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        self.0.iter().for_each(|file| file.retire());
    }
}

impl Shard {
    /// The right to change the file set.
    pub(super) fn lock_structure(&self) -> MutexGuard<'_, ()> {
        self.structure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id that no segment ever had.
    pub(super) fn new_segment_id(&self) -> SegmentId {
        SegmentId(self.next_segment_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Publishes the next generation. `_held` shows that the caller made the change for the current one.
    pub(super) fn publish(&self, change: Change, _held: &MutexGuard<'_, ()>) -> Result<()> {
        self.poison_check()?;
        let view = self.view();
        let current = &view.version;
        let generation = current.manifest.generation.next();
        let Change { mut add, remove, mut marks, flushed } = change;

        let mut written = Unnamed::new([]);
        let mut drafts = Vec::new();
        let kept = current.segments.iter().zip(&current.manifest.segments).filter(|(live, _)| !remove.contains(&live.id()));
        for (live, entry) in kept {
            let draft = Draft { live: live.clone(), entry: entry.clone() };
            drafts.extend(self.mark(draft, marks.remove(&live.id()), generation, &mut written)?);
        }
        if let Some(new) = &add {
            let entry =
                SegmentEntry { id: new.segment.segment_id(), rows: new.segment.rows(), digest: new.digest, tombstones: None };
            let live = Arc::new(LiveSegment { segment: new.segment.clone(), file: new.file.clone(), tombstones: None });
            drafts.extend(self.mark(Draft { live, entry }, marks.remove(&new.segment.segment_id()), generation, &mut written)?);
        }
        debug_assert!(marks.is_empty(), "marks of segments that are not live: {marks:?}");
        drafts.sort_by_key(|draft| draft.entry.id);
        if !written.0.is_empty() {
            let dir = self.path().join(layout::TOMBSTONES);
            self.fs.sync_dir(&dir).map_err(on("sync", &dir))?;
        }

        let flushed_lsn = flushed.as_ref().map_or(current.manifest.flushed_lsn, |memtable| memtable.log.end().lsn());
        let manifest = ShardManifest {
            generation,
            flushed_lsn,
            next_segment_id: SegmentId(self.next_segment_id.load(Ordering::Relaxed)),
            segments: drafts.iter().map(|draft| draft.entry.clone()).collect(),
        };
        let published = self.write_manifest(&manifest);
        if !matches!(published, Err(PublishError::NotPublished(_))) {
            // They belong to the generation, or may: the next start knows which one the disk holds.
            written.keep();
            // A segment whose points all died while it was written is in no generation.
            let named = |new: &&mut NewSegment| drafts.iter().any(|draft| draft.entry.id == new.segment.segment_id());
            if let Some(new) = add.as_mut().filter(named) {
                new.unnamed.keep();
            }
        }
        published.map_err(PublishError::into_source).map_err(on("publish a manifest in", &self.path().join(manifest::DIR)))?;
        self.install(current, manifest, drafts.into_iter().map(|draft| draft.live).collect(), flushed);
        Ok(())
    }

    /// Gives a segment more dead rows. A segment without live rows leaves the generation (`None`).
    fn mark(&self, draft: Draft, rows: Option<Vec<u32>>, generation: Generation, written: &mut Unnamed) -> Result<Option<Draft>> {
        let Some(rows) = rows.filter(|rows| !rows.is_empty()) else {
            return Ok(Some(draft));
        };
        let segment = &draft.live.segment;
        let marked = match &draft.live.tombstones {
            Some((tombstones, _)) => tombstones.with(&rows),
            None => Tombstones::none(segment.rows()).with(&rows),
        };
        if marked.count() == segment.rows() {
            return Ok(None);
        }
        let path = layout::tombstones_path(self.path(), segment.segment_id(), generation);
        // Left over if an attempt at this generation failed and the file could not be removed then; if there is still one, the
        // creation says so.
        let _ = self.fs.remove_file(&path);
        let id = TombstonesId { segment: segment.segment_id(), generation };
        let digest = marked.write(self.fs.as_ref(), &path, id)?;
        let file = FileRef::new(&self.dir, path, digest.len);
        written.0.push(file.clone());
        let entry =
            SegmentEntry { tombstones: Some(TombstoneEntry { generation, marked: marked.count(), digest }), ..draft.entry };
        let live = LiveSegment { segment: segment.clone(), file: draft.live.file.clone(), tombstones: Some((marked, file)) };
        Ok(Some(Draft { live: Arc::new(live), entry }))
    }

    /// Publishes a manifest; the shard takes no more writes if nobody knows whether it is durable.
    fn write_manifest(&self, manifest: &ShardManifest) -> Result<(), PublishError> {
        let dir = self.path().join(manifest::DIR);
        manifest::write(self.fs.as_ref(), &dir, manifest).inspect_err(|failure| {
            if let PublishError::Uncertain(error) = failure {
                self.poison.set(format!("publication of manifest {} in {dir:?}: {error}", manifest.generation));
            }
        })
    }

    /// Makes the published generation the one that is read, and lets go of what it no longer names.
    fn install(&self, old: &Version, manifest: ShardManifest, segments: Vec<Arc<LiveSegment>>, flushed: Option<Arc<Memtable>>) {
        document::remove(self.fs.as_ref(), &self.path().join(manifest::DIR), old.manifest.generation);
        for before in &old.segments {
            let after = segments.iter().find(|live| live.id() == before.id());
            if after.is_none() {
                before.file.retire();
            }
            if let Some((_, file)) = &before.tombstones {
                let kept = after.and_then(|live| live.tombstones.as_ref()).is_some_and(|(_, now)| Arc::ptr_eq(now, file));
                if !kept {
                    file.retire();
                }
            }
        }
        if let Some(memtable) = &flushed {
            memtable.log.file.retire_with_len(memtable.log.end().len());
        }
        let version = Arc::new(Version { manifest, segments });
        self.update_view(|view| View {
            version,
            frozen: view
                .frozen
                .iter()
                .filter(|memtable| !flushed.as_ref().is_some_and(|flushed| Arc::ptr_eq(flushed, memtable)))
                .cloned()
                .collect(),
            active: view.active.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use icecore_io::{Fault, FaultFs, ManualClock, MemFs, Operation as Call};

    use super::*;
    use crate::config::CollectionConfig;
    use crate::engine::{Durability, Options, Storage};
    use crate::ids::PointId;
    use crate::op::{Operation, Point};

    #[test]
    fn a_tombstone_file_that_could_not_be_removed_is_in_no_later_flushs_way() {
        let fs = FaultFs::new(Arc::new(MemFs::new()));
        let faults = fs.faults();
        let clock = Arc::new(ManualClock::new(Duration::ZERO));
        let options = Options { background: false, ..Options::default() };
        let storage = Storage::open(Arc::new(fs), clock, Path::new("/db"), options).unwrap();
        let config = CollectionConfig {
            shard_number: 1,
            vectors: BTreeMap::new(),
            sparse_vectors: BTreeMap::new(),
            settings: serde_json::Value::Null,
        };
        storage.create_collection("c", config).unwrap();
        let ids = [1, 2].map(PointId::Num);
        let points = ids.map(|id| Point { id, vectors: Vec::new(), payload: String::new() }).to_vec();
        storage.write("c", Operation::upsert(points), Durability::Synced).unwrap();
        storage.flush().unwrap();
        storage.write("c", Operation::delete(vec![ids[0]]), Durability::Synced).unwrap();

        faults.inject(Fault::on(Call::RenameNoreplace).path_contains("manifest"));
        faults.inject(Fault::on(Call::RemoveFile).path_contains("tombstones").from_then_on());
        storage.flush().unwrap_err();
        faults.clear();
        storage.flush().unwrap();
        assert_eq!(storage.count("c", None).unwrap(), 1);
    }
}
