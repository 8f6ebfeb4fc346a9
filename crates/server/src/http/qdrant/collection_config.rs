//! From the body of a create request to the configuration of a collection.
//!
//! What the engine needs of vectors and the number of shards become its own; everything else that Qdrant knows is checked and kept
//! in `settings`, whose layout is that of the request except that `vectors` is always by name (`""` the unnamed one). What the
//! engine cannot do, rather than need not do, is refused by name.

use std::collections::BTreeMap;

use icecore_storage::config::{CollectionConfig, SparseParams};
use icecore_storage::{Datatype, DenseParams, Distance, Error};
use serde_json::{Map, Value};

use crate::http::envelope::{ApiError, ApiResult};
use crate::settings::{SPARSE_VECTORS, VECTORS, bounds, fields};

/// Reads the body of `PUT /collections/{collection}`.
pub(super) fn parse(body: &Value) -> ApiResult<CollectionConfig> {
    let Value::Object(body) = body else {
        return Err(ApiError::format("invalid type, expected an object"));
    };
    refuse_unsupported(body)?;
    let shard_number = match given(body, "shard_number") {
        None => 1,
        Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()).ok_or_else(|| {
            ApiError::format(format!("shard_number: invalid value {value}, expected an unsigned 32-bit integer"))
        })?,
    };
    let mut kept = fields::keep(body, fields::COLLECTION, "")?;
    let (vectors, extras) = vectors(given(body, VECTORS))?;
    if !extras.is_empty() {
        kept.insert(VECTORS.to_owned(), Value::Object(extras));
    }
    let (sparse_vectors, extras) = sparse_vectors(given(body, SPARSE_VECTORS))?;
    if !extras.is_empty() {
        kept.insert(SPARSE_VECTORS.to_owned(), Value::Object(extras));
    }
    let settings = Value::Object(kept);
    bounds::check("parameters", &settings)?;
    let config = CollectionConfig { shard_number, vectors, sparse_vectors, settings };
    match config.validate() {
        Ok(()) => Ok(config),
        Err(Error::InvalidConfig { field, reason }) => Err(ApiError::invalid("JSON body", &field, reason)),
        Err(error) => Err(error.into()),
    }
}

/// The value of a field that is there and not null.
pub(super) fn given<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| !value.is_null())
}

fn refuse_unsupported(body: &Map<String, Value>) -> ApiResult<()> {
    match given(body, "sharding_method").map(Value::as_str) {
        None | Some(Some("auto")) => {}
        Some(Some("custom")) => return Err(ApiError::unsupported("sharding_method `custom`")),
        Some(_) => return Err(ApiError::format("sharding_method: invalid value, expected auto or custom")),
    }
    if given(body, "init_from").is_some() {
        return Err(ApiError::unsupported("init_from (restore a snapshot of the other collection instead); it"));
    }
    Ok(())
}

type Vectors = (BTreeMap<String, DenseParams>, Map<String, Value>);

/// The engine's parameters of each vector, and what is kept of the rest.
fn vectors(value: Option<&Value>) -> ApiResult<Vectors> {
    let mut params = BTreeMap::new();
    let mut extras = Map::new();
    let object = match value {
        None => return Ok((params, extras)),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(ApiError::format("vectors: invalid type, expected an object")),
    };
    // Names of vectors map to objects, parameters to scalars, so a vector may even be called `size`.
    let single = object.get("size").is_some_and(|size| !size.is_object());
    let named: Vec<(&str, &Value)> = match (single, value) {
        (true, Some(value)) => vec![("", value)],
        _ => object.iter().map(|(name, value)| (name.as_str(), value)).collect(),
    };
    for (name, value) in named {
        let path = if single { VECTORS.to_owned() } else { format!("{VECTORS}.{name}") };
        let (dense, extra) = vector(value, &path)?;
        params.insert(name.to_owned(), dense);
        if !extra.is_empty() {
            extras.insert(name.to_owned(), Value::Object(extra));
        }
    }
    Ok((params, extras))
}

fn vector(value: &Value, path: &str) -> ApiResult<(DenseParams, Map<String, Value>)> {
    let Value::Object(object) = value else {
        return Err(ApiError::format(format!("{path}: invalid type, expected an object with size and distance")));
    };
    let field = |name: &str| given(object, name).ok_or_else(|| ApiError::format(format!("{path}: missing field `{name}`")));
    let size = field("size")?;
    let size = size
        .as_u64()
        .and_then(|size| usize::try_from(size).ok())
        .ok_or_else(|| ApiError::format(format!("{path}.size: invalid value {size}, expected an unsigned integer")))?;
    let distance = match field("distance")?.as_str() {
        Some("Cosine") => Distance::Cosine,
        Some("Euclid") => Distance::Euclid,
        Some("Dot") => Distance::Dot,
        Some("Manhattan") => Distance::Manhattan,
        _ => {
            return Err(ApiError::format(format!(
                "{path}.distance: unknown variant {}, expected one of `Cosine`, `Euclid`, `Dot`, `Manhattan`",
                object["distance"]
            )));
        }
    };
    let extra = fields::keep(object, fields::VECTOR, path)?;
    let datatype = match extra.get("datatype").and_then(Value::as_str) {
        None | Some("float32") => Datatype::Float32,
        Some("float16") => Datatype::Float16,
        Some("uint8") => Datatype::Uint8,
        Some(other) => return Err(ApiError::unsupported(format!("{path}.datatype `{other}`"))),
    };
    let multi = match extra.get("multivector_config") {
        None => false,
        // The only comparator there is.
        Some(config) if config.get("comparator").is_some() => true,
        Some(_) => return Err(ApiError::format(format!("{path}.multivector_config: missing field `comparator`"))),
    };
    Ok((DenseParams { size, distance, datatype, multi }, extra))
}

type SparseVectors = (BTreeMap<String, SparseParams>, Map<String, Value>);

/// The sparse vectors, and what was given for each that has anything.
fn sparse_vectors(value: Option<&Value>) -> ApiResult<SparseVectors> {
    let mut params = BTreeMap::new();
    let mut extras = Map::new();
    let object = match value {
        None => return Ok((params, extras)),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(ApiError::format("sparse_vectors: invalid type, expected an object")),
    };
    for (name, value) in object {
        let path = format!("{SPARSE_VECTORS}.{name}");
        let Value::Object(given) = value else {
            return Err(ApiError::format(format!("{path}: invalid type, expected an object")));
        };
        let extra = fields::keep(given, fields::SPARSE_VECTOR, &path)?;
        params.insert(name.clone(), SparseParams {});
        if !extra.is_empty() {
            extras.insert(name.clone(), Value::Object(extra));
        }
    }
    Ok((params, extras))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dense(size: usize, distance: Distance) -> DenseParams {
        DenseParams::new(size, distance)
    }

    #[test]
    fn a_single_vector_is_the_unnamed_one() {
        let config = parse(&json!({
            "vectors": {"size": 4, "distance": "Cosine", "on_disk": true, "hnsw_config": null},
            "shard_number": 3,
            "replication_factor": null,
        }))
        .unwrap();
        assert_eq!(config.shard_number, 3);
        assert_eq!(config.vectors, BTreeMap::from([(String::new(), dense(4, Distance::Cosine))]));
        assert_eq!(config.settings, json!({"vectors": {"": {"on_disk": true}}}));
    }

    #[test]
    fn named_vectors_keep_their_names_even_a_strange_one() {
        let config = parse(&json!({"vectors": {
            "image": {"size": 2, "distance": "Dot"},
            "size": {"size": 3, "distance": "Euclid", "datatype": "float32"},
        }}))
        .unwrap();
        assert_eq!(
            config.vectors,
            BTreeMap::from([("image".into(), dense(2, Distance::Dot)), ("size".into(), dense(3, Distance::Euclid))])
        );
        assert_eq!(config.settings, json!({"vectors": {"size": {"datatype": "float32"}}}));
    }

    #[test]
    fn every_kind_of_vector_is_the_engines_and_kept_as_it_was_given() {
        let config = parse(&json!({
            "vectors": {
                "half": {"size": 2, "distance": "Dot", "datatype": "float16"},
                "byte": {"size": 2, "distance": "Dot", "datatype": "uint8", "multivector_config": {"comparator": "max_sim"}},
            },
            "sparse_vectors": {"plain": {}, "text": {"modifier": "idf", "index": {"on_disk": true, "datatype": "float16"}}},
        }))
        .unwrap();
        let half = DenseParams { datatype: Datatype::Float16, ..dense(2, Distance::Dot) };
        let byte = DenseParams { datatype: Datatype::Uint8, multi: true, ..dense(2, Distance::Dot) };
        assert_eq!(config.vectors, BTreeMap::from([("half".into(), half), ("byte".into(), byte)]));
        assert_eq!(config.sparse_vectors.keys().collect::<Vec<_>>(), ["plain", "text"]);
        assert_eq!(
            config.settings,
            json!({
                "vectors": {
                    "half": {"datatype": "float16"},
                    "byte": {"datatype": "uint8", "multivector_config": {"comparator": "max_sim"}},
                },
                "sparse_vectors": {"text": {"modifier": "idf", "index": {"on_disk": true, "datatype": "float16"}}},
            })
        );
    }

    #[test]
    fn a_collection_may_have_no_vectors() {
        for body in [json!({}), json!({"vectors": null}), json!({"vectors": {}, "sparse_vectors": {}})] {
            let config = parse(&body).unwrap();
            assert_eq!(config.vectors, BTreeMap::new());
            assert_eq!(config.settings, json!({}));
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let vector = |extra: Value| {
            let mut vector = json!({"size": 4, "distance": "Dot"});
            vector.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            json!({"vectors": {"v": vector}})
        };
        let cases = [
            (vector(json!({"datatype": "turbo4"})), 400, "vectors.v.datatype `turbo4`"),
            (vector(json!({"datatype": "float8"})), 400, "vectors.v.datatype"),
            (vector(json!({"multivector_config": {}})), 400, "missing field `comparator`"),
            (vector(json!({"multivector_config": {"comparator": "sum"}})), 400, "vectors.v.multivector_config.comparator"),
            (vector(json!({"distance": "Hamming"})), 400, "vectors.v.distance"),
            (vector(json!({"size": 0})), 422, "vectors.v.size"),
            (vector(json!({"size": 65_537})), 422, "vectors.v.size"),
            (vector(json!({"size": -1})), 400, "vectors.v.size"),
            (json!({"sparse_vectors": {"text": null}}), 400, "sparse_vectors.text"),
            (json!({"sparse_vectors": {"text": {"modifier": "bm25"}}}), 400, "sparse_vectors.text.modifier"),
            (json!({"sparse_vectors": {"text": {"index": {"on_disk": 1}}}}), 400, "sparse_vectors.text.index.on_disk"),
            (json!({"sparse_vectors": {"": {}}}), 422, "sparse_vectors"),
            (json!({"vectors": {"a": {"size": 1, "distance": "Dot"}}, "sparse_vectors": {"a": {}}}), 422, "sparse_vectors.a"),
            (json!({"init_from": {"collection": "x"}}), 400, "init_from"),
            (json!({"sharding_method": "custom"}), 400, "sharding_method `custom`"),
            (json!({"sharding_method": "none"}), 400, "sharding_method"),
            (json!({"shard_number": 0}), 422, "shard_number"),
            (json!({"replication_factor": 0}), 422, "replication_factor"),
            (json!({"vectors": {"size": 4}}), 400, "missing field `distance`"),
            (json!([]), 400, "expected an object"),
        ];
        for (body, status, part) in cases {
            let error = parse(&body).expect_err(&body.to_string());
            assert_eq!(error.status.as_u16(), status, "{body}: {}", error.message);
            assert!(error.message.contains(part), "{body}: {}", error.message);
        }
    }
}
