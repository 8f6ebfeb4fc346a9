//! What every cluster answers with, named as in the backup manager's contract.

use std::collections::BTreeMap;

use icecore_storage::Scope;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::config::Secret;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    /// Well.
    Green,
    /// In need of a look.
    Yellow,
    /// Not working.
    Red,
}

/// How a cluster is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ManagerClusterStatus)]
pub(crate) struct ClusterStatus {
    pub(crate) status: Health,
    /// The node that was asked; 0 if it does not say.
    pub(crate) peer_id: u64,
    /// The nodes, by their ids.
    pub(crate) peers: BTreeMap<String, Peer>,
    pub(crate) raft_info: RaftInfo,
    /// What is wrong, if something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// The address of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ManagerPeer)]
pub(crate) struct Peer {
    pub(crate) uri: String,
}

/// The consensus of the nodes, as the one that was asked sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RaftInfo {
    pub(crate) term: u64,
    pub(crate) commit: u64,
    pub(crate) pending_operations: u64,
    /// The leader's id; 0 if there is none.
    pub(crate) leader: u64,
    /// `Leader`, `Follower` or what else the cluster says.
    pub(crate) role: String,
    pub(crate) is_voter: bool,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ManagerNode)]
pub(crate) struct Node {
    pub(crate) peer_id: u64,
    pub(crate) uri: String,
    pub(crate) is_leader: bool,
    /// Replicas of shards of all collections on it.
    pub(crate) shards_count: u64,
    /// Collections that have a shard on it.
    pub(crate) collections_count: u64,
}

/// A collection.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct CollectionDetail {
    pub(crate) name: String,
    pub(crate) status: Health,
    /// The points' where the cluster does not count vectors.
    pub(crate) vectors_count: u64,
    pub(crate) points_count: u64,
    pub(crate) segments_count: u64,
    /// `params`, `hnsw_config`, `optimizer_config`, `wal_config` and what else the cluster says.
    pub(crate) config: Value,
}

impl CollectionDetail {
    /// Reads Qdrant's description of a collection. What it does not count is 0, and a number of shards or replicas that it does
    /// not say is 1.
    pub(crate) fn read(name: &str, described: &Value) -> Self {
        let count = |field: &str| described.get(field).and_then(Value::as_u64);
        let status = match described.get("status").and_then(Value::as_str) {
            Some("green") => Health::Green,
            Some("red") => Health::Red,
            // Also `grey`, which waits for its optimizers.
            _ => Health::Yellow,
        };
        let mut config = match described.get("config") {
            Some(Value::Object(fields)) => fields.clone(),
            _ => serde_json::Map::new(),
        };
        for section in ["params", "hnsw_config", "optimizer_config", "wal_config"] {
            if !config.get(section).is_some_and(Value::is_object) {
                config.insert(section.to_owned(), Value::Object(serde_json::Map::new()));
            }
        }
        if let Some(Value::Object(params)) = config.get_mut("params") {
            for field in ["shard_number", "replication_factor"] {
                params.entry(field).or_insert(Value::from(1));
            }
        }
        let points_count = count("points_count").unwrap_or(0);
        Self {
            name: name.to_owned(),
            status,
            vectors_count: count("vectors_count").unwrap_or(points_count),
            points_count,
            segments_count: count("segments_count").unwrap_or(0),
            config: Value::Object(config),
        }
    }
}

/// Where the shards of a collection are, as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ManagerCollectionCluster)]
pub(crate) struct CollectionCluster {
    pub(crate) peer_id: u64,
    pub(crate) shard_count: u64,
    #[serde(default)]
    pub(crate) local_shards: Vec<LocalShard>,
    #[serde(default)]
    pub(crate) remote_shards: Vec<RemoteShard>,
}

/// A shard of the node that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ManagerLocalShard)]
pub(crate) struct LocalShard {
    pub(crate) shard_id: u32,
    #[serde(default)]
    pub(crate) points_count: u64,
    pub(crate) state: String,
}

/// A replica of another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ManagerRemoteShard)]
pub(crate) struct RemoteShard {
    pub(crate) shard_id: u32,
    pub(crate) peer_id: u64,
    pub(crate) state: String,
}

/// A snapshot that a cluster keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ManagerSnapshot)]
pub(crate) struct SnapshotInfo {
    pub(crate) name: String,
    /// With its time zone (RFC 3339), where the time is known.
    pub(crate) creation_time: Option<String>,
    /// In bytes.
    pub(crate) size: u64,
    /// SHA-256 in hexadecimal digits, if it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) checksum: Option<String>,
}

impl SnapshotInfo {
    /// The same with the time zone that Qdrant leaves out, which is UTC, and without an empty checksum.
    pub(crate) fn with_zone(mut self) -> Self {
        if let Some(time) = &mut self.creation_time {
            let (_, clock) = time.split_once('T').unwrap_or_default();
            if !clock.is_empty() && !clock.contains(['Z', '+', '-']) {
                time.push('Z');
            }
        }
        self.checksum = self.checksum.filter(|checksum| !checksum.trim().is_empty());
        self
    }
}

/// How the data of a snapshot and that of the nodes go together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ManagerPriority)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Priority {
    /// The snapshot's, without asking other nodes.
    #[serde(alias = "NO_SYNC")]
    NoSync,
    /// The snapshot's.
    #[default]
    #[serde(alias = "SNAPSHOT")]
    Snapshot,
    /// That of other nodes, if there are any.
    #[serde(alias = "REPLICA")]
    Replica,
}

/// What is to be restored, and from where.
#[derive(Debug, Clone)]
pub(crate) struct Recovery {
    /// A collection, or a shard.
    pub(crate) scope: Scope,
    /// A URL or the name of a snapshot.
    pub(crate) location: String,
    pub(crate) priority: Priority,
    /// The SHA-256 that it has to have.
    pub(crate) checksum: Option<String>,
    /// For the server that has it.
    pub(crate) api_key: Option<Secret>,
}

/// What became of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// It is done.
    Yes,
    /// It will be, and nobody waits for it.
    Accepted,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_with_gaps_has_all_that_the_contract_requires() {
        let detail = CollectionDetail::read("c", &json!({"status": "grey", "points_count": 7}));
        assert_eq!(
            serde_json::to_value(detail).unwrap(),
            json!({
                "name": "c", "status": "yellow", "vectors_count": 7, "points_count": 7, "segments_count": 0,
                "config": {
                    "params": {"shard_number": 1, "replication_factor": 1},
                    "hnsw_config": {}, "optimizer_config": {}, "wal_config": {},
                },
            })
        );
        let given =
            json!({"status": "green", "vectors_count": 3, "config": {"params": {"shard_number": 4}, "wal_config": {"a": 1}}});
        let detail = CollectionDetail::read("c", &given);
        assert_eq!((detail.status, detail.vectors_count), (Health::Green, 3));
        assert_eq!(detail.config["params"], json!({"shard_number": 4, "replication_factor": 1}));
        assert_eq!(detail.config["wal_config"], json!({"a": 1}));
    }

    #[test]
    fn times_get_the_zone_that_they_lack() {
        let with = |time: Option<&str>| {
            let info = json!({"name": "n", "creation_time": time, "size": 1, "checksum": " "});
            let info: SnapshotInfo = serde_json::from_value(info).unwrap();
            info.with_zone()
        };
        assert_eq!(with(Some("2024-07-22T08:31:55")).creation_time.as_deref(), Some("2024-07-22T08:31:55Z"));
        for whole in ["2024-07-22T08:31:55Z", "2024-07-22T08:31:55+02:00", "2024-07-22T08:31:55-02:00", "odd"] {
            assert_eq!(with(Some(whole)).creation_time.as_deref(), Some(whole));
        }
        assert_eq!((with(None).creation_time, with(None).checksum), (None, None));
    }
}
