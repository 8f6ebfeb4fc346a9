//! Where everything in an archive stands, and the bytes between the members' data.
//!
//! ```text
//! manifest header · manifest · zeros · digest header · digest · zeros · { headers · data · zeros } per member · two zero blocks
//! ```
//! Every function here is pure, and the writer and the reader call the same ones: an archive is right if it equals what they give.
//! The data of a member of at least [`ALIGN_FROM_LEN`] bytes starts on a [`DATA_ALIGNMENT`] boundary, so that file systems that
//! share blocks can share it; the gap is filled by a pax `comment` record, which every tar program ignores without a word.

use super::tar::{BLOCK_LEN, NAME_SIZE, TYPE_FILE, TYPE_PAX, USTAR_SIZE_MAX, header};

/// Name of the first member.
pub const MANIFEST_NAME: &str = "icecore/manifest.json";
/// Name of the second member: the manifest's SHA-256 as 64 hexadecimal digits, without a newline.
pub const DIGEST_NAME: &str = "icecore/manifest.sha256";
/// Name in the headers that carry pax records. Programs that know pax never show it.
pub const PAX_NAME: &str = "icecore/pax";
/// Longest manifest, in bytes.
pub const MANIFEST_LEN_MAX: u64 = 256 << 20;
/// Most members beside the manifest and its digest.
pub const MEMBERS_MAX: u64 = 1_000_000;
/// Deepest nesting of arrays and objects in the subject.
pub const SUBJECT_DEPTH_MAX: usize = 64;
/// Longest archive, in bytes: the largest file offset.
pub const ARCHIVE_LEN_MAX: u64 = i64::MAX as u64;
/// Data of this length or more is aligned.
pub const ALIGN_FROM_LEN: u64 = 64 << 10;
/// Where aligned data may start.
pub const DATA_ALIGNMENT: u64 = 4096;
/// The two zero blocks at the end.
pub const TRAILER_LEN: u64 = 2 * BLOCK_LEN;
/// Shortest `comment` record: `13 comment= \n`.
pub const COMMENT_RECORD_LEN_MIN: u64 = 13;

/// Zeros that follow `len` bytes of data.
pub(crate) fn padding_len(len: u64) -> u64 {
    (BLOCK_LEN - len % BLOCK_LEN) % BLOCK_LEN
}

/// Length of the manifest member and the digest member together; the first member's headers start here.
pub(crate) fn prelude_len(manifest_len: u64) -> u64 {
    BLOCK_LEN + manifest_len + padding_len(manifest_len) + 2 * BLOCK_LEN
}

/// The header of the manifest.
pub(crate) fn manifest_header(manifest_len: u64) -> [u8; 512] {
    header(MANIFEST_NAME, TYPE_FILE, manifest_len)
}

/// The header of the manifest's digest.
pub(crate) fn digest_header() -> [u8; 512] {
    header(DIGEST_NAME, TYPE_FILE, 64)
}

/// Length of a member's headers if they start at `offset`.
pub(crate) fn headers_len(offset: u64, path: &str, len: u64) -> u64 {
    pax_len(offset, path, len).map_or(BLOCK_LEN, |pax_len| 2 * BLOCK_LEN + pax_len)
}

/// A member's headers if they start at `offset`: an optional pax header with its records, then the header itself.
pub(crate) fn headers(offset: u64, path: &str, len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pax_len) = pax_len(offset, path, len) {
        bytes.extend_from_slice(&header(PAX_NAME, TYPE_PAX, pax_len));
        let records_start = bytes.len() as u64;
        if needs_size_record(len) {
            record(&mut bytes, "size", &len.to_string());
        }
        if needs_path_record(path) {
            record(&mut bytes, "path", path);
        }
        let comment_len = pax_len - (bytes.len() as u64 - records_start);
        bytes.extend_from_slice(format!("{comment_len} comment=").as_bytes());
        let newline_at = records_start + pax_len - 1;
        while (bytes.len() as u64) < newline_at {
            bytes.push(b' ');
        }
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(&header(path, TYPE_FILE, len));
    bytes
}

/// Length of the pax records of a member: a multiple of the block size, or `None` if it needs no pax header.
fn pax_len(offset: u64, path: &str, len: u64) -> Option<u64> {
    let aligned = len >= ALIGN_FROM_LEN;
    let misplaced = aligned && !(offset + BLOCK_LEN).is_multiple_of(DATA_ALIGNMENT);
    let mut records_len = 0;
    if needs_size_record(len) {
        records_len += record_len("size", len.to_string().len());
    }
    if needs_path_record(path) {
        records_len += record_len("path", path.len());
    }
    if records_len == 0 && !misplaced {
        return None;
    }
    let mut pax_len = (records_len + COMMENT_RECORD_LEN_MIN).next_multiple_of(BLOCK_LEN);
    while aligned && !(offset + 2 * BLOCK_LEN + pax_len).is_multiple_of(DATA_ALIGNMENT) {
        pax_len += BLOCK_LEN;
    }
    Some(pax_len)
}

fn needs_size_record(len: u64) -> bool {
    len > USTAR_SIZE_MAX
}

/// What is not ASCII has no agreed encoding in a header, but is UTF-8 in a record.
fn needs_path_record(path: &str) -> bool {
    path.len() > NAME_SIZE || !path.is_ascii()
}

/// Appends `LEN KEY=VALUE\n`, where LEN counts itself too.
fn record(bytes: &mut Vec<u8>, key: &str, value: &str) {
    bytes.extend_from_slice(format!("{} {key}={value}\n", record_len(key, value.len())).as_bytes());
}

fn record_len(key: &str, value_len: usize) -> u64 {
    let rest = (key.len() + value_len + 3) as u64;
    let mut digits = 1;
    while (rest + digits).to_string().len() as u64 != digits {
        digits += 1;
    }
    rest + digits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads pax records the way POSIX describes them.
    fn records(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
            let len: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
            let text = std::str::from_utf8(&bytes[space + 1..len]).unwrap().strip_suffix('\n').unwrap();
            let (key, value) = text.split_once('=').unwrap();
            found.push((key.to_owned(), value.to_owned()));
            bytes = &bytes[len..];
        }
        found
    }

    #[test]
    fn headers_have_the_length_that_the_plan_counts_and_align_large_data() {
        for blocks in 0..20 {
            let offset = blocks * BLOCK_LEN;
            for len in [0, 1, ALIGN_FROM_LEN - 1, ALIGN_FROM_LEN, USTAR_SIZE_MAX, USTAR_SIZE_MAX + 1, 1 << 40] {
                for path_len in [1, 86, 99, 100, 101, 482, 483, 484, 485, 490, 500, 994, 1000, 1024] {
                    let path = "p".repeat(path_len);
                    let bytes = headers(offset, &path, len);
                    assert_eq!(bytes.len() as u64, headers_len(offset, &path, len));
                    assert!(len < ALIGN_FROM_LEN || (offset + bytes.len() as u64).is_multiple_of(DATA_ALIGNMENT));
                    let Some(pax_len) = pax_len(offset, &path, len) else {
                        assert_eq!(bytes.len(), 512);
                        continue;
                    };
                    let found = records(&bytes[512..512 + usize::try_from(pax_len).unwrap()]);
                    let value = |key: &str| found.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
                    assert_eq!(value("size"), (len > USTAR_SIZE_MAX).then(|| len.to_string()));
                    assert_eq!(value("path"), (path_len > NAME_SIZE).then_some(path));
                    assert!(!value("comment").unwrap().is_empty() && value("comment").unwrap().trim().is_empty());
                }
            }
        }
    }

    #[test]
    fn what_is_not_ascii_stands_in_a_record() {
        // The name in the header is cut inside a character, which nobody looks at.
        for path in ["\u{e9}".to_owned(), format!("{}\u{e9}", "p".repeat(99))] {
            let bytes = headers(512, &path, 3);
            assert_eq!(bytes.len() as u64, headers_len(512, &path, 3));
            assert_eq!(records(&bytes[512..1024]).first(), Some(&("path".to_owned(), path)));
        }
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        for (value_len, expected) in [(0, 8), (1, 9), (2, 11), (90, 99), (91, 101), (989, 999), (990, 1001)] {
            let mut bytes = Vec::new();
            record(&mut bytes, "path", &"v".repeat(value_len));
            assert_eq!((bytes.len() as u64, record_len("path", value_len)), (expected, expected));
        }
    }

    #[test]
    fn small_members_cost_one_block() {
        assert_eq!(headers_len(512, "a/b", 100), 512);
        assert_eq!(prelude_len(1), 512 + 512 + 1024);
        assert_eq!(prelude_len(512), 512 + 512 + 1024);
        assert_eq!((padding_len(0), padding_len(1), padding_len(512)), (0, 511, 0));
    }
}
