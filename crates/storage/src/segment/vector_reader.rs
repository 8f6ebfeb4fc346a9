//! The vectors of an open segment.
//!
//! Components that are `f32` in the file are used where they lie; others are converted at each read. What a checksum cannot know
//! (that a row's vector exists and lies inside its sections) is checked at each read; the order of sparse indices is the scrub's to
//! check.
#![warn(clippy::indexing_slicing)]

use std::borrow::Cow;

use super::blocks::Blocks;
use super::{Section, Segment, ValueSections, VectorKind, VectorSections};
use crate::error::Result;
use crate::vector::VectorRef;

/// The vectors of one name.
#[derive(Debug)]
pub(super) struct Vectors {
    kind: VectorKind,
    rows: Option<Blocks>,
    values: Values,
}

/// The sections of [`ValueSections`].
#[derive(Debug)]
enum Values {
    Dense { data: Blocks },
    Multi { offsets: Blocks, data: Blocks },
    Sparse { offsets: Blocks, indices: Blocks, values: Blocks },
}

impl Vectors {
    /// Puts the sections together; `blocks` is called for each in the order of the file.
    pub(super) fn new(sections: VectorSections, mut blocks: impl FnMut(Section) -> Blocks) -> Self {
        let kind = sections.kind();
        let VectorSections { rows, values } = sections;
        let rows = rows.map(&mut blocks);
        let values = match values {
            ValueSections::Dense { data } => Values::Dense { data: blocks(data) },
            ValueSections::Multi { offsets, data } => Values::Multi { offsets: blocks(offsets), data: blocks(data) },
            ValueSections::Sparse { offsets, indices, values } => {
                Values::Sparse { offsets: blocks(offsets), indices: blocks(indices), values: blocks(values) }
            }
        };
        Self { kind, rows, values }
    }

    /// Their sections in the order of the file, each with what its elements count up to.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&Blocks, u64)> {
        let rows = self.rows.iter().map(|rows| (rows, self.count()));
        let values = match &self.values {
            Values::Dense { data } => [Some((data, 0)), None, None],
            Values::Multi { offsets, data } => [Some((offsets, data.section().count)), Some((data, 0)), None],
            Values::Sparse { offsets, indices, values } => {
                [Some((offsets, indices.section().count)), Some((indices, 0)), Some((values, 0))]
            }
        };
        rows.chain(values.into_iter().flatten())
    }

    fn name(&self) -> &str {
        match &self.values {
            Values::Dense { data: first } | Values::Multi { offsets: first, .. } | Values::Sparse { offsets: first, .. } => {
                &first.section().name
            }
        }
    }

    /// How many rows have one.
    fn count(&self) -> u64 {
        match &self.values {
            Values::Dense { data } => data.section().count,
            // The layout has one offset more.
            Values::Multi { offsets, .. } | Values::Sparse { offsets, .. } => offsets.section().count.saturating_sub(1),
        }
    }
}

impl Segment {
    /// The vector names that it was written for, sorted, each with the kind of its vectors.
    pub fn vectors(&self) -> impl Iterator<Item = (&str, VectorKind)> {
        self.vectors.iter().map(|vectors| (vectors.name(), vectors.kind))
    }

    /// The row's vector of this name; `None` if the row has none, or the segment knows no such name.
    pub(crate) fn vector(&self, row: u32, name: &str) -> Result<Option<VectorRef<'_>>> {
        let Some((vectors, index)) = self.find_vector(row, name)? else { return Ok(None) };
        let vector = match &vectors.values {
            Values::Dense { data } => VectorRef::Dense(self.dense(data, index, index + 1)?),
            Values::Multi { offsets, data } => {
                let (start, end) = self.vector_range(offsets, index, data, row)?;
                VectorRef::Multi(self.dense(data, start, end)?)
            }
            Values::Sparse { offsets, indices, values } => {
                let (start, end) = self.vector_range(offsets, index, indices, row)?;
                let (indices, values) = (self.elements(indices, start, end)?, self.elements(values, start, end)?);
                VectorRef::Sparse { indices: cast(indices).into(), values: cast(values).into() }
            }
        };
        Ok(Some(vector))
    }

    /// How many numbers the row's vector of this name has ([`VectorRef::component_count`]); reads no vector.
    pub(crate) fn component_count(&self, row: u32, name: &str) -> Result<Option<u64>> {
        let Some((vectors, index)) = self.find_vector(row, name)? else { return Ok(None) };
        let count = match &vectors.values {
            Values::Dense { data } => data.section().dim.into(),
            Values::Multi { offsets, data } => {
                let (start, end) = self.vector_range(offsets, index, data, row)?;
                (end - start) * u64::from(data.section().dim)
            }
            Values::Sparse { offsets, indices, .. } => {
                let (start, end) = self.vector_range(offsets, index, indices, row)?;
                end - start
            }
        };
        Ok(Some(count))
    }

    /// Whether the row has a vector of this name; reads no vector.
    pub(crate) fn has_vector(&self, row: u32, name: &str) -> Result<bool> {
        Ok(self.find_vector(row, name)?.is_some())
    }

    /// The vectors of this name, and which of them is the row's.
    fn find_vector(&self, row: u32, name: &str) -> Result<Option<(&Vectors, u64)>> {
        let Some(vectors) = self.vectors.iter().find(|vectors| vectors.name() == name) else { return Ok(None) };
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let Some(rows) = &vectors.rows else { return Ok(Some((vectors, row.into()))) };
        let index = u32::from_le_bytes(self.element(rows, row.into())?);
        let count = vectors.count();
        match index {
            u32::MAX => Ok(None),
            index if u64::from(index) < count => Ok(Some((vectors, index.into()))),
            index => {
                let offset = rows.section().offset + 4 * u64::from(row);
                Err(self.malformed(offset, format!("row {row} has vector {index} of {count}")))
            }
        }
    }

    /// Which elements of `target` belong to vector `index`, which is that of `row`.
    fn vector_range(&self, offsets: &Blocks, index: u64, target: &Blocks, row: u32) -> Result<(u64, u64)> {
        let Section { name, count, .. } = target.section();
        self.range(offsets, index, *count, || format!("the vector {name:?} of row {row}"))
    }

    /// Dense vectors from `start` to `end`, one behind the other.
    fn dense(&self, data: &Blocks, start: u64, end: u64) -> Result<Cow<'_, [f32]>> {
        let Some(datatype) = data.section().kind.datatype() else { unreachable!("{:?} is dense", data.section()) };
        Ok(datatype.decode(self.elements(data, start, end)?))
    }

    /// The bytes of the elements from `start` to `end`.
    fn elements(&self, blocks: &Blocks, start: u64, end: u64) -> Result<&[u8]> {
        let len = blocks.section().kind.element_len(blocks.section().dim);
        self.bytes(blocks, start * len, (end - start) * len)
    }
}

/// The numbers of a section, which starts at a multiple of 64 bytes of the map.
fn cast<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> &[T] {
    let Ok(numbers) = bytemuck::try_cast_slice(bytes) else { unreachable!("open checked the alignment") };
    numbers
}
