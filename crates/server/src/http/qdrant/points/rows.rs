//! Lengths of the lists that multi-vectors are made of.
//!
//! The storage keeps the numbers of a multi-vector without gaps: how many make one vector is the collection's. So the lists of a
//! request are compared with that before they are joined, and cut again when they are shown.

use std::collections::{BTreeMap, BTreeSet};

use icecore_storage::{CollectionConfig, Error, NamedVector, Select, Storage, WithVectors};

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

/// Reads points together with what it takes to show their multi-vectors.
///
/// A collection may be replaced between the two, so the read is repeated until it is of the collection that was asked.
pub(super) fn read<T>(
    storage: &Storage,
    collection: &str,
    select: &Select,
    read: impl Fn() -> icecore_storage::Result<T>,
) -> ApiResult<(T, RowLens)> {
    if select.vectors == WithVectors::None {
        return Ok((read()?, RowLens::new()));
    }
    let mut before = row_lens(&storage.info(collection)?.config);
    for _ in 0..READS_MAX {
        let found = read()?;
        let after = row_lens(&storage.info(collection)?.config);
        if before == after {
            return Ok((found, after));
        }
        before = after;
    }
    Err(Error::Busy { collection: collection.to_owned() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(name: &str, json: &str) -> ApiResult<RequestRows> {
        let mut rows = RequestRows::default();
        rows.take(name.into(), serde_json::from_str(json).unwrap()).map(|_| rows)
    }

    #[test]
    fn only_lists_of_lists_have_lengths() {
        for json in ["[1, 2]", "[]", r#"{"indices": [1], "values": [2]}"#] {
            assert_eq!(take("a", json), Ok(RequestRows::default()));
        }
        assert_eq!(take("a", "[[1, 2], [3, 4]]"), Ok(RequestRows(BTreeSet::from([("a".into(), 2)]))));
    }

    #[test]
    fn lists_of_different_lengths_are_invalid_and_named() {
        let error = take("a", "[[1, 2], [3]]").unwrap_err();
        assert_eq!(error.status.as_u16(), 422);
        assert!(error.message.contains("[vector.a: all vectors must have the same dimension"), "{}", error.message);
        assert!(take("", "[[]]").unwrap_err().message.contains("[vector: all vectors must be non-empty]"));
    }
}
