//! The live rows of several segments in the order of their ids, read from the segments' files.
//!
//! Each source is gone through in the order of its rows, and the least id that any of them is at comes next. All that is kept is where each
//! source is, so memory does not grow with the rows; ids are read again each time the rows are gone through.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use icecore_io::Fs;

use super::view::LiveSegment;
use crate::error::Result;
use crate::ids::{Lsn, PointId};
use crate::segment::{RowReader, Rows};
use crate::vector::VectorRef;

/// Memory for what is read of all sources together, roughly.
const BUFFERS_LEN: u64 = 8 * 1024 * 1024;

/// Rows that are asked for in their order.
pub(super) struct MergedRows {
    sources: Vec<Source>,
    /// The id that each source is at, and the source; none for those that are at their end.
    heads: BinaryHeap<Reverse<(PointId, usize)>>,
    /// The row that the first of the heads is; none before the first pass, and after an error.
    at: Option<usize>,
    len: usize,
}

/// One segment and how far it is read.
struct Source {
    live: Arc<LiveSegment>,
    rows: RowReader,
    row: u32,
}

impl MergedRows {
    /// Opens the files of `segments`, no two of which have a live row of the same id.
    pub(super) fn open(fs: &dyn Fs, segments: &[Arc<LiveSegment>]) -> Result<Self> {
        let buffers_len = BUFFERS_LEN / segments.len().max(1) as u64;
        let sources = segments.iter().map(|live| {
            let rows = RowReader::open(fs, live.file.path(), live.segment.clone(), buffers_len)?;
            Ok(Source { live: live.clone(), rows, row: 0 })
        });
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let len = segments.iter().map(|live| live.live_count() as usize).sum();
        Ok(Self { sources, heads: BinaryHeap::with_capacity(segments.len()), at: None, len })
    }

    /// Goes to a row, which is the one at hand, the one after it, or the first.
    fn go_to(&mut self, row: usize) -> Result<&mut Source> {
        if self.at != Some(row) {
            match self.at.take() {
                _ if row == 0 => self.rewind()?,
                Some(before) if before + 1 == row => self.step()?,
                before => panic!("row {row} was asked for after row {before:?}"),
            }
            self.at = Some(row);
        }
        let head = self.heads.peek();
        let Some(Reverse((_, source))) = head else { panic!("row {row} of {}: the sources are at their end", self.len) };
        Ok(&mut self.sources[*source])
    }

    fn rewind(&mut self) -> Result<()> {
        self.heads.clear();
        for (number, source) in self.sources.iter_mut().enumerate() {
            self.heads.extend(source.seek(0)?.map(|id| Reverse((id, number))));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        let Some(&Reverse((_, number))) = self.heads.peek() else { return Ok(()) };
        let source = &mut self.sources[number];
        let next = source.seek(source.row + 1)?;
        if let Some(mut head) = self.heads.peek_mut() {
            match next {
                Some(id) => *head = Reverse((id, number)),
                None => drop(PeekMut::pop(head)),
            }
        }
        if self.heads.peek().is_none_or(|Reverse((_, next))| *next != number) {
            self.sources[number].rows.trim();
        }
        Ok(())
    }
}

impl Source {
    /// Goes to the first live row from `row` on, and returns its id; `None` if there is none.
    fn seek(&mut self, row: u32) -> Result<Option<PointId>> {
        let found = (row..self.live.segment.rows()).find(|row| !self.live.is_dead(*row));
        found
            .map(|row| {
                self.row = row;
                self.rows.id(row)
            })
            .transpose()
    }
}

impl Rows for MergedRows {
    fn len(&self) -> usize {
        self.len
    }

    fn id(&mut self, row: usize) -> Result<PointId> {
        self.go_to(row)?;
        match self.heads.peek() {
            Some(Reverse((id, _))) => Ok(*id),
            None => unreachable!("a row that was gone to has a source"),
        }
    }

    fn version(&mut self, row: usize) -> Result<Lsn> {
        let Source { rows, row, .. } = self.go_to(row)?;
        rows.version(*row)
    }

    fn vector<'a>(&'a mut self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>> {
        let Source { rows, row, .. } = self.go_to(row)?;
        rows.vector(*row, name)
    }

    fn payload<'a>(&'a mut self, row: usize) -> Result<Cow<'a, str>> {
        let Source { rows, row, .. } = self.go_to(row)?;
        Ok(rows.payload(*row)?.into())
    }

    fn has_vector(&mut self, row: usize, name: &str) -> Result<bool> {
        let Source { rows, row, .. } = self.go_to(row)?;
        rows.has_vector(*row, name)
    }

    fn component_count(&mut self, row: usize, name: &str) -> Result<Option<u64>> {
        let Source { rows, row, .. } = self.go_to(row)?;
        rows.component_count(*row, name)
    }

    fn payload_len(&mut self, row: usize) -> Result<u64> {
        let Source { rows, row, .. } = self.go_to(row)?;
        rows.payload_len(*row)
    }
}
