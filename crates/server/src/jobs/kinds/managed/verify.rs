//! Reading a backup through where it is stored. Changes nothing but the note of it, so it can be done as often as one likes.

use icecore_archive::ArchiveName;
use icecore_io::{Share, in_background};
use serde_json::Value;

use super::{EMBEDDED, ManagedError, Order, Running, elsewhere};
use crate::app::App;
use crate::error::Result;
use crate::stores::StoreError;
use crate::usecases::backups::{self, Verdict};
use crate::usecases::naming::Place;
use crate::usecases::sets;

pub(super) fn run(app: &App, order: &Order, running: &Running) -> Result<Value> {
    let scope = order.scope("verification")?;
    let place = match order.request.cluster.as_deref() {
        Some(cluster) if cluster != EMBEDDED => elsewhere::place(cluster, &scope),
        _ => Place::of(scope),
    };
    let name = order.request.snapshot_name.clone().ok_or(ManagedError::NoName)?;
    let name: ArchiveName = name.parse().map_err(|_| StoreError::NotFound { name })?;
    let store = app.stores.resolve(order.request.storage_id.as_deref())?.store;
    let verified = in_background(Share::Least, || match &place {
        Place::Cluster(cluster) => sets::verify(store.as_ref(), cluster, &name, app.clock.now(), running),
        _ => backups::verify(store.as_ref(), &place, &name, app.clock.now(), running),
    });
    match verified? {
        Verdict::Sound => Ok(Value::Bool(true)),
        Verdict::Damaged { count, first } => Err(ManagedError::Damaged { name: name.to_string(), count, first }.into()),
        Verdict::Unknown { reason } => Err(ManagedError::NoDigest { name: name.to_string(), reason }.into()),
    }
}
