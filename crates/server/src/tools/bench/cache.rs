//! What of the files is in the system's memory when a run begins.
//!
//! Without being asked for anything else, all of it is, as far as there is room: every file is read just before. Asking
//! the system to drop pages is advice, which some file systems do not take; so a look afterwards says whether they did.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::path::{Path, PathBuf};

use icecore_archive::Progress;
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::error::{BenchError, Result};

/// The most files that are looked at, and the places in each.
const FILES_MAX: usize = 16;
const PLACES: u64 = 8;
/// Bytes that are read at once.
const READ_LEN: usize = 1 << 20;

/// How runs begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageCache {
    /// After the files were read.
    Warm,
    /// After the files were dropped from memory.
    Dropped(Effect),
}

/// What was still in memory after it should have been dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Effect {
    /// Places that were looked at.
    looked: u64,
    /// Those of them that were in memory.
    kept: u64,
}

impl PageCache {
    /// Files that are dropped before each run; tries it once with these, and looks what comes of it.
    pub(super) fn dropping(paths: &[PathBuf]) -> Result<Self> {
        drop_pages(paths)?;
        let effect = look(paths)?;
        // Looking may have made the system read ahead.
        drop_pages(paths)?;
        Ok(Self::Dropped(effect))
    }

    /// Makes files be as they have to be before a run.
    pub(super) fn prepare(self, paths: &[PathBuf], progress: &dyn Progress) -> Result<()> {
        match self {
            Self::Warm => read_all(paths, progress),
            Self::Dropped(_) => drop_pages(paths),
        }
    }

    /// For programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Dropped(effect) => effect.name(),
        }
    }

    /// For people.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Warm => "warm: all files were read just before".to_owned(),
            Self::Dropped(effect) => {
                let Effect { looked, kept } = effect;
                let reading = match effect.name() {
                    "dropped" => "files are read from the disk",
                    "unknown" => "whether it has an effect cannot be found out on this file system",
                    "kept" => "this has no effect on this file system",
                    _ => "this has not its full effect on this file system",
                };
                format!("dropped before each run (posix_fadvise); {reading}: {kept} of {looked} places were in memory afterwards")
            }
        }
    }
}

impl Effect {
    fn name(self) -> &'static str {
        match self {
            Self { looked: 0, .. } => "unknown",
            Self { kept: 0, .. } => "dropped",
            Self { looked, kept } if kept == looked => "kept",
            _ => "partly_dropped",
        }
    }
}

/// Reads the files, so that they are in memory, as far as there is room.
fn read_all(paths: &[PathBuf], progress: &dyn Progress) -> Result<()> {
    let mut buffer = vec![0; READ_LEN];
    for path in paths {
        let mut file = open(path)?;
        while file.read(&mut buffer).map_err(BenchError::io("read", path))? > 0 {
            if progress.advance(0).is_break() {
                return Err(BenchError::Stopped);
            }
        }
    }
    Ok(())
}

/// Tells the system that the files will not be needed. What was not written back yet stays, so files have to be synced before.
fn drop_pages(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let file = open(path)?;
        fadvise(&file, 0, None, Advice::DontNeed).map_err(|error| BenchError::io("drop the pages of", path)(error.into()))?;
    }
    Ok(())
}

/// Reads a byte here and there, but only where that takes no disk.
fn look(paths: &[PathBuf]) -> Result<Effect> {
    let mut effect = Effect::default();
    for path in paths.iter().take(FILES_MAX) {
        let file = open(path)?;
        let len = file.metadata().map_err(BenchError::io("look at", path))?.len();
        for place in 0..PLACES.min(len) {
            let mut byte = [0];
            match preadv2(&file, &mut [IoSliceMut::new(&mut byte)], len / PLACES * place, ReadWriteFlags::NOWAIT) {
                Ok(_) => effect = Effect { looked: effect.looked + 1, kept: effect.kept + 1 },
                Err(Errno::AGAIN) => effect.looked += 1,
                // The file system cannot say.
                Err(_) => {}
            }
        }
    }
    Ok(effect)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(BenchError::io("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_did_is_told() {
        let name = |looked, kept| PageCache::Dropped(Effect { looked, kept }).name();
        assert_eq!([name(0, 0), name(8, 0), name(8, 8), name(8, 3)], ["unknown", "dropped", "kept", "partly_dropped"]);
        assert_eq!(PageCache::Warm.name(), "warm");
        let text = PageCache::Dropped(Effect { looked: 8, kept: 8 }).describe();
        assert!(text.contains("no effect") && text.contains("8 of 8"), "{text}");
    }

    #[test]
    fn every_file_is_looked_at_in_some_places() {
        let dir = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = ["a", "b", "empty"].map(|name| dir.path().join(name)).into();
        for (path, len) in paths.iter().zip([100_000, 1, 0]) {
            let file = File::create(path).unwrap();
            std::io::Write::write_all(&mut &file, &vec![1; len]).unwrap();
            file.sync_all().unwrap();
        }
        let PageCache::Dropped(effect) = PageCache::dropping(&paths).unwrap() else { panic!("they were dropped") };
        // Whether it has an effect is up to the file system.
        assert!(effect.looked <= PLACES + 1 && effect.kept <= effect.looked, "{effect:?}");
        for cache in [PageCache::Warm, PageCache::Dropped(effect)] {
            assert!(cache.prepare(&paths, &()).is_ok());
            assert!(cache.prepare(&[dir.path().join("missing")], &()).is_err());
        }
    }
}
