//! The REST API of Qdrant: one file a resource, with its routes and what they mean.
//!
//! Routes that Qdrant has and icecore has not (yet) answer 501 rather than 404, so that a client's error says what is missing.

mod aliases;
mod cluster;
mod collection_config;
pub(in crate::http) mod collection_info;
mod collection_schema;
mod collection_update;
mod collections;
mod described;
mod form;
mod metrics;
mod payload_index;
mod points;
mod recover;
mod service;
mod shard_snapshots;
mod snapshots;
mod telemetry;
mod unsupported;
mod upload;

pub(super) use self::metrics::metrics;
use crate::http::openapi::Door;
pub(super) use described::{COLLECTION, SHARD, SNAPSHOT};

/// All routes.
pub(super) fn routes() -> Door {
    service::routes()
        .merge(metrics::routes())
        .merge(telemetry::routes())
        .merge(cluster::routes())
        .merge(collections::routes())
        .merge(aliases::routes())
        .merge(payload_index::routes())
        .merge(points::routes())
        .merge(snapshots::routes())
        .merge(shard_snapshots::routes())
        .merge(recover::routes())
        .merge(upload::routes())
        .merge(unsupported::routes())
}
