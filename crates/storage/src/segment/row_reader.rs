//! The rows of a segment, read from its file and not from its memory map: a device error is an error and not the end of the process.
//!
//! For work in the background that goes through all rows from the first to the last, perhaps several times. What is read is known
//! to nobody else: blocks that were verified here are verified again at their first use through the map.

use std::path::Path;
use std::sync::Arc;

use icecore_io::Fs;

use super::Segment;
use super::fetch::Fetch;
use super::vector_reader::{Values, byte_range, decode, sparse};
use super::windows::Windows;
use crate::error::{Result, on};
use crate::ids::{Lsn, PointId};
use crate::vector::VectorRef;

/// Reads rows; the methods are those of [`Segment`] of the same names.
#[derive(Debug)]
pub(crate) struct RowReader {
    segment: Arc<Segment>,
    windows: Windows,
}

impl RowReader {
    /// Opens the file of `segment`, which is at `path`. It will take about `bytes_max` bytes of memory, and the longest vector and
    /// payload of a row.
    pub(crate) fn open(fs: &dyn Fs, path: &Path, segment: Arc<Segment>, bytes_max: u64) -> Result<Self> {
        let file = fs.open_read(path).map_err(on("open", path))?;
        Ok(Self { segment, windows: Windows::new(file, bytes_max) })
    }

    /// Gives back the memory that a long vector or payload took.
    pub(crate) fn trim(&mut self) {
        self.windows.trim();
    }

    /// Bytes of memory that windows take.
    #[cfg(test)]
    pub(super) fn memory(&self) -> u64 {
        self.windows.memory()
    }

    pub(crate) fn id(&mut self, row: u32) -> Result<PointId> {
        self.segment.id_by(&mut self.windows, row)
    }

    pub(crate) fn version(&mut self, row: u32) -> Result<Lsn> {
        self.segment.version_by(&mut self.windows, row)
    }

    pub(crate) fn payload(&mut self, row: u32) -> Result<&str> {
        let Self { segment, windows } = self;
        let (start, end) = segment.payload_range(windows, row)?;
        segment.text(row, start, windows.fetch(segment, &segment.payload_data, start, end - start)?)
    }

    /// Bytes of the row's payload; reads no payload.
    pub(crate) fn payload_len(&mut self, row: u32) -> Result<u64> {
        let (start, end) = self.segment.payload_range(&mut self.windows, row)?;
        Ok(end - start)
    }

    pub(crate) fn vector(&mut self, row: u32, name: &str) -> Result<Option<VectorRef<'_>>> {
        let Self { segment, windows } = self;
        let Some((values, elements)) = segment.place(windows, row, name)? else { return Ok(None) };
        let range = |blocks| byte_range(blocks, &elements);
        let vector = match values {
            Values::Dense { data } | Values::Multi { data, .. } => {
                let (start, len) = range(data);
                let components = decode(data, windows.fetch(segment, data, start, len)?);
                if matches!(values, Values::Dense { .. }) { VectorRef::Dense(components) } else { VectorRef::Multi(components) }
            }
            Values::Sparse { indices, values, .. } => {
                let (indices, values) = windows.fetch_both(segment, (indices, range(indices)), (values, range(values)))?;
                sparse(indices, values)
            }
        };
        Ok(Some(vector))
    }

    pub(crate) fn has_vector(&mut self, row: u32, name: &str) -> Result<bool> {
        Ok(self.segment.find_vector(&mut self.windows, row, name)?.is_some())
    }

    /// How many numbers the row's vector of this name has ([`VectorRef::component_count`]); reads no vector.
    pub(crate) fn component_count(&mut self, row: u32, name: &str) -> Result<Option<u64>> {
        let Some((values, elements)) = self.segment.place(&mut self.windows, row, name)? else { return Ok(None) };
        let each = match values {
            Values::Dense { data } | Values::Multi { data, .. } => data.section().dim.into(),
            Values::Sparse { .. } => 1,
        };
        Ok(Some((elements.end - elements.start) * each))
    }
}
