//! A restore on a cluster: an archive of the store is sent there, or the cluster is told a URL.
//!
//! Until the last byte is on its way the cluster has changed nothing. Right before, the checkpoint says so: after that nobody here
//! knows what a cluster has done that was not heard of any more, and a second restore could undo what was written since. So a run
//! that comes after such a one fails, and whoever retries has decided.

use std::sync::Arc;

use icecore_archive::{ArchiveName, Progress};
use icecore_storage::Scope;
use serde_json::{Value, json};
use url::Url;

use super::super::metadata::{Metadata, Source};
use super::super::restore::existing;
use super::super::{EMBEDDED, ManagedError, Order};
use super::{Site, backup, nodes, set_restore};
use crate::clusters::{Recovery, Remote, Upload};
use crate::error::Result;
use crate::jobs::kinds::Waiting;
use crate::pipe::{PipeWriter, pipe};
use crate::stores::{StoreError, StoredArchive};
use crate::usecases::naming::Place;

/// The length of a chunk that is sent, in bytes.
const CHUNK_LEN: usize = 256 * 1024;
/// Chunks between the store and the connection.
const CHUNKS: usize = 4;

pub(super) fn run(site: &Site<'_>, order: &Order) -> Result<Value> {
    if site.running.checkpoint().is_some() {
        return Err(ManagedError::OutcomeUnknown.into());
    }
    let scope = order.scope("restore")?;
    let metadata = Metadata(&order.metadata);
    let (priority, checksum) = (metadata.priority()?, metadata.checksum()?);
    let source = metadata.source(order.request.snapshot_name.as_deref())?;
    if scope == Scope::Storage {
        let Source::Existing(name) = &source else { return Err(ManagedError::EverythingElsewhere.into()) };
        let cluster = match metadata.stored_from()?.unwrap_or_else(|| site.remote.name()) {
            EMBEDDED => return Err(ManagedError::EverythingElsewhere.into()),
            cluster => cluster,
        };
        let store = site.app.stores.resolve(order.request.storage_id.as_deref())?.store;
        set_restore::run(site, store.as_ref(), cluster, &existing(name)?, checksum, priority)?;
        return Ok(Value::Bool(true));
    }
    match source {
        Source::Existing(name) => {
            let place = match metadata.stored_from()?.unwrap_or_else(|| site.remote.name()) {
                EMBEDDED => Place::of(scope.clone()),
                cluster => backup::place(cluster, &scope),
            };
            let archive = open(site, order, &place, &existing(&name)?)?;
            let checksum = checksum.or(archive.info.sha256).map(|digest| digest.to_string());
            let upload = Upload { scope: scope.clone(), len: archive.info.size, priority, checksum };
            sent(site, node(site, &scope)?, upload, &archive, site.running)?;
        }
        Source::Url(location) => {
            // The text may be a secret, so the error does not repeat it.
            let wrong = |error| ManagedError::Metadata { key: "url", rule: format!("not a URL: {error}") };
            Url::parse(&location).map_err(wrong)?;
            let (checksum, api_key) = (checksum.map(|digest| digest.to_string()), metadata.api_key()?);
            let recovery = Recovery { scope: scope.clone(), location, priority, checksum, api_key };
            let node = node(site, &scope)?;
            note(site)?;
            site.wait(node.recover(recovery, Waiting::Caller))??;
        }
    }
    Ok(Value::Bool(true))
}

/// The node that a collection or a shard is restored on.
pub(super) fn node(site: &Site<'_>, scope: &Scope) -> Result<Arc<Remote>> {
    match scope {
        Scope::Storage => Err(ManagedError::EverythingElsewhere.into()),
        Scope::Collection(_) => nodes::reachable(site),
        Scope::Shard { collection, shard } => nodes::keeping(site, collection, *shard),
    }
}

/// Notes that from now on the cluster may be another.
pub(super) fn note(site: &Site<'_>) -> Result<()> {
    site.running.set_checkpoint(&json!({"sent": true}))
}

fn open(site: &Site<'_>, order: &Order, place: &Place, name: &ArchiveName) -> Result<StoredArchive> {
    let store = site.app.stores.resolve(order.request.storage_id.as_deref())?.store;
    Ok(store.open(place, name)?)
}

/// Sends an archive, and waits until it is restored.
pub(super) fn sent(
    site: &Site<'_>,
    node: Arc<Remote>,
    upload: Upload,
    archive: &StoredArchive,
    progress: &dyn Progress,
) -> Result<()> {
    let (writer, reader) = pipe(CHUNKS);
    let task = site.app.clusters.runtime().spawn(async move { node.upload(upload, reader).await });
    let abort = task.abort_handle();
    let fed = feed(site, writer, archive, progress).and_then(|()| site.wait(task));
    // Without a body that ends the cluster restores nothing; where it has ended, nothing is left to be aborted but the waiting.
    abort.abort();
    let answered = fed?.map_err(|_| ManagedError::OutcomeUnknown)?;
    Ok(answered?)
}

/// Hands the archive's bytes over, until the last one or until nobody takes them any more, which the answer then tells why.
fn feed(site: &Site<'_>, writer: PipeWriter, archive: &StoredArchive, progress: &dyn Progress) -> Result<()> {
    let total = archive.info.size;
    let read = |source| StoreError::Io { operation: "read", path: archive.info.name.as_str().into(), source };
    let limited = site.app.bandwidth.limit(progress);
    limited.start(total);
    let mut offset = 0;
    while offset < total {
        let mut chunk = vec![0; CHUNK_LEN];
        let len = archive.file.read_at(&mut chunk, offset).map_err(read)?;
        if len == 0 {
            return Err(read(std::io::ErrorKind::UnexpectedEof.into()).into());
        }
        chunk.truncate(len);
        offset += len as u64;
        if offset >= total {
            note(site)?;
        }
        if limited.advance(len as u64).is_break() {
            return Err(icecore_archive::Error::Cancelled.into());
        }
        if site.wait(writer.send(Ok(chunk.into())))?.is_err() {
            return Ok(());
        }
    }
    writer.finish();
    Ok(())
}
