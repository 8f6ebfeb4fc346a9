//! What is asked of a cluster without changing it: its nodes and its collections.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::super::model::{Peer, RaftInfo};
use super::super::{ClusterError, ClusterStatus, CollectionCluster, CollectionDetail, Health, Node, Result};
use super::client::Asked;
use super::{Remote, segments};

/// The result of `GET /cluster`.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Found {
    /// One node by itself.
    Disabled,
    /// Nodes with a consensus.
    Enabled {
        peer_id: u64,
        #[serde(default)]
        peers: BTreeMap<String, Peer>,
        #[serde(default)]
        raft_info: Raft,
    },
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raft {
    term: u64,
    commit: u64,
    pending_operations: u64,
    leader: Option<u64>,
    role: Option<String>,
    is_voter: bool,
}

#[derive(Deserialize)]
struct Collections {
    collections: Vec<Collection>,
}

#[derive(Deserialize)]
struct Collection {
    name: String,
}

impl Remote {
    /// Red without nodes, yellow without a leader, else green. One node by itself is its own leader.
    pub(crate) async fn status(&self) -> Result<ClusterStatus> {
        match self.result(Asked::question(vec!["cluster".to_owned()])).await? {
            Found::Enabled { peer_id, peers, raft_info } => {
                let leader = raft_info.leader.unwrap_or(0);
                let (status, message) = match () {
                    () if peers.is_empty() => (Health::Red, Some("the cluster has no nodes")),
                    () if leader == 0 => (Health::Yellow, Some("the cluster has no leader")),
                    () => (Health::Green, None),
                };
                let raft_info = RaftInfo {
                    term: raft_info.term,
                    commit: raft_info.commit,
                    pending_operations: raft_info.pending_operations,
                    leader,
                    role: raft_info.role.unwrap_or_else(|| "Follower".to_owned()),
                    is_voter: raft_info.is_voter,
                };
                Ok(ClusterStatus { status, peer_id, peers, raft_info, message: message.map(str::to_owned) })
            }
            Found::Disabled => {
                let peer_id = self.only_peer().await?;
                let raft_info = RaftInfo {
                    term: 0,
                    commit: 0,
                    pending_operations: 0,
                    leader: peer_id,
                    role: "Leader".to_owned(),
                    is_voter: true,
                };
                let peers = self.urls().into_iter().take(1).map(|uri| (peer_id.to_string(), Peer { uri })).collect();
                Ok(ClusterStatus { status: Health::Green, peer_id, peers, raft_info, message: None })
            }
        }
    }

    /// The id of a node by itself, which only its collections tell; 0 if there is none.
    async fn only_peer(&self) -> Result<u64> {
        match self.collections().await?.first() {
            Some(collection) => Ok(self.collection_cluster(collection).await?.peer_id),
            None => Ok(0),
        }
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<Node>> {
        let status = self.status().await?;
        let mut shards: BTreeMap<u64, u64> = BTreeMap::new();
        let mut collections: BTreeMap<u64, u64> = BTreeMap::new();
        for collection in self.collections().await? {
            let found = match self.collection_cluster(&collection).await {
                Ok(found) => found,
                // One that is deleted meanwhile has no shards.
                Err(ClusterError::Answer { status: 404, .. }) => continue,
                Err(error) => return Err(error),
            };
            let local = found.local_shards.iter().map(|_| found.peer_id);
            let holders: Vec<u64> = local.chain(found.remote_shards.iter().map(|shard| shard.peer_id)).collect();
            for peer in &holders {
                *shards.entry(*peer).or_default() += 1;
            }
            for peer in holders.into_iter().collect::<BTreeSet<u64>>() {
                *collections.entry(peer).or_default() += 1;
            }
        }
        let node = |(id, peer): (&String, &Peer)| {
            let peer_id = id.parse().map_err(|_| self.nonsense("the id of a node is no number"))?;
            Ok(Node {
                peer_id,
                uri: peer.uri.clone(),
                is_leader: status.raft_info.leader == peer_id,
                shards_count: shards.get(&peer_id).copied().unwrap_or(0),
                collections_count: collections.get(&peer_id).copied().unwrap_or(0),
            })
        };
        let mut nodes = status.peers.iter().map(node).collect::<Result<Vec<Node>>>()?;
        nodes.sort_by_key(|node| node.peer_id);
        Ok(nodes)
    }

    pub(crate) async fn collections(&self) -> Result<Vec<String>> {
        let found: Collections = self.result(Asked::question(vec!["collections".to_owned()])).await?;
        let mut names: Vec<String> = found.collections.into_iter().map(|collection| collection.name).collect();
        names.sort();
        Ok(names)
    }

    pub(crate) async fn collection(&self, name: &str) -> Result<CollectionDetail> {
        let described: Value = self.result(Asked::question(segments::of_collection(name)?)).await?;
        Ok(CollectionDetail::read(name, &described))
    }

    pub(crate) async fn collection_cluster(&self, name: &str) -> Result<CollectionCluster> {
        let mut path = segments::of_collection(name)?;
        path.push("cluster".to_owned());
        self.result(Asked::question(path)).await
    }
}
