//! The store in a local directory.
//!
//! Archives of everything are files directly in it, those of a collection in a directory of the collection's name, those of a shard
//! in `<collection>/shards/<number>`, those of a cluster on other machines the same way in `<collection>/clusters/<cluster>`. No archive is called `shards`, because archives end in `.snapshot`. A collection may be
//! called like an archive of everything; then the name is taken for whoever comes later, who gets an error and changes nothing.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use icecore_archive::{ArchiveName, Draft, Incoming, Progress, ReadBack, Stored};
use icecore_io::{Clock, FileKind, Fs, Metadata};

use super::{ArchiveInfo, Result, Store, StoreError, StoredArchive};
use crate::usecases::naming::{CLUSTERS_DIR, Place, SHARDS_DIR};

/// Archives in a directory.
#[derive(Debug)]
pub(crate) struct LocalStore {
    fs: Arc<dyn Fs>,
    clock: Arc<dyn Clock>,
    root: PathBuf,
}

impl LocalStore {
    /// The store in `root`, which is created if it is not there.
    pub(crate) fn open(fs: Arc<dyn Fs>, clock: Arc<dyn Clock>, root: PathBuf) -> Result<Self> {
        fs.create_dir_all(&root).map_err(on("create", &root))?;
        Ok(Self { fs, clock, root })
    }

    /// The directories from the root's child down to that of the place.
    fn dirs(&self, place: &Place) -> Result<Vec<PathBuf>> {
        let mut dir = self.root.clone();
        let names = place.dirs().map_err(StoreError::Place)?;
        let down = |name: String| {
            dir.push(name);
            dir.clone()
        };
        Ok(names.into_iter().map(down).collect())
    }

    /// The directory of the place, `None` if there is none. A link in its stead is none: what is behind it is somebody else's.
    fn find_dir(&self, place: &Place) -> Result<Option<PathBuf>> {
        let mut found = self.root.clone();
        for dir in self.dirs(place)? {
            if !self.is_dir(&dir)? {
                return Ok(None);
            }
            found = dir;
        }
        Ok(Some(found))
    }

    /// Like [`find_dir`](Self::find_dir), for whoever looks for an archive of this name.
    fn dir_of(&self, place: &Place, name: &ArchiveName) -> Result<PathBuf> {
        self.find_dir(place)?.ok_or_else(|| StoreError::NotFound { name: name.to_string() })
    }

    fn is_dir(&self, path: &Path) -> Result<bool> {
        match self.fs.metadata(path) {
            Ok(found) => Ok(found.kind == FileKind::Dir),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(on("look at", path)(error)),
        }
    }

    /// The directory of the place, created durably. The root is made again if somebody has removed it.
    fn create_dir(&self, place: &Place) -> Result<PathBuf> {
        self.fs.create_dir_all(&self.root).map_err(on("create", &self.root))?;
        let mut parent = self.root.clone();
        for dir in self.dirs(place)? {
            match self.fs.create_dir(&dir) {
                Ok(()) => self.fs.sync_dir(&parent).map_err(on("sync", &parent))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if self.fs.metadata(&dir).map_err(on("look at", &dir))?.kind != FileKind::Dir {
                        return Err(StoreError::Occupied { path: dir });
                    }
                }
                Err(error) => return Err(on("create", &dir)(error)),
            }
            parent = dir;
        }
        Ok(parent)
    }

    /// Sweeps one directory; a missing one, or something that is no directory, has nothing in it.
    fn sweep_dir(&self, dir: &Path) -> Result<usize> {
        if !self.is_dir(dir)? {
            return Ok(0);
        }
        let swept = icecore_archive::sweep(self.fs.as_ref(), dir).map_err(StoreError::Archive)?;
        Ok(swept.removed.len())
    }

    /// Sweeps a directory of archives and those of the shards in it.
    fn sweep_with_shards(&self, dir: &Path) -> Result<usize> {
        let mut removed = self.sweep_dir(dir)?;
        for shard in self.dirs_inside(dir, SHARDS_DIR)? {
            removed += self.sweep_dir(&shard)?;
        }
        Ok(removed)
    }

    /// The directories in `<dir>/<name>`; none if that is no directory.
    fn dirs_inside(&self, dir: &Path, name: &str) -> Result<Vec<PathBuf>> {
        let inside = dir.join(name);
        if self.is_dir(&inside)? { self.dirs_in(&inside) } else { Ok(Vec::new()) }
    }

    /// The directories in `dir`; none if it does not exist.
    fn dirs_in(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let entries = match self.fs.list(dir) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
            Err(error) => return Err(on("list", dir)(error)),
        };
        let mut dirs = Vec::new();
        for entry in entries {
            if self.is_dir(&entry.path)? {
                dirs.push(entry.path);
            }
        }
        Ok(dirs)
    }
}

impl Store for LocalStore {
    fn put(&self, place: &Place, name: &ArchiveName, draft: Draft<'_>, progress: &dyn Progress) -> Result<ArchiveInfo> {
        let dir = self.create_dir(place)?;
        match icecore_archive::create_draft(self.fs.as_ref(), self.clock.as_ref(), &dir, name, draft, progress) {
            Ok(created) => Ok(ArchiveInfo {
                name: name.clone(),
                created: created.created_at,
                size: created.len,
                sha256: Some(created.sha256),
                shared: created.shared,
            }),
            Err(error) => Err(taken(error, name)),
        }
    }

    fn put_stream(
        &self,
        place: &Place,
        name: &ArchiveName,
        reader: &mut dyn Read,
        len: Option<u64>,
        progress: &dyn Progress,
    ) -> Result<ArchiveInfo> {
        let dir = self.create_dir(place)?;
        let label = dir.join(name.as_str());
        let incoming = Incoming { reader, len, label: &label };
        match icecore_archive::keep(self.fs.as_ref(), self.clock.as_ref(), &dir, name, incoming, progress) {
            Ok(kept) => Ok(ArchiveInfo {
                name: name.clone(),
                created: kept.created_at,
                size: kept.len,
                sha256: Some(kept.sha256),
                shared: false,
            }),
            Err(error) => Err(taken(error, name)),
        }
    }

    fn places(&self) -> Result<Vec<Place>> {
        let mut dirs = self.dirs_in(&self.root)?;
        for collection in dirs.clone() {
            dirs.extend(self.dirs_inside(&collection, SHARDS_DIR)?);
            for cluster in self.dirs_inside(&collection, CLUSTERS_DIR)? {
                dirs.extend(self.dirs_inside(&cluster, SHARDS_DIR)?);
                dirs.push(cluster);
            }
        }
        dirs.extend(self.dirs_in(&self.root.join(CLUSTERS_DIR))?);
        let place = |dir: &PathBuf| {
            let names = dir.strip_prefix(&self.root).ok()?.iter().map(|name| name.to_str()).collect::<Option<Vec<_>>>()?;
            Place::at(&names)
        };
        let mut places: Vec<Place> = dirs.iter().filter_map(place).collect();
        places.push(Place::Storage);
        places.sort();
        Ok(places)
    }

    fn list(&self, place: &Place) -> Result<Vec<ArchiveInfo>> {
        let Some(dir) = self.find_dir(place)? else { return Ok(Vec::new()) };
        match icecore_archive::list(self.fs.as_ref(), &dir) {
            Ok(found) => Ok(found.into_iter().map(info).collect()),
            Err(icecore_archive::Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(StoreError::Archive(error)),
        }
    }

    fn open(&self, place: &Place, name: &ArchiveName) -> Result<StoredArchive> {
        let stored =
            icecore_archive::find(self.fs.as_ref(), &self.dir_of(place, name)?, name).map_err(|error| missing(error, name))?;
        let path = stored.path.clone();
        let found = self.fs.metadata(&path).map_err(|source| gone(source, name, &path))?;
        let file = self.fs.open_read(&path).map_err(|source| gone(source, name, &path))?;
        let info = info(stored);
        // Whoever deletes an archive and makes another of the same name in between must not get the one described as the other.
        if file.len().map_err(on("measure", &path))? != info.size {
            return Err(StoreError::NotFound { name: name.to_string() });
        }
        Ok(StoredArchive { info, tag: tag(&found), file })
    }

    fn read_back(&self, place: &Place, name: &ArchiveName, progress: &dyn Progress) -> Result<ReadBack> {
        let Some(dir) = self.find_dir(place)? else { return Ok(ReadBack::Unneeded) };
        icecore_archive::read_back(self.fs.as_ref(), self.clock.as_ref(), &dir, name, progress).map_err(StoreError::Archive)
    }

    fn delete(&self, place: &Place, name: &ArchiveName) -> Result<()> {
        icecore_archive::delete(self.fs.as_ref(), &self.dir_of(place, name)?, name).map_err(|error| missing(error, name))
    }

    fn note_read_back(&self, place: &Place, archive: &StoredArchive, sound_at: Option<SystemTime>) -> Result<()> {
        let (fs, Some(dir)) = (self.fs.as_ref(), self.find_dir(place)?) else { return Ok(()) };
        // It holds for all names of the file.
        for stored in icecore_archive::list(fs, &dir).map_err(StoreError::Archive)? {
            let is_it = fs.metadata(&stored.path).is_ok_and(|found| tag(&found) == archive.tag);
            let noted = match sound_at {
                _ if !is_it => Ok(()),
                Some(at) => icecore_archive::record_verified(fs, &dir, &stored.name, at),
                None => icecore_archive::record_damaged(fs, &dir, &stored.name),
            };
            noted.map_err(StoreError::Archive)?;
        }
        Ok(())
    }

    fn sweep(&self) -> Result<usize> {
        let mut removed = self.sweep_dir(&self.root)?;
        for cluster in self.dirs_inside(&self.root, CLUSTERS_DIR)? {
            removed += self.sweep_dir(&cluster)?;
        }
        for collection in self.dirs_in(&self.root)? {
            removed += self.sweep_with_shards(&collection)?;
            for cluster in self.dirs_inside(&collection, CLUSTERS_DIR)? {
                removed += self.sweep_with_shards(&cluster)?;
            }
        }
        Ok(removed)
    }
}

fn info(stored: Stored) -> ArchiveInfo {
    let Stored { name, created_at, len, sha256, shared, .. } = stored;
    ArchiveInfo { name, created: created_at, size: len, sha256, shared }
}

/// What tells a file from all others, and from itself after a change.
fn tag(file: &Metadata) -> String {
    let modified = file.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}-{:x}", file.inode, file.len, modified.as_nanos())
}

fn taken(error: icecore_archive::Error, name: &ArchiveName) -> StoreError {
    match error {
        icecore_archive::Error::AlreadyExists { .. } => StoreError::Exists { name: name.clone() },
        error => StoreError::Archive(error),
    }
}

fn missing(error: icecore_archive::Error, name: &ArchiveName) -> StoreError {
    match error {
        icecore_archive::Error::NotFound { .. } => StoreError::NotFound { name: name.to_string() },
        error => StoreError::Archive(error),
    }
}

fn gone(source: io::Error, name: &ArchiveName, path: &Path) -> StoreError {
    match source.kind() {
        io::ErrorKind::NotFound => StoreError::NotFound { name: name.to_string() },
        _ => on("open", path)(source),
    }
}

fn on(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use icecore_io::{ManualClock, MemFs, OsFs};

    use super::*;
    use crate::stores::conformance::{self, OpenOnes};

    fn store(fs: Arc<dyn Fs>, root: &Path) -> LocalStore {
        LocalStore::open(fs, Arc::new(ManualClock::new(Duration::from_secs(1_000))), root.to_owned()).unwrap()
    }

    #[test]
    fn keeps_the_promises_in_memory_and_on_disk() {
        conformance::check(&store(Arc::new(MemFs::new()), Path::new("snapshots")), OpenOnes::ReadOn);
        let dir = tempfile::tempdir().unwrap();
        conformance::check(&store(Arc::new(OsFs), &dir.path().join("a/b")), OpenOnes::ReadOn);
    }

    #[test]
    fn a_collection_called_like_an_archive_gets_an_error_and_nothing_changes() {
        let store = store(Arc::new(MemFs::new()), Path::new("s"));
        conformance::put(&store, &Place::Storage, "full.snapshot", b"x").unwrap();
        let place = Place::Collection("full.snapshot".to_owned());
        assert!(matches!(conformance::put(&store, &place, "a.snapshot", b"x"), Err(StoreError::Occupied { .. })));
        assert_eq!(store.list(&Place::Storage).unwrap().len(), 1);

        let other = Place::Collection("other.snapshot".to_owned());
        conformance::put(&store, &other, "a.snapshot", b"x").unwrap();
        let taken = conformance::put(&store, &Place::Storage, "other.snapshot", b"x");
        assert!(matches!(taken, Err(StoreError::Exists { .. })), "{taken:?}");
        assert_eq!(store.list(&Place::Storage).unwrap().len(), 1);
        assert_eq!(store.list(&other).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_archive_is_not_deleted() {
        let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
        let store = store(Arc::clone(&fs), Path::new("s"));
        // The directory of a collection of this name.
        conformance::put(&store, &Place::Collection("x.snapshot".to_owned()), "a.snapshot", b"x").unwrap();
        let deleted = store.delete(&Place::Storage, &"x.snapshot".parse().unwrap());
        assert!(matches!(deleted, Err(StoreError::NotFound { .. })), "{deleted:?}");
        assert!(fs.exists(Path::new("s/x.snapshot/a.snapshot")).unwrap());
    }

    #[test]
    fn a_root_that_was_removed_is_made_again() {
        let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
        let store = store(Arc::clone(&fs), Path::new("s"));
        for place in [Place::Storage, Place::Collection("c".to_owned())] {
            fs.remove_dir(Path::new("s")).unwrap();
            assert_eq!(store.list(&place).unwrap(), []);
            conformance::put(&store, &place, "a.snapshot", b"x").unwrap();
            store.delete(&place, &"a.snapshot".parse().unwrap()).unwrap();
        }
    }

    /// Archives behind such a link were listed, sent and deleted.
    #[test]
    fn directories_that_are_links_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, root) = (dir.path().join("outside"), dir.path().join("s"));
        let [there, here] = [&outside, &root].map(|root| store(Arc::new(OsFs), root));
        let collection = |name: &str| Place::Collection(name.to_owned());
        let shard = |name: &str| Place::Shard { collection: name.to_owned(), shard: 0 };
        for place in [collection("c"), shard("c")] {
            conformance::put(&there, &place, "a.snapshot", b"x").unwrap();
        }
        std::fs::write(outside.join("c/shards/0/b.snapshot.checksum"), b"").unwrap();
        std::os::unix::fs::symlink(outside.join("c"), root.join("linked")).unwrap();
        std::fs::create_dir(root.join("half")).unwrap();
        std::os::unix::fs::symlink(outside.join("c/shards"), root.join("half/shards")).unwrap();

        let name: ArchiveName = "a.snapshot".parse().unwrap();
        for place in [collection("linked"), shard("linked"), shard("half")] {
            assert_eq!(here.list(&place).unwrap(), []);
            assert!(matches!(here.open(&place, &name), Err(StoreError::NotFound { .. })));
            assert!(matches!(here.delete(&place, &name), Err(StoreError::NotFound { .. })));
            assert!(matches!(conformance::put(&here, &place, "b.snapshot", b"x"), Err(StoreError::Occupied { .. })));
        }
        assert_eq!(here.sweep().unwrap(), 0);
        assert_eq!(there.list(&shard("c")).unwrap().len(), 1);
    }

    #[test]
    fn hostile_collection_names_are_refused() {
        let store = store(Arc::new(MemFs::new()), Path::new("s"));
        for name in ["..", "a/b", ""] {
            assert!(matches!(store.list(&Place::Collection(name.to_owned())), Err(StoreError::Place(_))), "{name}");
        }
    }

    #[test]
    fn sweeping_finds_every_directory() {
        let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
        let store = store(Arc::clone(&fs), Path::new("s"));
        for dir in ["s", "s/clusters/x", "s/c", "s/c/shards/0", "s/c/clusters/x", "s/c/clusters/x/shards/0"] {
            fs.create_dir_all(Path::new(dir)).unwrap();
            fs.create_new(&Path::new(dir).join("a.snapshot.checksum")).unwrap();
        }
        assert_eq!(store.sweep().unwrap(), 6);
        assert_eq!(store.sweep().unwrap(), 0);
    }
}
