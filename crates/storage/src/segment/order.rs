//! The order inside a section that lookups rely on and that a checksum cannot know.
//!
//! Looks at a section piece by piece, in order; each piece has whole elements. Sections whose elements may have any value
//! pass always.
#![warn(clippy::indexing_slicing)]

use super::Kind;

/// The order of one section, as far as it was seen.
#[derive(Debug)]
pub(crate) struct Order {
    kind: Kind,
    /// What the elements count up to: the number of vectors for [`Kind::DenseRows`], the bytes of all payloads for
    /// [`Kind::PayloadOffsets`].
    total: u64,
    /// The number of rows seen that have a vector.
    vectors: u64,
    /// The element before.
    before: Option<u128>,
}

impl Order {
    /// Nothing seen yet.
    pub(crate) fn new(kind: Kind, total: u64) -> Self {
        Self { kind, total, vectors: 0, before: None }
    }

    /// Takes the next piece; the error is the reason.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self.kind {
            Kind::IdsNum => {
                let (ids, _) = bytes.as_chunks();
                ids.iter().try_for_each(|id| self.ascend(u64::from_le_bytes(*id).into()))
            }
            Kind::IdsUuid => {
                let (ids, _) = bytes.as_chunks();
                ids.iter().try_for_each(|id| self.ascend(u128::from_be_bytes(*id)))
            }
            Kind::DenseRows => {
                let (rows, _) = bytes.as_chunks();
                rows.iter().try_for_each(|row| self.count_vector(u32::from_le_bytes(*row)))
            }
            Kind::PayloadOffsets => {
                let (offsets, _) = bytes.as_chunks();
                offsets.iter().try_for_each(|offset| self.not_descend(u64::from_le_bytes(*offset)))
            }
            Kind::Versions | Kind::DenseF32 | Kind::PayloadData => Ok(()),
        }
    }

    /// What only the end shows.
    pub(crate) fn finish(&self) -> Result<(), String> {
        let total = u128::from(self.total);
        match (self.kind, self.before) {
            (Kind::DenseRows, _) if self.vectors != self.total => {
                Err(format!("{} rows have a vector, there are {total} vectors", self.vectors))
            }
            (Kind::PayloadOffsets, last) if last != Some(total) => {
                Err(format!("the payloads end at {}, their section at {total}", last.unwrap_or(0)))
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
        if u64::from(vector) != self.vectors {
            return Err(format!("a row has vector {vector}, the next one is {}", self.vectors));
        }
        self.vectors += 1;
        Ok(())
    }

    fn not_descend(&mut self, offset: u64) -> Result<(), String> {
        match self.before.replace(offset.into()) {
            None if offset != 0 => Err(format!("the first payload starts at {offset}")),
            Some(before) if before > offset.into() => Err(format!("a payload starts at {before} and ends at {offset}")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, total: u64, pieces: &[Vec<u8>]) -> Result<(), String> {
        let mut order = Order::new(kind, total);
        pieces.iter().try_for_each(|piece| order.feed(piece))?;
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
        assert_eq!(check(Kind::DenseRows, 2, &[u32s(&[u32::MAX, 0]), u32s(&[1, u32::MAX])]), Ok(()));
        assert!(check(Kind::DenseRows, 2, &[u32s(&[u32::MAX, 0])]).is_err());
        assert!(check(Kind::DenseRows, 2, &[u32s(&[1, 0])]).is_err());
        assert!(check(Kind::DenseRows, 2, &[u32s(&[0, 0])]).is_err());
    }

    #[test]
    fn payloads_are_one_behind_the_other() {
        assert_eq!(check(Kind::PayloadOffsets, 5, &[u64s(&[0, 3, 3]), u64s(&[5])]), Ok(()));
        assert!(check(Kind::PayloadOffsets, 5, &[u64s(&[1, 5])]).is_err());
        assert!(check(Kind::PayloadOffsets, 5, &[u64s(&[0, 4])]).is_err());
        assert!(check(Kind::PayloadOffsets, 5, &[u64s(&[0, 6]), u64s(&[5])]).is_err());
    }
}
