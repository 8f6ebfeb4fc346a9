//! What an archive says about a collection, held to the rules of requests.
//!
//! The storage takes any JSON for settings and index schemas: they are the server's. An archive of this server has what a request has
//! brought, so anything that no request could have brought was made by somebody else, and would make descriptions that clients
//! cannot read. It is refused, with the field, before anything is unpacked.

use std::collections::BTreeMap;

use icecore_storage::config::CollectionConfig;
use serde_json::{Map, Value};

use super::fields::{self, Field};
use super::{SPARSE_VECTORS, SettingsError, VECTORS, bounds, index};

/// Where the settings stand in an archive's description of a collection.
const SETTINGS: &str = "settings";

/// Where the index schemas stand there.
const SCHEMA: &str = "payload_schema";

/// Refuses settings and index schemas that no request could have brought; the error names the field.
pub(crate) fn check(config: &CollectionConfig, payload_schema: &BTreeMap<String, Value>) -> Result<(), SettingsError> {
    bounds::check(SETTINGS, &config.settings)?;
    match &config.settings {
        // Those of a collection that was made without a request.
        Value::Null => {}
        Value::Object(given) => check_settings(given, config)?,
        other => return Err(SettingsError::of_type(SETTINGS, format!("invalid value {other}, expected an object"))),
    }
    payload_schema.iter().try_for_each(|(name, schema)| check_schema(name, schema))
}

fn check_settings(given: &Map<String, Value>, config: &CollectionConfig) -> Result<(), SettingsError> {
    let mut kept = fields::keep(given, fields::COLLECTION, SETTINGS)?;
    kept.extend(fields::keep(given, fields::PARAMS_UPDATE, SETTINGS)?);
    let vectors = by_name(given, VECTORS, fields::VECTOR, |name, extra, path| {
        let params = config.vectors.get(name).ok_or_else(|| no_vector(path))?;
        match extra.get("datatype").and_then(Value::as_str) {
            Some(datatype) if datatype != params.datatype.name() => {
                let reason = format!("the vectors are {}, not {datatype}", params.datatype.name());
                return Err(SettingsError::of_type(&format!("{path}.datatype"), reason));
            }
            _ => {}
        }
        match extra.contains_key("multivector_config") && !params.multi {
            true => Err(SettingsError::of_type(&format!("{path}.multivector_config"), "a point has one vector of this name")),
            false => Ok(()),
        }
    })?;
    let sparse_vectors = by_name(given, SPARSE_VECTORS, fields::SPARSE_VECTOR, |name, _, path| {
        config.sparse_vectors.get(name).map(drop).ok_or_else(|| no_vector(path))
    })?;
    for (field, vectors) in [(VECTORS, vectors), (SPARSE_VECTORS, sparse_vectors)] {
        kept.extend(vectors.map(|vectors| (field.to_owned(), Value::Object(vectors))));
    }
    same(SETTINGS, &Value::Object(given.clone()), &Value::Object(kept))
}

/// What is kept of the settings of each vector, `None` if there are none; `fits` compares them with the vectors that there are.
fn by_name(
    settings: &Map<String, Value>,
    field: &str,
    known: &[Field],
    fits: impl Fn(&str, &Map<String, Value>, &str) -> Result<(), SettingsError>,
) -> Result<Option<Map<String, Value>>, SettingsError> {
    let path = format!("{SETTINGS}.{field}");
    let Some(given) = settings.get(field) else { return Ok(None) };
    let mut kept = Map::new();
    for (name, extra) in object(&path, given)? {
        let path = format!("{path}.{name}");
        let extra = fields::keep(object(&path, extra)?, known, &path)?;
        fits(name, &extra, &path)?;
        kept.insert(name.clone(), Value::Object(extra));
    }
    Ok(Some(kept))
}

fn object<'a>(path: &str, value: &'a Value) -> Result<&'a Map<String, Value>, SettingsError> {
    value.as_object().ok_or_else(|| SettingsError::of_type(path, format!("invalid value {value}, expected an object")))
}

fn no_vector(path: &str) -> SettingsError {
    SettingsError::of_type(path, "the collection has no such vector")
}

fn check_schema(name: &str, schema: &Value) -> Result<(), SettingsError> {
    bounds::check_field_name(SCHEMA, name)?;
    let path = format!("{SCHEMA}.{name}");
    bounds::check(&path, schema)?;
    same(&path, schema, &index::keep(&path, schema.clone())?)
}

/// Fails at the first field that would not have been kept as it is: an unknown one, or a null.
fn same(path: &str, given: &Value, kept: &Value) -> Result<(), SettingsError> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().try_for_each(|(name, value)| {
            let path = format!("{path}.{name}");
            match kept.get(name) {
                Some(kept) => same(&path, value, kept),
                None if value.is_null() => Err(SettingsError::of_type(&path, "null is never kept")),
                None => Err(SettingsError::of_type(&path, "the field is unknown")),
            }
        }),
        _ if given == kept => Ok(()),
        _ => Err(SettingsError::of_type(path, format!("invalid value {given}"))),
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::config::SparseParams;
    use icecore_storage::{Datatype, DenseParams, Distance};
    use serde_json::json;

    use super::*;

    fn config(settings: Value) -> CollectionConfig {
        let dense = DenseParams::new(4, Distance::Dot);
        CollectionConfig {
            shard_number: 1,
            vectors: BTreeMap::from([
                (String::new(), dense),
                ("half".to_owned(), DenseParams { datatype: Datatype::Float16, multi: true, ..dense }),
            ]),
            sparse_vectors: BTreeMap::from([("text".to_owned(), SparseParams {})]),
            settings,
        }
    }

    fn refused(settings: Value) -> String {
        check(&config(settings), &BTreeMap::new()).unwrap_err().to_string()
    }

    #[test]
    fn what_requests_bring_is_taken() {
        for settings in [
            Value::Null,
            json!({}),
            json!({
                "hnsw_config": {"m": 8},
                "replication_factor": 1,
                "read_fan_out_factor": 2,
                "metadata": {"a": null, "b": [{"c": null}]},
                "quantization_config": {"binary": {"invented": 1}},
                "vectors": {"": {"on_disk": true, "datatype": "float32"}, "half": {
                    "datatype": "float16", "multivector_config": {"comparator": "max_sim"}}},
                "sparse_vectors": {"text": {"modifier": "idf"}},
            }),
        ] {
            let schema = BTreeMap::from([("a".to_owned(), json!("uuid")), ("b".to_owned(), json!({"type": "text"}))]);
            assert_eq!(check(&config(settings), &schema), Ok(()));
        }
    }

    #[test]
    fn what_no_request_brings_is_refused_by_its_field() {
        let cases = [
            (json!([]), "settings: "),
            (json!({"invented": 1}), "settings.invented: the field is unknown"),
            (json!({"hnsw_config": null}), "settings.hnsw_config: null is never kept"),
            (json!({"hnsw_config": {"m": "8"}}), "settings.hnsw_config.m: "),
            (json!({"hnsw_config": {"invented": 1}}), "settings.hnsw_config.invented: "),
            (json!({"replication_factor": 0}), "settings.replication_factor: value 0"),
            (json!({"vectors": []}), "settings.vectors: "),
            (json!({"vectors": {"": 1}}), "settings.vectors.: "),
            (json!({"vectors": {"half": {"size": 7}}}), "settings.vectors.half.size: the field is unknown"),
            (json!({"vectors": {"half": {"datatype": "uint8"}}}), "settings.vectors.half.datatype: the vectors are float16"),
            (
                json!({"vectors": {"": {"multivector_config": {"comparator": "max_sim"}}}}),
                "settings.vectors..multivector_config: ",
            ),
            (json!({"vectors": {"none": {}}}), "settings.vectors.none: "),
            (json!({"sparse_vectors": {"": {}}}), "settings.sparse_vectors.: "),
            (json!({"metadata": {"a": "x".repeat(2 << 20)}}), "settings: value invalid"),
        ];
        for (settings, place) in cases {
            let error = refused(settings);
            assert!(error.starts_with(place), "{error}");
        }
    }

    #[test]
    fn schemas_that_no_request_brings_are_refused_by_their_field() {
        let cases = [
            ("a", json!("json"), "payload_schema.a: unknown type"),
            ("a", json!(null), "payload_schema.a: unknown type"),
            ("a", json!({"type": "text", "stemmer": null}), "payload_schema.a.stemmer: null is never kept"),
            ("", json!("uuid"), "payload_schema: value invalid"),
        ];
        for (name, schema, place) in cases {
            let error = check(&config(json!({})), &BTreeMap::from([(name.to_owned(), schema)])).unwrap_err().to_string();
            assert!(error.starts_with(place), "{error}");
        }
    }
}
