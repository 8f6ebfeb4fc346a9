//! Memtables become segments.
//!
//! Freezing ends a log file and begins the next one, so that a flushed LSN is always the end of a file. The next file is made before
//! anybody has to wait for it, and its name becomes durable while others write to it already. The segment is written
//! without any lock; only then are the marks of the memtable resolved against the segments that are live at that moment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;

use icecore_io::{Share, in_background};

use super::commit::Committer;
use super::structure::{Change, NewSegment, Unnamed};
use super::view::{Version, View};
use super::{Shard, layout};
use crate::error::{Error, ErrorKind, Result, on};
use crate::ids::{Lsn, PointId, SegmentId};
use crate::memtable::{Entry, LogFile, Memtable, Row};
use crate::refs::FileRef;
use crate::segment::{Rows, Segment, write_segment};
use crate::vector::VectorRef;
use crate::wal::next::NextLog;

impl Shard {
    /// Freezes what is in memory and flushes all of it.
    pub(crate) fn flush(&self) -> Result<()> {
        self.freeze()?;
        while self.flush_oldest()? {}
        Ok(())
    }

    /// Ends the current log file and memtable and begins new ones. Nothing happens if there are no records.
    pub(crate) fn freeze(&self) -> Result<()> {
        self.switch_log()?;
        self.name_log()
    }

    /// The part of a freeze that others wait for, at its end: what was appended since a moment before is synced, and the header of the next
    /// file.
    fn switch_log(&self) -> Result<()> {
        let _freezing = self.freezing.lock().unwrap_or_else(PoisonError::into_inner);
        let has_records = |committer: &Committer| committer.writer.last_lsn() >= committer.writer.first_lsn();
        self.poison_check()?;
        if !has_records(&self.lock_committer()) {
            return Ok(());
        }
        let next = NextLog::create(self.fs.as_ref(), self.path().join(layout::NEXT_LOG))?;
        self.sync()?;

        let mut committer = self.lock_committer();
        self.poison_check()?;
        let last = committer.writer.last_lsn();
        let dir = self.path().join(layout::WAL);
        // Both syncs at once: whoever waits here waits no longer than for a commit.
        let (synced, next) = thread::scope(|scope| {
            let next = scope.spawn(|| next.head(&dir, last.next()));
            let synced = self.sync_log(&mut committer);
            (synced, next.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        if !synced {
            return self.poison_check();
        }
        let writer = next?.begin(&dir).inspect_err(|error| {
            // The file may come back after a crash, and would contradict the one that goes on.
            if error.kind() == ErrorKind::Poisoned {
                self.poison.set(error.to_string());
            }
        })?;
        let log = LogFile::new(FileRef::new(&self.dir, writer.path().to_owned(), writer.len()), last.next());
        let active = Memtable::new(self.budget.clone(), log);
        self.update_view(|view| {
            view.active.log.seal(committer.writer.mark());
            let frozen = view.frozen.iter().chain(std::iter::once(&view.active)).cloned().collect();
            View { version: view.version.clone(), frozen, active: active.clone() }
        });
        self.log_bytes.store(writer.len(), Ordering::Relaxed);
        committer.durable = writer.mark();
        committer.writer = writer;
        committer.unnamed = true;
        Ok(())
    }

    /// Makes the name of the current log file durable, while others write to it.
    fn name_log(&self) -> Result<()> {
        let unnamed = {
            let committer = self.lock_committer();
            committer.unnamed.then(|| committer.writer.first_lsn())
        };
        let Some(first) = unnamed else { return Ok(()) };
        self.sync_log_names()?;
        let mut committer = self.lock_committer();
        if committer.writer.first_lsn() == first {
            committer.unnamed = false;
        }
        Ok(())
    }

    /// Syncs the directory of the log; a failure poisons the shard.
    pub(super) fn sync_log_names(&self) -> Result<()> {
        let dir = self.path().join(layout::WAL);
        if let Err(error) = self.fs.sync_dir(&dir) {
            self.poison.set(format!("sync of {dir:?}: {error}"));
        }
        self.poison_check()
    }

    /// Makes a segment of the oldest frozen memtable; `false` if there is none.
    pub(crate) fn flush_oldest(&self) -> Result<bool> {
        let Some(memtable) = self.view().frozen.first().cloned() else {
            return Ok(false);
        };
        // A manifest that says that a file is flushed is damage without the file behind it.
        self.name_log()?;
        // What stays of a point as it was is in a segment, and is read only now.
        let add =
            in_background(Share::Small, || self.write_memtable(&memtable)).inspect_err(|error| self.poison_if_damaged(error))?;
        let held = self.lock_structure();
        let view = self.view();
        if !view.frozen.first().is_some_and(|oldest| Arc::ptr_eq(oldest, &memtable)) {
            // Another thread flushed it meanwhile; what was written here goes away.
            return Ok(true);
        }
        let marks = resolve_marks(&memtable, &view.version).inspect_err(|error| self.poison_if_damaged(error))?;
        self.publish(Change { add, marks, flushed: Some(memtable), ..Change::default() }, &held)?;
        Ok(true)
    }

    /// Refuses writes from now on if damage keeps a memtable from being flushed: they could never be flushed either.
    fn poison_if_damaged(&self, error: &Error) {
        if error.is_corrupt() {
            self.poison.set(format!("a memtable cannot be flushed over damaged segments: {error}"));
        }
    }

    /// Writes and syncs the segment of a memtable; `None` if it has no live points.
    fn write_memtable(&self, memtable: &Memtable) -> Result<Option<NewSegment>> {
        let entries = memtable.read();
        let rows: Vec<(PointId, &Row)> = entries
            .iter()
            .filter_map(|(id, entry)| match entry {
                Entry::Live(row) => Some((*id, row.as_ref())),
                Entry::Dead => None,
            })
            .collect();
        if rows.is_empty() { Ok(None) } else { self.seal(&mut MemtableRows(rows)).map(Some) }
    }

    /// Writes rows as a new segment that is durable and open, but in no manifest.
    pub(super) fn seal(&self, rows: &mut dyn Rows) -> Result<NewSegment> {
        let id = self.new_segment_id();
        let path = layout::segment_path(self.path(), id);
        let digest = write_segment(self.fs.as_ref(), &path, id, &self.vectors, rows)?;
        let file = FileRef::new(&self.dir, path.clone(), digest.len);
        let unnamed = Unnamed::new([file.clone()]);
        let segment = Segment::open(self.fs.as_ref(), &path, id, digest.len)?;
        let dir = self.path().join(layout::SEGMENTS);
        self.fs.sync_dir(&dir).map_err(on("sync", &dir))?;
        Ok(NewSegment::new(Arc::new(segment), &file, digest, unnamed))
    }
}

/// The rows that the memtable's points and deletions hide.
fn resolve_marks(memtable: &Memtable, version: &Version) -> Result<BTreeMap<SegmentId, Vec<u32>>> {
    let mut marks: BTreeMap<SegmentId, Vec<u32>> = BTreeMap::new();
    for id in memtable.read().keys() {
        for live in &version.segments {
            if let Some(row) = live.find(*id)? {
                marks.entry(live.id()).or_default().push(row);
            }
        }
    }
    Ok(marks)
}

/// The live points of a memtable.
struct MemtableRows<'a>(Vec<(PointId, &'a Row)>);

impl Rows for MemtableRows<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn id(&mut self, row: usize) -> Result<PointId> {
        Ok(self.0[row].0)
    }

    fn version(&mut self, row: usize) -> Result<Lsn> {
        Ok(self.0[row].1.version)
    }

    fn vector<'a>(&'a mut self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>> {
        self.0[row].1.vectors.get(name)
    }

    fn has_vector(&mut self, row: usize, name: &str) -> Result<bool> {
        self.0[row].1.vectors.has(name)
    }

    fn payload<'a>(&'a mut self, row: usize) -> Result<Cow<'a, str>> {
        Ok(self.0[row].1.payload()?.into())
    }
}

#[cfg(test)]
mod tests;
