//! The configuration of a collection: what the engine itself needs, and the caller's own settings kept as they are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::vector::Datatype;

/// The most shards that a collection may have.
pub const SHARD_NUMBER_MAX: u32 = 1024;
/// The longest dense vector, in components (source: Qdrant's limit).
pub const VECTOR_SIZE_MAX: usize = 65_536;
/// The most vectors of all kinds that a collection may have. Each takes whole pages and a place in the footer of every segment: with
/// enough of them no segment could be written any more.
pub const VECTORS_MAX: usize = 1024;
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

/// The parameters of one named (or the unnamed) dense vector, or of a multi-vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseParams {
    /// Components of each vector, 1 to [`VECTOR_SIZE_MAX`].
    pub size: usize,
    /// How vectors are compared.
    pub distance: Distance,
    /// What components are stored as.
    #[serde(default, skip_serializing_if = "is_default")]
    pub datatype: Datatype,
    /// Whether a point has several vectors of this name, each of `size` components.
    #[serde(default, skip_serializing_if = "is_default")]
    pub multi: bool,
}

impl DenseParams {
    /// One vector of 32-bit floats.
    pub fn new(size: usize, distance: Distance) -> Self {
        Self { size, distance, datatype: Datatype::Float32, multi: false }
    }
}

/// The parameters of one named sparse vector. There are none yet that the engine needs: indices are any `u32`, values any `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SparseParams {}

/// What a collection is created with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionConfig {
    /// Shards that the points are spread over, 1 to [`SHARD_NUMBER_MAX`].
    pub shard_number: u32,
    /// The vectors that a point may have, by name; `""` is the unnamed one.
    pub vectors: BTreeMap<String, DenseParams>,
    /// The sparse vectors that a point may have, by name; none is unnamed, and none has the name of one of `vectors`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sparse_vectors: BTreeMap<String, SparseParams>,
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
        let vectors = self.vectors.len() + self.sparse_vectors.len();
        if vectors > VECTORS_MAX {
            return invalid("vectors".into(), format!("a collection has at most {VECTORS_MAX} vectors, not {vectors}"));
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
                return invalid(field, name_too_long(name));
            }
        }
        for name in self.sparse_vectors.keys() {
            let field = if name.is_empty() { "sparse_vectors".to_owned() } else { format!("sparse_vectors.{name}") };
            if name.is_empty() {
                return invalid(field, "a sparse vector must have a name".into());
            }
            if name.len() > VECTOR_NAME_LEN_MAX {
                return invalid(field, name_too_long(name));
            }
            if self.vectors.contains_key(name) {
                return invalid(field, "a dense vector has this name as well".into());
            }
        }
        check_depth("settings", &self.settings)
    }

    /// Whether an archive of a collection with the configuration `theirs` can take the place of data with this one: the vectors and
    /// the number of shards have to be equal. The caller's settings may differ.
    pub(crate) fn check_alike(&self, theirs: &Self) -> Result<()> {
        let json = |vectors: serde_json::Result<String>| vectors.unwrap_or_default();
        let reason = if self.vectors != theirs.vectors {
            let (ours, theirs) = (json(serde_json::to_string(&self.vectors)), json(serde_json::to_string(&theirs.vectors)));
            format!("Collection vectors: {ours} Snapshot Vectors: {theirs}")
        } else if self.sparse_vectors != theirs.sparse_vectors {
            let names = |config: &Self| config.sparse_vectors.keys().cloned().collect::<Vec<_>>();
            format!("Collection sparse vectors: {:?} Snapshot sparse vectors: {:?}", names(self), names(theirs))
        } else if self.shard_number != theirs.shard_number {
            format!("Collection shard number: {} Snapshot shard number: {}", self.shard_number, theirs.shard_number)
        } else {
            return Ok(());
        };
        Err(Error::Incompatible { reason })
    }

    /// Whether points may have a vector of this name, dense or sparse.
    pub fn has_vector(&self, name: &str) -> bool {
        self.vectors.contains_key(name) || self.sparse_vectors.contains_key(name)
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

fn name_too_long(name: &str) -> String {
    format!("the name has {} bytes, more than {VECTOR_NAME_LEN_MAX}", name.len())
}

/// What is as it was before the field existed is not written, so that old configurations keep their text.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(vectors: &[(&str, DenseParams)], sparse: &[&str]) -> CollectionConfig {
        CollectionConfig {
            shard_number: 1,
            vectors: vectors.iter().map(|(name, params)| ((*name).to_owned(), *params)).collect(),
            sparse_vectors: sparse.iter().map(|name| ((*name).to_owned(), SparseParams {})).collect(),
            settings: Value::Null,
        }
    }

    fn dense(size: usize) -> DenseParams {
        DenseParams::new(size, Distance::Dot)
    }

    #[test]
    fn the_text_of_what_is_not_used_does_not_change() {
        let json = json!({"shard_number": 1, "vectors": {"": {"size": 4, "distance": "Dot"}}, "settings": null});
        assert_eq!(serde_json::to_value(config(&[("", dense(4))], &[])).unwrap(), json);
        assert_eq!(serde_json::from_value::<CollectionConfig>(json).unwrap(), config(&[("", dense(4))], &[]));

        let multi = DenseParams { datatype: Datatype::Uint8, multi: true, ..dense(4) };
        let params = json!({"size": 4, "distance": "Dot", "datatype": "uint8", "multi": true});
        let json = json!({"shard_number": 1, "vectors": {"m": params}, "sparse_vectors": {"s": {}}, "settings": null});
        assert_eq!(serde_json::to_value(config(&[("m", multi)], &["s"])).unwrap(), json);
        assert_eq!(serde_json::from_value::<CollectionConfig>(json).unwrap(), config(&[("m", multi)], &["s"]));
    }

    #[test]
    fn parameters_that_are_not_known_are_refused() {
        assert!(serde_json::from_value::<SparseParams>(json!({})).is_ok());
        assert!(serde_json::from_value::<SparseParams>(json!({"modifier": "idf"})).is_err());
        assert!(serde_json::from_value::<DenseParams>(json!({"size": 1, "distance": "Dot", "datatype": "int4"})).is_err());
    }

    #[test]
    fn names_of_sparse_vectors_are_checked() {
        let field = |config: CollectionConfig| match config.validate() {
            Ok(()) => None,
            Err(Error::InvalidConfig { field, .. }) => Some(field),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(field(config(&[("", dense(1)), ("a", dense(1))], &["b"])), None);
        assert_eq!(field(config(&[], &["b", &"x".repeat(VECTOR_NAME_LEN_MAX)])), None);
        assert_eq!(field(config(&[], &[""])).as_deref(), Some("sparse_vectors"));
        assert_eq!(field(config(&[("a", dense(1))], &["a"])).as_deref(), Some("sparse_vectors.a"));
        let long = "x".repeat(VECTOR_NAME_LEN_MAX + 1);
        assert_eq!(field(config(&[], &[&long])), Some(format!("sparse_vectors.{long}")));
        assert_eq!(field(config(&[(&long, dense(1))], &[])), Some(format!("vectors.{long}")));
    }

    #[test]
    fn there_are_only_so_many_vectors() {
        let names: Vec<String> = (0..VECTORS_MAX).map(|number| number.to_string()).collect();
        let dense_ones: Vec<(&str, DenseParams)> = names.iter().map(|name| (name.as_str(), dense(1))).collect();
        assert!(config(&dense_ones, &[]).validate().is_ok());
        for too_many in
            [config(&dense_ones, &["s"]), config(&[("d", dense(1))], &names.iter().map(String::as_str).collect::<Vec<_>>())]
        {
            assert!(matches!(too_many.validate(), Err(Error::InvalidConfig { field, .. }) if field == "vectors"));
        }
    }

    #[test]
    fn settings_that_no_archive_could_hold_are_refused() {
        let nested = |levels| (0..levels).fold(Value::Null, |value, _| json!([value]));
        assert!(check_depth("settings", &nested(SETTINGS_DEPTH_MAX)).is_ok());
        assert!(check_depth("settings", &nested(SETTINGS_DEPTH_MAX + 1)).is_err());
    }
}
