//! A backup: a cut, and its archive in the store that the job names, where archives of its subject belong.
//!
//! Its checkpoint and its idempotence are those of [`snapshot_create`].

use serde_json::Value;

use super::super::snapshot_create;
use super::{Metadata, Order, Running};
use crate::app::App;
use crate::error::Result;

pub(super) fn run(app: &App, order: &Order, running: &Running) -> Result<Value> {
    let scope = order.scope("backup")?;
    let zstd_level = Metadata(&order.metadata).zstd_level(&app.config.snapshots)?;
    let options = snapshot_create::checked(snapshot_create::Options { zstd_level, full: false })?;
    let store = app.stores.resolve(order.request.storage_id.as_deref())?.store;
    snapshot_create::made(app, &store, &scope, options, running)
}
