//! The two digests of a file: CRC32C, which finds damage, and SHA-256, which names the contents.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A CRC32C (Castagnoli, RFC 3720 appendix B.4); its text form has 8 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crc32c(pub u32);

/// A SHA-256 (FIPS 180-4); its text form has 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Crc32c {
    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }
}

impl fmt::Display for Crc32c {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:08x}", self.0)
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl FromStr for Crc32c {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        hex::<4>(text).map(|bytes| Self(u32::from_be_bytes(bytes)))
    }
}

impl FromStr for Sha256Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        hex::<32>(text).map(Self)
    }
}

/// Exactly `2 * N` lower-case hex digits.
fn hex<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let wrong = || format!("{text:?} is not {} lower-case hex digits", 2 * N);
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return Err(wrong());
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(wrong()),
            };
            *byte = *byte << 4 | value;
        }
    }
    Ok(bytes)
}

macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

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

text_form!(Crc32c);
text_form!(Sha256Digest);

/// The length and both digests of a file's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Bytes.
    pub len: u64,
    /// SHA-256 of all of them.
    pub sha256: Sha256Digest,
    /// CRC32C of all of them.
    pub crc32c: Crc32c,
}

/// Computes a [`FileDigest`] piece by piece. A clone is the state at that point.
#[derive(Clone, Debug, Default)]
pub struct Hasher {
    len: u64,
    sha256: Sha256,
    crc32c: u32,
}

impl Hasher {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        self.sha256.update(bytes);
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    /// Bytes taken so far.
    pub fn position(&self) -> u64 {
        self.len
    }

    /// The digest of all bytes taken.
    pub fn finish(self) -> FileDigest {
        FileDigest { len: self.len, sha256: Sha256Digest(self.sha256.finalize().into()), crc32c: Crc32c(self.crc32c) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let mut hasher = Hasher::default();
        hasher.update(b"1234");
        hasher.update(b"56789");
        let digest = hasher.finish();
        assert_eq!(digest.len, 9);
        assert_eq!(digest.crc32c.to_string(), "e3069283");
        assert_eq!(digest.sha256.to_string(), "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
        assert_eq!("e3069283".parse(), Ok(digest.crc32c));
        assert!("E3069283".parse::<Crc32c>().is_err());
        assert!("é3069283".parse::<Crc32c>().is_err());
    }
}
