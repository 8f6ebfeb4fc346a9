//! From the body of an update request to changes of the settings of a collection.
//!
//! Whatever is given goes over what is kept, field by field; what is not given stays. Nothing of it is the engine's: vectors neither
//! appear nor vanish nor change their kind here.

use icecore_storage::Error;
use icecore_storage::config::CollectionConfig;
use serde_json::{Map, Value};

use super::collection_config::given;
use crate::http::envelope::{ApiError, ApiResult};
use crate::settings::fields::{self as known, Field};
use crate::settings::{SPARSE_VECTORS, VECTORS, bounds};

/// The field of the quantization, which can be taken away as well as changed.
const QUANTIZATION: &str = "quantization_config";

/// The value that takes the quantization away.
const DISABLED: &str = "Disabled";

/// A checked update.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Update {
    /// Of the collection.
    fields: Map<String, Value>,
    /// Of dense vectors, by name.
    vectors: Vec<(String, Map<String, Value>)>,
    /// Of sparse vectors, by name.
    sparse_vectors: Vec<(String, Map<String, Value>)>,
    /// Keys that are set; those that are null are removed.
    metadata: Map<String, Value>,
}

/// Reads the body of `PATCH /collections/{collection}`.
pub(super) fn parse(body: &Value) -> ApiResult<Update> {
    let body = object(body, "the body")?;
    let mut fields = known::keep(body, known::COLLECTION_UPDATE, "")?;
    if let Some(params) = given(body, "params") {
        fields.extend(known::keep(object(params, "params")?, known::PARAMS_UPDATE, "params")?);
    }
    fields.extend(quantization(body, "")?);
    let dense = |vector: &Map<String, Value>, path: &str| {
        let mut fields = known::keep(vector, known::VECTOR_UPDATE, path)?;
        fields.extend(quantization(vector, path)?);
        Ok(fields)
    };
    let metadata = given(body, "metadata").map(|value| object(value, "metadata")).transpose()?;
    Ok(Update {
        fields,
        vectors: by_name(body, VECTORS, dense)?,
        sparse_vectors: by_name(body, SPARSE_VECTORS, |vector, path| Ok(known::keep(vector, known::SPARSE_VECTOR, path)?))?,
        metadata: metadata.cloned().unwrap_or_default(),
    })
}

fn object<'a>(value: &'a Value, path: &str) -> ApiResult<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| ApiError::format(format!("{path}: invalid type, expected an object")))
}

/// The quantization that is given; null for one that is to be taken away.
fn quantization(from: &Map<String, Value>, path: &str) -> ApiResult<Map<String, Value>> {
    const FIELDS: &[Field] = &[(QUANTIZATION, known::QUANTIZATION)];
    match given(from, QUANTIZATION) {
        Some(Value::String(word)) if word == DISABLED => Ok(Map::from_iter([(QUANTIZATION.to_owned(), Value::Null)])),
        _ => Ok(known::keep(from, FIELDS, path)?),
    }
}

type ByName = Vec<(String, Map<String, Value>)>;

fn by_name(
    body: &Map<String, Value>,
    field: &str,
    read: impl Fn(&Map<String, Value>, &str) -> ApiResult<Map<String, Value>>,
) -> ApiResult<ByName> {
    let Some(vectors) = given(body, field) else { return Ok(Vec::new()) };
    let vectors = object(vectors, field)?.iter();
    vectors
        .map(|(name, value)| {
            let path = format!("{field}.{name}");
            Ok((name.clone(), read(object(value, &path)?, &path)?))
        })
        .collect()
}

impl Update {
    /// Refuses an update of vectors that the collection has not.
    pub(super) fn check_names(&self, config: &CollectionConfig) -> ApiResult<()> {
        let dense = self.vectors.iter().filter(|(name, _)| !config.vectors.contains_key(name));
        let sparse = self.sparse_vectors.iter().filter(|(name, _)| !config.sparse_vectors.contains_key(name));
        match dense.chain(sparse).next() {
            Some((name, _)) => Err(Error::VectorName { name: name.clone() }.into()),
            None => Ok(()),
        }
    }

    /// Makes the changes; after an error the settings are not to be used.
    pub(super) fn apply(self, settings: &mut Value) -> ApiResult<()> {
        if !settings.is_object() {
            *settings = Value::Object(Map::new());
        }
        if let Value::Object(kept) = settings {
            merge(kept, self.fields);
            for (field, vectors) in [(VECTORS, self.vectors), (SPARSE_VECTORS, self.sparse_vectors)] {
                for (name, fields) in vectors.into_iter().filter(|(_, fields)| !fields.is_empty()) {
                    merge(child(child(kept, field), &name), fields);
                }
            }
            if !self.metadata.is_empty() {
                let metadata = child(kept, "metadata");
                metadata.extend(self.metadata);
                metadata.retain(|_, value| !value.is_null());
            }
        }
        Ok(bounds::check("parameters", settings)?)
    }
}

/// The object of a field, made if there is none.
fn child<'a>(object: &'a mut Map<String, Value>, field: &str) -> &'a mut Map<String, Value> {
    let value = object.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(fields) = value else { unreachable!("it has just been made an object") };
    fields
}

/// Puts `changes` over what is kept: objects of settings field by field, a quantization as a whole, null for nothing.
fn merge(kept: &mut Map<String, Value>, changes: Map<String, Value>) {
    for (name, change) in changes {
        match (kept.get_mut(&name), change) {
            (_, Value::Null) => drop(kept.remove(&name)),
            (Some(Value::Object(before)), Value::Object(change)) if name != QUANTIZATION => before.extend(change),
            (_, change) => drop(kept.insert(name, change)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::collection_config;
    use super::*;

    fn updated(create: Value, updates: &[Value]) -> Value {
        let mut config = collection_config::parse(&create).unwrap();
        for update in updates {
            let update = parse(update).unwrap();
            update.check_names(&config).unwrap();
            update.apply(&mut config.settings).unwrap();
        }
        config.settings
    }

    #[test]
    fn what_is_given_goes_over_what_is_kept() {
        let create = json!({
            "vectors": {"size": 4, "distance": "Dot", "hnsw_config": {"m": 8, "ef_construct": 50}},
            "sparse_vectors": {"t": {"modifier": "idf", "index": {"on_disk": false, "full_scan_threshold": 9}}, "u": {}},
            "hnsw_config": {"m": 16},
            "on_disk_payload": true,
            "metadata": {"a": 1, "b": {"x": 1}, "c": 3},
        });
        let update = json!({
            "vectors": {"": {"on_disk": true, "hnsw_config": {"m": 32}, "quantization_config": {"scalar": {"type": "int8"}}}},
            "sparse_vectors": {"t": {"index": {"on_disk": true}}, "u": {}},
            "params": {"on_disk_payload": false, "read_fan_out_factor": 2, "replication_factor": null},
            "hnsw_config": {"ef_construct": 200},
            "optimizers_config": {"indexing_threshold": 0},
            "strict_mode_config": {"enabled": true},
            "metadata": {"b": {"y": 2}, "c": null, "d": 4},
        });
        assert_eq!(
            updated(create, &[update]),
            json!({
                "vectors": {"": {
                    "on_disk": true,
                    "hnsw_config": {"m": 32, "ef_construct": 50},
                    "quantization_config": {"scalar": {"type": "int8"}},
                }},
                "sparse_vectors": {"t": {"modifier": "idf", "index": {"on_disk": true, "full_scan_threshold": 9}}},
                "on_disk_payload": false,
                "read_fan_out_factor": 2,
                "hnsw_config": {"m": 16, "ef_construct": 200},
                "optimizers_config": {"indexing_threshold": 0},
                "strict_mode_config": {"enabled": true},
                "metadata": {"a": 1, "b": {"y": 2}, "d": 4},
            })
        );
    }

    #[test]
    fn a_quantization_is_replaced_and_taken_away() {
        let create = json!({"quantization_config": {"scalar": {"type": "int8", "quantile": 0.9}}});
        let binary = json!({"quantization_config": {"binary": {"always_ram": true}}});
        assert_eq!(updated(create.clone(), std::slice::from_ref(&binary)), binary);
        assert_eq!(updated(create, &[binary, json!({"quantization_config": "Disabled"})]), json!({}));
        let vector = json!({"vectors": {"size": 1, "distance": "Dot", "quantization_config": {"scalar": {"type": "int8"}}}});
        let disabled = json!({"vectors": {"": {"quantization_config": "Disabled"}}});
        assert_eq!(updated(vector, &[disabled]), json!({"vectors": {"": {}}}));
    }

    #[test]
    fn an_update_of_nothing_changes_nothing() {
        let create = json!({"vectors": {"size": 1, "distance": "Dot"}, "hnsw_config": {"m": 8}});
        let nothing = json!({"vectors": {"": {}}, "params": {}, "hnsw_config": null, "metadata": {}, "invented": 1});
        assert_eq!(updated(create, &[json!({}), nothing]), json!({"hnsw_config": {"m": 8}}));
    }

    #[test]
    fn vectors_that_do_not_exist_are_refused() {
        let config =
            collection_config::parse(&json!({"vectors": {"size": 1, "distance": "Dot"}, "sparse_vectors": {"t": {}}})).unwrap();
        for update in [json!({"vectors": {"x": {}}}), json!({"vectors": {"t": {}}}), json!({"sparse_vectors": {"": {}}})] {
            let error = parse(&update).unwrap().check_names(&config).unwrap_err();
            assert_eq!(error.status.as_u16(), 400);
            assert!(error.message.starts_with("Wrong input: Not existing vector name error: "), "{}", error.message);
        }
    }

    #[test]
    fn values_of_other_types_are_refused_by_name() {
        for (update, status, part) in [
            (json!([]), 400, "the body"),
            (json!({"params": 1}), 400, "params: "),
            (json!({"params": {"replication_factor": 0}}), 422, "params.replication_factor"),
            (json!({"params": {"on_disk_payload": 1}}), 400, "params.on_disk_payload"),
            (json!({"vectors": {"": {"on_disk": "yes"}}}), 400, "vectors..on_disk"),
            (json!({"vectors": {"": 1}}), 400, "vectors."),
            (json!({"quantization_config": "Off"}), 400, "quantization_config"),
            (json!({"metadata": 1}), 400, "metadata"),
        ] {
            let error = parse(&update).unwrap_err();
            assert_eq!(error.status.as_u16(), status, "{update}: {}", error.message);
            assert!(error.message.contains(part), "{update}: {}", error.message);
        }
    }

    #[test]
    fn what_would_be_too_large_to_keep_is_refused() {
        let update = parse(&json!({"metadata": {"a": "a".repeat(1024 * 1024)}})).unwrap();
        assert_eq!(update.apply(&mut json!({})).unwrap_err().status.as_u16(), 422);
    }
}
