//! Adoption: unpacked archives become collections in one commit.
//!
//! Everything is checked, opened and made durable before the commit; until it nothing of the old collections is touched, and
//! after it the new ones are complete. What is unpacked lies in a directory of its own under `staging/`, which the next start
//! removes after a crash. That the bytes are those of the archive is the unpacker's to check.

mod staging;

pub use staging::Staging;
pub(crate) use staging::{STAGING, clear_staging};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::CatalogCollection;
use crate::collection::Collection;
use crate::config::{self, CollectionConfig};
use crate::engine::{Inner, SHARDS, State, Storage};
use crate::error::{Error, Result, on};
use crate::ids::{Generation, PointId, ShardDirId};
use crate::manifest::{self, SegmentEntry, ShardManifest, TombstoneEntry};
use crate::names;
use crate::shard::{self, Shard};
use crate::subject::{SubjectCollection, SubjectShard, SubjectTombstones};

/// A log tail of more bytes becomes a segment when it is adopted, so that the next start need not replay it.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// What one commit puts in place.
#[derive(Debug, Default)]
pub struct Adoption {
    /// Collections to create or replace.
    pub collections: Vec<AdoptedCollection>,
    /// Single shards to replace in existing collections.
    pub shards: Vec<AdoptedShard>,
    /// Alias to collection name.
    pub aliases: BTreeMap<String, String>,
    /// What happens to existing collections and aliases of the same names.
    pub existing: OnExisting,
}

/// What an adoption does about collections and aliases that exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExisting {
    /// They refuse the whole adoption.
    #[default]
    Refuse,
    /// They are replaced, whatever they are.
    Replace,
    /// They are replaced by collections with the same vectors and number of shards; others refuse the whole adoption.
    ReplaceAlike,
}

/// A collection out of an archive.
#[derive(Debug, Clone)]
pub struct AdoptedCollection {
    /// The name that it gets.
    pub name: String,
    /// Its description in the archive.
    pub from: SubjectCollection,
    /// Where its files were unpacked.
    pub staging: Arc<Staging>,
}

/// A shard out of an archive, for an existing collection with the same vectors and number of shards.
#[derive(Debug, Clone)]
pub struct AdoptedShard {
    /// The collection, by its name or an alias.
    pub collection: String,
    /// The description of its collection in the archive, with just the one shard.
    pub from: SubjectCollection,
    /// Where its files were unpacked.
    pub staging: Arc<Staging>,
}

/// Shard directories that no catalog names yet; removed unless they are committed.
struct NewDirs<'a> {
    inner: &'a Inner,
    ids: Vec<ShardDirId>,
}

impl Drop for NewDirs<'_> {
    fn drop(&mut self) {
        self.inner.remove_shard_dirs(&self.ids);
    }
}

impl Storage {
    /// A new directory for the members of an archive. `digests` are those of all members that will be unpacked into it.
    pub fn stage(&self, digests: BTreeMap<String, crate::checksum::FileDigest>) -> Result<Staging> {
        self.inner().check_open()?;
        Staging::create(self.inner(), digests)
    }

    /// Whether an adoption of these collections (by their new names) and aliases would be refused now; nothing is done.
    ///
    /// Errors: [`Error::InvalidName`]; with [`OnExisting::Refuse`] [`Error::CollectionExists`] and [`Error::AliasExists`] for the
    /// first collision; with [`OnExisting::ReplaceAlike`] [`Error::Incompatible`]; [`Error::AliasShadowsCollection`] always;
    /// [`Error::CollectionNotFound`] for an alias without a target.
    pub fn check_adoption(
        &self,
        collections: &[(&str, &CollectionConfig)],
        aliases: &BTreeMap<String, String>,
        existing: OnExisting,
    ) -> Result<()> {
        check_names(&self.inner().state(), collections, aliases, existing)
    }

    /// Whether the one shard of `from` could not replace that of the same number in `collection` (its name or an alias); nothing is
    /// done.
    ///
    /// Errors: [`Error::CollectionNotFound`], [`Error::ShardNotFound`], [`Error::Incompatible`], and [`Error::InvalidConfig`] if
    /// `from` does not have just one shard.
    pub fn check_shard_adoption(&self, collection: &str, from: &SubjectCollection) -> Result<()> {
        let described = the_shard(from)?;
        let state = self.inner().state();
        let current = state.resolve(collection)?;
        current.shard(described.number)?;
        current.config.check_alike(&from.config)
    }

    /// Checks and opens what was unpacked, and puts it in place in one commit. After an error nothing has changed.
    pub fn adopt(&self, adoption: Adoption) -> Result<()> {
        let inner = self.inner();
        inner.check_catalog()?;
        let named: Vec<_> = adoption.collections.iter().map(|adopted| (adopted.name.as_str(), &adopted.from.config)).collect();
        self.check_adoption(&named, &adoption.aliases, adoption.existing)?;
        for adopted in &adoption.shards {
            self.check_shard_adoption(&adopted.collection, &adopted.from)?;
        }
        let mut new_dirs = NewDirs { inner, ids: Vec::new() };
        let mut collections = Vec::with_capacity(adoption.collections.len());
        for adopted in &adoption.collections {
            collections.push((adopted.name.clone(), adopt_collection(&mut new_dirs, adopted)?));
        }
        let mut shards = Vec::with_capacity(adoption.shards.len());
        for adopted in &adoption.shards {
            shards.push((adopted, adopt_single_shard(&mut new_dirs, adopted)?));
        }
        let dir = inner.path.join(SHARDS);
        inner.fs().sync_dir(&dir).map_err(on("sync", &dir))?;

        let held = inner.lock_commits();
        let state = inner.state();
        check_names(&state, &named, &adoption.aliases, adoption.existing)?;
        let mut next = state.collections.clone();
        let mut entries = BTreeMap::new();
        for (name, (collection, schema)) in collections {
            let shards = collection.shards.iter().map(|shard| shard.id()).collect();
            entries.insert(name.clone(), CatalogCollection { config: collection.config.clone(), payload_schema: schema, shards });
            next.insert(name, collection);
        }
        for (adopted, (number, shard)) in shards {
            replace_shard(&state, &mut next, &mut entries, adopted, number, shard)?;
        }
        // Writers of what is replaced wait for the publication, and then find the new one.
        let replaced: Vec<&Arc<Collection>> = entries.keys().filter_map(|name| state.collections.get(name)).collect();
        let barriers: Vec<_> = replaced.iter().map(|collection| collection.close_barrier()).collect();
        let aliases = adoption.aliases;
        let committed = inner.commit(
            |catalog| {
                catalog.collections.extend(entries.clone());
                catalog.aliases.extend(aliases);
            },
            next,
            &held,
        );
        if committed.is_ok() || !inner.failed_for_sure() {
            new_dirs.ids.clear();
        }
        committed?;
        for (name, entry) in &entries {
            if let Some(before) = state.collections.get(name) {
                before.retire_except(&entry.shards);
            }
        }
        drop(barriers);
        // The replaced directories go with the last reference, which may be the one here: no other commit or cut waits for that.
        drop(held);
        Ok(())
    }
}

/// See [`Storage::check_adoption`].
fn check_names(
    state: &State,
    collections: &[(&str, &CollectionConfig)],
    aliases: &BTreeMap<String, String>,
    existing: OnExisting,
) -> Result<()> {
    for (number, (name, config)) in collections.iter().enumerate() {
        names::validate(name)?;
        if collections.iter().take(number).any(|(earlier, _)| earlier == name) {
            return Err(Error::CollectionExists { name: (*name).to_owned() });
        }
        if state.catalog.aliases.contains_key(*name) {
            return Err(Error::AliasExists { name: (*name).to_owned() });
        }
        if let Some(current) = state.collections.get(*name) {
            match existing {
                OnExisting::Refuse => return Err(Error::CollectionExists { name: (*name).to_owned() }),
                OnExisting::Replace => {}
                OnExisting::ReplaceAlike => current.config.check_alike(config)?,
            }
        }
    }
    for (alias, target) in aliases {
        names::validate(alias)?;
        let is_adopted = |name: &String| collections.iter().any(|(adopted, _)| adopted == name);
        if state.collections.contains_key(alias) || is_adopted(alias) {
            return Err(Error::AliasShadowsCollection { name: alias.clone() });
        }
        if state.catalog.aliases.contains_key(alias) && existing == OnExisting::Refuse {
            return Err(Error::AliasExists { name: alias.clone() });
        }
        if !state.collections.contains_key(target) && !is_adopted(target) {
            return Err(Error::CollectionNotFound { name: target.clone() });
        }
    }
    Ok(())
}

type Schema = BTreeMap<String, serde_json::Value>;

/// Opens all shards of a collection at their final places.
fn adopt_collection(new_dirs: &mut NewDirs<'_>, adopted: &AdoptedCollection) -> Result<(Arc<Collection>, Schema)> {
    let AdoptedCollection { name, from, staging } = adopted;
    from.config.validate()?;
    from.payload_schema.iter().try_for_each(|(field, schema)| config::check_depth(field, schema))?;
    let expected: Vec<u32> = (0..from.config.shard_number).collect();
    let actual: Vec<u32> = from.shards.iter().map(|shard| shard.number).collect();
    if actual != expected {
        let reason = format!("the archive has the shards {actual:?} of {}", from.config.shard_number);
        return Err(Error::InvalidConfig { field: format!("collection {:?}", from.name), reason });
    }
    let mut shards = Vec::with_capacity(from.shards.len());
    for described in &from.shards {
        shards.push(adopt_shard(new_dirs, from, described, staging)?);
    }
    Ok((Collection::new(name.clone(), from.config.clone(), shards), from.payload_schema.clone()))
}

/// Opens the one shard of a shard archive at its final place.
fn adopt_single_shard(new_dirs: &mut NewDirs<'_>, adopted: &AdoptedShard) -> Result<(u32, Arc<Shard>)> {
    let described = the_shard(&adopted.from)?;
    Ok((described.number, adopt_shard(new_dirs, &adopted.from, described, &adopted.staging)?))
}

/// The only shard of a shard's archive.
fn the_shard(from: &SubjectCollection) -> Result<&SubjectShard> {
    match from.shards.as_slice() {
        [described] => Ok(described),
        shards => {
            let reason = format!("the archive has {} shards of it, not one", shards.len());
            Err(Error::InvalidConfig { field: format!("collection {:?}", from.name), reason })
        }
    }
}

/// Makes a shard directory of what was unpacked, checks all of it, and moves it to its final place.
fn adopt_shard(
    new_dirs: &mut NewDirs<'_>,
    collection: &SubjectCollection,
    described: &SubjectShard,
    staging: &Staging,
) -> Result<Arc<Shard>> {
    let inner = new_dirs.inner;
    let staged = staging.shard_path(described)?;
    let manifest = manifest_of(described, staging)?;
    // Rules that the description breaks, before the publication that would take them for a failure of ours.
    manifest::check(&staged, manifest.generation, &manifest)?;
    shard::create_dir(inner.fs(), &staged, &manifest)?;
    let id = inner.new_shard_dir();
    new_dirs.ids.push(id);
    let path = inner.shard_path(id);
    inner.fs().rename_noreplace(&staged, &path).map_err(on("move to its place", &path))?;
    let shard = inner.open_shard(id, &collection.config)?;
    if shard.last_lsn() != described.lsn {
        let reason = format!("its log ends with record {}, the archive says {}", shard.last_lsn(), described.lsn);
        return Err(Error::Malformed { path: path.join(shard::WAL), offset: 0, reason });
    }
    if let Some(reason) = shard.poisoned() {
        return Err(Error::Malformed { path: path.join(shard::WAL), offset: 0, reason: reason.to_owned() });
    }
    // The digests say that these are the archive's bytes; this, that an engine wrote them.
    if let Some(problem) = shard.scrub().into_iter().next() {
        return Err(problem);
    }
    let belongs = |id: PointId| id.shard(collection.config.shard_number) == described.number;
    if let Some((id, reason)) = shard.view().foreign_id(belongs)? {
        return Err(Error::Malformed { path, offset: 0, reason: format!("point {id}: {reason}") });
    }
    if staging.log_bytes(described) > TAIL_BYTES_MAX {
        shard.flush()?;
    }
    Ok(shard)
}

/// The manifest of an unpacked shard.
fn manifest_of(described: &SubjectShard, staging: &Staging) -> Result<ShardManifest> {
    let mut segments = Vec::with_capacity(described.segments.len());
    for segment in &described.segments {
        let path = format!("{}/{}/{}", described.path, shard::SEGMENTS, shard::segment_name(segment.id));
        let tombstones = match segment.tombstones {
            None => None,
            Some(SubjectTombstones { generation, marked }) => {
                let name = shard::tombstones_name(segment.id, generation);
                let path = format!("{}/{}/{name}", described.path, shard::TOMBSTONES);
                Some(TombstoneEntry { generation, marked, digest: staging.digest(&path)? })
            }
        };
        segments.push(SegmentEntry { id: segment.id, rows: segment.rows, digest: staging.digest(&path)?, tombstones });
    }
    // Tombstone files keep the generations in their names, so the manifest begins behind the newest.
    let newest = described.segments.iter().filter_map(|segment| segment.tombstones).map(|named| named.generation).max();
    Ok(ShardManifest {
        generation: newest.unwrap_or(Generation(1)),
        flushed_lsn: described.flushed_lsn,
        next_segment_id: described.next_segment_id,
        segments,
    })
}

/// Puts a shard into the collection that will be committed.
fn replace_shard(
    state: &State,
    next: &mut BTreeMap<String, Arc<Collection>>,
    entries: &mut BTreeMap<String, CatalogCollection>,
    adopted: &AdoptedShard,
    number: u32,
    shard: Arc<Shard>,
) -> Result<()> {
    let missing = || Error::CollectionNotFound { name: adopted.collection.clone() };
    let name = state.catalog.resolve(&adopted.collection).ok_or_else(missing)?;
    let current = next.get(name).ok_or_else(missing)?.clone();
    current.shard(number)?;
    current.config.check_alike(&adopted.from.config)?;
    let mut shards = current.shards.clone();
    shards[number as usize] = shard;
    let entry = entries.entry(name.to_owned()).or_insert(state.catalog.collections.get(name).ok_or_else(missing)?.clone());
    entry.shards = shards.iter().map(|shard| shard.id()).collect();
    next.insert(name.to_owned(), Collection::new(name.to_owned(), current.config.clone(), shards));
    Ok(())
}
