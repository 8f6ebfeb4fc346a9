//! The digest of a whole archive file, where somebody noted it beside the file, computed while the members are unpacked.
//!
//! The members' own digests find every damage of data. This one finds that the file is another one than was meant.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use icecore_archive::{Hasher, Progress, Sha256Digest};
use icecore_io::{File, Fs, read_file};

use super::RestoreError;

/// The longest digest file that is read, in bytes: the digits, and what an editor may have added.
const FILE_LEN_MAX: u64 = 4096;
/// Bytes of one read.
const BUFFER_LEN: usize = 1 << 20;

/// The digest in `<archive>.checksum`; `None` if there is no such file. White space and upper case are forgiven.
pub(super) fn beside(fs: &dyn Fs, archive: &Path) -> Result<Option<Sha256Digest>, RestoreError> {
    let mut path = archive.as_os_str().to_owned();
    path.push(".checksum");
    let path = PathBuf::from(path);
    let bytes = match read_file(fs, &path, FILE_LEN_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RestoreError::Read { path, source }),
    };
    let text = String::from_utf8_lossy(&bytes).trim().to_ascii_lowercase();
    text.parse().map(Some).map_err(|source| RestoreError::ChecksumFile { path, source })
}

/// Reads the whole file, called `label` in errors, and gives its digest.
pub(super) fn digest(file: &dyn File, label: &Path, progress: &dyn Progress) -> Result<Sha256Digest, RestoreError> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; BUFFER_LEN];
    let mut offset = 0;
    loop {
        let len = match file.read_at(&mut buffer, offset) {
            Ok(0) => return Ok(hasher.finish().sha256),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(RestoreError::Read { path: label.to_owned(), source }),
        };
        hasher.update(buffer.get(..len).unwrap_or_default());
        offset += len as u64;
        if progress.advance(len as u64).is_break() {
            return Err(RestoreError::Archive(icecore_archive::Error::Cancelled));
        }
    }
}

/// Two operations at once of which the first failure stops the other. As their progress it passes bytes on, and totals not: the
/// caller has announced them.
pub(super) struct Race<'a> {
    progress: &'a dyn Progress,
    lost: AtomicBool,
}

impl<'a> Race<'a> {
    /// Both report to `progress`.
    pub(super) fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, lost: AtomicBool::new(false) }
    }

    /// Runs both, and returns the failure that stopped the other.
    pub(super) fn run(
        &self,
        here: impl FnOnce() -> Result<(), RestoreError>,
        there: impl FnOnce() -> Result<(), RestoreError> + Send,
    ) -> Result<(), RestoreError> {
        let (here, there) = thread::scope(|scope| {
            let there = scope.spawn(|| self.note(there()));
            let here = self.note(here());
            let there = there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (here, there)
        });
        match (here, there) {
            (Err(error), there) if error.is_cancelled() => there.and(Err(error)),
            (here, there) => here.and(there),
        }
    }

    fn note(&self, result: Result<(), RestoreError>) -> Result<(), RestoreError> {
        if result.is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
        result
    }
}

impl Progress for Race<'_> {
    fn start(&self, _total: u64) {}

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        match self.lost.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => self.progress.advance(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use icecore_io::MemFs;

    use super::*;

    fn fs(name: &str, bytes: &[u8]) -> Arc<dyn Fs> {
        let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
        fs.create_new(Path::new(name)).unwrap().write_all_at(bytes, 0).unwrap();
        fs
    }

    #[test]
    fn digest_files_are_read_as_people_write_them() {
        let archive = Path::new("a.snapshot");
        let digest = Sha256Digest::of(b"x");
        let upper = format!(" {}\n", digest.to_string().to_uppercase());
        assert_eq!(beside(fs("a.snapshot.checksum", upper.as_bytes()).as_ref(), archive).unwrap(), Some(digest));
        assert_eq!(beside(fs("other", b"").as_ref(), archive).unwrap(), None);
        for wrong in [&b""[..], b"abc", &[0xff; 64], &[b'0'; 65]] {
            let read = beside(fs("a.snapshot.checksum", wrong).as_ref(), archive);
            assert!(matches!(read, Err(RestoreError::ChecksumFile { .. })), "{read:?}");
        }
    }

    #[test]
    fn the_digest_is_that_of_all_bytes() {
        let data = vec![7; BUFFER_LEN + 1];
        let fs = fs("a", &data);
        let file = fs.open_read(Path::new("a")).unwrap();
        assert_eq!(digest(file.as_ref(), Path::new("a"), &()).unwrap(), Sha256Digest::of(&data));
    }

    #[test]
    fn the_first_failure_stops_the_other_and_is_the_one_returned() {
        let until_stopped = |race: &Race<'_>| {
            while race.advance(0).is_continue() {
                thread::yield_now();
            }
            Err(RestoreError::Archive(icecore_archive::Error::Cancelled))
        };
        let failure = || Err(RestoreError::NamedTwice { name: "x".to_owned() });
        let race = Race::new(&());
        assert!(matches!(race.run(|| until_stopped(&race), failure), Err(RestoreError::NamedTwice { .. })));
        let race = Race::new(&());
        assert!(matches!(race.run(failure, || until_stopped(&race)), Err(RestoreError::NamedTwice { .. })));
        let race = Race::new(&());
        assert!(race.run(|| Ok(()), || Ok(())).is_ok());
    }
}
