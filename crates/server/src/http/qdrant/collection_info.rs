//! The description of a collection, complete enough for the strict models of Qdrant's clients.
//!
//! Required fields that were not given at creation get Qdrant's defaults. Numbers of points and segments are the engine's.

use icecore_storage::{CollectionInfo, Datatype, DenseParams};
use serde_json::{Map, Value, json};

use crate::settings::{SPARSE_VECTORS, VECTORS, fields};

/// The result of `GET /collections/{collection}`. `stuck` says that points cannot be moved from memory to the disk.
pub(crate) fn render(info: &CollectionInfo, stuck: bool) -> Value {
    let settings = &info.config.settings;
    let points: u64 = info.shards.iter().map(|shard| shard.points).sum();
    let segments: u64 = info.shards.iter().map(|shard| shard.segments).sum();
    let poisoned = info.shards.iter().find_map(|shard| {
        shard.poisoned.as_ref().map(|_| format!("shard {} takes no more writes since a failure", shard.number))
    });
    let stuck = stuck.then(|| "points cannot be moved from memory to the disk; the server's log says why".to_owned());
    let (status, optimizer_status) = match poisoned.or(stuck) {
        None => ("green", json!("ok")),
        Some(reason) => ("red", json!({ "error": reason })),
    };
    let mut config = json!({
        "params": params(info),
        "hnsw_config": merged(json!({
            "m": 16,
            "ef_construct": 100,
            "full_scan_threshold": 10_000,
            "max_indexing_threads": 0,
            "on_disk": false,
        }), settings.get("hnsw_config")),
        "optimizer_config": optimizer_config(settings.get("optimizers_config")),
        "wal_config": merged(json!({
            "wal_capacity_mb": 32,
            "wal_segments_ahead": 0,
            "wal_retain_closed": 1,
        }), settings.get("wal_config")),
        "quantization_config": settings.get("quantization_config"),
    });
    for field in ["strict_mode_config", "metadata"] {
        if let Some(value) = settings.get(field) {
            config[field] = value.clone();
        }
    }
    json!({
        "status": status,
        "optimizer_status": optimizer_status,
        // Nothing waits for an index: every point that was written is found.
        "indexed_vectors_count": points,
        "points_count": points,
        "segments_count": segments,
        "config": config,
        "payload_schema": payload_schema(info, points),
    })
}

fn params(info: &CollectionInfo) -> Value {
    let kept = &info.config.settings;
    let vector = |name: &str, params: &DenseParams| {
        let mut own = json!({"size": params.size, "distance": params.distance});
        if params.datatype != Datatype::Float32 {
            own["datatype"] = json!(params.datatype.name());
        }
        if params.multi {
            own["multivector_config"] = json!({"comparator": "max_sim"});
        }
        merged(own, kept.get(VECTORS).and_then(|vectors| vectors.get(name)))
    };
    let vectors = &info.config.vectors;
    let rendered = match vectors.get("") {
        Some(params) if vectors.len() == 1 => vector("", params),
        _ => Value::Object(vectors.iter().map(|(name, params)| (name.clone(), vector(name, params))).collect()),
    };
    let mut params = json!({
        "vectors": rendered,
        "shard_number": info.config.shard_number,
        "replication_factor": 1,
        "write_consistency_factor": 1,
        "on_disk_payload": true,
    });
    if !info.config.sparse_vectors.is_empty() {
        let given = |name: &str| kept.get(SPARSE_VECTORS).and_then(|vectors| vectors.get(name));
        let vectors = info.config.sparse_vectors.keys().map(|name| (name.clone(), merged(json!({}), given(name))));
        params[SPARSE_VECTORS] = Value::Object(vectors.collect());
    }
    // The same that can be changed.
    for (field, _) in fields::PARAMS_UPDATE {
        if let Some(value) = kept.get(field) {
            params[*field] = value.clone();
        }
    }
    params
}

fn optimizer_config(given: Option<&Value>) -> Value {
    let mut config = merged(
        json!({
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "max_segment_size": null,
            "memmap_threshold": null,
            "indexing_threshold": 10_000,
            "flush_interval_sec": 5,
            "max_optimization_threads": null,
        }),
        given,
    );
    // Requests may say "auto"; descriptions say it with null.
    if config["max_optimization_threads"] == "auto" {
        config["max_optimization_threads"] = Value::Null;
    }
    config
}

/// Each index with the number of points that a filter on its field sees, which is all of them.
fn payload_schema(info: &CollectionInfo, points: u64) -> Map<String, Value> {
    let entry = |schema: &Value| match schema.get("type") {
        Some(data_type) => json!({"data_type": data_type, "params": schema, "points": points}),
        None => json!({"data_type": schema, "points": points}),
    };
    info.payload_schema.iter().map(|(field, schema)| (field.clone(), entry(schema))).collect()
}

/// `defaults` with the fields of `given` over them.
fn merged(mut defaults: Value, given: Option<&Value>) -> Value {
    if let (Value::Object(fields), Some(Value::Object(given))) = (&mut defaults, given) {
        fields.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    defaults
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use icecore_storage::{Lsn, ShardDirId, ShardInfo};

    use super::super::collection_config;
    use super::*;

    fn rendered_healthy(info: &CollectionInfo) -> Value {
        render(info, false)
    }

    fn info(request: &Value) -> CollectionInfo {
        let shard = |number, points, poisoned| ShardInfo {
            number,
            dir: ShardDirId(1),
            points,
            segments: 2,
            memtable_bytes: 0,
            last_lsn: Lsn(9),
            poisoned,
        };
        CollectionInfo {
            name: "c".into(),
            config: collection_config::parse(request).unwrap(),
            payload_schema: BTreeMap::from([
                ("city".into(), json!("keyword")),
                ("year".into(), json!({"type": "integer", "lookup": true})),
            ]),
            shards: vec![shard(0, 3, None), shard(1, 4, None)],
        }
    }

    #[test]
    fn what_was_given_comes_back_over_the_defaults() {
        let rendered = rendered_healthy(&info(&json!({
            "vectors": {"size": 4, "distance": "Cosine", "on_disk": true},
            "shard_number": 2,
            "on_disk_payload": false,
            "hnsw_config": {"m": 32},
            "optimizers_config": {"indexing_threshold": 0, "max_optimization_threads": "auto"},
            "metadata": {"a": 1},
        })));
        assert_eq!(
            rendered["config"]["params"],
            json!({
                "vectors": {"size": 4, "distance": "Cosine", "on_disk": true},
                "shard_number": 2,
                "replication_factor": 1,
                "write_consistency_factor": 1,
                "on_disk_payload": false,
            })
        );
        assert_eq!(rendered["config"]["hnsw_config"]["m"], 32);
        assert_eq!(rendered["config"]["hnsw_config"]["ef_construct"], 100);
        assert_eq!(rendered["config"]["optimizer_config"]["indexing_threshold"], 0);
        assert_eq!(rendered["config"]["optimizer_config"]["max_optimization_threads"], Value::Null);
        assert_eq!(rendered["config"]["wal_config"]["wal_capacity_mb"], 32);
        assert_eq!(rendered["config"]["quantization_config"], Value::Null);
        assert_eq!(rendered["config"]["metadata"], json!({"a": 1}));
        assert_eq!(rendered["points_count"], 7);
        assert_eq!(rendered["segments_count"], 4);
        assert_eq!(rendered["status"], "green");
        assert_eq!(
            rendered["payload_schema"],
            json!({
                "city": {"data_type": "keyword", "points": 7},
                "year": {"data_type": "integer", "params": {"type": "integer", "lookup": true}, "points": 7},
            })
        );
    }

    #[test]
    fn named_vectors_are_rendered_by_name_and_no_vectors_as_an_empty_object() {
        let rendered = rendered_healthy(&info(&json!({"vectors": {"a": {"size": 1, "distance": "Dot"}}})));
        assert_eq!(rendered["config"]["params"]["vectors"], json!({"a": {"size": 1, "distance": "Dot"}}));
        assert_eq!(rendered_healthy(&info(&json!({})))["config"]["params"]["vectors"], json!({}));
    }

    #[test]
    fn every_kind_of_vector_is_shown_as_it_was_given() {
        let vectors = json!({
            "half": {"size": 2, "distance": "Dot", "datatype": "float16", "on_disk": true},
            "full": {"size": 2, "distance": "Dot", "datatype": "float32"},
            "multi": {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}},
        });
        let sparse = json!({"plain": {}, "text": {"modifier": "idf", "index": {"on_disk": true}}});
        let rendered = rendered_healthy(&info(&json!({"vectors": vectors, "sparse_vectors": sparse})));
        assert_eq!(rendered["config"]["params"]["vectors"], vectors);
        assert_eq!(rendered["config"]["params"]["sparse_vectors"], sparse);
        assert!(rendered_healthy(&info(&json!({})))["config"]["params"].get("sparse_vectors").is_none());
    }

    #[test]
    fn what_the_engine_knows_is_shown_without_settings_too() {
        let mut info = info(&json!({"vectors": {"size": 2, "distance": "Dot", "datatype": "uint8",
            "multivector_config": {"comparator": "max_sim"}}}));
        let shown = rendered_healthy(&info);
        info.config.settings = Value::Null;
        assert_eq!(rendered_healthy(&info)["config"]["params"]["vectors"], shown["config"]["params"]["vectors"]);
    }

    #[test]
    fn a_poisoned_shard_turns_the_collection_red_without_showing_its_paths() {
        let mut info = info(&json!({}));
        info.shards[1].poisoned = Some("sync of /secret/file failed".into());
        let rendered = rendered_healthy(&info);
        assert_eq!(rendered["status"], "red");
        assert_eq!(rendered["optimizer_status"], json!({"error": "shard 1 takes no more writes since a failure"}));
    }

    #[test]
    fn a_disk_that_takes_nothing_turns_the_collection_red() {
        assert_eq!(render(&info(&json!({})), true)["status"], "red");
        assert_eq!(render(&info(&json!({})), false)["status"], "green");
    }
}
