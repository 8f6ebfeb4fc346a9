//! What this server has begun in buckets and not finished, in files of its own: after a crash, the next start ends it.
//!
//! A record is durable before what it tells of is begun, and goes when that is finished or undone. So whatever a crash leaves in a
//! bucket stands in a record, and whatever does not stand in one belongs to somebody else and is left alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::id::Id;
use icecore_io::publish::temp_path;
use icecore_io::{Existing, Fs, publish, read_file};
use serde::{Deserialize, Serialize};

use super::super::{Result, StoreError};

/// How the files of records end.
const SUFFIX: &str = ".json";
/// Longest record that is read, in bytes.
const RECORD_LEN_MAX: u64 = 64 << 10;

/// This run of the program: what it has begun is not for sweeping.
static PROCESS: LazyLock<Option<Id>> = LazyLock::new(|| Id::random().ok());

/// Something that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The run of the program that began it.
    process: Option<Id>,
    /// The server's URL, if one was given.
    pub(super) endpoint: Option<String>,
    /// The bucket.
    pub(super) bucket: String,
    /// The archive's key.
    pub(super) key: String,
    /// What it is.
    pub(super) doing: Doing,
}

/// What may be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Doing {
    /// An archive, under a claim of the record's id.
    Making {
        /// Whether the name was found to be free: only then what is at the key is ours.
        owned: bool,
        /// The multipart upload, if one was begun.
        upload: Option<String>,
    },
    /// The deletion of an archive.
    Deleting {
        /// The ETag of what is deleted: another object at the key is not.
        version: Option<String>,
    },
    /// The note that an archive was read back, which goes with the archive.
    Noting,
}

/// The name of the directory of records in the directory of the storage.
pub(crate) const RECORDS_DIR: &str = "s3";

/// The directory of records.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    process: Option<Id>,
}

impl Records {
    /// Those in `dir`, which is made when it is needed. No two processes may use one directory at a time.
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: PathBuf) -> Self {
        Self { fs, dir, process: *PROCESS }
    }

    /// Those of another run of the program.
    #[cfg(test)]
    pub(super) fn after_restart(&self) -> Self {
        Self { process: Some(Id::random().unwrap()), ..self.clone() }
    }

    /// A record that is not written yet.
    pub(super) fn record(&self, endpoint: Option<String>, bucket: &str, key: &str, doing: Doing) -> Record {
        Record { process: self.process, endpoint, bucket: bucket.to_owned(), key: key.to_owned(), doing }
    }

    /// The id of a record to be written.
    pub(super) fn new_id(&self) -> Result<Id> {
        Id::random().map_err(on("make an id for", &self.dir))
    }

    /// Writes a record durably, or the new state of one.
    pub(super) fn write(&self, id: Id, record: &Record) -> Result<()> {
        self.fs.create_dir_all(&self.dir).map_err(on("create", &self.dir))?;
        let path = self.path(id);
        let bytes = serde_json::to_vec(record).map_err(|error| on("write", &path)(error.into()))?;
        publish(self.fs.as_ref(), &path, &bytes, Existing::Replace).map_err(|error| on("write", &path)(error.into_source()))
    }

    /// Removes a record, and the temporary that a crash may have left of its last state. If that fails it stays, and the next start
    /// finds nothing left to be done for it.
    pub(super) fn remove(&self, id: Id) {
        let path = self.path(id);
        for path in [temp_path(&path), path] {
            match self.fs.remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!("cannot remove {path:?}: {error}"),
                _ => {}
            }
        }
    }

    /// The records of former runs, by id. One that cannot be read is named in the log and stays.
    pub(super) fn left_over(&self) -> Result<Vec<(Id, Record)>> {
        let entries = match self.fs.list(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(on("list", &self.dir)(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let Some(id) = entry.name.strip_suffix(SUFFIX).and_then(|id| id.parse().ok()) else { continue };
            let bytes = match read_file(self.fs.as_ref(), &entry.path, RECORD_LEN_MAX) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                bytes => bytes.map_err(on("read", &entry.path))?,
            };
            match serde_json::from_slice::<Record>(&bytes) {
                Ok(record) if record.process == self.process => {}
                Ok(record) => found.push((id, record)),
                Err(error) => tracing::warn!("{:?} is not a record of work in a bucket: {error}", entry.path),
            }
        }
        Ok(found)
    }

    fn path(&self, id: Id) -> PathBuf {
        self.dir.join(format!("{id}{SUFFIX}"))
    }
}

fn on(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use icecore_io::MemFs;

    use super::*;

    #[test]
    fn the_next_run_finds_what_this_one_has_begun() {
        let records = Records::new(Arc::new(MemFs::new()), "state/s3".into());
        let (done, open) = (Id::random().unwrap(), Id::random().unwrap());
        let mut record = records.record(None, "b", "c/x.snapshot", Doing::Making { owned: false, upload: None });
        for id in [done, open] {
            records.write(id, &record).unwrap();
        }
        record.doing = Doing::Making { owned: true, upload: Some("u".to_owned()) };
        records.write(open, &record).unwrap();
        records.remove(done);
        records.remove(done);
        // A crash in the middle of noting the next state.
        let temp = temp_path(&records.path(open));
        records.fs.create_new(&temp).unwrap();
        assert_eq!(records.left_over().unwrap(), [], "this run is at work on it");
        assert_eq!(records.after_restart().left_over().unwrap(), [(open, record)]);
        records.after_restart().remove(open);
        assert!(records.fs.list(&records.dir).unwrap().is_empty());
    }
}
