//! What the front doors need, opened: the storage, the stores, the jobs, and what a crash has left in them swept away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use icecore_io::{Clock, Fs, OsClock, OsFs};
use icecore_storage::Storage;
use tokio::runtime::Handle;

use super::ServeError;
use crate::app::App;
use crate::bandwidth::Bandwidth;
use crate::clusters::Clusters;
use crate::config::{Config, KeptIn};
use crate::error::{AppError, one_line};
use crate::jobs::{self, Jobs};
use crate::metrics::Metrics;
use crate::remote::{Fetcher, Timeouts};
use crate::shutdown::Shutdown;
use crate::stores::{LocalStore, RECORDS_DIR, Records, S3Store, Store, StoreError, Stores};
use crate::threads;
use crate::verifier::Verifier;

/// How long the start waits for a store on another machine.
const REMOTE_TIME: Duration = Duration::from_secs(10);

/// Opens everything that the front doors need. Must be called inside a runtime.
pub(crate) fn open(mut config: Config, shutdown: Shutdown) -> Result<Arc<App>, ServeError> {
    config.storage.storage_path = absolute(&config.storage.storage_path)?;
    config.storage.snapshots_path = absolute(&config.storage.snapshots_path)?;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    let clock: Arc<dyn Clock> = Arc::new(OsClock::new());
    let options = config.storage.options();
    let storage =
        Storage::open(Arc::clone(&fs), Arc::clone(&clock), &config.storage.storage_path, options).map_err(AppError::from)?;
    for torn in storage.torn_tails() {
        let (path, offset) = (torn.path.display(), torn.offset);
        tracing::warn!("cut {} bytes of an unfinished write off {path} at {offset}: {}", torn.len, torn.reason);
    }
    let store = open_store(&config, &fs, &clock).map_err(|error| ServeError::from(AppError::from(error)))?;
    match store.is_remote() {
        false => sweep(store.as_ref()),
        true => sweep_remote(&store),
    }
    // After the storage, whose lock keeps other servers away from the directory.
    let database = config.storage.storage_path.join(jobs::FILE);
    let jobs = Arc::new(Jobs::open(Some(&database), Arc::clone(&clock), shutdown.clone(), config.jobs.options())?);
    let metrics = Arc::new(Metrics::new(Arc::clone(&clock)));
    let timeouts = Timeouts::with_idle(config.service.idle_timeout());
    let fetcher = Fetcher::new(config.service.snapshot_url_allow.clone(), timeouts, Handle::current(), shutdown.clone());
    let storage = Arc::new(storage);
    let bandwidth = Bandwidth::new(Arc::clone(&clock), config.snapshots.bandwidth_mb_s);
    let verifier = Verifier::new(config.snapshots.verify_new.0);
    let key = config.manager.encryption_key.clone();
    let stores = Stores::open(Arc::clone(&fs), Arc::clone(&clock), &config.storage, key, Arc::clone(&store), Handle::current())
        .map_err(AppError::from)?;
    let clusters = Clusters::new(&config, Handle::current())?;
    Ok(Arc::new(App {
        storage,
        store,
        stores,
        clusters,
        jobs,
        fs,
        clock,
        metrics,
        bandwidth,
        verifier,
        fetcher,
        config,
        shutdown,
    }))
}

/// The store that the settings name.
fn open_store(config: &Config, fs: &Arc<dyn Fs>, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
    let (fs, clock, storage) = (Arc::clone(fs), Arc::clone(clock), &config.storage);
    Ok(match storage.snapshots.kept_in {
        KeptIn::Local => Arc::new(LocalStore::open(fs, clock, storage.snapshots_path.clone())?),
        KeptIn::S3 => {
            let records = Records::new(fs, storage.storage_path.join(RECORDS_DIR));
            let options = storage.snapshots.s3.clone();
            Arc::new(S3Store::connect(options, records, clock, Handle::current()).map_err(StoreError::Options)?)
        }
    })
}

/// Removes what a crash has left in the store.
fn sweep(store: &dyn Store) {
    match store.sweep() {
        Ok(0) => {}
        Ok(swept) => tracing::info!("removed {swept} files of snapshots that a crash had left unfinished"),
        // They take space and do no harm.
        Err(error) => tracing::warn!("cannot look for unfinished snapshots: {}", one_line(&error)),
    }
}

/// The same on another machine, which may not answer: the points can be served without it, and it may come back. So it is waited for
/// [`REMOTE_TIME`] at most. What goes on after that hurts nobody, because a remote store knows what this process has begun.
fn sweep_remote(store: &Arc<dyn Store>) {
    let (store, (done, ended)) = (Arc::clone(store), mpsc::channel());
    drop(threads::spawn("sweep", move || {
        match store.probe() {
            Ok(()) => sweep(store.as_ref()),
            Err(error) => {
                tracing::warn!("snapshots can be neither made nor listed until this is mended: {}", one_line(&error));
            }
        }
        // Nobody may wait any more.
        let _ = done.send(());
    }));
    if ended.recv_timeout(REMOTE_TIME) == Err(RecvTimeoutError::Timeout) {
        tracing::warn!("the place of the snapshots has not answered yet; starting without it");
    }
}

/// The path of a directory that may not be there yet.
fn absolute(path: &Path) -> Result<PathBuf, ServeError> {
    let absolute = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::path::absolute(path),
        found => found,
    };
    absolute.map_err(|source| ServeError::Path { path: path.to_owned(), source })
}
