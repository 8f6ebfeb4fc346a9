//! What sections there are: their kinds, their elements, and one entry of the section table.
//!
//! Kinds are numbers that are never given a second meaning. A kind that this program does not know is refused with the whole
//! file, since its data would be lost silently by the next compaction otherwise.
#![warn(clippy::indexing_slicing)]

use super::fields::{put, u32_at, u64_at, zeros};
use super::{ALIGNMENT, BLOCK_LEN, PAGE_LEN, Violation};

/// Bytes of one entry of the section table.
pub(crate) const ENTRY_LEN: usize = 64;

/// Offset of the kind.
pub(crate) const KIND_OFFSET: usize = 0;
const KIND_SIZE: usize = 4;
/// Offset of the number of components of a vector.
pub(crate) const DIM_OFFSET: usize = KIND_OFFSET + KIND_SIZE;
const DIM_SIZE: usize = 4;
/// Offset of the place of the section in the file.
pub(crate) const SECTION_OFFSET_OFFSET: usize = DIM_OFFSET + DIM_SIZE;
const SECTION_OFFSET_SIZE: usize = 8;
/// Offset of the section's length.
pub(crate) const SECTION_LEN_OFFSET: usize = SECTION_OFFSET_OFFSET + SECTION_OFFSET_SIZE;
const SECTION_LEN_SIZE: usize = 8;
/// Offset of the number of elements.
pub(crate) const COUNT_OFFSET: usize = SECTION_LEN_OFFSET + SECTION_LEN_SIZE;
const COUNT_SIZE: usize = 8;
/// Offset of the length of the vector's name.
pub(crate) const NAME_LEN_OFFSET: usize = COUNT_OFFSET + COUNT_SIZE;
const NAME_LEN_SIZE: usize = 4;
/// Offset of the reserved bytes.
pub(crate) const RESERVED_OFFSET: usize = NAME_LEN_OFFSET + NAME_LEN_SIZE;

const _: () = assert!(RESERVED_OFFSET == 36);

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The ids that are numbers, ascending: `u64` each.
    IdsNum = 1,
    /// The ids that are UUIDs, ascending: 16 bytes each.
    IdsUuid = 2,
    /// The number of the log record that made each row: `u64` each.
    Versions = 3,
    /// For each row the index of its vector among those of the same name, or [`u32::MAX`]: `u32` each.
    VectorRows = 4,
    /// The vectors of one name, in the order of their rows: `dim` times `f32` each.
    DenseF32 = 5,
    /// Where each row's payload starts in the payload data, and the end of the last: `u64` each, one more than rows.
    PayloadOffsets = 6,
    /// The payloads, JSON texts without anything between them: bytes.
    PayloadData = 7,
    /// As [`Kind::DenseF32`], with IEEE 754 binary16 numbers: `dim` times 2 bytes each.
    DenseF16 = 8,
    /// As [`Kind::DenseF32`], with integers from 0 to 255: `dim` bytes each.
    DenseU8 = 9,
    /// Where each row's vectors start in the dense section behind, counted in vectors, and the end of the last: `u64` each, one
    /// more than rows that have some.
    MultiOffsets = 10,
    /// Where each row's elements start in the two sections behind, and the end of the last: `u64` each, one more than rows that
    /// have a sparse vector.
    SparseOffsets = 11,
    /// The indices of sparse vectors, ascending in each: `u32` each.
    SparseIndices = 12,
    /// The values that belong to the indices: `f32` each.
    SparseValues = 13,
}

impl Kind {
    pub(super) const ALL: [Self; 13] = [
        Self::IdsNum,
        Self::IdsUuid,
        Self::Versions,
        Self::VectorRows,
        Self::DenseF32,
        Self::PayloadOffsets,
        Self::PayloadData,
        Self::DenseF16,
        Self::DenseU8,
        Self::MultiOffsets,
        Self::SparseOffsets,
        Self::SparseIndices,
        Self::SparseValues,
    ];

    /// The kind of this number, if this program knows it.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == number)
    }

    /// Bytes of one element, `dim` being that of the section.
    pub(crate) fn element_len(self, dim: u32) -> u64 {
        match self {
            Self::IdsNum | Self::Versions | Self::PayloadOffsets | Self::MultiOffsets | Self::SparseOffsets => 8,
            Self::IdsUuid => 16,
            Self::VectorRows | Self::SparseIndices | Self::SparseValues => 4,
            Self::DenseF32 => 4 * u64::from(dim),
            Self::DenseF16 => 2 * u64::from(dim),
            Self::DenseU8 => u64::from(dim),
            Self::PayloadData => 1,
        }
    }

    /// Whether the section belongs to one vector name.
    pub(crate) fn is_named(self) -> bool {
        match self {
            Self::IdsNum | Self::IdsUuid | Self::Versions | Self::PayloadOffsets | Self::PayloadData => false,
            Self::VectorRows
            | Self::DenseF32
            | Self::DenseF16
            | Self::DenseU8
            | Self::MultiOffsets
            | Self::SparseOffsets
            | Self::SparseIndices
            | Self::SparseValues => true,
        }
    }
}

/// A section of a known kind, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it holds.
    pub kind: Kind,
    /// The vector that it belongs to; empty for kinds that belong to none (and for the unnamed vector).
    pub name: String,
    /// Components of a vector; 0 for all kinds but those of dense vectors.
    pub dim: u32,
    /// Where it starts in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Elements.
    pub count: u64,
}

impl Section {
    /// Where a section of `len` bytes starts if the one before ends at `end`.
    pub(crate) fn place(end: u64, len: u64) -> Option<u64> {
        end.checked_next_multiple_of(if len < PAGE_LEN { ALIGNMENT } else { PAGE_LEN })
    }

    /// Blocks that have a checksum of their own.
    pub(crate) fn block_count(&self) -> u64 {
        self.len.div_ceil(BLOCK_LEN)
    }

    /// Its entry in the section table. The name follows the table.
    pub(crate) fn encode(&self) -> [u8; ENTRY_LEN] {
        let Ok(name_len) = u32::try_from(self.name.len()) else { unreachable!("a vector name of 4 GiB") };
        let mut bytes = [0; ENTRY_LEN];
        put(&mut bytes, KIND_OFFSET, &(self.kind as u32).to_le_bytes());
        put(&mut bytes, DIM_OFFSET, &self.dim.to_le_bytes());
        put(&mut bytes, SECTION_OFFSET_OFFSET, &self.offset.to_le_bytes());
        put(&mut bytes, SECTION_LEN_OFFSET, &self.len.to_le_bytes());
        put(&mut bytes, COUNT_OFFSET, &self.count.to_le_bytes());
        put(&mut bytes, NAME_LEN_OFFSET, &name_len.to_le_bytes());
        bytes
    }
}

/// The numbers of an entry of the section table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawEntry {
    pub(crate) kind: u32,
    pub(crate) dim: u32,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    pub(crate) count: u64,
    pub(crate) name_len: u32,
}

impl RawEntry {
    /// Reads [`ENTRY_LEN`] bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        zeros(bytes, RESERVED_OFFSET..ENTRY_LEN)?;
        Ok(Self {
            kind: u32_at(bytes, KIND_OFFSET)?,
            dim: u32_at(bytes, DIM_OFFSET)?,
            offset: u64_at(bytes, SECTION_OFFSET_OFFSET)?,
            len: u64_at(bytes, SECTION_LEN_OFFSET)?,
            count: u64_at(bytes, COUNT_OFFSET)?,
            name_len: u32_at(bytes, NAME_LEN_OFFSET)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_never_changes() {
        let section = Section { kind: Kind::DenseF32, name: "ab".into(), dim: 3, offset: 0x2000, len: 0x0c00, count: 0x0100 };
        let mut expected = vec![5, 0, 0, 0, 3, 0, 0, 0];
        expected.extend([0, 0x20, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0x0c, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        expected.extend([2, 0, 0, 0]);
        expected.resize(64, 0);
        assert_eq!(section.encode()[..], expected);
        let (kind, dim, offset, len, count, name_len) = (5, 3, 0x2000, 0x0c00, 0x0100, 2);
        assert_eq!(RawEntry::parse(&expected), Ok(RawEntry { kind, dim, offset, len, count, name_len }));
        expected[63] = 1;
        assert!(RawEntry::parse(&expected).is_err());
    }

    #[test]
    fn kinds_keep_their_numbers() {
        let numbers = Kind::ALL.map(|kind| kind as u32);
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind as u32), Some(kind));
        }
        assert_eq!([0, 14, u32::MAX].map(Kind::from_number), [None; 3]);
    }

    #[test]
    fn long_sections_start_on_a_page_and_short_ones_on_a_cache_line() {
        assert_eq!(Section::place(4096, 1), Some(4096));
        assert_eq!(Section::place(4097, 4095), Some(4160));
        assert_eq!(Section::place(4097, 4096), Some(8192));
        assert_eq!(Section::place(u64::MAX, 1), None);
    }
}
