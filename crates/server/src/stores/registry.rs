//! The stores that are configured at run time: created, changed, tested and resolved by id.
//!
//! One document holds all of them and is replaced by one rename, so that every change is one commit: exactly one configuration, or
//! none, is the default in any state that a crash can leave. Secrets are encrypted before they get into it ([`secrets`]) and never
//! come out but to connect to their store. Where no configuration is the default, archives belong where the server's settings say.
//! What is kept in the stores is not looked at here, and deleting a configuration deletes nothing in its store.

mod check;
mod document;
mod error;
mod probe;
mod record;
mod s3;
mod secrets;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icecore_io::{Clock, Existing, Fs, PublishError, publish_synced};
use tokio::runtime::Handle;

use self::check::Reserved;
use self::document::Document;
pub(crate) use self::error::StoresError;
pub(crate) use self::probe::Tested;
use self::record::StoreId;
pub(crate) use self::record::{Change, Draft, Kind, MASK, Record, S3Fields, Settings};
use self::s3::Connector;
use self::secrets::{Keys, Safe};
use super::{LocalStore, RECORDS_DIR, Store};
use crate::config::{EncryptionKey, StorageSettings};
use crate::error::one_line;

/// The document's name in the directory of the storage, whose lock keeps other processes off it.
const FILE: &str = "stores.json";
/// The key's name beside it.
const KEY_FILE: &str = "secrets.key";
/// Configurations there may be, so that the document stays small.
const RECORDS_MAX: usize = 1000;

/// The result of an operation on configurations.
pub(crate) type Result<T, E = StoresError> = std::result::Result<T, E>;

/// All configurations.
pub(crate) struct Stores {
    fs: Arc<dyn Fs>,
    clock: Arc<dyn Clock>,
    safe: Safe,
    reserved: Reserved,
    fallback: Arc<dyn Store>,
    connector: Connector,
    state: Mutex<State>,
}

struct State {
    document: Document,
    /// Stores that are in use, by the id of their configuration.
    built: HashMap<StoreId, Arc<dyn Store>>,
}

/// A store, and the configuration that it is of.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedStore {
    /// The id of its configuration; none for the store of the server's settings.
    pub(crate) id: Option<String>,
    /// The store.
    pub(crate) store: Arc<dyn Store>,
}

impl Stores {
    /// Reads the configurations. `fallback` is the store of the server's settings; `key`, if given, encrypts secrets instead of the key
    /// file; `runtime` drives connections. Errors: a document that is damaged or of a later version, which is left as it is.
    pub(crate) fn open(
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        settings: &StorageSettings,
        key: Option<EncryptionKey>,
        fallback: Arc<dyn Store>,
        runtime: Handle,
    ) -> Result<Self> {
        let document = Document::open(fs.as_ref(), settings.storage_path.join(FILE))?;
        let safe = Safe::new(Arc::clone(&fs), settings.storage_path.join(KEY_FILE), key);
        let reserved = Reserved::of(settings);
        let state = Mutex::new(State { document, built: HashMap::new() });
        let records = settings.storage_path.join(RECORDS_DIR);
        let connector = Connector { fs: Arc::clone(&fs), clock: Arc::clone(&clock), records, runtime };
        Ok(Self { fs, clock, safe, reserved, fallback, connector, state })
    }

    /// The store of a configuration; without an id that of the default one, or of the server's settings if there is none.
    ///
    /// What a crash has left in a local store is swept when it is first resolved.
    pub(crate) fn resolve(&self, id: Option<&str>) -> Result<ResolvedStore> {
        let mut state = self.state();
        let records = state.document.records();
        let record = match id {
            Some(id) => Some(find(records, id)?),
            None => records.iter().find(|record| record.is_default),
        };
        let Some(record) = record.cloned() else {
            return Ok(ResolvedStore { id: None, store: Arc::clone(&self.fallback) });
        };
        let store = match state.built.get(&record.id) {
            Some(store) => Arc::clone(store),
            None => {
                let store = self.build(&record)?;
                state.built.insert(record.id, Arc::clone(&store));
                store
            }
        };
        Ok(ResolvedStore { id: Some(record.id.to_string()), store })
    }

    /// Removes what a crash has left in stores that others pay for by the byte, without waiting until somebody uses them. Blocks on the
    /// network; what fails is logged, and tried again at the next start.
    pub(crate) fn sweep_remote(&self) {
        let remote = |record: &Record| matches!(record.settings, Settings::S3 { .. });
        for record in self.list().into_iter().filter(remote) {
            if let Err(error) = self.resolve(Some(&record.id.to_string())) {
                tracing::warn!("cannot look for unfinished archives in {:?}: {}", record.name, one_line(&error));
            }
        }
    }

    /// All configurations, the oldest first.
    pub(crate) fn list(&self) -> Vec<Record> {
        self.state().document.records().to_vec()
    }

    /// Adds a configuration.
    pub(crate) fn create(&self, draft: Draft) -> Result<Record> {
        let id = StoreId::random()?;
        let now = self.now_ms();
        let checked = check::draft(draft, &self.reserved)?;
        let mut state = self.state();
        let mut records = state.document.records().to_vec();
        if records.len() >= RECORDS_MAX {
            return Err(StoresError::TooMany { max: RECORDS_MAX });
        }
        let settings = checked.settings.seal(|keys| self.safe.seal(id, &keys))?;
        let record =
            Record { id, name: checked.name, settings, is_default: checked.is_default, created_ms: now, updated_ms: now };
        if record.is_default {
            unset_default(&mut records);
        }
        records.push(record.clone());
        state.document.replace(self.fs.as_ref(), records)?;
        Ok(record)
    }

    /// Changes the given fields of a configuration.
    pub(crate) fn update(&self, id: &str, change: Change) -> Result<Record> {
        let mut state = self.state();
        let mut records = state.document.records().to_vec();
        let position = position(&records, id)?;
        let mut record = records.swap_remove(position);
        if record.is_default && change.is_default == Some(false) {
            return Err(StoresError::DefaultUnset);
        }
        let settings = check::change(&record, &change, &self.reserved)?;
        let keys = match &settings {
            Settings::Local { .. } => None,
            Settings::S3 { .. } => check::changed_keys(&change.s3, || self.opened(&record))?,
        };
        let sealed = keys.map(|keys| self.safe.seal(record.id, &keys)).transpose()?;
        record.settings = settings.with_keys(sealed);
        if let Some(name) = change.name {
            record.name = check::name(name)?;
        }
        record.updated_ms = self.now_ms().max(record.updated_ms);
        if change.is_default == Some(true) {
            unset_default(&mut records);
            record.is_default = true;
        }
        records.push(record.clone());
        // The order is that of creation, whatever is changed.
        records.sort_by_key(|record| (record.created_ms, record.id));
        state.document.replace(self.fs.as_ref(), records)?;
        state.built.remove(&record.id);
        Ok(record)
    }

    /// Forgets a configuration. What its store keeps stays there.
    pub(crate) fn delete(&self, id: &str) -> Result<()> {
        let mut state = self.state();
        let mut records = state.document.records().to_vec();
        let position = position(&records, id)?;
        let record = records.remove(position);
        if record.is_default {
            return Err(StoresError::DefaultDeleted);
        }
        state.document.replace(self.fs.as_ref(), records)?;
        state.built.remove(&record.id);
        Ok(())
    }

    /// Tries whether a store could be used; never an error. A local directory is made if it is not there.
    pub(crate) fn test(&self, draft: Draft) -> Tested {
        match draft.kind {
            Kind::Local => probe::local(self.fs.as_ref(), draft.path.as_deref(), &self.reserved),
            Kind::S3 => probe::s3(draft, &self.reserved, &self.connector),
        }
    }

    /// Like [`test`](Self::test), for a configuration that exists.
    pub(crate) fn test_existing(&self, id: &str) -> Result<Tested> {
        let record = find(self.state().document.records(), id)?.clone();
        Ok(match record.settings {
            Settings::Local { path } => probe::local(self.fs.as_ref(), path.to_str(), &self.reserved),
            settings @ Settings::S3 { .. } => {
                let settings = settings.seal(|sealed| self.safe.open(record.id, &record.name, &sealed))?;
                probe::probed(&self.connector.connect(settings)?)
            }
        })
    }

    /// Makes the store of a configuration.
    fn build(&self, record: &Record) -> Result<Arc<dyn Store>> {
        let store: Arc<dyn Store> = match &record.settings {
            Settings::Local { path } => {
                // Checked again: a link may have been put into it since.
                check::local_path(path, &self.reserved)?;
                Arc::new(LocalStore::open(Arc::clone(&self.fs), Arc::clone(&self.clock), path.clone())?)
            }
            Settings::S3 { .. } => {
                let settings = record.settings.clone().seal(|sealed| self.safe.open(record.id, &record.name, &sealed))?;
                Arc::new(self.connector.connect(settings)?)
            }
        };
        match store.sweep() {
            Ok(0) => {}
            Ok(swept) => {
                tracing::info!("removed {swept} files of archives in {:?} that a crash had left unfinished", record.name)
            }
            // They take space and do no harm.
            Err(error) => tracing::warn!("cannot look for unfinished archives in {:?}: {}", record.name, one_line(&error)),
        }
        Ok(store)
    }

    /// The keys of a configuration, decrypted.
    fn opened(&self, record: &Record) -> Result<Option<Keys>> {
        match &record.settings {
            Settings::Local { .. } | Settings::S3 { keys: None, .. } => Ok(None),
            Settings::S3 { keys: Some(sealed), .. } => self.safe.open(record.id, &record.name, sealed).map(Some),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in it is half changed when a thread panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        let since = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stores").field("fallback", &self.fallback).finish_non_exhaustive()
    }
}

/// A time of a record.
pub(crate) fn time_of(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn position(records: &[Record], id: &str) -> Result<usize> {
    let id: StoreId = id.parse()?;
    records.iter().position(|record| record.id == id).ok_or(StoresError::NotFound)
}

fn find<'a>(records: &'a [Record], id: &str) -> Result<&'a Record> {
    let position = position(records, id)?;
    records.get(position).ok_or(StoresError::NotFound)
}

fn unset_default(records: &mut [Record]) {
    for record in records {
        record.is_default = false;
    }
}

/// Publishes a file that nobody but this user may read.
fn publish_private(fs: &dyn Fs, path: &Path, bytes: &[u8], existing: Existing) -> Result<(), PublishError> {
    let temp = path.with_added_extension("tmp");
    match fs.remove_file(&temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(PublishError::NotPublished(error)),
        _ => {}
    }
    let write = || {
        let file = fs.create_new(&temp)?;
        // Before there is anything in it.
        fs.set_mode(&temp, 0o600)?;
        file.write_all_at(bytes, 0)?;
        file.sync_data()
    };
    if let Err(error) = write() {
        // What it leaves is replaced next time; the caller is to hear of the first error.
        let _ = fs.remove_file(&temp);
        return Err(PublishError::NotPublished(error));
    }
    publish_synced(fs, &temp, path, existing)
}

#[cfg(test)]
mod tests;
