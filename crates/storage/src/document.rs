//! A numbered, checksummed JSON document: the form of the manifests and of the catalog on the disk.
//!
//! `<directory>/<generation>` is published by one rename and never changed. The newest generation is the truth: if it is
//! damaged that is an error, never a reason to fall back to an older one, because what the older one names may be gone.
//! What the JSON means is not known here.

use std::io;
use std::path::{Path, PathBuf};

use icecore_io::{Existing, Fs, PublishError, publish};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checksum::Crc32c;
use crate::error::{Error, Result, on};
use crate::ids::Generation;

/// Length of the header before the JSON.
pub const HEADER_LEN: usize = 32;
/// The most bytes of JSON that a document may have.
pub const BODY_LEN_MAX: u64 = 256 * 1024 * 1024;
/// The format version of documents.
pub const VERSION: u32 = 1;
/// Generations that may vanish one after another before they are read.
const READ_ATTEMPTS_MAX: u32 = 16;

const MAGIC_OFFSET: usize = 0;
const MAGIC_LEN: usize = 8;
const VERSION_OFFSET: usize = MAGIC_OFFSET + MAGIC_LEN;
const BODY_LEN_OFFSET: usize = VERSION_OFFSET + 4;
const GENERATION_OFFSET: usize = BODY_LEN_OFFSET + 4;
const BODY_CRC_OFFSET: usize = GENERATION_OFFSET + 8;
const HEADER_CRC_OFFSET: usize = BODY_CRC_OFFSET + 4;
const _: () = assert!(HEADER_CRC_OFFSET + 4 == HEADER_LEN);

/// Which document it is: the first bytes of its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Magic(pub(crate) [u8; MAGIC_LEN]);

/// The bytes of a document.
pub(crate) fn encode(magic: Magic, generation: Generation, value: &impl Serialize) -> Result<Vec<u8>, String> {
    let body = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    // What could not be read back (JSON has limits of depth) is not written.
    serde_json::from_slice::<serde_json::Value>(&body).map_err(|error| format!("it could not be read back: {error}"))?;
    let body_len = u32::try_from(body.len()).ok().filter(|len| u64::from(*len) <= BODY_LEN_MAX);
    let body_len = body_len.ok_or_else(|| format!("{} bytes, more than the {BODY_LEN_MAX} that are allowed", body.len()))?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
    bytes.extend(magic.0);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(body_len.to_le_bytes());
    bytes.extend(generation.0.to_le_bytes());
    bytes.extend(Crc32c::of(&body).0.to_le_bytes());
    let header_crc = Crc32c::of(&bytes);
    bytes.extend(header_crc.0.to_le_bytes());
    bytes.extend(body);
    Ok(bytes)
}

/// Reads a document back; `path` is for the errors.
pub(crate) fn decode<T: DeserializeOwned>(magic: Magic, generation: Generation, path: &Path, bytes: &[u8]) -> Result<T> {
    let malformed = |offset: usize, reason: String| Error::Malformed { path: path.to_owned(), offset: offset as u64, reason };
    let Some((header, body)) = bytes.split_at_checked(HEADER_LEN) else {
        return Err(malformed(0, format!("{} bytes, fewer than the header's {HEADER_LEN}", bytes.len())));
    };
    let (checked, header_crc) = header.split_at(HEADER_CRC_OFFSET);
    let actual = Crc32c::of(checked);
    if header_crc != actual.0.to_le_bytes() {
        return Err(malformed(0, format!("the header's checksum is not {actual}")));
    }
    let u32_at = |offset: usize| u32::from_le_bytes([header[offset], header[offset + 1], header[offset + 2], header[offset + 3]]);
    if header[..MAGIC_LEN] != magic.0 {
        return Err(malformed(MAGIC_OFFSET, "it is another kind of file".into()));
    }
    if u32_at(VERSION_OFFSET) != VERSION {
        return Err(Error::FormatVersion { path: path.to_owned(), known: VERSION, actual: u32_at(VERSION_OFFSET) });
    }
    if header[GENERATION_OFFSET..GENERATION_OFFSET + 8] != generation.0.to_le_bytes() {
        return Err(malformed(GENERATION_OFFSET, "its name and its header have different generations".into()));
    }
    if u32_at(BODY_LEN_OFFSET) as usize != body.len() {
        return Err(malformed(
            BODY_LEN_OFFSET,
            format!("{} bytes of JSON, its header says {}", body.len(), u32_at(BODY_LEN_OFFSET)),
        ));
    }
    let (expected, actual) = (Crc32c(u32_at(BODY_CRC_OFFSET)), Crc32c::of(body));
    if actual != expected {
        return Err(malformed(HEADER_LEN, format!("the JSON has checksum {actual}, its header says {expected}")));
    }
    serde_json::from_slice(body).map_err(|error| malformed(HEADER_LEN, format!("JSON: {error}")))
}

/// Publishes generation `generation` in `dir`. After an `Uncertain` error nobody knows which generation the disk holds.
pub(crate) fn write(
    fs: &dyn Fs,
    dir: &Path,
    magic: Magic,
    generation: Generation,
    value: &impl Serialize,
) -> Result<(), PublishError> {
    let bytes = encode(magic, generation, value)
        .map_err(|reason| PublishError::NotPublished(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)))?;
    publish(fs, &path(dir, generation), &bytes, Existing::Keep)
}

/// Removes a generation that is no longer the newest. Failing to is harmless: the next start does it again.
pub(crate) fn remove(fs: &dyn Fs, dir: &Path, generation: Generation) {
    let _ = fs.remove_file(&path(dir, generation));
}

/// The newest generation in `dir`, or `None` if there is none. Older ones and temporaries are removed, but only after the
/// newest was read and found whole, and its name made durable: a process that was killed between the rename and the sync of
/// the directory leaves a generation that a power cut could still take back, after others have built on it.
pub(crate) fn recover<T: DeserializeOwned>(fs: &dyn Fs, dir: &Path, magic: Magic) -> Result<Option<(Generation, T)>> {
    let Listing { generations, mut leftovers } = list(fs, dir)?;
    let Some(newest) = generations.iter().max().copied() else {
        remove_all(fs, &leftovers);
        return Ok(None);
    };
    let value = read(fs, dir, magic, newest)?;
    fs.sync_dir(dir).map_err(on("sync", dir))?;
    leftovers.extend(generations.into_iter().filter(|generation| *generation < newest).map(|generation| path(dir, generation)));
    remove_all(fs, &leftovers);
    Ok(Some((newest, value)))
}

/// The newest generation in `dir`, or `None` if there is none. Changes nothing, and works while another process publishes: a
/// generation that is gone when it is to be read has been replaced by a newer one.
pub(crate) fn newest<T: DeserializeOwned>(fs: &dyn Fs, dir: &Path, magic: Magic) -> Result<Option<(Generation, T)>> {
    let mut attempt = 1;
    loop {
        let Some(newest) = list(fs, dir)?.generations.into_iter().max() else {
            return Ok(None);
        };
        match read(fs, dir, magic, newest) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound && attempt < READ_ATTEMPTS_MAX => {
                attempt += 1
            }
            value => return Ok(Some((newest, value?))),
        }
    }
}

/// The files of a directory of documents.
struct Listing {
    generations: Vec<Generation>,
    /// Temporaries.
    leftovers: Vec<PathBuf>,
}

fn list(fs: &dyn Fs, dir: &Path) -> Result<Listing> {
    let mut listing = Listing { generations: Vec::new(), leftovers: Vec::new() };
    for entry in fs.list(dir).map_err(on("list", dir))? {
        if let Ok(generation) = entry.name.parse::<Generation>() {
            listing.generations.push(generation);
        } else if entry.name.ends_with(icecore_io::publish::TEMP_SUFFIX) {
            listing.leftovers.push(entry.path);
        } else {
            return Err(Error::Malformed { path: entry.path, offset: 0, reason: "no file of this name belongs here".into() });
        }
    }
    Ok(listing)
}

fn read<T: DeserializeOwned>(fs: &dyn Fs, dir: &Path, magic: Magic, generation: Generation) -> Result<T> {
    let path = path(dir, generation);
    let bytes = icecore_io::read_file(fs, &path, BODY_LEN_MAX + HEADER_LEN as u64).map_err(on("read", &path))?;
    decode(magic, generation, &path, &bytes)
}

/// Leftovers are harmless, so failing to remove one is too.
fn remove_all(fs: &dyn Fs, paths: &[PathBuf]) {
    for path in paths {
        let _ = fs.remove_file(path);
    }
}

/// The file of a generation.
pub(crate) fn path(dir: &Path, generation: Generation) -> PathBuf {
    dir.join(generation.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Magic = Magic(*b"ICETEST\x01");

    #[test]
    fn every_flipped_bit_and_every_truncation_is_found() {
        let path = Path::new("x");
        let bytes = encode(TEST, Generation(3), &vec![1, 2, 3]).unwrap();
        assert_eq!(decode::<Vec<u32>>(TEST, Generation(3), path, &bytes).unwrap(), [1, 2, 3]);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode::<Vec<u32>>(TEST, Generation(3), path, &damaged).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(decode::<Vec<u32>>(TEST, Generation(3), path, &bytes[..len]).is_err(), "length {len}");
        }
        assert!(decode::<Vec<u32>>(TEST, Generation(4), path, &bytes).is_err(), "under another name");
    }

    #[test]
    fn the_description_has_the_same_table() {
        let fields = [
            (MAGIC_OFFSET, "MAGIC"),
            (VERSION_OFFSET, "VERSION"),
            (BODY_LEN_OFFSET, "BODY_LEN"),
            (GENERATION_OFFSET, "GENERATION"),
            (BODY_CRC_OFFSET, "BODY_CRC"),
            (HEADER_CRC_OFFSET, "HEADER_CRC"),
        ];
        crate::format_doc::check("### Document header", HEADER_LEN, &fields);
    }
}
