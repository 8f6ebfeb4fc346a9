//! The key that encrypts stored secrets, as it is written in settings and key files.

use std::fmt;

/// Its length in bytes: AES-256.
pub(crate) const KEY_LEN: usize = 32;

/// A key of 32 bytes, never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EncryptionKey([u8; KEY_LEN]);

impl EncryptionKey {
    /// The key of these bytes.
    pub(crate) fn new(bytes: [u8; KEY_LEN]) -> Self {
        Self(bytes)
    }

    /// A key in 64 hexadecimal digits of any case, or in base64 with its padding; `None` if the text is neither.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = match text.len() {
            len if len == 2 * KEY_LEN => from_hex(text)?,
            _ => from_base64(text)?,
        };
        bytes.try_into().ok().map(Self)
    }

    /// The key itself.
    pub(crate) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The key in hexadecimal digits.
    pub(crate) fn to_hex(&self) -> String {
        to_hex(&self.0)
    }
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some((digit(*high)? << 4) | digit(*low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// The bytes of a text in base64 (RFC 4648 §4) that ends in one `=`, as a text of 32 bytes does.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for character in text.strip_suffix('=')?.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(((bits >> count) & 0xff) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over has to be nothing, so that a key has one spelling.
    (bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_in_hexadecimal_digits_or_base64() {
        let bytes: [u8; KEY_LEN] = std::array::from_fn(|index| u8::try_from(index * 9 % 256).unwrap());
        let key = EncryptionKey::new(bytes);
        let hex = key.to_hex();
        assert_eq!(EncryptionKey::parse(&hex), Some(key.clone()));
        assert_eq!(EncryptionKey::parse(&hex.to_uppercase()), Some(key.clone()));
        // Made with `base64` of coreutils.
        assert_eq!(EncryptionKey::parse("AAkSGyQtNj9IUVpjbHV+h5CZoqu0vcbP2OHq8/wFDhc="), Some(key.clone()));
        assert_eq!(format!("{key:?}"), "***");
    }

    #[test]
    fn anything_else_is_none() {
        let hex = "0".repeat(64);
        for wrong in [
            "",
            "=",
            "key",
            &hex[1..],
            &hex.replacen('0', "g", 1),
            &format!("{hex}0"),
            "AAkSGyQtNj9IUVpjbHV+h5CZoqu0vcbP2OHq8/wFDhc",
            "AAkSGyQtNj9IUVpjbHV+h5CZoqu0vcbP2OHq8/wFDhd=",
            "AAkSGyQtNj9IUVpjbHV-h5CZoqu0vcbP2OHq8_wFDhc=",
            "AAkSGyQtNj9IUVpjbHV+h5CZoqu0vcbP2OHq8/wFDh==",
        ] {
            assert_eq!(EncryptionKey::parse(wrong), None, "{wrong}");
        }
    }
}
