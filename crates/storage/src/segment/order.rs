//! The order inside a section that lookups rely on and that a checksum cannot know.
//!
//! Looks at a section piece by piece, in order; each piece has whole elements. Sections whose elements may have any value
//! pass always.
#![warn(clippy::indexing_slicing)]

use std::iter::Peekable;

use super::Kind;

/// The order of one section, as far as it was seen.
#[derive(Debug)]
pub(crate) struct Order {
    kind: Kind,
    /// What the elements count up to: the number of vectors for [`Kind::VectorRows`], the elements of the section that they divide
    /// for offsets.
    total: u64,
    /// For [`Kind::VectorRows`] the number of rows seen that have a vector, for [`Kind::SparseIndices`] that of indices.
    seen: u64,
    /// The element before.
    before: Option<u128>,
}

impl Order {
    /// Nothing seen yet.
    pub(crate) fn new(kind: Kind, total: u64) -> Self {
        Self { kind, total, seen: 0, before: None }
    }

    /// Whether the elements of such a section may have any value.
    pub(crate) fn is_any(kind: Kind) -> bool {
        match kind {
            Kind::Versions | Kind::DenseF32 | Kind::DenseF16 | Kind::DenseU8 | Kind::SparseValues | Kind::PayloadData => true,
            Kind::IdsNum
            | Kind::IdsUuid
            | Kind::VectorRows
            | Kind::PayloadOffsets
            | Kind::MultiOffsets
            | Kind::SparseOffsets
            | Kind::SparseIndices => false,
        }
    }

    /// Takes the next piece; the error is the reason. `starts` is for [`Kind::SparseIndices`]: where vectors start.
    pub(crate) fn feed(&mut self, bytes: &[u8], starts: &mut Peekable<impl Iterator<Item = u64>>) -> Result<(), String> {
        match self.kind {
            Kind::IdsNum => {
                let (ids, _) = bytes.as_chunks();
                ids.iter().try_for_each(|id| self.ascend(u64::from_le_bytes(*id).into()))
            }
            Kind::IdsUuid => {
                let (ids, _) = bytes.as_chunks();
                ids.iter().try_for_each(|id| self.ascend(u128::from_be_bytes(*id)))
            }
            Kind::VectorRows => {
                let (rows, _) = bytes.as_chunks();
                rows.iter().try_for_each(|row| self.count_vector(u32::from_le_bytes(*row)))
            }
            Kind::PayloadOffsets | Kind::MultiOffsets | Kind::SparseOffsets => {
                let (offsets, _) = bytes.as_chunks();
                offsets.iter().try_for_each(|offset| self.not_descend(u64::from_le_bytes(*offset)))
            }
            Kind::SparseIndices => {
                let (indices, _) = bytes.as_chunks();
                indices.iter().try_for_each(|index| self.ascend_in_vector(u32::from_le_bytes(*index), starts))
            }
            Kind::Versions | Kind::DenseF32 | Kind::DenseF16 | Kind::DenseU8 | Kind::SparseValues | Kind::PayloadData => Ok(()),
        }
    }

    /// What only the end shows.
    pub(crate) fn finish(&self) -> Result<(), String> {
        let total = u128::from(self.total);
        match (self.kind, self.before) {
            (Kind::VectorRows, _) if self.seen != self.total => {
                Err(format!("{} rows have a vector, there are {total} vectors", self.seen))
            }
            (Kind::PayloadOffsets | Kind::MultiOffsets | Kind::SparseOffsets, last) if last != Some(total) => {
                Err(format!("the {}s end at {}, their section at {total}", self.thing(), last.unwrap_or(0)))
            }
            _ => Ok(()),
        }
    }

    fn ascend(&mut self, id: u128) -> Result<(), String> {
        match self.before.replace(id) {
            Some(before) if before >= id => Err(format!("the id {id:#x} follows {before:#x}")),
            _ => Ok(()),
        }
    }

    fn count_vector(&mut self, vector: u32) -> Result<(), String> {
        if vector == u32::MAX {
            return Ok(());
        }
        if u64::from(vector) != self.seen {
            return Err(format!("a row has vector {vector}, the next one is {}", self.seen));
        }
        self.seen += 1;
        Ok(())
    }

    fn not_descend(&mut self, offset: u64) -> Result<(), String> {
        match self.before.replace(offset.into()) {
            None if offset != 0 => Err(format!("the first {} starts at {offset}", self.thing())),
            Some(before) if before > offset.into() => Err(format!("a {} starts at {before} and ends at {offset}", self.thing())),
            _ => Ok(()),
        }
    }

    fn ascend_in_vector(&mut self, index: u32, starts: &mut Peekable<impl Iterator<Item = u64>>) -> Result<(), String> {
        // Empty vectors start where the next one does.
        while starts.next_if(|start| *start <= self.seen).is_some() {
            self.before = None;
        }
        self.seen += 1;
        match self.before.replace(index.into()) {
            Some(before) if before >= index.into() => Err(format!("the index {index} of a sparse vector follows {before}")),
            _ => Ok(()),
        }
    }

    /// What offsets are those of.
    fn thing(&self) -> &'static str {
        if self.kind == Kind::PayloadOffsets { "payload" } else { "vector" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, total: u64, pieces: &[Vec<u8>]) -> Result<(), String> {
        let mut order = Order::new(kind, total);
        pieces.iter().try_for_each(|piece| order.feed(piece, &mut std::iter::empty().peekable()))?;
        order.finish()
    }

    fn u64s(values: &[u64]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn u32s(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    #[test]
    fn ids_ascend_across_pieces() {
        assert_eq!(check(Kind::IdsNum, 0, &[u64s(&[0, 1]), u64s(&[256])]), Ok(()));
        assert!(check(Kind::IdsNum, 0, &[u64s(&[0, 1]), u64s(&[1])]).is_err());
        assert!(check(Kind::IdsNum, 0, &[u64s(&[2, 1])]).is_err());
        // UUIDs are ordered by their bytes from the first.
        let uuid = |first, last| [&[first; 1][..], &[0; 14], &[last; 1]].concat();
        assert_eq!(check(Kind::IdsUuid, 0, &[uuid(1, 9), uuid(2, 0)]), Ok(()));
        assert!(check(Kind::IdsUuid, 0, &[uuid(2, 0), uuid(1, 9)]).is_err());
    }

    #[test]
    fn row_tables_count_the_vectors() {
        assert_eq!(check(Kind::VectorRows, 2, &[u32s(&[u32::MAX, 0]), u32s(&[1, u32::MAX])]), Ok(()));
        assert!(check(Kind::VectorRows, 2, &[u32s(&[u32::MAX, 0])]).is_err());
        assert!(check(Kind::VectorRows, 2, &[u32s(&[1, 0])]).is_err());
        assert!(check(Kind::VectorRows, 2, &[u32s(&[0, 0])]).is_err());
    }

    #[test]
    fn payloads_are_one_behind_the_other() {
        assert_eq!(check(Kind::PayloadOffsets, 5, &[u64s(&[0, 3, 3]), u64s(&[5])]), Ok(()));
        assert!(check(Kind::PayloadOffsets, 5, &[u64s(&[1, 5])]).is_err());
        assert!(check(Kind::PayloadOffsets, 5, &[u64s(&[0, 4])]).is_err());
        assert!(check(Kind::PayloadOffsets, 5, &[u64s(&[0, 6]), u64s(&[5])]).is_err());
    }
    #[test]
    fn vectors_are_one_behind_the_other() {
        for kind in [Kind::MultiOffsets, Kind::SparseOffsets] {
            assert_eq!(check(kind, 5, &[u64s(&[0, 3, 3]), u64s(&[5])]), Ok(()));
            assert_eq!(check(kind, 0, &[u64s(&[0])]), Ok(()));
            assert_eq!(check(kind, 5, &[u64s(&[1, 5])]), Err("the first vector starts at 1".into()));
            assert_eq!(check(kind, 5, &[u64s(&[0, 4])]), Err("the vectors end at 4, their section at 5".into()));
            assert_eq!(check(kind, 5, &[u64s(&[0, 6]), u64s(&[5])]), Err("a vector starts at 6 and ends at 5".into()));
        }
    }

    #[test]
    fn indices_ascend_in_each_vector_across_pieces() {
        let check = |starts: &[u64], pieces: &[Vec<u8>]| {
            let (mut order, mut starts) = (Order::new(Kind::SparseIndices, 0), starts.iter().copied().peekable());
            pieces.iter().try_for_each(|piece| order.feed(piece, &mut starts)).and_then(|()| order.finish())
        };
        let pieces = [u32s(&[7, u32::MAX, 0]), u32s(&[1, 1, 0])];
        // The first two, an empty one, the next two, one each.
        assert_eq!(check(&[0, 2, 2, 4, 5, 6], &pieces), Ok(()));
        assert_eq!(check(&[0, 0, 2, 4, 5, 6, 6], &pieces), Ok(()));
        assert_eq!(check(&[0, 3, 4, 5, 6], &pieces), Err("the index 0 of a sparse vector follows 4294967295".into()));
        assert_eq!(check(&[0, 2, 5, 6], &pieces), Err("the index 1 of a sparse vector follows 1".into()));
        assert_eq!(check(&[0, 2, 4, 6], &pieces), Err("the index 0 of a sparse vector follows 1".into()));
    }
}
