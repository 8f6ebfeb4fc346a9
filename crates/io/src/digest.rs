//! The two digests of a file's contents as types: SHA-256, which names them, and CRC32C, which is cheap enough for every copy.
//!
//! Both are written as lower-case hexadecimal digits of fixed length, and parsed in exactly that form, so that a value has one
//! spelling. Comparing is not constant-time: nothing here is secret.

use std::fmt;
use std::str::FromStr;

use crc_fast::CrcAlgorithm::Crc32Iscsi;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A SHA-256 digest, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Digest(pub [u8; 32]);

/// A CRC-32C (Castagnoli) checksum, shown as 8 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Crc32c(pub u32);

/// A checksum that is not the fixed number of lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {digits} lower-case hexadecimal digits")]
pub struct ParseDigestError {
    /// How many digits there have to be.
    pub digits: usize,
    /// What was there instead, cut after 80 characters.
    pub found: String,
}

impl Sha256Digest {
    /// The number of hexadecimal digits of the written form.
    pub const HEX_LEN: usize = 64;

    /// The digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl Crc32c {
    /// The number of hexadecimal digits of the written form.
    pub const HEX_LEN: usize = 8;

    /// The checksum of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self::default().append(bytes)
    }

    /// The checksum of what `self` covers followed by `bytes`.
    #[must_use]
    pub fn append(self, bytes: &[u8]) -> Self {
        // Between two calls a CRC has the complement of its state.
        let mut digest = crc_fast::Digest::new_with_init_state(Crc32Iscsi, u64::from(!self.0));
        digest.update(bytes);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the result of a CRC of 32 bits, in the type that stands for those of 64 bits too"
        )]
        Self(digest.finalize() as u32)
    }
}

/// The length and both digests of a file's contents, or of a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Bytes.
    pub len: u64,
    /// SHA-256 of all of them.
    pub sha256: Sha256Digest,
    /// CRC32C of all of them.
    pub crc32c: Crc32c,
}

/// Bytes that are digested twice before the next ones are.
const PIECE_LEN: usize = 24 << 10;

/// Computes a [`FileDigest`] piece by piece. A clone is the state at that point.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    len: u64,
    sha256: Sha256,
    crc32c: Crc32c,
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        // The second of the two digests finds each piece in the nearest cache.
        for piece in bytes.chunks(PIECE_LEN) {
            self.crc32c = self.crc32c.append(piece);
            self.sha256.update(piece);
        }
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.len
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> FileDigest {
        FileDigest { len: self.len, sha256: Sha256Digest(self.sha256.finalize().into()), crc32c: self.crc32c }
    }
}

/// Digests stand in JSON as their texts.
macro_rules! text_in_json {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_in_json!(Crc32c);
text_in_json!(Sha256Digest);

impl fmt::Display for Sha256Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Crc32c {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

impl fmt::Debug for Crc32c {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Sha256Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        decode_hex(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl FromStr for Crc32c {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 4];
        decode_hex(text, &mut bytes)?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }
}

fn decode_hex(text: &str, bytes: &mut [u8]) -> Result<(), ParseDigestError> {
    let refuse = || ParseDigestError { digits: bytes.len() * 2, found: text.chars().take(80).collect() };
    let mut decoded = Vec::with_capacity(bytes.len());
    for pair in text.as_bytes().chunks(2) {
        let (Some(high), Some(low)) = (pair.first().and_then(nibble), pair.get(1).and_then(nibble)) else {
            return Err(refuse());
        };
        decoded.push(high << 4 | low);
    }
    if decoded.len() != bytes.len() {
        return Err(refuse());
    }
    bytes.copy_from_slice(&decoded);
    Ok(())
}

fn nibble(digit: &u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_of_both_checksums() {
        // The standard check values: FIPS 180-4's "abc", and CRC-32C of "123456789".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha256Digest::of(b"abc").to_string(), abc);
        assert_eq!(Crc32c::of(b"123456789").to_string(), "e3069283");
        assert_eq!(Crc32c::of(b"1234").append(b"56789"), Crc32c::of(b"123456789"));
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        let expected = FileDigest { len: 3, sha256: Sha256Digest::of(b"abc"), crc32c: Crc32c::of(b"abc") };
        assert_eq!(hasher.finish(), expected);
    }

    /// Another implementation, which has only the instructions for CRC32C in common: other paths are taken for other lengths and processors.
    #[test]
    fn the_checksum_is_that_of_another_implementation() {
        let bytes: Vec<u8> = (0..70_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let lengths = (0..1100).chain([4095, 4096, 4097, 16_384, 24_575, 65_535, 65_536, 65_537, 69_000]);
        for (turn, len) in lengths.enumerate() {
            let bytes = &bytes[turn % 67..][..len];
            assert_eq!(Crc32c::of(bytes).0, crc32c::crc32c(bytes), "{len} bytes");
            let (first, second) = bytes.split_at(len * (turn % 11) / 11);
            assert_eq!(Crc32c::of(first).append(second).0, crc32c::crc32c(bytes), "{} and {} bytes", first.len(), second.len());
        }
    }

    #[test]
    fn text_forms_have_one_spelling() {
        let digest = Sha256Digest::of(b"x");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("0000000a".parse(), Ok(Crc32c(10)));
        for wrong in ["", "0000000", "000000000", "0000000A", "0000000g", " 000000a", "+000000a", "\u{e9}00000a"] {
            assert!(wrong.parse::<Crc32c>().is_err(), "{wrong:?}");
        }
        assert!(digest.to_string().to_uppercase().parse::<Sha256Digest>().is_err());
    }
}
