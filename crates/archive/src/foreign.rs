//! Tells what a file is that is no archive of ours, so that the error can say more than "cannot be read".
//!
//! Looks at headers only (and at one small file that tells two kinds apart), and at a bounded number of them. A guess is never used
//! for anything but the text of an error.

use std::io;

use icecore_io::File;

use crate::format::layout::{MANIFEST_NAME, padding_len};
use crate::format::tar::{BLOCK_LEN, RawHeader, TYPE_FILE, TYPE_PAX};

/// Headers that are looked at before giving up.
const HEADERS_MAX: usize = 100_000;
/// Longest `config.json` that is looked into, in bytes.
const CONFIG_LEN_MAX: u64 = 1 << 20;
/// Offset of the flag for further blocks in a GNU sparse header, and in each such block.
const SPARSE_EXTENDED_OFFSET: usize = 482;
const SPARSE_BLOCK_EXTENDED_OFFSET: u64 = 504;

/// A sound file that this crate does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Foreign {
    /// A snapshot of one collection made by Qdrant.
    #[error("this looks like a Qdrant snapshot of a collection, which cannot be imported")]
    QdrantCollection,
    /// A snapshot of one shard made by Qdrant.
    #[error("this looks like a Qdrant snapshot of a shard, which cannot be imported")]
    QdrantShard,
    /// A snapshot of a whole storage made by Qdrant.
    #[error("this looks like a Qdrant snapshot of a whole storage, which cannot be imported")]
    QdrantStorage,
    /// An archive of ours, but with another tar program's headers.
    #[error("this archive was unpacked and packed again; only the original file can be read")]
    Repacked,
    /// Compressed with zstd.
    #[error("this file is compressed with zstd; decompress it first")]
    Zstd,
    /// Some other tar.
    #[error("this is a tar archive, but not one made by icecore: it does not begin with `{MANIFEST_NAME}`")]
    Tar,
}

/// Whether a file that begins so is compressed with zstd: a frame, or a skippable frame (RFC 8878, section 3.1).
pub(crate) fn is_zstd(beginning: &[u8]) -> bool {
    match beginning {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        [first, 0x2a, 0x4d, 0x18, ..] => first & 0xf0 == 0x50,
        _ => false,
    }
}

/// Looks through the headers of a tar that does not begin as ours do.
pub(crate) fn identify(file: &dyn File, file_len: u64) -> io::Result<Foreign> {
    let mut offset = 0u64;
    let (mut in_shard, mut in_segments, mut config) = (false, false, false);
    for _ in 0..HEADERS_MAX {
        if offset.checked_add(BLOCK_LEN).is_none_or(|end| end > file_len) {
            break;
        }
        let mut block = [0; 512];
        file.read_exact_at(&mut block, offset)?;
        offset += BLOCK_LEN;
        let Some(header) = RawHeader::parse(&block) else { break };
        if header.typeflag == b'S' {
            offset = skip_sparse_blocks(file, file_len, offset, block.get(SPARSE_EXTENDED_OFFSET) != Some(&0))?;
        }
        if header.typeflag == TYPE_FILE || header.typeflag == b'S' {
            match header.name.as_str() {
                MANIFEST_NAME => return Ok(Foreign::Repacked),
                "config.json" => {
                    config = true;
                    if header.typeflag == TYPE_FILE && mentions_collections(file, file_len, offset, header.size)? {
                        return Ok(Foreign::QdrantStorage);
                    }
                }
                "shard_config.json" | "replica_state.json" => in_shard = true,
                name => {
                    in_segments |= is_below_numbered_shard(name);
                    in_shard |= name.starts_with("segments/");
                }
            }
        }
        let data_len =
            if matches!(header.typeflag, TYPE_FILE | TYPE_PAX | b'S' | b'L' | b'K' | b'g' | b'7') { header.size } else { 0 };
        let Some(next) = data_len.checked_add(padding_len(data_len)).and_then(|len| offset.checked_add(len)) else {
            break;
        };
        offset = next;
    }
    Ok(match (config, in_segments, in_shard) {
        (true, true, _) | (false, true, _) => Foreign::QdrantCollection,
        (_, false, true) => Foreign::QdrantShard,
        _ => Foreign::Tar,
    })
}

/// `0/segments/…`, `12/shard_config.json` and the like.
fn is_below_numbered_shard(name: &str) -> bool {
    let Some((shard, rest)) = name.split_once('/') else {
        return false;
    };
    let numbered = !shard.is_empty() && shard.bytes().all(|byte| byte.is_ascii_digit());
    numbered && (rest.starts_with("segments/") || rest.starts_with("wal/") || rest == "shard_config.json")
}

fn mentions_collections(file: &dyn File, file_len: u64, offset: u64, len: u64) -> io::Result<bool> {
    let in_file = offset.checked_add(len).is_some_and(|end| end <= file_len);
    let len = match usize::try_from(len) {
        Ok(index) if in_file && len <= CONFIG_LEN_MAX => index,
        _ => return Ok(false),
    };
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset)?;
    let key = b"\"collections_mapping\"";
    Ok(bytes.windows(key.len()).any(|window| window == key))
}

/// The offset after the blocks of further sparse entries that follow an old GNU sparse header.
fn skip_sparse_blocks(file: &dyn File, file_len: u64, mut offset: u64, mut extended: bool) -> io::Result<u64> {
    while extended && offset.saturating_add(BLOCK_LEN) <= file_len {
        let mut flag = [0];
        file.read_exact_at(&mut flag, offset + SPARSE_BLOCK_EXTENDED_OFFSET)?;
        extended = flag != [0];
        offset += BLOCK_LEN;
    }
    Ok(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zstd_is_known_by_its_magic_numbers() {
        assert!(is_zstd(&[0x28, 0xb5, 0x2f, 0xfd, 1]));
        assert!(is_zstd(&[0x5e, 0x2a, 0x4d, 0x18]));
        assert!(!is_zstd(&[0x28, 0xb5, 0x2f]));
        assert!(!is_zstd(b"icecore/manifest.json"));
    }

    #[test]
    fn shard_directories_are_numbers() {
        assert!(is_below_numbered_shard("0/segments/a.tar"));
        assert!(is_below_numbered_shard("12/wal/open-1"));
        assert!(!is_below_numbered_shard("segments/a.tar"));
        assert!(!is_below_numbered_shard("/segments/a"));
        assert!(!is_below_numbered_shard("0/other"));
    }
}
