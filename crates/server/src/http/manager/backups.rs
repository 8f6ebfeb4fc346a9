//! What is in a store: backups of whatever collection, shard or cluster, and their end. They are made and restored by jobs.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::described::{BACKUPS, outside_clusters};
use crate::app::App;
use crate::config::EMBEDDED;
use crate::http::envelope::{ApiError, answer};
use crate::http::extract::{Query, Segment};
use crate::http::openapi::Door;
use crate::http::qdrant::SNAPSHOT;
use crate::jobs::kinds::managed::EVERYTHING;
use crate::stores::ArchiveInfo;
use crate::usecases::backups;
use crate::usecases::naming::{self, Place};

/// Which store, and what of it.
#[derive(Debug, Deserialize, IntoParams)]
struct Asked {
    /// The configuration of the store; without it the default one.
    #[param(value_type = String, required = false)]
    storage_id: Option<String>,
    /// The collection; `*` for archives of everything, and with `cluster` for the sets of the cluster.
    #[param(value_type = String, required = false)]
    collection_name: Option<String>,
    /// The shard's number.
    #[param(value_type = u32, required = false)]
    shard_id: Option<u32>,
    /// The cluster on other machines that they are of; `embedded` for the engine of this server.
    #[param(value_type = String, required = false)]
    cluster: Option<String>,
}

/// A backup as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
struct Backup {
    name: String,
    /// `*` for one of everything, which of a cluster on other machines is a set.
    collection_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage_id: Option<String>,
    creation_time: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    shared: bool,
}

/// The routes, and what they mean.
pub(super) fn routes() -> Door {
    let any = |id, summary| outside_clusters(BACKUPS, id, summary).query::<Asked>().errors(&[404]);
    Door::new().get("/backups", list, any("list_backups", "What is in a store").results::<Backup>()).delete(
        "/backups/{name}",
        remove,
        any("delete_backup", "Delete a backup").path(&[SNAPSHOT]).done(),
    )
}

/// `GET /api/v1/backups`
async fn list(State(app): State<Arc<App>>, query: Query<Asked>) -> Response {
    answer(move || {
        let Asked { storage_id, collection_name, shard_id, cluster } = query.0;
        let store = app.stores.resolve(storage_id.as_deref())?;
        let only = collection_name.filter(|name| !name.is_empty());
        let collection = only.as_deref().filter(|name| *name != EVERYTHING);
        let found = backups::list(store.store.as_ref(), collection)?;
        let wanted = |backup: &Backup| {
            only.as_ref().is_none_or(|name| *name == backup.collection_name)
                && shard_id.is_none_or(|shard| backup.shard_id == Some(shard))
                && cluster.as_ref().is_none_or(|name| backup.cluster.as_deref().unwrap_or(EMBEDDED) == name)
        };
        let shown = |backup: backups::Backup| Backup::new(backup.place, &backup.info, store.id.clone());
        Ok(found.into_iter().map(shown).filter(wanted).collect::<Vec<_>>())
    })
    .await
}

/// `DELETE /api/v1/backups/{name}`
async fn remove(State(app): State<Arc<App>>, name: Segment, query: Query<Asked>) -> Response {
    answer(move || {
        let Asked { storage_id, collection_name, shard_id, cluster } = query.0;
        let collection = collection_name.filter(|name| !name.is_empty() && name != EVERYTHING);
        let cluster = cluster.filter(|name| !name.is_empty() && name != EMBEDDED);
        let place = match (collection, shard_id, cluster) {
            (None, None, None) => Place::Storage,
            (Some(collection), None, None) => Place::Collection(collection),
            (Some(collection), Some(shard), None) => Place::Shard { collection, shard },
            (Some(collection), shard, Some(cluster)) => Place::Elsewhere { cluster, collection, shard },
            (None, None, Some(cluster)) => Place::Cluster(cluster),
            (None, Some(_), _) => return Err(ApiError::bad_request("shard_id needs collection_name")),
        };
        let store = app.stores.resolve(storage_id.as_deref())?.store;
        backups::delete(&app, store.as_ref(), &place, &name.0)?;
        Ok(true)
    })
    .await
}

impl Backup {
    fn new(place: Place, info: &ArchiveInfo, storage_id: Option<String>) -> Self {
        let (collection_name, shard_id, cluster) = match place {
            Place::Storage => (EVERYTHING.to_owned(), None, None),
            Place::Cluster(cluster) => (EVERYTHING.to_owned(), None, Some(cluster)),
            Place::Collection(collection) => (collection, None, None),
            Place::Shard { collection, shard } => (collection, Some(shard), None),
            Place::Elsewhere { cluster, collection, shard } => (collection, shard, Some(cluster)),
        };
        Self {
            name: info.name.to_string(),
            collection_name,
            shard_id,
            cluster,
            storage_id,
            creation_time: naming::creation_time(info.created),
            size: info.size,
            checksum: info.sha256.map(|digest| digest.to_string()),
            shared: info.shared,
        }
    }
}
