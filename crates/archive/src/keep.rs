//! Keeps an archive that was made elsewhere, as it arrives: complete under its name, or not there at all.
//!
//! It gets the side files and the commit of one that is made here (see [`create`](crate::create())). Its contents are not looked at, so
//! the index file has no digest of a manifest.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use icecore_io::digest::Sha256Digest;
use icecore_io::{Clock, Fs};

use crate::Error;
use crate::create::{SIDE_FILES_LEN, check_space, reserve};
use crate::progress::Progress;
use crate::publication::{About, Publication};
use crate::store::{ArchiveName, Attempt, time};
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
    let needed = announced.unwrap_or(0).saturating_add(SIDE_FILES_LEN);
    check_space(fs, dir, needed, needed)?;
    let path = dir.join(name.as_str());
    let Some(attempt) = Attempt::begin(fs, dir, name).map_err(Error::io("create a temporary for", &path))? else {
        return Err(Error::AlreadyExists { path });
    };
    let mut out = Publication::new(fs, dir, &path, &attempt);
    out.check_names()?;
    let meta = out.write(clock, About { uncompressed_size: None, manifest_sha256: None }, |file, temp| {
        if let Some(len) = announced {
            reserve(file, len).map_err(Error::io("reserve space for", temp))?;
        }
        write_stream(incoming, &mut FileSink::new(file.clone()), progress)
    })?;
    out.keep();
    Ok(Kept { path: path.clone(), len: meta.size, sha256: meta.sha256, created_at: time(meta.created_at) })
}
