//! The restore that flags of the command line ask for: several archives in one commit, before anybody is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use icecore_archive::Progress;
use icecore_io::Fs;
use icecore_storage::{Adoption, OnExisting, Storage};

use super::error::{RestoreError, with_hint};
use super::select::Target;
use super::source::{Input, Source, check_space};
use crate::error::Result;

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
    let existing = if request.force { OnExisting::Replace } else { OnExisting::Refuse };
    let sources = open(fs, request)?;
    let (collections, aliases) = targets(&sources)?;
    let named: Vec<_> = sources.iter().flat_map(Source::named).collect();
    let hint = |error| with_hint(error, existing, &collections);
    storage.check_adoption(&named, &aliases, existing).map_err(hint)?;
    drop(named);
    let bytes = sources.iter().map(Source::bytes).sum();
    check_space(fs, storage_path, bytes)?;

    progress.start(sources.iter().map(Source::work).sum());
    let mut adoption = Adoption { aliases, existing, ..Adoption::default() };
    let count = adoption.aliases.len();
    for source in sources {
        adoption.collections.extend(source.unpack(fs, storage, progress)?.collections);
    }
    storage.adopt(adoption).map_err(hint)?;
    Ok(Restored { collections: collections.into_iter().collect(), aliases: count, bytes })
}

fn open(fs: &dyn Fs, request: &Request) -> Result<Vec<Source>, RestoreError> {
    let mut sources = Vec::new();
    let collections = request.collections.iter().map(|(path, name)| (path, Target::Collection(name.clone())));
    let storage = request.storage.iter().map(|path| (path, Target::Storage));
    for (path, target) in collections.chain(storage) {
        let (input, expected) = Input::file(fs, path)?;
        sources.push(Source::new(input, target, expected)?);
    }
    Ok(sources)
}

/// The names of all collections and aliases, none of which may be there twice.
fn targets(sources: &[Source]) -> Result<(BTreeSet<String>, BTreeMap<String, String>), RestoreError> {
    let mut names = BTreeSet::new();
    let mut aliases = BTreeMap::new();
    for source in sources {
        for (name, _) in source.named() {
            if !names.insert(name.to_owned()) {
                return Err(RestoreError::NamedTwice { name: name.to_owned() });
            }
        }
        aliases.extend(source.aliases().clone());
    }
    Ok((names, aliases))
}
