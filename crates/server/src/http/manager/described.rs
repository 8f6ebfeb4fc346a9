//! What the descriptions of the manager's operations share.

use super::on::Named;
use crate::http::openapi::schema::text;
use crate::http::openapi::{Operation, PathParameter, Tag};
use crate::http::qdrant::{COLLECTION, SHARD};

pub(super) const CLUSTERS: Tag = Tag {
    name: "Manager: clusters",
    description: "Clusters and their collections. A request is about the engine inside the server, or about the cluster that it names; \
                  failures of other clusters are passed on with their status, whatever it is.",
};
pub(super) const SNAPSHOTS: Tag =
    Tag { name: "Manager: snapshots", description: "Archives of collections and shards, of whichever cluster." };
pub(super) const STORAGE: Tag = Tag { name: "Manager: stores", description: "Configurations of places that keep backups." };
pub(super) const BACKUPS: Tag = Tag { name: "Manager: backups", description: "What is in the stores." };
pub(super) const JOBS: Tag = Tag { name: "Manager: jobs", description: "Backups and restores: asked for, watched, cancelled." };
pub(super) const SYSTEM: Tag = Tag { name: "Manager: system", description: "What the manager's web client asks first." };

pub(super) const ID: PathParameter = PathParameter { name: "id", description: "An id, as the list shows it.", schema: text };

/// An operation of the manager's own, which is not passed on to a cluster. A broken rule is 400 like all that is wrong with a request.
pub(super) fn outside_clusters(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(tag, id, summary).except(&[422])
}

/// An operation on a cluster.
pub(super) fn on_cluster(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    Operation::new(tag, id, summary).query::<Named>().errors(&[404])
}

/// An operation on a collection of a cluster.
pub(super) fn in_collection(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    on_cluster(tag, id, summary).path(&[COLLECTION])
}

/// An operation on a shard of a collection of a cluster.
pub(super) fn in_shard(tag: Tag, id: &'static str, summary: &'static str) -> Operation {
    on_cluster(tag, id, summary).path(&[COLLECTION, SHARD])
}
