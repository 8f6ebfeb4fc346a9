//! The numbers that name things: points, log records, segments, shard directories, generations.
//!
//! Each is a type of its own, so that one cannot be passed for another. Text forms are what stands in file names and manifests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wincode::{SchemaRead, SchemaWrite};

/// The id of a point: an unsigned number or a UUID.
///
/// The order is the one in which points are scrolled: all numbers, ascending, then all UUIDs by their bytes
/// (source: Qdrant's `ExtendedPointId`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, SchemaWrite, SchemaRead)]
pub enum PointId {
    /// A 64-bit unsigned number.
    Num(u64),
    /// The 16 bytes of a UUID in their canonical (big-endian) order.
    Uuid([u8; 16]),
}

impl PointId {
    /// The shard, of `shard_count`, that holds this point: a hash that is the same on every machine and in every version,
    /// because archives depend on it (FORMAT.md, "Point ids").
    pub fn shard(self, shard_count: u32) -> u32 {
        let hash = match self {
            Self::Num(number) => mix(number),
            Self::Uuid(bytes) => {
                let (high, low) = Uuid::from_bytes(bytes).as_u64_pair();
                mix(mix(high) ^ low)
            }
        };
        // The remainder of a division by a u32 fits a u32.
        u32::try_from(hash % u64::from(shard_count.max(1))).unwrap_or(0)
    }
}

/// The finalizer of splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl fmt::Display for PointId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Num(number) => number.fmt(formatter),
            Self::Uuid(bytes) => Uuid::from_bytes(*bytes).fmt(formatter),
        }
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The number after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:020}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = ();

            /// Accepts just what `Display` writes: 20 decimal digits.
            fn from_str(text: &str) -> Result<Self, ()> {
                let canonical = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
                if canonical { text.parse().map(Self).map_err(|_| ()) } else { Err(()) }
            }
        }
    };
}

number!(
    /// The number of a log record inside a shard, counted from 1; 0 is "before any record".
    Lsn
);
number!(
    /// A segment inside a shard. Never used again, not even after the segment is gone.
    SegmentId
);
number!(
    /// A shard's directory inside the storage.
    ShardDirId
);
number!(
    /// A version of a manifest, a tombstone file or the catalog; each publication takes the next one.
    Generation
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_before_uuids_and_uuids_are_ordered_by_bytes() {
        let mut ids =
            vec![PointId::Uuid([0; 16]), PointId::Num(u64::MAX), PointId::Uuid([1; 16]), PointId::Num(2), PointId::Num(10)];
        ids.sort();
        assert_eq!(
            ids,
            [PointId::Num(2), PointId::Num(10), PointId::Num(u64::MAX), PointId::Uuid([0; 16]), PointId::Uuid([1; 16])]
        );
    }

    #[test]
    fn routing_never_changes() {
        // Golden values: archives made by any version must find their points in the same shards.
        let shards: Vec<u32> = (0..8).map(|number| PointId::Num(number).shard(4)).collect();
        assert_eq!(shards, [3, 1, 2, 1, 2, 2, 0, 3], "routing of numbers changed");
        let uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
        assert_eq!(PointId::Uuid(uuid.into_bytes()).shard(1000), 923, "routing of UUIDs changed");
    }

    #[test]
    fn text_forms_round_trip_and_nothing_else_is_accepted() {
        assert_eq!(Lsn(7).to_string(), "00000000000000000007");
        assert_eq!("00000000000000000007".parse(), Ok(Lsn(7)));
        for wrong in ["7", "+0000000000000000007", "000000000000000000007", "", "0000000000000000000a"] {
            assert_eq!(wrong.parse::<Lsn>(), Err(()), "{wrong}");
        }
    }
}
