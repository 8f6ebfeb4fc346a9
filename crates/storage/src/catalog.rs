//! The catalog: which collections and aliases there are, and which directory each shard lives in.
//!
//! One generation says all of it, so that a name, an alias and the directories behind them change in one commit. Names stand
//! here and nowhere else.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use icecore_io::{Fs, PublishError};
use serde::{Deserialize, Serialize};

use crate::config::CollectionConfig;
use crate::document::{self, Magic};
use crate::error::{Error, Result};
use crate::ids::{Generation, ShardDirId};
use crate::names;

const MAGIC: Magic = Magic(*b"ICECATA\x01");

/// The catalog's directory in the storage.
pub(crate) const DIR: &str = "catalog";

/// All names of one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalog {
    /// This catalog's number.
    pub(crate) generation: Generation,
    /// The number that the next shard directory gets.
    pub(crate) next_shard_dir: ShardDirId,
    pub(crate) collections: BTreeMap<String, CatalogCollection>,
    /// Alias to collection name.
    pub(crate) aliases: BTreeMap<String, String>,
}

/// A collection in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogCollection {
    pub(crate) config: CollectionConfig,
    /// Payload field to index schema.
    pub(crate) payload_schema: BTreeMap<String, serde_json::Value>,
    /// The directories of the shards, by shard number.
    pub(crate) shards: Vec<ShardDirId>,
}

impl Catalog {
    /// The catalog of a new storage.
    pub(crate) fn empty() -> Self {
        Self { generation: Generation(1), next_shard_dir: ShardDirId(1), collections: BTreeMap::new(), aliases: BTreeMap::new() }
    }

    /// The collection that a name or an alias means.
    pub(crate) fn resolve<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if self.collections.contains_key(name) { Some(name) } else { self.aliases.get(name).map(String::as_str) }
    }

    /// The directories of all shards.
    pub(crate) fn shard_dirs(&self) -> impl Iterator<Item = ShardDirId> {
        self.collections.values().flat_map(|collection| collection.shards.iter().copied())
    }

    /// The first rule that is broken, in words. Checked before a catalog is written and after one is read.
    pub(crate) fn check(&self) -> Result<(), String> {
        for (name, collection) in &self.collections {
            names::validate(name).map_err(|error| error.to_string())?;
            collection.config.validate().map_err(|error| format!("collection {name:?}: {error}"))?;
            if collection.shards.len() != collection.config.shard_number as usize {
                let (actual, expected) = (collection.shards.len(), collection.config.shard_number);
                return Err(format!("collection {name:?} has {actual} shard directories, but {expected} shards"));
            }
        }
        for (alias, collection) in &self.aliases {
            names::validate(alias).map_err(|error| error.to_string())?;
            if self.collections.contains_key(alias) {
                return Err(format!("alias {alias:?} is the name of a collection"));
            }
            if !self.collections.contains_key(collection) {
                return Err(format!("alias {alias:?} points to the collection {collection:?}, which does not exist"));
            }
        }
        let mut seen = HashSet::new();
        match self.shard_dirs().find(|dir| !seen.insert(*dir) || *dir >= self.next_shard_dir) {
            Some(dir) => Err(format!("shard directory {dir} is used twice or not below the next id {}", self.next_shard_dir)),
            None => Ok(()),
        }
    }
}

/// Publishes a generation after checking its rules.
pub(crate) fn write(fs: &dyn Fs, dir: &Path, catalog: &Catalog) -> Result<(), PublishError> {
    if let Err(rule) = catalog.check() {
        return Err(PublishError::NotPublished(std::io::Error::other(format!("the next catalog breaks a rule: {rule}"))));
    }
    document::write(fs, dir, MAGIC, catalog.generation, catalog)
}

/// The newest catalog in `dir`, or `None` if there is none at all. What it replaced is removed.
pub(crate) fn recover(fs: &dyn Fs, dir: &Path) -> Result<Option<Catalog>> {
    document::recover(fs, dir, MAGIC)?.map(|found| checked(dir, found)).transpose()
}

/// The newest catalog in `dir`, or `None` if there is none at all. Changes nothing, and another process may.
pub(crate) fn newest(fs: &dyn Fs, dir: &Path) -> Result<Option<Catalog>> {
    document::newest(fs, dir, MAGIC)?.map(|found| checked(dir, found)).transpose()
}

/// A catalog that was read, if it keeps its rules.
fn checked(dir: &Path, (generation, catalog): (Generation, Catalog)) -> Result<Catalog> {
    let rule =
        if catalog.generation == generation { catalog.check() } else { Err(format!("the name says generation {generation}")) };
    match rule {
        Ok(()) => Ok(catalog),
        Err(rule) => Err(Error::Invariant { what: format!("{dir:?}"), generation, rule }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DenseParams, Distance};

    fn catalog() -> Catalog {
        let config = CollectionConfig {
            shard_number: 2,
            vectors: BTreeMap::from([(String::new(), DenseParams::new(4, Distance::Dot))]),
            sparse_vectors: BTreeMap::new(),
            settings: serde_json::Value::Null,
        };
        let collection =
            CatalogCollection { config, payload_schema: BTreeMap::new(), shards: vec![ShardDirId(1), ShardDirId(2)] };
        Catalog {
            generation: Generation(2),
            next_shard_dir: ShardDirId(3),
            collections: BTreeMap::from([("c".to_owned(), collection)]),
            aliases: BTreeMap::from([("a".to_owned(), "c".to_owned())]),
        }
    }

    #[test]
    fn each_broken_rule_is_found() {
        assert_eq!(catalog().check(), Ok(()));
        type Damage = fn(&mut Catalog);
        let breaks: [(&str, Damage); 6] = [
            ("shadow", |catalog| drop(catalog.aliases.insert("c".into(), "c".into()))),
            ("dangling", |catalog| drop(catalog.aliases.insert("b".into(), "d".into()))),
            ("shards", |catalog| catalog.collections.values_mut().for_each(|collection| collection.shards.truncate(1))),
            ("twice", |catalog| catalog.collections.values_mut().for_each(|collection| collection.shards[1] = ShardDirId(1))),
            ("next", |catalog| catalog.next_shard_dir = ShardDirId(2)),
            ("name", |catalog| {
                let collection = catalog.collections["c"].clone();
                let shards = vec![ShardDirId(3), ShardDirId(4)];
                catalog.next_shard_dir = ShardDirId(5);
                catalog.collections.insert("..".into(), CatalogCollection { shards, ..collection });
            }),
        ];
        for (name, damage) in breaks {
            let mut catalog = catalog();
            damage(&mut catalog);
            assert!(catalog.check().is_err(), "{name}");
        }
    }
}
