//! Restores archives: all that are asked for in one commit, or nothing.
//!
//! Everything that can be refused without writing is refused first: files that are missing, foreign or of the wrong kind, targets
//! named twice, collisions with what exists, and a full disk. Then members are unpacked into staging directories of the storage, each
//! verified against its digest, and one adoption puts all of it in place. Staging directories go away with the values that stand
//! for them, so a failure leaves the storage as it was.

mod checksum;
mod error;
mod select;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use icecore_archive::{Progress, Reader, Sha256Digest};
use icecore_io::Fs;
use icecore_storage::{AdoptedCollection, Adoption, FileDigest, Storage};

use crate::error::Result;
use checksum::{Race, beside};
use select::{Selection, Target, select};

pub(crate) use error::RestoreError;

/// What to restore.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// Archives of collections (or of everything) and the names that their collections get.
    pub(crate) collections: Vec<(PathBuf, String)>,
    /// An archive of everything.
    pub(crate) storage: Option<PathBuf>,
    /// Whether existing collections and aliases of the same names are replaced.
    pub(crate) force: bool,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restored {
    /// The names of the collections, sorted.
    pub(crate) collections: Vec<String>,
    /// How many aliases.
    pub(crate) aliases: usize,
    /// Bytes of data that were unpacked.
    pub(crate) bytes: u64,
}

impl Request {
    /// Whether there is nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.collections.is_empty() && self.storage.is_none()
    }
}

/// Restores all of a request into `storage`, whose directory is `storage_path`. Progress counts bytes read.
pub(crate) fn restore(
    fs: &dyn Fs,
    storage: &Storage,
    storage_path: &Path,
    request: &Request,
    progress: &dyn Progress,
) -> Result<Restored> {
    let sources = open(fs, request)?;
    let (collections, aliases) = targets(&sources)?;
    let names: Vec<String> = collections.into_iter().collect();
    storage.check_adoption(&names, &aliases, request.force).map_err(|error| error::with_hint(error, request.force, &names))?;
    let bytes = sources.iter().map(|source| source.selection.bytes).sum();
    check_space(fs, storage_path, bytes)?;

    progress.start(sources.iter().map(Source::work).sum());
    let mut adoption = Adoption { aliases, force: request.force, ..Adoption::default() };
    let count = adoption.aliases.len();
    for source in sources {
        adoption.collections.extend(unpack(fs, storage, source, progress)?);
    }
    storage.adopt(adoption).map_err(|error| error::with_hint(error, request.force, &names))?;
    Ok(Restored { collections: names, aliases: count, bytes })
}

/// An archive that was opened, and what is wanted of it.
struct Source {
    reader: Reader,
    selection: Selection,
    /// The digest that the whole file should have, if somebody noted it.
    sha256: Option<Sha256Digest>,
}

impl Source {
    /// Bytes that have to be read.
    fn work(&self) -> u64 {
        let whole = self.sha256.map_or(0, |_| self.reader.plan().archive_len());
        self.selection.bytes + whole
    }
}

fn open(fs: &dyn Fs, request: &Request) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    let collections = request.collections.iter().map(|(path, name)| (path, Target::Collection(name.clone())));
    let storage = request.storage.iter().map(|path| (path, Target::Storage));
    for (path, target) in collections.chain(storage) {
        let reader = Reader::open(fs, path)?;
        let selection = select(&reader, &target)?;
        let sha256 = beside(fs, path)?;
        sources.push(Source { reader, selection, sha256 });
    }
    Ok(sources)
}

/// The names of all collections and aliases, none of which may be there twice.
fn targets(sources: &[Source]) -> Result<(BTreeSet<String>, BTreeMap<String, String>), RestoreError> {
    let mut names = BTreeSet::new();
    let mut aliases = BTreeMap::new();
    for source in sources {
        for (name, _) in &source.selection.collections {
            if !names.insert(name.clone()) {
                return Err(RestoreError::NamedTwice { name: name.clone() });
            }
        }
        aliases.extend(source.selection.aliases.clone());
    }
    Ok((names, aliases))
}

fn check_space(fs: &dyn Fs, path: &Path, needed: u64) -> Result<(), RestoreError> {
    let free = fs.free_space(path).map_err(|source| RestoreError::Space { path: path.to_owned(), source })?;
    if free < needed {
        return Err(RestoreError::NoSpace { path: path.to_owned(), needed, free });
    }
    Ok(())
}

/// Unpacks what is wanted of one archive, and compares the digest of the whole file meanwhile if one was noted.
fn unpack(fs: &dyn Fs, storage: &Storage, source: Source, progress: &dyn Progress) -> Result<Vec<AdoptedCollection>> {
    let Source { reader, selection, sha256 } = source;
    let digests = reader
        .manifest()
        .iter()
        .filter(|member| selection.wants(member.path))
        .map(|member| (member.path.to_owned(), FileDigest { len: member.len, sha256: member.sha256, crc32c: member.crc32c }))
        .collect();
    let staging = Arc::new(storage.stage(digests)?);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let race = Race::new(progress);
    race.run(
        || {
            let wanted =
                |_, member: icecore_archive::MemberRef<'_>| selection.wants(member.path).then(|| PathBuf::from(member.path));
            icecore_archive::unpack(&reader, fs, staging.path(), wanted, threads, &race)
                .map(|_| ())
                .map_err(RestoreError::Archive)
        },
        || sha256.map_or(Ok(()), |expected| checksum::check(fs, reader.path(), expected, &race)),
    )?;
    let adopt = |(name, from)| AdoptedCollection { name, from, staging: Arc::clone(&staging) };
    Ok(selection.collections.into_iter().map(adopt).collect())
}
