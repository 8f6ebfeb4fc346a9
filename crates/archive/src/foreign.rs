//! Tells what a file is that is no archive of ours, so that the error can say more than "cannot be read".
//!
//! Looks at headers only (and at one small file that tells two kinds apart), and at a bounded number of them. A guess is never used
//! for anything but the text of an error.

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
    /// Compressed with zstd, but not by us, or incomplete.
    #[error(
        "this file is compressed with zstd, but does not end in a seek table: it was compressed by another program, or it is cut off; \
         what `zstd -d` makes of it can be read"
    )]
    Zstd,
    /// Compressed with zstd in a way that needs a lot of memory or a dictionary.
    #[error("this file is compressed with zstd in a way that needs {}; what `zstd -d` makes of it can be read", .0)]
    ZstdNeeds(&'static str),
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

/// How much of a tar [`identify`] can look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// All of it.
    Whole,
    /// Its beginning: more follows that nobody looks at.
    Beginning,
}

/// Looks through the headers of a tar that does not begin as ours do. `read` fills its buffer with the bytes at an offset; `len`
/// bytes can be read.
pub(crate) fn identify<E>(read: impl Fn(&mut [u8], u64) -> Result<(), E>, len: u64, seen: Seen) -> Result<Foreign, E> {
    let tar = Tar { read, len };
    let mut offset = 0u64;
    let (mut in_shard, mut in_segments) = (false, false);
    let mut first_file = None;
    for _ in 0..HEADERS_MAX {
        if offset.checked_add(BLOCK_LEN).is_none_or(|end| end > len) {
            break;
        }
        let mut block = [0; 512];
        (tar.read)(&mut block, offset)?;
        offset += BLOCK_LEN;
        let Some(header) = RawHeader::parse(&block) else { break };
        if header.typeflag == b'S' {
            offset = tar.skip_sparse_blocks(offset, block.get(SPARSE_EXTENDED_OFFSET) != Some(&0))?;
        }
        if header.typeflag == TYPE_FILE || header.typeflag == b'S' {
            match header.name.as_str() {
                MANIFEST_NAME => return Ok(Foreign::Repacked),
                "config.json" => {
                    if header.typeflag == TYPE_FILE && tar.mentions_collections(offset, header.size)? {
                        return Ok(Foreign::QdrantStorage);
                    }
                }
                "shard_config.json" | "replica_state.json" => in_shard = true,
                name => {
                    in_segments |= is_below_numbered_shard(name);
                    in_shard |= name.starts_with("segments/");
                }
            }
            first_file.get_or_insert(header.name);
        }
        let data_len =
            if matches!(header.typeflag, TYPE_FILE | TYPE_PAX | b'S' | b'L' | b'K' | b'g' | b'7') { header.size } else { 0 };
        let Some(next) = data_len.checked_add(padding_len(data_len)).and_then(|len| offset.checked_add(len)) else {
            break;
        };
        offset = next;
    }
    Ok(match (in_segments, in_shard) {
        (true, _) => Foreign::QdrantCollection,
        (false, true) => Foreign::QdrantShard,
        // The file that would tell stands behind the snapshots of the collections.
        (false, false) if seen == Seen::Beginning && first_file.is_some_and(|name| is_snapshot(&name)) => Foreign::QdrantStorage,
        (false, false) => Foreign::Tar,
    })
}

/// A snapshot at the top, as a Qdrant snapshot of a whole storage begins.
fn is_snapshot(name: &str) -> bool {
    name.ends_with(".snapshot") && !name.contains('/')
}

/// `0/segments/…`, `12/shard_config.json` and the like.
fn is_below_numbered_shard(name: &str) -> bool {
    let Some((shard, rest)) = name.split_once('/') else {
        return false;
    };
    let numbered = !shard.is_empty() && shard.bytes().all(|byte| byte.is_ascii_digit());
    numbered && (rest.starts_with("segments/") || rest.starts_with("wal/") || rest == "shard_config.json")
}

struct Tar<R> {
    read: R,
    len: u64,
}

impl<E, R: Fn(&mut [u8], u64) -> Result<(), E>> Tar<R> {
    fn mentions_collections(&self, offset: u64, len: u64) -> Result<bool, E> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        let len = match usize::try_from(len) {
            Ok(index) if inside && len <= CONFIG_LEN_MAX => index,
            _ => return Ok(false),
        };
        let mut bytes = vec![0; len];
        (self.read)(&mut bytes, offset)?;
        let key = b"\"collections_mapping\"";
        Ok(bytes.windows(key.len()).any(|window| window == key))
    }

    /// The offset after the blocks of further sparse entries that follow an old GNU sparse header.
    fn skip_sparse_blocks(&self, mut offset: u64, mut extended: bool) -> Result<u64, E> {
        while extended && offset.saturating_add(BLOCK_LEN) <= self.len {
            let mut flag = [0];
            (self.read)(&mut flag, offset + SPARSE_BLOCK_EXTENDED_OFFSET)?;
            extended = flag != [0];
            offset += BLOCK_LEN;
        }
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::tar::header;

    #[test]
    fn zstd_is_known_by_its_magic_numbers() {
        assert!(is_zstd(&[0x28, 0xb5, 0x2f, 0xfd, 1]));
        assert!(is_zstd(&[0x5e, 0x2a, 0x4d, 0x18]));
        assert!(!is_zstd(&[0x28, 0xb5, 0x2f]));
        assert!(!is_zstd(b"icecore/manifest.json"));
    }

    /// A tar whose files have these names and lengths, all zeros, and what its first `seen` bytes are taken for.
    fn guess(files: &[(&str, u64)], seen: usize) -> Foreign {
        let mut bytes = Vec::new();
        for (name, len) in files {
            bytes.extend_from_slice(&header(name, TYPE_FILE, *len));
            bytes.resize(bytes.len() + usize::try_from(len + padding_len(*len)).unwrap(), 0);
        }
        let (bytes, seen) = match seen < bytes.len() {
            true => (&bytes[..seen], Seen::Beginning),
            false => (&bytes[..], Seen::Whole),
        };
        let read = |buffer: &mut [u8], offset: u64| {
            buffer.copy_from_slice(&bytes[usize::try_from(offset).unwrap()..][..buffer.len()]);
            Ok::<(), std::convert::Infallible>(())
        };
        identify(read, bytes.len() as u64, seen).unwrap()
    }

    #[test]
    fn a_beginning_is_told_by_what_is_seen_of_it() {
        let long = 1 << 20;
        assert_eq!(guess(&[("0/segments/a.tar", long), ("config.json", 9)], 1024), Foreign::QdrantCollection);
        assert_eq!(guess(&[("segments/a.tar", long), ("shard_config.json", 9)], 1024), Foreign::QdrantShard);
        assert_eq!(guess(&[("c.snapshot", long), ("config.json", 9)], 1024), Foreign::QdrantStorage);
        assert_eq!(guess(&[("d/c.snapshot", long), ("config.json", 9)], 1024), Foreign::Tar);
        assert_eq!(guess(&[("notes", 9), ("c.snapshot", long)], 2048), Foreign::Tar);
        assert_eq!(guess(&[("notes", long), (MANIFEST_NAME, 9)], 1024), Foreign::Tar);
        assert_eq!(guess(&[("notes", 9), (MANIFEST_NAME, long)], 2048), Foreign::Repacked);
    }

    #[test]
    fn of_a_whole_tar_nothing_is_guessed() {
        assert_eq!(guess(&[("c.snapshot", 9), ("config.json", 9)], usize::MAX), Foreign::Tar);
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
