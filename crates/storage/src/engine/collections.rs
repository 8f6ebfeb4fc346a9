//! Collections, aliases and payload index schemas: what the catalog says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::open::SHARDS;
use super::{CollectionInfo, Inner, ShardInfo, State, Storage};
use crate::alias::{self, AliasAction};
use crate::catalog::CatalogCollection;
use crate::collection::Collection;
use crate::config::{self, CollectionConfig};
use crate::error::{Error, Result, on};
use crate::ids::ShardDirId;
use crate::manifest::ShardManifest;
use crate::names;
use crate::shard::{self, Shard};

impl Storage {
    /// The names of all collections, sorted.
    pub fn collections(&self) -> Vec<String> {
        self.inner().state().collections.keys().cloned().collect()
    }

    /// Alias to collection name.
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.inner().state().catalog.aliases.clone()
    }

    /// The name of the collection that `name`, a collection or an alias, means.
    pub fn resolve(&self, name: &str) -> Result<String> {
        let state = self.inner().state();
        let found = state.catalog.resolve(name).map(str::to_owned);
        found.ok_or_else(|| Error::CollectionNotFound { name: name.to_owned() })
    }

    /// What is known of a collection, by its name or an alias.
    pub fn info(&self, collection: &str) -> Result<CollectionInfo> {
        let state = self.inner().state();
        let open = state.resolve(collection)?;
        let name = state.catalog.resolve(collection).unwrap_or(collection).to_owned();
        let shards = (0..).zip(&open.shards).map(|(number, shard)| ShardInfo {
            number,
            dir: shard.id(),
            points: shard.points(),
            segments: shard.view().version.segments.len() as u64,
            memtable_bytes: shard.memtable_bytes(),
            last_lsn: shard.last_lsn(),
            poisoned: shard.poisoned().map(str::to_owned),
        });
        let payload_schema = state.catalog.collections.get(&name).map(|entry| entry.payload_schema.clone());
        Ok(CollectionInfo {
            shards: shards.collect(),
            config: open.config.clone(),
            payload_schema: payload_schema.unwrap_or_default(),
            name,
        })
    }

    /// Creates an empty collection.
    pub fn create_collection(&self, name: &str, config: CollectionConfig) -> Result<()> {
        names::validate(name)?;
        config.validate()?;
        let inner = self.inner();
        inner.check_catalog()?;
        check_free(&inner.state(), name)?;
        let ids: Vec<ShardDirId> = (0..config.shard_number).map(|_| inner.new_shard_dir()).collect();
        // Before the lock: neither other commits nor cuts wait for the syncs of many directories.
        let outcome = inner.create_shards(&ids, &config).and_then(|shards| {
            let held = inner.lock_commits();
            let state = inner.state();
            check_free(&state, name)?;
            let collection = Collection::new(name.to_owned(), config.clone(), shards);
            let mut collections = state.collections.clone();
            collections.insert(name.to_owned(), collection);
            let entry = CatalogCollection { config, payload_schema: BTreeMap::new(), shards: ids.clone() };
            inner.commit(|catalog| drop(catalog.collections.insert(name.to_owned(), entry)), collections, &held)
        });
        if outcome.is_err() && inner.failed_for_sure() {
            inner.remove_shard_dirs(&ids);
        }
        outcome
    }

    /// Deletes a collection with its aliases; `false` if there is none of this name. An alias is not enough: who deletes by one
    /// means the alias as often as the collection. (Source: Qdrant.)
    pub fn delete_collection(&self, name: &str) -> Result<bool> {
        let inner = self.inner();
        let held = inner.lock_commits();
        inner.check_catalog()?;
        let mut collections = inner.state().collections.clone();
        let Some(collection) = collections.remove(name) else {
            return Ok(false);
        };
        let barrier = collection.close_barrier();
        let change = |catalog: &mut crate::catalog::Catalog| {
            catalog.collections.remove(name);
            catalog.aliases.retain(|_, target| target != name);
        };
        inner.commit(change, collections, &held)?;
        collection.retire_except(&[]);
        drop(barrier);
        // The directories go with the last reference, which may be the one here: no other commit or cut waits for that.
        drop(held);
        Ok(true)
    }

    /// Makes all changes in one commit, in their order, or none.
    pub fn update_aliases(&self, actions: &[AliasAction]) -> Result<()> {
        let inner = self.inner();
        let held = inner.lock_commits();
        let state = inner.state();
        let names: BTreeSet<&str> = state.collections.keys().map(String::as_str).collect();
        let aliases = alias::apply(state.catalog.aliases.clone(), &names, actions)?;
        inner.commit(|catalog| catalog.aliases = aliases, state.collections.clone(), &held)
    }

    /// Records the index schema of a payload field, replacing that of the same field.
    pub fn put_payload_index(&self, collection: &str, field: &str, schema: serde_json::Value) -> Result<()> {
        config::check_depth(field, &schema)?;
        self.change_payload_schema(collection, |fields| drop(fields.insert(field.to_owned(), schema)))
    }

    /// Forgets the index schema of a payload field; `false` if there is none.
    pub fn delete_payload_index(&self, collection: &str, field: &str) -> Result<bool> {
        let mut existed = false;
        self.change_payload_schema(collection, |fields| existed = fields.remove(field).is_some())?;
        Ok(existed)
    }

    /// Changes the caller's own part of a collection's configuration. `change` gets the settings as they are; if it fails, nothing
    /// changes.
    pub fn update_settings<E: From<Error>>(
        &self,
        collection: &str,
        change: impl FnOnce(&mut serde_json::Value) -> Result<(), E>,
    ) -> Result<(), E> {
        let inner = self.inner();
        let held = inner.lock_commits();
        let state = inner.state();
        let missing = || Error::CollectionNotFound { name: collection.to_owned() };
        let name = state.catalog.resolve(collection).ok_or_else(missing)?;
        let before = state.collections.get(name).ok_or_else(missing)?;
        let mut config = before.config.clone();
        change(&mut config.settings)?;
        // The same shards behind another configuration; who is about to write finds it at the barrier.
        let mut collections = state.collections.clone();
        collections.insert(name.to_owned(), Collection::new(name.to_owned(), config.clone(), before.shards.clone()));
        let barrier = before.close_barrier();
        let put = |catalog: &mut crate::catalog::Catalog| {
            if let Some(entry) = catalog.collections.get_mut(name) {
                entry.config = config;
            }
        };
        inner.commit(put, collections, &held)?;
        let kept: Vec<ShardDirId> = before.shards.iter().map(|shard| shard.id()).collect();
        before.retire_except(&kept);
        drop(barrier);
        Ok(())
    }

    fn change_payload_schema(
        &self,
        collection: &str,
        change: impl FnOnce(&mut BTreeMap<String, serde_json::Value>),
    ) -> Result<()> {
        let inner = self.inner();
        let held = inner.lock_commits();
        let state = inner.state();
        let missing = || Error::CollectionNotFound { name: collection.to_owned() };
        let name = state.catalog.resolve(collection).ok_or_else(missing)?;
        let mut schema = state.catalog.collections.get(name).ok_or_else(missing)?.payload_schema.clone();
        change(&mut schema);
        let put = |catalog: &mut crate::catalog::Catalog| {
            if let Some(entry) = catalog.collections.get_mut(name) {
                entry.payload_schema = schema;
            }
        };
        inner.commit(put, state.collections.clone(), &held)
    }
}

/// Whether a new collection can have this name.
fn check_free(state: &State, name: &str) -> Result<()> {
    if state.collections.contains_key(name) {
        return Err(Error::CollectionExists { name: name.to_owned() });
    }
    if state.catalog.aliases.contains_key(name) {
        return Err(Error::AliasExists { name: name.to_owned() });
    }
    Ok(())
}

impl Inner {
    /// Makes and opens the directories of new shards; durable, but in no catalog.
    fn create_shards(&self, ids: &[ShardDirId], config: &CollectionConfig) -> Result<Vec<Arc<Shard>>> {
        let mut shards = Vec::with_capacity(ids.len());
        for id in ids {
            shard::create_dir(self.fs(), &self.shard_path(*id), &ShardManifest::empty())?;
            shards.push(self.open_shard(*id, config)?);
        }
        let dir = self.path.join(SHARDS);
        self.fs().sync_dir(&dir).map_err(on("sync", &dir))?;
        Ok(shards)
    }

    /// Removes directories that no catalog names. What stays is removed at the next start.
    pub(crate) fn remove_shard_dirs(&self, ids: &[ShardDirId]) {
        for id in ids {
            let _ = self.fs().remove_dir_all(&self.shard_path(*id));
        }
    }
}
