//! Keeps an archive that was made elsewhere, as it arrives: complete under its name, or not there at all.
//!
//! It gets the side files and the commit of one that is made here (see [`create`](crate::create())). Its contents are not looked at, so
//! the index file has no digest of a manifest.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use icecore_io::digest::Sha256Digest;
use icecore_io::{Clock, Fs};

use crate::Error;
use crate::create::{About, make, reserve};
use crate::progress::Progress;
use crate::store::{ArchiveName, time};
use crate::writer::{FileSink, Incoming, write_stream};

/// An archive that was kept, and is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// Digest of the whole file.
    pub sha256: Sha256Digest,
    /// When it was complete, in whole seconds.
    pub created_at: SystemTime,
}

/// Keeps what arrives as the archive `name` in `dir`, with its side files. After `Ok` all of it is durable.
///
/// Fails as [`create_draft`](crate::create_draft) and [`write_stream`] do; without an announced length a full file system shows only
/// when it is full. After an error nothing of the archive is left.
pub fn keep(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    incoming: Incoming<'_>,
    progress: &dyn Progress,
) -> Result<Kept, Error> {
    let announced = incoming.len;
    let about = About { len_max: announced.unwrap_or(0), uncompressed_size: None, manifest_sha256: None };
    let meta = make(fs, clock, dir, name, about, |file, temp| {
        if let Some(len) = announced {
            reserve(file, len).map_err(Error::io("reserve space for", temp))?;
        }
        write_stream(incoming, &mut FileSink::new(file.clone()), progress)
    })?;
    Ok(Kept { path: dir.join(name.as_str()), len: meta.size, sha256: meta.sha256, created_at: time(meta.created_at) })
}
