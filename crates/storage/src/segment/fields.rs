//! Little-endian fields at fixed offsets, and the frame that headers and trailers share.
//!
//! A sealed structure starts with its magic and its version and ends with the CRC32C of everything before. The version is
//! compared before the checksum, so that a file of a newer version is called that, wherever it keeps its checksum.
#![warn(clippy::indexing_slicing)]

use std::ops::Range;

use super::Violation;
use crate::checksum::Crc32c;

/// The frame of a sealed structure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// Its first 8 bytes.
    pub(crate) magic: [u8; 8],
    /// The version that is written, and the newest that is read.
    pub(crate) version: u32,
    /// Its whole length in bytes.
    pub(crate) len: usize,
}

/// The magic is at the start of a sealed structure.
pub(crate) const MAGIC_OFFSET: usize = 0;
/// Bytes of the magic.
pub(crate) const MAGIC_SIZE: usize = 8;
/// The version follows.
pub(crate) const VERSION_OFFSET: usize = MAGIC_OFFSET + MAGIC_SIZE;
/// Bytes of the version.
pub(crate) const VERSION_SIZE: usize = 4;
/// Bytes of the CRC32C at the end.
pub(crate) const CRC_SIZE: usize = 4;

impl Sealed {
    /// Checks length, magic, version and checksum of `bytes`.
    pub(crate) fn open(&self, bytes: &[u8]) -> Result<(), Violation> {
        let Self { name, magic, version, len } = *self;
        if bytes.len() != len {
            return Err(Violation::rule(0u64, format!("a {name} of {} bytes, it must have {len}", bytes.len())));
        }
        if bytes.get(MAGIC_OFFSET..VERSION_OFFSET) != Some(&magic) {
            return Err(Violation::rule(MAGIC_OFFSET, format!("no {name}: the magic number is missing")));
        }
        let actual = u32_at(bytes, VERSION_OFFSET)?;
        if actual > version {
            return Err(Violation::Version { known: version, actual });
        }
        let (body, _) = bytes.split_at(len - CRC_SIZE);
        let (expected, computed) = (Crc32c(u32_at(bytes, len - CRC_SIZE)?), Crc32c::of(body));
        if expected != computed {
            let reason = format!("the {name} has checksum {computed}, it says {expected}");
            return Err(Violation::rule(len - CRC_SIZE, reason));
        }
        if actual != version {
            return Err(Violation::rule(VERSION_OFFSET, format!("{name} version {actual}, versions begin at {version}")));
        }
        Ok(())
    }

    /// A structure with magic and version and zeros behind them; `fill` puts the fields in, then it is sealed.
    pub(crate) fn build(&self, fill: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        put(&mut bytes, MAGIC_OFFSET, &self.magic);
        put(&mut bytes, VERSION_OFFSET, &self.version.to_le_bytes());
        fill(&mut bytes);
        let (body, crc) = bytes.split_at_mut(self.len - CRC_SIZE);
        crc.copy_from_slice(&Crc32c::of(body).0.to_le_bytes());
        bytes
    }
}

/// Writes a field into a structure of fixed length; the field must lie inside, which the constants of the structure say.
pub(crate) fn put(bytes: &mut [u8], offset: usize, field: &[u8]) {
    bytes.split_at_mut(offset).1.split_at_mut(field.len()).0.copy_from_slice(field);
}

/// The number at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Result<u32, Violation> {
    field(bytes, offset).map(u32::from_le_bytes)
}

/// The number at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Result<u64, Violation> {
    field(bytes, offset).map(u64::from_le_bytes)
}

/// Checks that reserved bytes or padding are zero.
pub(crate) fn zeros(bytes: &[u8], range: Range<usize>) -> Result<(), Violation> {
    let start = range.start;
    let Some(reserved) = bytes.get(range) else {
        return Err(short(bytes, start));
    };
    match reserved.iter().position(|byte| *byte != 0) {
        None => Ok(()),
        Some(position) => Err(Violation::rule(start + position, "a byte that must be zero is not")),
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], Violation> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).copied().ok_or_else(|| short(bytes, offset))
}

fn short(bytes: &[u8], offset: usize) -> Violation {
    Violation::rule(offset, format!("a field is cut off: there are only {} bytes", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEALED: Sealed = Sealed { name: "thing", magic: *b"THINGS\0\0", version: 2, len: 32 };

    fn reason(violation: Violation) -> String {
        match violation {
            Violation::Rule { reason, .. } => reason,
            version => panic!("{version:?}"),
        }
    }

    #[test]
    fn every_damage_has_its_own_message() {
        let good = SEALED.build(|bytes| put(bytes, 12, &7u64.to_le_bytes()));
        assert_eq!(SEALED.open(&good), Ok(()));
        assert_eq!(reason(SEALED.open(&good[..31]).unwrap_err()), "a thing of 31 bytes, it must have 32");
        for offset in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[offset] ^= 1 << bit;
                let violation = SEALED.open(&bad).unwrap_err();
                match offset {
                    0..8 => assert!(reason(violation).contains("magic")),
                    8..12 if bad[8..12] > good[8..12] => assert!(matches!(violation, Violation::Version { known: 2, .. })),
                    _ => assert!(reason(violation).contains("checksum"), "offset {offset} bit {bit}"),
                }
            }
        }
    }

    #[test]
    fn a_version_that_never_was_is_refused() {
        let old = Sealed { version: 0, ..SEALED }.build(|_| {});
        assert_eq!(reason(SEALED.open(&old).unwrap_err()), "thing version 0, versions begin at 2");
    }

    #[test]
    fn reserved_bytes_are_zero() {
        assert_eq!(zeros(&[1, 0, 0, 1], 1..3), Ok(()));
        assert_eq!(zeros(&[1, 0, 9, 1], 1..3), Err(Violation::rule(2u64, "a byte that must be zero is not")));
        assert!(zeros(&[0], 0..2).is_err());
    }
}
