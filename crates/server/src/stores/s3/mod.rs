//! The store in a bucket of an S3 server: Amazon's, or any that speaks its protocol.
//!
//! Archives lie under the keys that they would have as files in the local store, each with a digest and an index object beside it; the
//! latter is written last, and lists are of those. How a name becomes ours without trusting the server's conditional requests is in
//! `put`; what a crash leaves is in `records` and ended by `sweep`. An archive is sent while it is made, and read in ranges:
//! there is no local copy of either.

mod blocks;
mod bucket;
mod copying;
mod error;
mod file;
mod id;
mod keys;
mod meta;
mod options;
mod put;
mod records;
mod signed;
mod sweep;
#[cfg(test)]
mod tests;
mod twins;
mod upload;
mod uploads;
mod verified;

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::Path as Label;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use icecore_archive::{ArchiveName, Draft, Incoming, Progress, write_archive, write_compressed, write_stream};
use icecore_io::Clock;
use object_store::ObjectMeta;
use object_store::path::Path;
use tokio::runtime::Handle;

use super::{ArchiveInfo, ObjectAddress, OpenedObject, Result, Store, StoreError, StoredArchive};
use crate::usecases::naming::Place;
use blocks::Budget;
use bucket::Bucket;
use file::ObjectFile;
use keys::{CHECKSUM_SUFFIX, Keys, META_SUFFIX};
use meta::{META_LEN_MAX, Meta};
use put::About;
use records::{Doing, Record};
use twins::Wanted;
use upload::PART_LEN_MIN;

pub(crate) use error::{Fault, S3Error};
pub(crate) use options::{OptionsError, S3Options};
pub(crate) use records::{RECORDS_DIR, Records};

/// Index objects that are remembered, so that a list costs one request and not one more for each archive.
const REMEMBERED_MAX: usize = 10_000;
/// Longest digest object that is read, in bytes: the digits, and what an editor may have added.
const CHECKSUM_LEN_MAX: u64 = 4096;

/// Archives in a bucket.
#[derive(Debug)]
pub(crate) struct S3Store {
    options: S3Options,
    bucket: Bucket,
    /// The same, for a look whose failure somebody waits for.
    looking: Bucket,
    /// The same, for uploads whose parts the server copies.
    copying: Bucket,
    prefix: String,
    records: Records,
    clock: Arc<dyn Clock>,
    /// Memory for what is read, of all open archives together.
    budget: Budget,
    /// Whether the server gives a copy the ETag of its original, as far as that has been tried.
    copies: AtomicBool,
    /// Shortest part of an upload but for the last, in bytes.
    part_len_min: usize,
    /// Index objects by key, with the ETag under which they were read.
    remembered: Mutex<HashMap<Path, (String, Meta)>>,
}

impl S3Store {
    /// The store in the bucket of these options. Makes no connection: [`probe`](Store::probe) does. `runtime` has to have its I/O and time
    /// drivers enabled; all methods of the store are for blocking threads and panic on its async ones.
    pub(crate) fn connect(
        options: S3Options,
        records: Records,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Result<Self, OptionsError> {
        let client = options.client(&options.bucket)?;
        let looking = options.looking_client()?;
        let prefix = options.key_prefix()?;
        let bucket = Bucket::new(client, options.bucket.clone(), runtime.clone());
        let looking = Bucket::new(looking, options.bucket.clone(), runtime.clone());
        let copying = Bucket::new(options.copying_client()?, options.bucket.clone(), runtime);
        Ok(Self {
            options,
            bucket,
            looking,
            copying,
            prefix,
            records,
            clock,
            budget: Budget::default(),
            copies: AtomicBool::new(true),
            part_len_min: PART_LEN_MIN,
            remembered: Mutex::default(),
        })
    }

    fn keys(&self, place: &Place, name: &ArchiveName) -> Result<Keys> {
        Keys::new(&self.prefix, place, name)
    }

    fn record(&self, keys: &Keys, doing: Doing) -> Record {
        self.records.record(self.options.endpoint.clone(), self.bucket.name(), keys.data.as_ref(), doing)
    }

    /// What an index object says; `None` if it is gone, or is none.
    fn read_meta(&self, object: &ObjectMeta) -> Result<Option<Meta>, S3Error> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some((version, meta)), Some(now)) = (remembered.get(&object.location), &object.e_tag)
            && version == now
        {
            return Ok(Some(meta.clone()));
        }
        drop(remembered);
        let meta = self.bucket.get(&object.location, META_LEN_MAX)?.as_deref().and_then(Meta::parse);
        if let (Some(meta), Some(version)) = (&meta, &object.e_tag) {
            remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= REMEMBERED_MAX {
                remembered.clear();
            }
            remembered.insert(object.location.clone(), (version.clone(), meta.clone()));
        }
        Ok(meta)
    }

    /// The index object of an archive, as it is now; `None` if there is none.
    fn look_up(&self, keys: &Keys) -> Result<Option<Meta>, S3Error> {
        Ok(self.bucket.get(&keys.meta, META_LEN_MAX)?.as_deref().and_then(Meta::parse))
    }

    /// The index object of an archive. `NotFound` if there is none.
    fn meta(&self, keys: &Keys, name: &ArchiveName) -> Result<Meta> {
        self.look_up(keys)?.ok_or_else(|| StoreError::NotFound { name: name.to_string() })
    }
}

impl Store for S3Store {
    fn put(&self, place: &Place, name: &ArchiveName, draft: Draft<'_>, progress: &dyn Progress) -> Result<ArchiveInfo> {
        draft.check_name(name).map_err(StoreError::Archive)?;
        let Draft { plan, source, compression, sharing } = draft;
        // What is compressed does not follow from its manifest; what is one request to send takes more to be copied.
        let is_worth_it =
            compression.is_none() && self.copies.load(Ordering::Relaxed) && plan.archive_len() > self.part_len_min as u64;
        let about = About {
            name,
            len_max: Some(draft.len_max()),
            uncompressed_size: compression.map(|_| plan.archive_len()),
            manifest_sha256: Some(plan.manifest_sha256()),
            wanted: sharing.filter(|_| is_worth_it).map(|sharing| Wanted { place, plan, source, sharing }),
        };
        put::put(self, &self.keys(place, name)?, about, progress, |sink| match compression {
            Some(compression) => write_compressed(plan, source, sink, compression, progress),
            None => write_archive(plan, source, sink, progress),
        })
    }

    fn put_stream(
        &self,
        place: &Place,
        name: &ArchiveName,
        reader: &mut dyn Read,
        len: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<ArchiveInfo> {
        let keys = self.keys(place, name)?;
        let about = About { name, len_max: len, uncompressed_size: None, manifest_sha256: None, wanted: None };
        put::put(self, &keys, about, progress, |sink| {
            write_stream(Incoming { reader, len, label: Label::new(name.as_str()) }, sink, progress)
        })
    }

    fn places(&self) -> Result<Vec<Place>> {
        let objects = self.bucket.list(&self.prefix, None)?;
        let of = |object: &ObjectMeta| keys::place(&self.prefix, object.location.as_ref().strip_suffix(META_SUFFIX)?);
        let places: BTreeSet<Place> = objects.iter().filter_map(of).collect();
        Ok(places.into_iter().collect())
    }

    fn list(&self, place: &Place) -> Result<Vec<ArchiveInfo>> {
        let dir = keys::dir(&self.prefix, place)?;
        let objects = self.bucket.list(&dir, Some("/"))?;
        let sizes: HashMap<&str, u64> = objects.iter().map(|object| (object.location.as_ref(), object.size)).collect();
        let mut found = Vec::new();
        for object in &objects {
            let Some(key) = object.location.as_ref().strip_suffix(META_SUFFIX) else { continue };
            let Some(name) = key.strip_prefix(dir.as_str()).and_then(|name| name.parse().ok()) else { continue };
            // While an archive is deleted, or after somebody has removed a part of it, it is none.
            let Some(size) = sizes.get(key) else { continue };
            if let Some(meta) = self.read_meta(object)?.filter(|meta| meta.size == *size) {
                found.push(meta.info(name));
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn open(&self, place: &Place, name: &ArchiveName) -> Result<StoredArchive> {
        let keys = self.keys(place, name)?;
        let meta = self.meta(&keys, name)?;
        let found = self.bucket.head(&keys.data)?.filter(|found| found.size == meta.size);
        let found = found.ok_or_else(|| StoreError::NotFound { name: name.to_string() })?;
        let file = ObjectFile::new(self.bucket.clone(), keys.data, found.size, found.e_tag, self.budget.clone());
        Ok(StoredArchive { tag: meta.sha256.to_string(), info: meta.info(name.clone()), file: Arc::new(file) })
    }

    fn delete(&self, place: &Place, name: &ArchiveName) -> Result<()> {
        let keys = self.keys(place, name)?;
        self.meta(&keys, name)?;
        let version = self.bucket.head(&keys.data)?.and_then(|found| found.e_tag);
        let id = self.records.new_id()?;
        self.records.write(id, &self.record(&keys, Doing::Deleting { version: version.clone() }))?;
        // From here on it is not listed. If that fails, it may be gone all the same, and the record says what to do then.
        self.bucket.delete(&keys.meta)?;
        match self.finish_deleting(version.as_deref(), &keys) {
            Ok(_) => self.records.remove(id),
            Err(error) => tracing::warn!("{error}; the next start tries again"),
        }
        Ok(())
    }

    fn note_read_back(&self, place: &Place, archive: &StoredArchive, sound_at: Option<SystemTime>) -> Result<()> {
        verified::note(self, &self.keys(place, &archive.info.name)?, archive, sound_at)
    }

    fn sweep(&self) -> Result<usize> {
        self.sweep_records()
    }

    /// Whether the bucket can be listed with these credentials: one request, repeated if the server does not answer.
    fn probe(&self) -> Result<()> {
        Ok(self.looking.probe(&self.prefix)?)
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn open_object(&self, address: &ObjectAddress) -> Result<OpenedObject> {
        let bucket = if address.bucket == self.bucket.name() {
            self.bucket.clone()
        } else {
            let client = self.options.client(&address.bucket).map_err(StoreError::Options)?;
            Bucket::new(client, address.bucket.clone(), self.bucket.runtime.clone())
        };
        let missing = || StoreError::NotFound { name: address.to_string() };
        let key = Path::parse(&address.key).map_err(|_| missing())?;
        let found = bucket.head(&key)?.ok_or_else(missing)?;
        let beside = Path::parse(format!("{key}{CHECKSUM_SUFFIX}")).map_err(|_| missing())?;
        let sha256 = match bucket.get(&beside, CHECKSUM_LEN_MAX) {
            Ok(digits) => digits.and_then(|digits| std::str::from_utf8(&digits).ok()?.trim().parse().ok()),
            // Who may not list a bucket is not told that there is no object.
            Err(error) if error.fault == Fault::Denied => None,
            Err(error) => return Err(error.into()),
        };
        Ok(OpenedObject { file: Arc::new(ObjectFile::new(bucket, key, found.size, found.e_tag, self.budget.clone())), sha256 })
    }
}
