//! Lengths of the lists that multi-vectors are made of.
//!
//! The storage keeps the numbers of a multi-vector without gaps: how many make one vector is the collection's. So the lists of a
//! request are compared with that before they are joined, and cut again when they are shown.

use std::collections::{BTreeMap, BTreeSet};

use icecore_storage::{CollectionConfig, Error, NamedVector, Record, Storage, Vector};

use super::vector::{AnyVector, Shape};
use crate::http::envelope::{ApiError, ApiResult};

/// How often a read is done again because the collection was replaced by one with other vectors.
const READS_MAX: usize = 8;

/// The lengths that occur in a request, by the names of the vectors.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RequestRows(BTreeSet<(String, usize)>);

impl RequestRows {
    /// Takes a vector as the storage takes it, and notes the length of its lists.
    pub(super) fn take(&mut self, name: String, vector: AnyVector) -> ApiResult<NamedVector> {
        match vector.shape {
            Shape::Flat => {}
            Shape::Rows(len) => drop(self.0.insert((name.clone(), len))),
            Shape::Broken(reason) => {
                let field = if name.is_empty() { "vector".to_owned() } else { format!("vector.{name}") };
                return Err(ApiError::invalid("JSON body", &field, reason));
            }
        }
        Ok(NamedVector { name, vector: vector.vector })
    }

    /// Refuses a request whose lists have other lengths than the vectors of the collection. Vectors of other kinds are the storage's
    /// to refuse.
    pub(super) fn check(&self, storage: &Storage, collection: &str) -> ApiResult<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let config = storage.info(collection)?.config;
        for (name, actual) in &self.0 {
            if let Some(params) = config.vectors.get(name).filter(|params| params.multi && params.size != *actual) {
                return Err(Error::VectorDimension { name: name.clone(), expected: params.size, actual: *actual }.into());
            }
        }
        Ok(())
    }
}

/// The length of each vector of the multi-vectors of a collection, by name.
pub(super) type RowLens = BTreeMap<String, usize>;

fn row_lens(config: &CollectionConfig) -> RowLens {
    let multi = config.vectors.iter().filter(|(_, params)| params.multi);
    multi.map(|(name, params)| (name.clone(), params.size)).collect()
}

/// Reads records together with what it takes to show their multi-vectors; `records` are those of what was read.
///
/// A collection may be replaced between the two, so the read is repeated until both are of the same.
pub(super) fn read<T>(
    storage: &Storage,
    collection: &str,
    read: impl Fn() -> icecore_storage::Result<T>,
    records: impl Fn(&T) -> &[Record],
) -> ApiResult<(T, RowLens)> {
    let mut before = None;
    for _ in 0..READS_MAX {
        let found = read()?;
        if !records(&found).iter().any(has_multi) {
            return Ok((found, RowLens::new()));
        }
        // The first read has nothing before it, so that reads without multi-vectors never ask.
        let after = row_lens(&storage.info(collection)?.config);
        if before.as_ref() == Some(&after) {
            return Ok((found, after));
        }
        before = Some(after);
    }
    Err(Error::Busy { collection: collection.to_owned() }.into())
}

fn has_multi(record: &Record) -> bool {
    record.vectors.iter().any(|named| matches!(named.vector, Vector::Multi(_)))
}
