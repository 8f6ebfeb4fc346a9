//! The vectors of an open segment: where they are, and what their bytes say.
//!
//! Components that are `f32` in the file are used where they lie; others are converted at each read. What a checksum cannot know
//! (that a row's vector exists and lies inside its sections) is checked at each read; the order of sparse indices is the scrub's to
//! check.
#![warn(clippy::indexing_slicing)]

use std::borrow::Cow;
use std::ops::Range;

use super::blocks::Blocks;
use super::fetch::{Fetch, Mapped};
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
pub(super) enum Values {
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
        let Some((values, elements)) = self.place(&mut Mapped, row, name)? else { return Ok(None) };
        let bytes = |blocks| {
            let (start, len) = byte_range(blocks, &elements);
            self.bytes(blocks, start, len)
        };
        let vector = match values {
            Values::Dense { data } => VectorRef::Dense(decode(data, bytes(data)?)),
            Values::Multi { data, .. } => VectorRef::Multi(decode(data, bytes(data)?)),
            Values::Sparse { indices, values, .. } => sparse(bytes(indices)?, bytes(values)?),
        };
        Ok(Some(vector))
    }

    /// Whether the row has a vector of this name; reads no vector.
    pub(crate) fn has_vector(&self, row: u32, name: &str) -> Result<bool> {
        Ok(self.find_vector(&mut Mapped, row, name)?.is_some())
    }

    /// The sections with the row's vector of this name, and which of their elements it is.
    pub(super) fn place(&self, fetch: &mut impl Fetch, row: u32, name: &str) -> Result<Option<(&Values, Range<u64>)>> {
        let Some((vectors, index)) = self.find_vector(fetch, row, name)? else { return Ok(None) };
        let elements = match &vectors.values {
            Values::Dense { .. } => index..index + 1,
            Values::Multi { offsets, data: target } | Values::Sparse { offsets, indices: target, .. } => {
                let Section { name, count, .. } = target.section();
                self.range(fetch, offsets, index, *count, || format!("the vector {name:?} of row {row}"))?
            }
        };
        Ok(Some((&vectors.values, elements)))
    }

    /// The vectors of this name, and which of them is the row's.
    pub(super) fn find_vector(&self, fetch: &mut impl Fetch, row: u32, name: &str) -> Result<Option<(&Vectors, u64)>> {
        let Some(vectors) = self.vectors.iter().find(|vectors| vectors.name() == name) else { return Ok(None) };
        assert!(row < self.rows, "row {row} of {}", self.rows);
        let Some(rows) = &vectors.rows else { return Ok(Some((vectors, row.into()))) };
        let index = u32::from_le_bytes(self.element(fetch, rows, row.into())?);
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
}

/// Where elements of a section are in it: their start and length in bytes.
pub(super) fn byte_range(blocks: &Blocks, elements: &Range<u64>) -> (u64, u64) {
    let len = blocks.section().kind.element_len(blocks.section().dim);
    (elements.start * len, (elements.end - elements.start) * len)
}

/// The components that are these bytes of a section of dense vectors.
pub(super) fn decode<'a>(data: &Blocks, bytes: &'a [u8]) -> Cow<'a, [f32]> {
    let Some(datatype) = data.section().kind.datatype() else { unreachable!("{:?} is dense", data.section()) };
    datatype.decode(bytes)
}

/// The sparse vector that is these bytes of the sections of indices and of values.
pub(super) fn sparse<'a>(indices: &'a [u8], values: &'a [u8]) -> VectorRef<'a> {
    VectorRef::Sparse { indices: cast(indices).into(), values: cast(values).into() }
}

/// The numbers of a section, which starts at a multiple of 64 bytes, as does what is read of it.
fn cast<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> &[T] {
    let Ok(numbers) = bytemuck::try_cast_slice(bytes) else { unreachable!("open checked the alignment") };
    numbers
}
