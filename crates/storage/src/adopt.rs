//! Adoption: unpacked archives become collections in one commit.
//!
//! Everything is checked, opened and made durable before the commit; until it nothing of the old collections is touched, and
//! after it the new ones are complete. What is unpacked lies in a directory of its own under `staging/`, which the next start
//! removes after a crash. That the bytes are those of the archive is the unpacker's to check.

mod shards;
mod staging;

pub use staging::Staging;
pub(crate) use staging::{STAGING, clear_staging};

use std::collections::BTreeMap;
use std::sync::Arc;

use self::shards::Incoming;
use crate::catalog::CatalogCollection;
use crate::collection::Collection;
use crate::config::{self, CollectionConfig};
use crate::engine::{Inner, SHARDS, State, Storage};
use crate::error::{Error, Result, on};
use crate::ids::ShardDirId;
use crate::names;
use crate::shard::Shard;
use crate::subject::{SubjectCollection, SubjectShard};

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
        let incoming = incoming(inner, &adoption)?;
        let mut new_dirs = NewDirs { inner, ids: incoming.iter().map(|shard| shard.id).collect() };
        let mut opened = shards::open(inner, &incoming)?.into_iter();
        drop(incoming);
        let mut collections = Vec::with_capacity(adoption.collections.len());
        for AdoptedCollection { name, from, .. } in &adoption.collections {
            let shards = opened.by_ref().take(from.shards.len()).collect();
            let collection = Collection::new(name.clone(), from.config.clone(), shards);
            collections.push((name.clone(), (collection, from.payload_schema.clone())));
        }
        let mut shards = Vec::with_capacity(adoption.shards.len());
        for (adopted, shard) in adoption.shards.iter().zip(opened) {
            shards.push((adopted, the_shard(&adopted.from)?.number, shard));
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
        for (adopted, number, shard) in shards {
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

/// All shards of an adoption, those of collections first, each with a directory id of its own. Nothing is done with them yet.
fn incoming<'a>(inner: &Inner, adoption: &'a Adoption) -> Result<Vec<Incoming<'a>>> {
    let mut incoming = Vec::new();
    for AdoptedCollection { from, staging, .. } in &adoption.collections {
        from.config.validate()?;
        from.payload_schema.iter().try_for_each(|(field, schema)| config::check_depth(field, schema))?;
        let expected: Vec<u32> = (0..from.config.shard_number).collect();
        let actual: Vec<u32> = from.shards.iter().map(|shard| shard.number).collect();
        if actual != expected {
            let reason = format!("the archive has the shards {actual:?} of {}", from.config.shard_number);
            return Err(Error::InvalidConfig { field: format!("collection {:?}", from.name), reason });
        }
        let shard = |described| Incoming { config: &from.config, described, staging, id: inner.new_shard_dir() };
        incoming.extend(from.shards.iter().map(shard));
    }
    for AdoptedShard { from, staging, .. } in &adoption.shards {
        incoming.push(Incoming { config: &from.config, described: the_shard(from)?, staging, id: inner.new_shard_dir() });
    }
    check_apart(&incoming)?;
    Ok(incoming)
}

/// Each shard takes its directory away with everything in it, so no two may have the same, or one inside the other.
fn check_apart(incoming: &[Incoming<'_>]) -> Result<()> {
    let mut dirs: Vec<_> = incoming.iter().map(|shard| (shard.staging.path(), format!("{}/", shard.described.path))).collect();
    // In this order what is inside a directory follows it at once.
    dirs.sort();
    match dirs.windows(2).find(|pair| matches!(pair, [one, next] if one.0 == next.0 && next.1.starts_with(&one.1))) {
        Some([(staging, dir), ..]) => {
            let reason = "the archive describes two shards of the same files".to_owned();
            Err(Error::Malformed { path: staging.join(dir.trim_start_matches('/')), offset: 0, reason })
        }
        _ => Ok(()),
    }
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
