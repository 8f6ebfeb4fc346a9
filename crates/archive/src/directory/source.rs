//! A scanned directory as the source of an archive: digests first, then the files themselves.
//!
//! Each file is read twice, once for its digests and once to be copied, and looked at after each reading and at the very end. What
//! differs is said to have changed if the file system says so too; if not, the bytes that were read differ by themselves, and that
//! is damage.

use std::cmp::Reverse;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use icecore_io::File;
use icecore_io::digest::{FileDigest, Hasher};

use super::scan::{Directory, Found};
use crate::Error;
use crate::format::manifest::Member;
use crate::plan::Plan;
use crate::progress::{Progress, advance};
use crate::workers;
use crate::writer::Source;

impl Directory {
    /// Digests all files on `threads` threads and plans their archive. Progress counts bytes of data.
    ///
    /// Fails with [`Error::Changed`] if a file is not what the scan found, and as [`Plan::new`] does.
    pub fn plan(&self, threads: NonZeroUsize, progress: &dyn Progress) -> Result<Plan, Error> {
        progress.start(self.bytes());
        let digests = Mutex::new(vec![None; self.files.len()]);
        let mut jobs: Vec<(usize, &Found)> = self.files.iter().enumerate().collect();
        // The longest first, so that no thread is left with it in the end.
        jobs.sort_by_key(|(_, file)| Reverse(file.len));
        workers::run(&jobs, threads, workers::buffer, |(index, file), buffer| {
            let digest = self.digest(file, buffer, progress)?;
            if let Some(slot) = digests.lock().unwrap_or_else(PoisonError::into_inner).get_mut(*index) {
                *slot = Some(digest);
            }
            Ok(())
        })?;
        let digests = digests.into_inner().unwrap_or_else(PoisonError::into_inner);
        let members = self.files.iter().zip(digests).filter_map(|(file, digest)| {
            let FileDigest { len, sha256, crc32c } = digest?;
            Some(Member { path: file.path.clone(), len, sha256, crc32c })
        });
        let members: Vec<Member> = members.collect();
        assert_eq!(members.len(), self.files.len(), "every file was digested");
        Plan::new(self.subject.to_value(), members)
    }

    /// The reason of an error of [`create`](crate::create()) with this source: bytes that are not those of the plan because
    /// somebody changed the file are no damage.
    pub fn explain(&self, error: Error) -> Error {
        match &error {
            Error::Corrupt { member, .. } | Error::SourceLength { member, .. } | Error::Source { member, .. } => {
                let file = self.files.iter().find(|file| file.path.as_str() == member);
                file.and_then(|file| self.check(file).err()).unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Reads a file that is as long as the scan found it.
    fn digest(&self, file: &Found, buffer: &mut [u8], progress: &dyn Progress) -> Result<FileDigest, Error> {
        let path = self.path(file);
        let opened = match self.fs.open_read(&path) {
            Ok(opened) => opened,
            Err(error) => {
                self.check(file)?;
                return Err(Error::io("open", path)(error));
            }
        };
        let mut hasher = Hasher::default();
        let mut offset = 0;
        while offset < file.len {
            let len = usize::try_from(file.len - offset).unwrap_or(usize::MAX).min(buffer.len());
            let bytes = buffer.get_mut(..len).unwrap_or_default();
            match opened.read_exact_at(bytes, offset) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Error::Changed { path, change: "it became shorter" });
                }
                other => other.map_err(Error::io("read", &path))?,
            }
            hasher.update(bytes);
            offset += len as u64;
            advance(progress, len as u64)?;
        }
        self.check(file)?;
        Ok(hasher.finish())
    }

    fn check(&self, file: &Found) -> Result<(), Error> {
        let path = self.path(file);
        file.check(&path, self.fs.metadata(&path))
    }

    fn path(&self, file: &Found) -> PathBuf {
        self.root.join(file.path.as_str())
    }
}

impl Source for Directory {
    fn open(&self, index: usize) -> io::Result<Arc<dyn File>> {
        let file = self.files.get(index).ok_or(io::ErrorKind::NotFound)?;
        self.fs.open_read(&self.path(file))
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.files.iter().try_for_each(|file| self.check(file))
    }
}
