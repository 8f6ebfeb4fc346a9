//! One of several equal parts of all ids, the same in every collection and version.

use std::hash::Hasher;

use crate::ids::PointId;

/// The ids whose hash leaves the remainder `index` when divided by `total`.
///
/// The hash is SipHash-2-4 with a key of zeros over the eight little-endian bytes of a number or the sixteen bytes of a UUID
/// (source: the description of `Slice` in Qdrant's API).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// How many parts there are, at least 1.
    pub total: u64,
    /// Which of them, below `total`.
    pub index: u64,
}

impl Slice {
    /// Whether the id is in the part.
    pub fn holds(&self, id: PointId) -> bool {
        hash(id).checked_rem(self.total) == Some(self.index)
    }
}

#[expect(
    deprecated,
    reason = "the only SipHash of the standard library whose rounds and key are specified; speed does not matter"
)]
fn hash(id: PointId) -> u64 {
    let mut hasher = std::hash::SipHasher::new();
    match id {
        PointId::Num(number) => hasher.write(&number.to_le_bytes()),
        PointId::Uuid(bytes) => hasher.write(&bytes),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes() {
        // Golden values computed with `qdrant_client.local.siphash`, which was checked against the reference vectors.
        assert_eq!(hash(PointId::Num(0)), 0xe849e8bb6ffe2567);
        assert_eq!(hash(PointId::Num(u64::MAX)), 0x8050c18b6ac9d15e);
        assert_eq!(hash(PointId::Uuid(*b"0123456789abcdef")), 0x94c37404a91fa7b4);
    }

    #[test]
    fn every_id_is_in_just_one_part() {
        for number in 0..1000 {
            let parts = (0..7).filter(|index| Slice { total: 7, index: *index }.holds(PointId::Num(number))).count();
            assert_eq!(parts, 1, "{number}");
        }
        assert!(!Slice { total: 0, index: 0 }.holds(PointId::Num(1)));
    }
}
