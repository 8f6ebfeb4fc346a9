//! The configuration of a collection: what the engine itself needs, and the caller's own settings kept as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most shards that a collection may have.
pub const SHARD_NUMBER_MAX: u32 = 1024;
/// The longest dense vector, in components (source: Qdrant's limit).
pub const VECTOR_SIZE_MAX: usize = 65_536;
/// The longest name of a vector, in bytes.
pub const VECTOR_NAME_LEN_MAX: usize = 255;

/// The most arrays and objects inside each other in the caller's settings and in an index schema, so that the catalog and the
/// manifests of archives, which have them inside theirs, can be read back.
pub const SETTINGS_DEPTH_MAX: usize = 48;

/// How two vectors are compared. The engine only cares for `Cosine`, whose vectors are stored normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distance {
    /// Cosine similarity.
    Cosine,
    /// Euclidean distance.
    Euclid,
    /// Dot product.
    Dot,
    /// Manhattan (L1) distance.
    Manhattan,
}

/// The parameters of one named (or the unnamed) dense vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseParams {
    /// Components of each vector, 1 to [`VECTOR_SIZE_MAX`].
    pub size: usize,
    /// How vectors are compared.
    pub distance: Distance,
}

/// What a collection is created with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionConfig {
    /// Shards that the points are spread over, 1 to [`SHARD_NUMBER_MAX`].
    pub shard_number: u32,
    /// The vectors that a point may have, by name; `""` is the unnamed one.
    pub vectors: BTreeMap<String, DenseParams>,
    /// Belongs to the caller: stored, archived and given back unchanged.
    pub settings: serde_json::Value,
}

impl CollectionConfig {
    /// Checks every bound; the error names the field.
    pub fn validate(&self) -> Result<()> {
        let invalid = |field: String, reason: String| Err(Error::InvalidConfig { field, reason });
        if !(1..=SHARD_NUMBER_MAX).contains(&self.shard_number) {
            return invalid(
                "shard_number".into(),
                format!("value {} invalid, must be from 1 to {SHARD_NUMBER_MAX}", self.shard_number),
            );
        }
        for (name, params) in &self.vectors {
            let field = if name.is_empty() { "vectors".to_owned() } else { format!("vectors.{name}") };
            if !(1..=VECTOR_SIZE_MAX).contains(&params.size) {
                return invalid(
                    format!("{field}.size"),
                    format!("value {} invalid, must be from 1 to {VECTOR_SIZE_MAX}", params.size),
                );
            }
            if name.len() > VECTOR_NAME_LEN_MAX {
                return invalid(field, format!("the name has {} bytes, more than {VECTOR_NAME_LEN_MAX}", name.len()));
            }
        }
        check_depth("settings", &self.settings)
    }
}

/// Refuses JSON that is nested too deeply to be kept.
pub(crate) fn check_depth(field: &str, value: &serde_json::Value) -> Result<()> {
    // Level by level, because the depth may be too much for a recursion.
    let mut level = vec![value];
    for _ in 0..=SETTINGS_DEPTH_MAX {
        if level.is_empty() {
            return Ok(());
        }
        level = level
            .into_iter()
            .flat_map(|value| -> Box<dyn Iterator<Item = &serde_json::Value>> {
                match value {
                    serde_json::Value::Array(list) => Box::new(list.iter()),
                    serde_json::Value::Object(map) => Box::new(map.values()),
                    _ => Box::new(std::iter::empty()),
                }
            })
            .collect();
    }
    if level.is_empty() {
        return Ok(());
    }
    let reason = format!("it is nested more than {SETTINGS_DEPTH_MAX} levels deep");
    Err(Error::InvalidConfig { field: field.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_no_archive_could_hold_are_refused() {
        let nested = |levels| (0..levels).fold(serde_json::Value::Null, |value, _| serde_json::json!([value]));
        assert!(check_depth("settings", &nested(SETTINGS_DEPTH_MAX)).is_ok());
        assert!(check_depth("settings", &nested(SETTINGS_DEPTH_MAX + 1)).is_err());
    }
}
