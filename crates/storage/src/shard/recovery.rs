//! Opens a shard: the newest manifest, the segments that it names, and the log behind it.
//!
//! Files that the manifest does not name are left over from a crash and removed, but only after the manifest was verified. The
//! time depends on the number of files and the length of the log, not on the number of points.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use icecore_io::{Clock, Fs};

use super::apply::apply;
use super::commit::{Committer, Queue};
use super::view::{LiveSegment, Version, View};
use super::{Shard, layout};
use crate::budget::Budget;
use crate::codec;
use crate::error::{Error, Result, on};
use crate::ids::{Lsn, PointId, ShardDirId};
use crate::manifest::{self, SegmentEntry, ShardManifest};
use crate::memtable::{LogFile, Memtable};
use crate::op::{NamedVector, Operation, Vector};
use crate::payload;
use crate::poison::Poison;
use crate::refs::{DirRef, FileRef};
use crate::segment::{Segment, VectorSpec};
use crate::tombstones::{Tombstones, TombstonesId};
use crate::waits::Waits;
use crate::wal::file::file_name;
use crate::wal::next;
use crate::wal::recovery::{Recovered, Replayed, recover};

/// What every shard of a storage is opened with.
#[derive(Debug, Clone)]
pub(crate) struct ShardSetup {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) waits: Arc<Waits>,
}

/// How much of a shard must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// All of it: a catalog names it.
    Catalog,
    /// It was just made, perhaps of an archive, and its log may not have begun.
    New,
}

/// The memtables that a replay fills.
struct Replay<'a> {
    budget: &'a Arc<Budget>,
    dir: &'a Arc<DirRef>,
    origin: Origin,
    /// Grows by one memtable with each log file; `None` before the first record.
    view: Option<View>,
    version: Arc<Version>,
    vectors: &'a [VectorSpec],
    points: i64,
    /// Why not every record could be applied.
    damage: Option<String>,
}

impl Shard {
    /// Opens the shard in `dir`.
    pub(crate) fn open(
        setup: &ShardSetup,
        id: ShardDirId,
        dir: Arc<DirRef>,
        vectors: Vec<VectorSpec>,
        origin: Origin,
    ) -> Result<Arc<Self>> {
        let fs = setup.fs.as_ref();
        let manifest = manifest::recover(fs, &dir.path().join(manifest::DIR))?;
        if origin == Origin::Catalog {
            check_log_present(fs, dir.path(), manifest.flushed_lsn)?;
        }
        remove_orphans(fs, dir.path(), &manifest)?;
        next::remove(fs, &dir.path().join(layout::NEXT_LOG))?;
        let next_segment_id = manifest.next_segment_id;
        let flushed = manifest.flushed_lsn;
        let version = Arc::new(open_version(fs, &dir, manifest, &vectors)?);
        let points = version.segments.iter().map(|live| i64::from(live.live_count())).sum();
        let mut replay =
            Replay { budget: &setup.budget, dir: &dir, origin, view: None, version, vectors: &vectors, points, damage: None };
        let recovered = recover(fs, &dir.path().join(layout::WAL), id, flushed, &mut |record| replay.apply(record))?;
        for path in &recovered.obsolete {
            fs.remove_file(path).map_err(on("remove", path))?;
        }
        let (points, torn) = (replay.points, recovered.torn.clone());
        let poison = Poison::default();
        if let Some(reason) = replay.damage.take() {
            poison.set(reason);
        }
        let (view, committer) = replay.finish(recovered);
        let (log_bytes, last_lsn) = (committer.writer.len(), committer.writer.last_lsn());
        Ok(Arc::new(Self {
            id,
            fs: setup.fs.clone(),
            clock: setup.clock.clone(),
            vectors,
            budget: setup.budget.clone(),
            waits: setup.waits.clone(),
            poison,
            queue: Queue::default(),
            structure: Mutex::new(()),
            freezing: Mutex::new(()),
            committer: Mutex::new(committer),
            view: RwLock::new(Arc::new(view)),
            next_segment_id: AtomicU64::new(next_segment_id.0),
            log_bytes: AtomicU64::new(log_bytes),
            last_lsn: AtomicU64::new(last_lsn.0),
            unsynced: AtomicBool::new(false),
            points: AtomicI64::new(points),
            torn,
            dir,
        }))
    }
}

impl Replay<'_> {
    fn apply(&mut self, record: Replayed<'_>) -> Result<()> {
        let malformed = |reason: String| Error::Malformed {
            path: record.path.to_owned(),
            offset: record.offset,
            reason: format!("record {}: {reason}", record.lsn),
        };
        let operation = codec::decode(record.body).map_err(malformed)?;
        check_vectors(&operation, self.vectors).map_err(malformed)?;
        if self.origin == Origin::New {
            check_values(&operation).map_err(malformed)?;
        }
        let view = self.enter(record.file, record.path);
        let (balance, outcome) = apply(view, record.lsn, operation);
        self.points += balance;
        // An operation that had no effect when it was written (a point that does not exist) has none now. But what damage keeps from
        // being applied may have been acknowledged: the shard must not go on as if it had been.
        if let Err(error) = outcome
            && error.is_corrupt()
        {
            self.damage.get_or_insert_with(|| format!("record {} cannot be applied again: {error}", record.lsn));
        }
        Ok(())
    }

    /// The view whose active memtable is that of the log file `first`.
    fn enter(&mut self, first: Lsn, path: &Path) -> &View {
        let at_hand = self.view.as_ref().is_some_and(|view| view.active.log.first_lsn == first);
        if !at_hand {
            let file = FileRef::new(self.dir, path.to_owned(), 0);
            let active = Memtable::new(self.budget.clone(), LogFile::new(file, first));
            let frozen = match self.view.take() {
                None => Vec::new(),
                Some(View { mut frozen, active, .. }) => {
                    frozen.push(active);
                    frozen
                }
            };
            self.view = Some(View { version: self.version.clone(), frozen, active });
        }
        let Some(view) = &self.view else { unreachable!("it was set above") };
        view
    }

    /// The state behind the last record.
    fn finish(mut self, recovered: Recovered) -> (View, Committer) {
        let Some((last, sealed)) = recovered.files.split_last() else { unreachable!("a recovered log has a file to append to") };
        // A file that was frozen has records, so replaying them made its memtable; the last may have none yet.
        self.enter(last.first_lsn, &last.path);
        let Some(view) = self.view else { unreachable!("it was entered above") };
        for (memtable, file) in view.frozen.iter().zip(sealed) {
            memtable.log.seal(file.end.clone());
        }
        (view, Committer::new(recovered.writer))
    }
}

/// Checks that the vectors of an operation are those of the collection. Writes were checked before they were logged, but the log
/// may be a foreign archive's, and a segment of it could not be written.
fn check_vectors(operation: &Operation, specs: &[VectorSpec]) -> Result<(), String> {
    match operation {
        Operation::Upsert { points, .. } => {
            points.iter().try_for_each(|point| check_point_vectors(point.id, &point.vectors, specs))
        }
        Operation::UpdateVectors { points, .. } => {
            points.iter().try_for_each(|point| check_point_vectors(point.id, &point.vectors, specs))
        }
        _ => Ok(()),
    }
}

fn check_point_vectors(id: PointId, vectors: &[NamedVector], specs: &[VectorSpec]) -> Result<(), String> {
    for (number, NamedVector { name, vector }) in vectors.iter().enumerate() {
        let foreign = || format!("the vector {name:?} of point {id} is not one of the collection's");
        let spec = specs.iter().find(|spec| spec.name == *name).ok_or_else(foreign)?;
        spec.kind.check(&vector.as_ref()).map_err(|reason| format!("{}: {reason}", foreign()))?;
        if vectors.iter().take(number).any(|earlier| earlier.name == *name) {
            return Err(format!("point {id} has the vector {name:?} twice"));
        }
    }
    Ok(())
}

/// Checks what a log of our own had checked before it was written, and what readers rely on: vectors are finite, payloads are JSON
/// objects. Only what is stored as it stands in the log; a payload that is merged into another is parsed for that.
fn check_values(operation: &Operation) -> Result<(), String> {
    match operation {
        Operation::Upsert { points, .. } => points.iter().try_for_each(|point| {
            check_finite(point.id, &point.vectors)?;
            check_object(&point.payload).map_err(|reason| format!("point {}: {reason}", point.id))
        }),
        Operation::UpdateVectors { points, .. } => points.iter().try_for_each(|point| check_finite(point.id, &point.vectors)),
        Operation::OverwritePayload { payload, .. } => check_object(payload).map_err(str::to_owned),
        _ => Ok(()),
    }
}

fn check_finite(id: PointId, vectors: &[NamedVector]) -> Result<(), String> {
    let finite = |vector: &Vector| {
        let (Vector::Dense(values) | Vector::Multi(values) | Vector::Sparse { values, .. }) = vector;
        values.iter().all(|value| value.is_finite())
    };
    match vectors.iter().find(|named| !finite(&named.vector)) {
        Some(NamedVector { name, .. }) => Err(format!("the vector {name:?} of point {id} has a component that is not a number")),
        None => Ok(()),
    }
}

fn check_object(payload: &str) -> Result<(), &'static str> {
    payload::parse(payload).map(drop).ok_or("its payload is not a JSON object")
}

/// Checks that the log goes on behind the flushed records. A file is created before the one in front of it is flushed, so none
/// is damage, and not a log without records.
fn check_log_present(fs: &dyn Fs, dir: &Path, flushed: Lsn) -> Result<()> {
    let path = dir.join(layout::WAL).join(file_name(flushed.next()));
    if fs.exists(&path).map_err(on("look for", &path))? {
        return Ok(());
    }
    let reason = format!("this log file is missing, and with it all records after {flushed}");
    Err(Error::Malformed { path, offset: 0, reason })
}

/// Removes segments and tombstones that the manifest does not name.
fn remove_orphans(fs: &dyn Fs, dir: &Path, manifest: &ShardManifest) -> Result<()> {
    let segments: HashSet<String> = manifest.segments.iter().map(|entry| layout::segment_name(entry.id)).collect();
    let tombstones = manifest
        .segments
        .iter()
        .filter_map(|entry| entry.tombstones.as_ref().map(|tombstones| layout::tombstones_name(entry.id, tombstones.generation)));
    let tombstones: HashSet<String> = tombstones.collect();
    remove_others(fs, &dir.join(layout::SEGMENTS), &segments, |name| layout::parse_segment_name(name).is_some())?;
    remove_others(fs, &dir.join(layout::TOMBSTONES), &tombstones, |name| layout::parse_tombstones_name(name).is_some())
}

/// Removes the files of `dir` that are not in `named`; one that is not `ours` is refused rather than removed.
fn remove_others(fs: &dyn Fs, dir: &Path, named: &HashSet<String>, ours: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs.list(dir).map_err(on("list", dir))? {
        if named.contains(&entry.name) {
            continue;
        }
        if !ours(&entry.name) {
            return Err(Error::Malformed { path: entry.path, offset: 0, reason: "no file of this name belongs here".into() });
        }
        fs.remove_file(&entry.path).map_err(on("remove", &entry.path))?;
    }
    Ok(())
}

/// Opens everything that the manifest names.
fn open_version(fs: &dyn Fs, dir: &Arc<DirRef>, manifest: ShardManifest, vectors: &[VectorSpec]) -> Result<Version> {
    let mut segments = Vec::with_capacity(manifest.segments.len());
    for entry in &manifest.segments {
        segments.push(Arc::new(open_segment(fs, dir, entry, vectors)?));
    }
    Ok(Version { manifest, segments })
}

fn open_segment(fs: &dyn Fs, dir: &Arc<DirRef>, entry: &SegmentEntry, vectors: &[VectorSpec]) -> Result<LiveSegment> {
    let path = layout::segment_path(dir.path(), entry.id);
    let malformed = |reason: String| Error::Malformed { path: path.clone(), offset: 0, reason };
    let segment = Segment::open(fs, &path, entry.id, entry.digest.len)?;
    if segment.rows() != entry.rows {
        return Err(malformed(format!("it has {} rows, its manifest says {}", segment.rows(), entry.rows)));
    }
    for (name, kind) in segment.vectors() {
        if !vectors.iter().any(|spec| spec.name == name && spec.kind == kind) {
            return Err(malformed(format!("its vector {name:?}, {kind:?}, is not one of the collection's")));
        }
    }
    let tombstones = match &entry.tombstones {
        None => None,
        Some(named) => {
            let path = layout::tombstones_path(dir.path(), entry.id, named.generation);
            let id = TombstonesId { segment: entry.id, generation: named.generation };
            let marks = Tombstones::read(fs, &path, named.digest, id, entry.rows)?;
            if marks.count() != named.marked {
                let reason = format!("it marks {} rows, its manifest says {}", marks.count(), named.marked);
                return Err(Error::Malformed { path, offset: 0, reason });
            }
            Some((marks, FileRef::new(dir, path, named.digest.len)))
        }
    };
    let file = FileRef::new(dir, path, entry.digest.len);
    Ok(LiveSegment { segment: Arc::new(segment), file, tombstones })
}
