//! Looks into a storage directory without opening it: what is there, how much of it, and what is wrong with it.
//!
//! Nothing is changed: no lock is taken, nothing repaired, synced or removed. Another process may have the directory and write to it.
//! Catalog and manifests are read as of one generation; whatever then turns out to be missing or damaged is believed only if the
//! generation is still the newest, and looked at again otherwise. Segments are not read but for their tables, so damage of points
//! is not found here; that is for the scrub.

mod archive;
mod report;
mod shard;

use std::io;
use std::path::Path;

use icecore_io::{FileKind, Fs};

pub use report::{CollectionReport, LogReport, SectionReport, SegmentReport, ShardReport, StorageReport, TailReport, Totals};

use crate::catalog::{self, Catalog};
use crate::engine::SHARDS;
use crate::error::{Error, Result, on};
use crate::ids::{Generation, ShardDirId};

/// How often something that changes under our eyes is looked at.
const ATTEMPTS_MAX: u32 = 8;

/// Whether `path` is a storage directory, damaged or not: it has a directory for the catalog and one for shards.
pub fn is_storage(fs: &dyn Fs, path: &Path) -> io::Result<bool> {
    for name in [catalog::DIR, SHARDS] {
        match fs.metadata(&path.join(name)) {
            Ok(found) if found.kind == FileKind::Dir => {}
            Ok(_) => return Ok(false),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Reports what the storage directory `path` consists of. Damage is part of the report; the only errors are those of a directory
/// that cannot be listed.
pub fn inspect(fs: &dyn Fs, path: &Path) -> Result<StorageReport> {
    let mut attempt = 1;
    loop {
        let report = look(fs, path)?;
        // What a collection that was dropped meanwhile leaves behind is no damage.
        if report.problems.is_empty() || attempt == ATTEMPTS_MAX || newest_generation(fs, path) == report.generation {
            return Ok(report.sum_up());
        }
        attempt += 1;
    }
}

/// The generation of the catalog, as far as it can be read.
fn newest_generation(fs: &dyn Fs, path: &Path) -> Option<Generation> {
    catalog::newest(fs, &path.join(catalog::DIR)).ok().flatten().map(|catalog| catalog.generation)
}

fn look(fs: &dyn Fs, path: &Path) -> Result<StorageReport> {
    let mut report = StorageReport::default();
    let catalog_dir = path.join(catalog::DIR);
    match catalog::newest(fs, &catalog_dir) {
        Ok(Some(catalog)) => named(fs, path, catalog, &mut report),
        Ok(None) => {
            unnamed(fs, path, &mut report)?;
            // A storage that is being made has neither.
            if !report.unnamed.is_empty() {
                let reason = "there are shards but no catalog".to_owned();
                report.problems.push(Error::Malformed { path: catalog_dir, offset: 0, reason });
            }
        }
        Err(error) => {
            report.problems.push(error);
            unnamed(fs, path, &mut report)?;
        }
    }
    Ok(report)
}

/// The collections of a catalog.
fn named(fs: &dyn Fs, path: &Path, catalog: Catalog, report: &mut StorageReport) {
    report.generation = Some(catalog.generation);
    report.aliases = catalog.aliases;
    for (name, entry) in catalog.collections {
        let look = |(number, id): (u32, &ShardDirId)| {
            let shard = shard::look(fs, &shard_path(path, *id), *id, &mut report.problems);
            ShardReport { number: Some(number), ..shard }
        };
        let shards = (0u32..).zip(&entry.shards).map(look).collect();
        let (config, payload_schema) = (entry.config, entry.payload_schema);
        report.collections.push(CollectionReport { name, config, payload_schema, shards, totals: Totals::default() });
    }
}

/// All shards, if no catalog says which belong to what.
fn unnamed(fs: &dyn Fs, path: &Path, report: &mut StorageReport) -> Result<()> {
    let shards = path.join(SHARDS);
    for entry in fs.list(&shards).map_err(on("list", &shards))? {
        match entry.name.parse::<ShardDirId>() {
            Ok(id) => report.unnamed.push(shard::look(fs, &entry.path, id, &mut report.problems)),
            Err(()) => {
                let reason = "nothing of this name belongs here".to_owned();
                report.problems.push(Error::Malformed { path: entry.path, offset: 0, reason });
            }
        }
    }
    Ok(())
}

fn shard_path(path: &Path, id: ShardDirId) -> std::path::PathBuf {
    path.join(SHARDS).join(id.to_string())
}
