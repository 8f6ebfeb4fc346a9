//! A directory for one archive on its way in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use icecore_io::Fs;

use crate::checksum::FileDigest;
use crate::engine::Inner;
use crate::error::{Error, Result, on};
use crate::shard;
use crate::subject::SubjectShard;
use crate::wal::file::file_name;

/// Where staged archives lie in the storage.
pub(crate) const STAGING: &str = "staging";

/// A directory under `staging/` for the members of one archive, each at its member path; removed with the value.
#[derive(Debug)]
pub struct Staging {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    digests: BTreeMap<String, FileDigest>,
}

impl Staging {
    pub(crate) fn create(inner: &Inner, digests: BTreeMap<String, FileDigest>) -> Result<Self> {
        let number = inner.next_staging.fetch_add(1, Ordering::Relaxed);
        let path = inner.path.join(STAGING).join(format!("{number:020}"));
        inner.fs().create_dir(&path).map_err(on("create", &path))?;
        Ok(Self { fs: inner.setup.fs.clone(), path, digests })
    }

    /// The directory; it is empty at first.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The digest of a member that the description names.
    pub(crate) fn digest(&self, member: &str) -> Result<FileDigest> {
        self.digests.get(member).copied().ok_or_else(|| self.missing(member))
    }

    /// The directory of a shard's members. It exists even if the shard has none.
    pub(crate) fn shard_path(&self, described: &SubjectShard) -> Result<PathBuf> {
        let plain = described.path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
        if !plain || described.path.contains('\\') {
            return Err(self.missing(&described.path));
        }
        if let Err(reason) = described.check_log() {
            let path = self.path.join(&described.path).join(shard::WAL);
            return Err(Error::Malformed { path, offset: 0, reason });
        }
        for first in &described.wal {
            self.digest(&log_member(described, *first))?;
        }
        let path = self.path.join(&described.path);
        self.fs.create_dir_all(&path).map_err(on("create", &path))?;
        Ok(path)
    }

    /// Bytes of the shard's log.
    pub(crate) fn log_bytes(&self, described: &SubjectShard) -> u64 {
        let lengths = described.wal.iter().filter_map(|first| self.digests.get(&log_member(described, *first)));
        lengths.map(|digest| digest.len).sum()
    }

    fn missing(&self, member: &str) -> Error {
        let reason = "the archive describes it but has no such member".into();
        Error::Malformed { path: self.path.join(member.trim_start_matches('/')), offset: 0, reason }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = self.fs.remove_dir_all(&self.path);
    }
}

fn log_member(described: &SubjectShard, first: crate::ids::Lsn) -> String {
    format!("{}/{}/{}", described.path, shard::WAL, file_name(first))
}

/// Removes what a crash left over.
pub(crate) fn clear_staging(fs: &dyn Fs, storage: &Path) -> Result<()> {
    let dir = storage.join(STAGING);
    for entry in fs.list(&dir).map_err(on("list", &dir))? {
        fs.remove_dir_all(&entry.path).map_err(on("remove", &entry.path))?;
    }
    Ok(())
}
