//! The schemas of bodies about collections: what creates and updates them, and what describes them.
//!
//! Their parsers and renderers work on JSON, so that there are no types to derive schemas from. The fields are those of the tables that
//! the parsers read (`settings::fields`).

use icecore_storage::config::{SHARD_NUMBER_MAX, VECTOR_SIZE_MAX};
use utoipa::openapi::schema::{OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::openapi::schema::{
    any_of, boolean, by_name, count, integer_from, null, number, object, one_of_words, one_word, or_null, text,
};
use crate::settings::fields::{self, Field, Kind};
use crate::settings::index;

/// The body of `PUT /collections/{collection}`.
pub(super) struct CreateCollection;

/// The body of `PATCH /collections/{collection}`.
pub(super) struct UpdateCollection;

/// The result of `GET /collections/{collection}`.
pub(super) struct CollectionInfo;

/// The schema of a payload field.
pub(super) struct IndexSchema;

impl ToSchema for CreateCollection {}
impl ToSchema for UpdateCollection {}
impl ToSchema for CollectionInfo {}
impl ToSchema for IndexSchema {}

impl PartialSchema for CreateCollection {
    fn schema() -> RefOr<Schema> {
        let vectors = any_of([vector().into(), by_name(vector())]);
        let shards = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(SHARD_NUMBER_MAX));
        known(object(), fields::COLLECTION)
            .description(Some(
                "How a collection is to be. Fields about indexes and optimizers are kept and shown, and have no effect.",
            ))
            .property("vectors", or_null(vectors))
            .property("sparse_vectors", or_null(by_name(known(object(), fields::SPARSE_VECTOR))))
            .property("shard_number", or_null(shards))
            .property("sharding_method", or_null(one_of_words(&["auto"])))
            .into()
    }
}

impl PartialSchema for UpdateCollection {
    fn schema() -> RefOr<Schema> {
        let vector = known(object(), fields::VECTOR_UPDATE).property(QUANTIZATION, quantization_update());
        known(object(), fields::COLLECTION_UPDATE)
            .description(Some("What is to change; the rest stays."))
            .property("params", or_null(known(object(), fields::PARAMS_UPDATE)))
            .property(QUANTIZATION, quantization_update())
            .property("vectors", or_null(by_name(vector)))
            .property("sparse_vectors", or_null(by_name(known(object(), fields::SPARSE_VECTOR))))
            .property("metadata", or_null(object().description(Some("Keys to be set; those that are null are removed."))))
            .into()
    }
}

impl PartialSchema for CollectionInfo {
    fn schema() -> RefOr<Schema> {
        let problem = object().property("error", text()).required("error");
        let params = required(
            object(),
            [
                ("vectors", any_of([vector().into(), by_name(vector())])),
                ("shard_number", integer_from(1)),
                ("replication_factor", integer_from(1)),
                ("write_consistency_factor", integer_from(1)),
                ("on_disk_payload", boolean()),
            ],
        )
        .property("sparse_vectors", by_name(known(object(), fields::SPARSE_VECTOR)));
        let config = required(
            object(),
            [
                ("params", params.into()),
                ("hnsw_config", of(fields::HNSW)),
                ("optimizer_config", object().into()),
                ("wal_config", object().into()),
                (QUANTIZATION, or_null(of(fields::QUANTIZATION))),
            ],
        )
        .property("strict_mode_config", object())
        .property("metadata", object());
        let field =
            required(object(), [("data_type", one_of_words(&index::TYPES)), ("points", count())]).property("params", object());
        required(
            object().description(Some("Settings and numbers of a collection.")),
            [
                ("status", one_of_words(&["green", "red"])),
                ("optimizer_status", any_of([one_word("ok"), problem.into()])),
                ("indexed_vectors_count", count()),
                ("points_count", count()),
                ("segments_count", count()),
                ("config", config.into()),
                ("payload_schema", by_name(field)),
            ],
        )
        .into()
    }
}

impl PartialSchema for IndexSchema {
    fn schema() -> RefOr<Schema> {
        let types = || one_of_words(&index::TYPES);
        any_of([types(), object().property("type", types()).required("type").into()])
    }
}

const QUANTIZATION: &str = "quantization_config";

fn quantization_update() -> RefOr<Schema> {
    any_of([of(fields::QUANTIZATION), one_word("Disabled"), null()])
}

/// The parameters of a dense vector.
fn vector() -> ObjectBuilder {
    let size = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(VECTOR_SIZE_MAX));
    let distance = one_of_words(&["Cosine", "Euclid", "Dot", "Manhattan"]);
    required(known(object(), fields::VECTOR), [("size", size.into()), ("distance", distance)])
}

fn required<const N: usize>(object: ObjectBuilder, properties: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    properties.into_iter().fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

/// An object with these fields, of which each may be missing or null.
fn known(object: ObjectBuilder, fields: &[Field]) -> ObjectBuilder {
    fields.iter().fold(object, |object, (name, kind)| object.property(*name, or_null(of(*kind))))
}

/// What the parser takes for a field of this kind.
fn of(kind: Kind) -> RefOr<Schema> {
    match kind {
        Kind::Bool => boolean(),
        Kind::Count => count(),
        Kind::Positive => integer_from(1),
        Kind::Number => number(),
        Kind::Threads => any_of([count(), one_word("auto")]),
        Kind::Word(words) => one_of_words(words),
        Kind::Object(fields) => known(object(), fields).into(),
        Kind::Free => object().into(),
        Kind::OneOf(fields) => fields
            .iter()
            .map(|(name, kind)| object().property(*name, of(*kind)).required(*name))
            .fold(OneOfBuilder::new(), OneOfBuilder::item)
            .into(),
    }
}
