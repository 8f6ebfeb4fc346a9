//! A restore of everything, of a collection or of a shard, from an archive in a store or from where a URL points.
//!
//! Its checkpoint is the directories of the shards of every collection that it changes, right before the commit. A commit changes all
//! of them at once and to directories that were never used, so one that was made shows in each of them.

use std::collections::BTreeMap;

use icecore_archive::ArchiveName;
use icecore_storage::{Scope, names};
use serde_json::{Value, json};
use url::Url;

use super::super::snapshot_recover;
use super::metadata::Source;
use super::{EMBEDDED, ManagedError, Metadata, Order, Running, elsewhere};
use crate::app::App;
use crate::error::Result;
use crate::jobs::JobKind;
use crate::metrics::Kind;
use crate::stores::StoreError;
use crate::usecases::location::{self, Location};
use crate::usecases::recover::{self, Recovery};
use crate::usecases::restore::{Goal, Staged};
use crate::usecases::sets;

/// Collections with the numbers of their shards' directories.
type Directories = BTreeMap<String, Value>;

/// What stands around them in a checkpoint.
const REPLACED: &str = "replaced";

pub(super) fn run(app: &App, order: &Order, running: &Running) -> Result<Value> {
    let scope = order.scope("restore")?;
    let metadata = Metadata(&order.metadata);
    metadata.priority()?;
    let (checksum, api_key) = (metadata.checksum()?, metadata.api_key()?);
    let goal = match &scope {
        Scope::Storage => Goal::Storage,
        Scope::Collection(collection) => {
            names::validate(collection)?;
            Goal::Collection(collection.clone())
        }
        Scope::Shard { collection, shard } => Goal::Shard { collection: collection.clone(), shard: *shard },
    };
    let store = app.stores.resolve(order.request.storage_id.as_deref())?.store;
    if let (Goal::Storage, Some(cluster)) = (&goal, metadata.stored_from()?.filter(|cluster| *cluster != EMBEDDED))
        && let Source::Existing(name) = metadata.source(order.request.snapshot_name.as_deref())?
    {
        let name = existing(&name)?;
        let set = sets::open(store.as_ref(), cluster, &name, checksum)?;
        let counted = app.metrics.snapshot(Kind::Recover, &goal.place());
        let staged = recover::stage_set(app, store.as_ref(), &name, &set, running)?;
        counted.finish(snapshot_recover::committed(app, staged, running, |staged| before(app, staged, None))?);
        return Ok(Value::Bool(true));
    }
    let location = match metadata.source(order.request.snapshot_name.as_deref())? {
        Source::Existing(name) => match metadata.stored_from()? {
            None | Some(EMBEDDED) => Location::Stored(existing(&name)?),
            Some(cluster) => Location::Placed(elsewhere::place(cluster, &scope), existing(&name)?),
        },
        Source::Url(text) => located(app, &goal, &text)?,
    };
    let shard = match scope {
        Scope::Shard { shard, .. } => Some(shard),
        Scope::Storage | Scope::Collection(_) => None,
    };
    let recovery = Recovery { goal, location, checksum, api_key };
    snapshot_recover::restored(app, store.as_ref(), &recovery, running, |staged| before(app, staged, shard))
}

/// Whether the commit that a checkpoint was noted for was made. To be asked before anything else changes a collection.
pub(super) fn is_committed(app: &App, kind: JobKind, checkpoint: &Value) -> bool {
    let shard = checkpoint.get("shard").and_then(Value::as_u64).and_then(|shard| u32::try_from(shard).ok());
    let noted = checkpoint.get(REPLACED).and_then(|noted| serde_json::from_value::<Directories>(noted.clone()).ok());
    let is_restore = matches!(kind, JobKind::Restore | JobKind::ShardRestore);
    let Some(noted) = noted.filter(|noted| is_restore && !noted.is_empty()) else { return false };
    noted.iter().all(|(collection, before)| directories(app, collection, shard) != *before)
}

fn before(app: &App, staged: &Staged, shard: Option<u32>) -> Value {
    let of = |name: &str| (name.to_owned(), directories(app, name, shard));
    let noted: Directories = staged.collections().map(of).collect();
    json!({REPLACED: noted, "shard": shard})
}

fn directories(app: &App, collection: &str, shard: Option<u32>) -> Value {
    json!(recover::directories(app, collection, shard))
}

/// A name that no archive can have names none.
pub(super) fn existing(name: &str) -> Result<ArchiveName, StoreError> {
    name.parse().map_err(|_| StoreError::NotFound { name: name.chars().take(300).collect() })
}

fn located(app: &App, goal: &Goal, text: &str) -> Result<Location, ManagedError> {
    let reach = recover::reach(app);
    // The text may be a secret, so the error does not repeat it.
    let wrong = |error| ManagedError::Metadata { key: "url", rule: format!("not a URL: {error}") };
    let url = Url::parse(text).map_err(wrong)?;
    Ok(match goal {
        Goal::Storage | Goal::Collection(_) => location::of_collection(&url, reach)?,
        Goal::Shard { .. } => location::of_shard(text, reach)?,
    })
}
