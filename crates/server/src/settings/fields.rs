//! The fields that are known, and the type of each.
//!
//! A value is checked for its type, because clients refuse a description of a collection that breaks their models, and then kept
//! as it was given, without its nulls and without fields that nobody knows. What the values mean is nobody's concern here.

use serde_json::{Map, Value};

use super::SettingsError;

/// What a field may hold; null is "not given" everywhere.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Bool,
    /// An unsigned integer.
    Count,
    /// An unsigned integer that is not 0.
    Positive,
    /// Any number.
    Number,
    /// An unsigned integer or `"auto"`.
    Threads,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An object of such fields.
    Object(&'static [Field]),
    /// An object of anything.
    Free,
    /// An object of exactly one of such fields.
    OneOf(&'static [Field]),
}

/// A known field.
pub(crate) type Field = (&'static str, Kind);

const DATATYPE: Kind = Kind::Word(&["float32", "float16", "uint8", "turbo4", "turbo8", "turbo16"]);

const MEMORY: Kind = Kind::Word(&["cold", "cached", "pinned"]);

/// `hnsw_config`, of a collection or a vector.
pub(crate) const HNSW: Kind = Kind::Object(&[
    ("m", Kind::Count),
    ("ef_construct", Kind::Count),
    ("full_scan_threshold", Kind::Count),
    ("max_indexing_threads", Kind::Count),
    ("on_disk", Kind::Bool),
    ("memory", MEMORY),
    ("payload_m", Kind::Count),
    ("inline_storage", Kind::Bool),
]);

/// `quantization_config`, of a collection or a vector.
pub(crate) const QUANTIZATION: Kind = Kind::OneOf(&[
    (
        "scalar",
        Kind::Object(&[
            ("type", Kind::Word(&["int8"])),
            ("quantile", Kind::Number),
            ("always_ram", Kind::Bool),
            ("memory", MEMORY),
        ]),
    ),
    (
        "product",
        Kind::Object(&[
            ("compression", Kind::Word(&["x4", "x8", "x16", "x32", "x64"])),
            ("always_ram", Kind::Bool),
            ("memory", MEMORY),
        ]),
    ),
    ("binary", Kind::Free),
    ("turbo", Kind::Free),
]);

/// `optimizers_config`.
const OPTIMIZERS: Kind = Kind::Object(&[
    ("deleted_threshold", Kind::Number),
    ("vacuum_min_vector_number", Kind::Count),
    ("default_segment_number", Kind::Count),
    ("max_segment_size", Kind::Count),
    ("memmap_threshold", Kind::Count),
    ("indexing_threshold", Kind::Count),
    ("flush_interval_sec", Kind::Count),
    ("max_optimization_threads", Kind::Threads),
    ("prevent_unoptimized", Kind::Bool),
]);

/// What a collection may be created with besides its vectors and shards.
pub(crate) const COLLECTION: &[Field] = &[
    ("replication_factor", Kind::Positive),
    ("write_consistency_factor", Kind::Positive),
    ("on_disk_payload", Kind::Bool),
    ("payload", Kind::Object(&[("memory", MEMORY)])),
    ("id_tracker", Kind::Object(&[("memory", MEMORY)])),
    ("hnsw_config", HNSW),
    (
        "wal_config",
        Kind::Object(&[
            ("wal_capacity_mb", Kind::Count),
            ("wal_segments_ahead", Kind::Count),
            ("wal_retain_closed", Kind::Count),
        ]),
    ),
    ("optimizers_config", OPTIMIZERS),
    ("quantization_config", QUANTIZATION),
    ("strict_mode_config", Kind::Free),
    ("metadata", Kind::Free),
];

/// What a vector may be created with besides its size and distance.
pub(crate) const VECTOR: &[Field] = &[
    ("hnsw_config", HNSW),
    ("quantization_config", QUANTIZATION),
    ("on_disk", Kind::Bool),
    ("memory", MEMORY),
    ("datatype", DATATYPE),
    ("multivector_config", Kind::Object(&[("comparator", Kind::Word(&["max_sim"]))])),
];

/// What a sparse vector may be created and updated with.
pub(crate) const SPARSE_VECTOR: &[Field] = &[
    (
        "index",
        Kind::Object(&[
            ("full_scan_threshold", Kind::Count),
            ("on_disk", Kind::Bool),
            ("memory", MEMORY),
            ("datatype", DATATYPE),
        ]),
    ),
    ("modifier", Kind::Word(&["none", "idf"])),
];

/// What of a vector may be updated, besides its quantization.
pub(crate) const VECTOR_UPDATE: &[Field] = &[("hnsw_config", HNSW), ("on_disk", Kind::Bool), ("memory", MEMORY)];

/// What of the parameters of a collection may be updated.
pub(crate) const PARAMS_UPDATE: &[Field] = &[
    ("replication_factor", Kind::Positive),
    ("write_consistency_factor", Kind::Positive),
    ("read_fan_out_factor", Kind::Count),
    ("read_fan_out_delay_ms", Kind::Count),
    ("on_disk_payload", Kind::Bool),
    ("payload", Kind::Object(&[("memory", MEMORY)])),
    ("id_tracker", Kind::Object(&[("memory", MEMORY)])),
];

/// What else of a collection may be updated, besides its quantization.
pub(crate) const COLLECTION_UPDATE: &[Field] =
    &[("hnsw_config", HNSW), ("optimizers_config", OPTIMIZERS), ("strict_mode_config", Kind::Free)];

/// The known fields of `object`, checked; errors name the field below `path`.
pub(crate) fn keep(object: &Map<String, Value>, fields: &[Field], path: &str) -> Result<Map<String, Value>, SettingsError> {
    let mut kept = Map::new();
    for (name, kind) in fields {
        if let Some(value) = object.get(*name).filter(|value| !value.is_null()) {
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            kept.insert((*name).to_owned(), check(value, *kind, &path)?);
        }
    }
    Ok(kept)
}

fn check(value: &Value, kind: Kind, path: &str) -> Result<Value, SettingsError> {
    let refuse = |expected: &str| Err(SettingsError::of_type(path, format!("invalid value {value}, expected {expected}")));
    match (kind, value) {
        (Kind::Bool, Value::Bool(_)) | (Kind::Number, Value::Number(_)) => Ok(value.clone()),
        (Kind::Positive, Value::Number(number)) if number.as_u64() == Some(0) => {
            Err(SettingsError::of_bound(path, "value 0 invalid, must be 1 or larger"))
        }
        (Kind::Count | Kind::Positive | Kind::Threads, Value::Number(number)) if number.is_u64() => Ok(value.clone()),
        (Kind::Threads, Value::String(word)) if word == "auto" => Ok(value.clone()),
        (Kind::Word(words), Value::String(word)) if words.contains(&word.as_str()) => Ok(value.clone()),
        (Kind::Object(fields), Value::Object(object)) => keep(object, fields, path).map(Value::Object),
        (Kind::Free, Value::Object(_)) => Ok(value.clone()),
        (Kind::OneOf(fields), Value::Object(object)) => {
            let kept = keep(object, fields, path)?;
            if kept.len() == 1 { Ok(Value::Object(kept)) } else { refuse(&format!("one of {}", names(fields))) }
        }
        (Kind::Bool, _) => refuse("a boolean"),
        (Kind::Count | Kind::Positive, _) => refuse("an unsigned integer"),
        (Kind::Number, _) => refuse("a number"),
        (Kind::Threads, _) => refuse("an unsigned integer or \"auto\""),
        (Kind::Word(words), _) => refuse(&format!("one of {}", words.join(", "))),
        (Kind::Object(_) | Kind::Free | Kind::OneOf(_), _) => refuse("an object"),
    }
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keep_json(value: Value) -> Result<Value, SettingsError> {
        let Value::Object(object) = value else { panic!("an object") };
        keep(&object, COLLECTION, "").map(Value::Object)
    }

    #[test]
    fn known_fields_are_kept_without_their_nulls() {
        let kept = keep_json(json!({
            "hnsw_config": {"m": 8, "ef_construct": null, "invented": 1},
            "optimizers_config": {"max_optimization_threads": "auto", "deleted_threshold": 0.5},
            "quantization_config": {"scalar": {"type": "int8", "quantile": 0.99}, "product": null},
            "metadata": {"a": null},
            "wal_config": null,
            "timeout": 3,
        }));
        assert_eq!(
            kept,
            Ok(json!({
                "hnsw_config": {"m": 8},
                "optimizers_config": {"max_optimization_threads": "auto", "deleted_threshold": 0.5},
                "quantization_config": {"scalar": {"type": "int8", "quantile": 0.99}},
                "metadata": {"a": null},
            }))
        );
    }

    #[test]
    fn values_of_other_types_are_refused_by_name() {
        let cases = [
            (json!({"hnsw_config": {"m": "8"}}), "hnsw_config.m: "),
            (json!({"hnsw_config": {"m": -1}}), "hnsw_config.m: "),
            (json!({"hnsw_config": []}), "hnsw_config: "),
            (json!({"on_disk_payload": 1}), "on_disk_payload: "),
            (json!({"replication_factor": "1"}), "replication_factor: "),
            (json!({"quantization_config": {}}), "quantization_config: "),
            (json!({"quantization_config": {"scalar": {"type": "int4"}}}), "quantization_config.scalar.type: "),
            (json!({"optimizers_config": {"max_optimization_threads": "all"}}), "optimizers_config.max_optimization_threads: "),
        ];
        for (given, place) in cases {
            let error = keep_json(given.clone()).expect_err(&given.to_string());
            assert!(matches!(error, SettingsError::Type { .. }) && error.to_string().starts_with(place), "{error}");
        }
    }

    #[test]
    fn what_is_counted_from_one_is_not_nothing() {
        let error = keep_json(json!({"replication_factor": 0})).unwrap_err();
        assert!(matches!(error, SettingsError::Bound { .. }), "{error}");
        assert!(keep_json(json!({"replication_factor": 1})).is_ok());
    }
}
