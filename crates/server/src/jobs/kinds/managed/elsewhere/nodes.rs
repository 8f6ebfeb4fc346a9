//! Which node of a cluster has what: every node keeps its own shards, and its snapshots are of those.
//!
//! One node that has all shards of a collection makes one snapshot of it. Where none has, each shard's comes from a node that has it,
//! so that a backup is never less than the collection. Only replicas that are active count: others are being filled.

use std::collections::BTreeSet;
use std::sync::Arc;

use icecore_storage::Scope;

use super::super::ManagedError;
use super::Site;
use crate::clusters::{ClusterError, CollectionCluster, Remote};
use crate::error::Result;

/// What one node makes a snapshot of.
pub(super) struct Part {
    pub(super) node: Arc<Remote>,
    pub(super) scope: Scope,
}

/// The snapshots that make up a backup of a collection.
pub(super) fn of_collection(site: &Site<'_>, collection: &str) -> Result<Vec<Part>> {
    let (nodes, views): (Vec<_>, Vec<_>) = views(site, collection)?.into_iter().unzip();
    let part = |(node, shard): (usize, Option<u32>)| {
        let scope = match shard {
            None => Scope::Collection(collection.to_owned()),
            Some(shard) => Scope::Shard { collection: collection.to_owned(), shard },
        };
        nodes.get(node).map(|node| Part { node: Arc::clone(node), scope })
    };
    Ok(chosen(collection, &views)?.into_iter().filter_map(part).collect())
}

/// The node that makes a snapshot of a shard.
pub(super) fn of_shard(site: &Site<'_>, collection: &str, shard: u32) -> Result<Part> {
    let active = |(_, view): &(Arc<Remote>, CollectionCluster)| has_active(view, shard);
    let found = views(site, collection)?.into_iter().find(active);
    let (node, _) = found.ok_or_else(|| nowhere(collection, shard))?;
    Ok(Part { node, scope: Scope::Shard { collection: collection.to_owned(), shard } })
}

/// The node that a shard is restored on: one that has it in whatever state.
pub(super) fn keeping(site: &Site<'_>, collection: &str, shard: u32) -> Result<Arc<Remote>> {
    let keeps = |(_, view): &(Arc<Remote>, CollectionCluster)| view.local_shards.iter().any(|found| found.shard_id == shard);
    let found = views(site, collection)?.into_iter().find(keeps);
    Ok(found.ok_or_else(|| nowhere(collection, shard))?.0)
}

/// The first node that answers.
pub(super) fn reachable(site: &Site<'_>) -> Result<Arc<Remote>> {
    let mut failed = None;
    for node in site.remote.nodes_apart() {
        match site.wait(node.collections())? {
            Ok(_) => return Ok(Arc::new(node)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(without_nodes(failed).into())
}

/// The nodes that answer, with what each says of the collection's shards. If none does, the cluster's own refusal is the error.
fn views(site: &Site<'_>, collection: &str) -> Result<Vec<(Arc<Remote>, CollectionCluster)>> {
    let (mut found, mut failed) = (Vec::new(), None);
    for node in site.remote.nodes_apart() {
        match site.wait(node.collection_cluster(collection))? {
            Ok(view) => found.push((Arc::new(node), view)),
            Err(error @ ClusterError::Answer { status: ..500, .. }) => return Err(error.into()),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if found.is_empty() { Err(without_nodes(failed).into()) } else { Ok(found) }
}

fn without_nodes(failed: Option<ClusterError>) -> ClusterError {
    failed.unwrap_or_else(|| ClusterError::Unavailable { reason: "it has no node".to_owned() })
}

/// Nodes by their place in `views`, each with a shard, or with none for the whole collection.
fn chosen(collection: &str, views: &[CollectionCluster]) -> Result<Vec<(usize, Option<u32>)>, ManagedError> {
    let shards: BTreeSet<u32> = views.iter().flat_map(shards_of).collect();
    let whole = |view: &CollectionCluster| shards.iter().all(|shard| has_active(view, *shard));
    if let Some(node) = views.iter().position(whole) {
        return Ok(vec![(node, None)]);
    }
    let holder = |shard: u32| {
        let node = views.iter().position(|view| has_active(view, shard));
        node.map(|node| (node, Some(shard))).ok_or_else(|| nowhere(collection, shard))
    };
    shards.iter().map(|shard| holder(*shard)).collect()
}

fn shards_of(view: &CollectionCluster) -> impl Iterator<Item = u32> {
    let local = view.local_shards.iter().map(|shard| shard.shard_id);
    local.chain(view.remote_shards.iter().map(|shard| shard.shard_id))
}

fn has_active(view: &CollectionCluster, shard: u32) -> bool {
    view.local_shards.iter().any(|found| found.shard_id == shard && found.state == "Active")
}

fn nowhere(collection: &str, shard: u32) -> ManagedError {
    ManagedError::NoReplica { collection: collection.to_owned(), shard }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A node with these shards of its own, that knows of those elsewhere.
    fn view(local: &[(u32, &str)], elsewhere: &[u32]) -> CollectionCluster {
        let local: Vec<_> = local.iter().map(|(shard, state)| json!({"shard_id": shard, "state": state})).collect();
        let remote: Vec<_> = elsewhere.iter().map(|shard| json!({"shard_id": shard, "peer_id": 9, "state": "Active"})).collect();
        serde_json::from_value(json!({"peer_id": 1, "shard_count": 3, "local_shards": local, "remote_shards": remote})).unwrap()
    }

    #[test]
    fn a_node_that_has_all_makes_one_snapshot_and_else_each_shard_has_its_own() {
        let choose = |views: &[CollectionCluster]| chosen("c", views).map_err(|error| error.to_string());
        let all = view(&[(0, "Active"), (1, "Active")], &[0]);
        assert_eq!(choose(std::slice::from_ref(&all)), Ok(vec![(0, None)]));
        let first = view(&[(0, "Active"), (1, "Partial")], &[1]);
        let second = view(&[(1, "Active")], &[0]);
        assert_eq!(choose(&[first.clone(), all]), Ok(vec![(1, None)]));
        assert_eq!(choose(&[first.clone(), second]), Ok(vec![(0, Some(0)), (1, Some(1))]));
        // What only a node has that nobody can ask is missed.
        assert_eq!(choose(&[first]).unwrap_err(), "shard 1 of \"c\" is on none of the nodes that can be asked");
    }
}
