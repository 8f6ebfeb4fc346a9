//! What the descriptions of the manager's operations share: their groups, where they are, and what every cluster may answer.
//!
//! Ids begin with `manager_`, because Qdrant's own operations have the names that most of these would have.

use utoipa::openapi::schema::{SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

use super::on::Named;
use crate::http::openapi::{Door, Operation, PathParameter, Tag};
use crate::http::qdrant::described::{COLLECTION, SHARD};

pub(super) const SERVICE: Tag =
    Tag { name: "Manager", description: "What the backup manager says of itself, and what happens in it." };
pub(super) const CLUSTERS: Tag = Tag {
    name: "Manager: clusters",
    description: "The clusters that backups are made of: the engine of this server, or others. What another cluster refuses is refused \
                  here with its status and its words; one that cannot be reached is 503.",
};
pub(super) const SNAPSHOTS: Tag =
    Tag { name: "Manager: snapshots", description: "The archives that a cluster keeps of its collections and shards." };
pub(super) const STORES: Tag =
    Tag { name: "Manager: stores", description: "Where archives can be kept. No secret is ever shown." };
pub(super) const JOBS: Tag = Tag { name: "Manager: jobs", description: "Backups and restores that go on after the answer." };

pub(super) const JOB: PathParameter = PathParameter { name: "id", description: "The id of a job.", schema: uuid };
pub(super) const STORE: PathParameter = PathParameter { name: "id", description: "The id of a configuration.", schema: uuid };

fn uuid() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom("uuid".to_owned()))).into()
}

/// A door for some of the manager's routes, which are written without what is before all of them.
pub(super) fn door() -> Door {
    Door::below("/api/v1")
}

/// An operation of the manager's own. Broken rules are 400 like everything that is wrong with a request.
pub(super) fn outside_clusters(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(tag, id, summary).except(&[422])
}

/// An operation on a cluster that exists.
pub(super) fn on_cluster(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(tag, id, summary).query::<Named>().errors(&[404, 502])
}

/// An operation on a collection that exists.
pub(super) fn in_collection(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    on_cluster(tag, id, summary).path(&[COLLECTION])
}

/// An operation on a shard that exists.
pub(super) fn in_shard(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    on_cluster(tag, id, summary).path(&[COLLECTION, SHARD])
}
