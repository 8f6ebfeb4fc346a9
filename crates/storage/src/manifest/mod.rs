//! The manifest of a shard: which files are its state.
//!
//! A manifest names the live segments with their digests, their tombstone files and the flushed LSN; records after it are
//! in the log. A new generation is one rename: before it the old files are the state, after it the new ones.

pub(crate) mod invariants;
pub(crate) mod model;

pub(crate) use model::{SegmentEntry, ShardManifest, TombstoneEntry};

use std::path::Path;

use icecore_io::{Fs, PublishError};

use crate::document::{self, Magic};
use crate::error::{Error, Result};
use crate::ids::Generation;

const MAGIC: Magic = Magic(*b"ICEMANI\x01");

/// The manifests of a shard, inside its directory.
pub(crate) const DIR: &str = "manifest";

/// Publishes the next generation after checking its rules.
pub(crate) fn write(fs: &dyn Fs, dir: &Path, manifest: &ShardManifest) -> Result<(), PublishError> {
    if let Err(rule) = invariants::check(manifest) {
        return Err(PublishError::NotPublished(std::io::Error::other(format!("the next manifest breaks a rule: {rule}"))));
    }
    document::write(fs, dir, MAGIC, manifest.generation, manifest)
}

/// The newest generation in `dir`. What it replaced is removed.
pub(crate) fn recover(fs: &dyn Fs, dir: &Path) -> Result<ShardManifest> {
    checked(dir, document::recover(fs, dir, MAGIC)?)
}

/// The newest generation in `dir`. Changes nothing, and another process may.
pub(crate) fn newest(fs: &dyn Fs, dir: &Path) -> Result<ShardManifest> {
    checked(dir, document::newest(fs, dir, MAGIC)?)
}

/// A manifest that was read, if there is one and it keeps its rules.
fn checked(dir: &Path, found: Option<(Generation, ShardManifest)>) -> Result<ShardManifest> {
    let Some((generation, manifest)) = found else {
        return Err(Error::Malformed { path: dir.to_owned(), offset: 0, reason: "the shard has no manifest".into() });
    };
    check(dir, generation, &manifest)?;
    Ok(manifest)
}

/// Checks a manifest that was read.
pub(crate) fn check(dir: &Path, generation: Generation, manifest: &ShardManifest) -> Result<()> {
    let rule = if manifest.generation == generation {
        invariants::check(manifest)
    } else {
        Err(format!("the name says generation {generation}"))
    };
    rule.map_err(|rule| Error::Invariant { what: format!("{dir:?}"), generation: manifest.generation, rule })
}
