//! What the descriptions of Qdrant's operations share: their groups, and the parameters in their paths.
//!
//! Ids of operations are those of Qdrant's own description, so that clients generated from either have the same names.

use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::points::point_id;
use crate::http::openapi::schema::{small_count, text};
use crate::http::openapi::{Operation, PathParameter, Tag};

pub(super) const SERVICE: Tag = Tag { name: "Service", description: "What the server says of itself." };
pub(super) const CLUSTER: Tag =
    Tag { name: "Cluster", description: "What clients of a cluster ask for. There is one node, which has every shard." };
pub(super) const COLLECTIONS: Tag = Tag { name: "Collections", description: "Collections of points, and their settings." };
pub(super) const ALIASES: Tag =
    Tag { name: "Aliases", description: "Other names of collections. Wherever a collection is named, an alias of it may be." };
pub(super) const INDEXES: Tag =
    Tag { name: "Indexes", description: "Schemas of payload fields: kept and shown. No index is needed to filter or to order." };
pub(super) const POINTS: Tag = Tag { name: "Points", description: "Points: vectors with an id and a payload." };
pub(super) const SEARCH: Tag = Tag { name: "Search", description: "Search by vectors, which this version has not." };
pub(super) const SNAPSHOTS: Tag = Tag {
    name: "Snapshots",
    description: "Archives of collections, of shards and of the whole storage: made, listed, downloaded, deleted, restored.",
};

pub(in crate::http) const COLLECTION: PathParameter =
    PathParameter { name: "collection", description: "The name of a collection, or an alias.", schema: collection_name };
pub(in crate::http) const SHARD: PathParameter =
    PathParameter { name: "shard", description: "The number of a shard of the collection.", schema: small_count };
pub(in crate::http) const SNAPSHOT: PathParameter =
    PathParameter { name: "name", description: "The name of an archive, as lists show it.", schema: text };
pub(super) const POINT: PathParameter = PathParameter { name: "id", description: "The id of a point.", schema: point_id };
pub(super) const FIELD: PathParameter =
    PathParameter { name: "field", description: "The path of a payload field.", schema: text };
pub(super) const PEER: PathParameter = PathParameter { name: "peer", description: "The id of a node.", schema: text };
pub(super) const VECTOR: PathParameter = PathParameter { name: "name", description: "The name of a vector.", schema: text };

fn collection_name() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255)).into()
}

/// An operation on a collection that exists.
pub(super) fn in_collection(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(tag, id, summary).path(&[COLLECTION]).errors(&[404])
}

/// An operation on a shard that exists.
pub(super) fn in_shard(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(tag, id, summary).path(&[COLLECTION, SHARD]).errors(&[404])
}
