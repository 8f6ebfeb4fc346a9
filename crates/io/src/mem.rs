//! A file system in memory, with the contract of the real one.
//!
//! A handle is a cheap reference; clones see the same files. Files are inodes with names, so hard links, renames of open files and
//! open files without a name work as they do on a disk. Permissions are stored but not enforced, there are no symbolic links, and
//! everything counts as durable at once: what a crash loses is the business of [`crate::Replay`].

mod copy;
mod inode;
mod tree;

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::io::Errno;

pub(crate) use self::copy::{Tree, TreeDir, TreeFile, TreeNode};
pub(crate) use self::inode::overwrite;
use self::inode::{Inode, MemFile, MemLock, Shared};
use self::tree::{Dir, Name, Node};
pub(crate) use self::tree::{Names, components};
use crate::{DirEntry, File, FileKind, Fs, Lock, Metadata};

/// The inode number of the root directory.
pub(crate) const ROOT_INODE: u64 = 1;
/// The space of a new file system, in bytes: more than any test writes.
const DEFAULT_SPACE: u64 = 1 << 50;
/// The mode of a new file.
pub(crate) const FILE_MODE: u32 = 0o644;

/// A file system in memory. It starts with an empty root directory, where relative paths begin too.
#[derive(Debug, Clone)]
pub struct MemFs {
    root: Arc<Mutex<Dir>>,
    shared: Arc<Shared>,
}

impl MemFs {
    /// An empty file system.
    pub fn new() -> Self {
        Self { root: Arc::new(Mutex::new(Dir::new(ROOT_INODE))), shared: Arc::new(Shared::new(ROOT_INODE + 1, DEFAULT_SPACE)) }
    }

    /// Sets how many bytes can still be written. Removing files adds to it.
    pub fn set_free_space(&self, bytes: u64) {
        *self.shared.free() = bytes;
    }

    /// Makes files say that they share blocks ([`File::shares_blocks_with`]). Copies take space all the same.
    pub fn set_shares_blocks(&self, shares: bool) {
        self.shared.shares_blocks.store(shares, Ordering::Relaxed);
    }

    /// An independent copy of everything that has a name, with the same inode numbers. Contents are shared until one side writes.
    pub fn fork(&self) -> Self {
        Self::from_tree(self.tree())
    }

    fn root(&self) -> MutexGuard<'_, Dir> {
        self.root.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<Arc<dyn File>> {
        let inode = find_file(&self.root(), path)?;
        Ok(Arc::new(MemFile::open(inode, writable)))
    }

    /// Puts a new empty file at a name that is free.
    fn create(&self, root: &mut Dir, path: &Path) -> io::Result<Arc<Inode>> {
        let names = free_name(root, path)?;
        let inode = Arc::new(Inode::new(self.shared.next_inode(), Arc::default(), FILE_MODE, &self.shared));
        root.dir_mut(&names.parent)?.entries.insert(names.last, Node::File(Name::new(&inode)));
        Ok(inode)
    }
}

impl Default for MemFs {
    fn default() -> Self {
        Self::new()
    }
}

/// The names of a path at which there is nothing; `AlreadyExists` otherwise.
fn free_name(root: &Dir, path: &Path) -> io::Result<Names> {
    let Ok(names) = Names::of(path) else {
        return Err(io::ErrorKind::AlreadyExists.into());
    };
    match root.find(&names)? {
        Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        None => Ok(names),
    }
}

/// The file at `path`; `IsADirectory` if it is none.
fn find_file(root: &Dir, path: &Path) -> io::Result<Arc<Inode>> {
    let Ok(names) = Names::of(path) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    match root.find(&names)? {
        Some(Node::File(inode)) => Ok(Arc::clone(inode)),
        Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
        None => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Moves what is at `from` to `to`, whose old entry (if any) has been found to be replaceable.
fn move_entry(root: &mut Dir, from: &Names, to: Names) -> io::Result<()> {
    let Some(node) = root.dir_mut(&from.parent)?.entries.remove(&from.last) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    root.dir_mut(&to.parent)?.entries.insert(to.last, node);
    Ok(())
}

/// Refuses to move a directory into itself, which would cut it off from the root.
fn check_not_inside(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (components(from), components(to));
    if to.len() > from.len() && to.starts_with(&from) { Err(Errno::INVAL.into()) } else { Ok(()) }
}

impl Fs for MemFs {
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, false)
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path, true)
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let inode = self.create(&mut self.root(), path)?;
        Ok(Arc::new(MemFile::open(inode, true)))
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let root = self.root();
        let dir = match Names::of(path) {
            Err(_) => &*root,
            Ok(names) => match root.find(&names)? {
                Some(Node::Dir(dir)) => dir,
                Some(Node::File(inode)) => {
                    let body = inode.body();
                    return Ok(Metadata {
                        kind: FileKind::File,
                        len: body.bytes.len() as u64,
                        inode: inode.number,
                        links: body.names,
                        mode: body.mode,
                        modified: body.modified,
                    });
                }
                None => return Err(io::ErrorKind::NotFound.into()),
            },
        };
        Ok(Metadata { kind: FileKind::Dir, len: 0, inode: dir.inode, links: 1, mode: dir.mode, modified: SystemTime::UNIX_EPOCH })
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut root = self.root();
        let names = free_name(&root, path)?;
        let dir = Dir::new(self.shared.next_inode());
        root.dir_mut(&names.parent)?.entries.insert(names.last, Node::Dir(dir));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let root = self.root();
        let mut entries = Vec::new();
        for name in root.dir(&components(dir))?.entries.keys() {
            let name = name.to_str().ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("the name {name:?} in the directory is not UTF-8"))
            })?;
            entries.push(DirEntry { path: dir.join(name), name: name.to_owned() });
        }
        entries.sort();
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut root = self.root();
        let (source, target) = (Names::of(from)?, Names::of(to)?);
        match (root.find(&source)?, root.find(&target)?) {
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
            // Two names of one file, or twice the same name: POSIX wants nothing done.
            (Some(Node::File(one)), Some(Node::File(other))) if one.is_of(other) => return Ok(()),
            (Some(Node::Dir(_)), Some(Node::Dir(_))) if source == target => return Ok(()),
            (Some(Node::File(_)), Some(Node::Dir(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::Dir(_)), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Some(Node::Dir(_)), Some(Node::Dir(dir))) if !dir.entries.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            (Some(Node::Dir(_)), _) => check_not_inside(from, to)?,
            (Some(Node::File(_)), _) => {}
        }
        move_entry(&mut root, &source, target)
    }

    fn rename_noreplace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut root = self.root();
        let source = Names::of(from)?;
        match root.find(&source)? {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Node::Dir(_)) => check_not_inside(from, to)?,
            Some(Node::File(_)) => {}
        }
        let target = free_name(&root, to)?;
        move_entry(&mut root, &source, target)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut root = self.root();
        let inode = find_file(&root, from).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => Errno::PERM.into(),
            _ => error,
        })?;
        let target = free_name(&root, to)?;
        root.dir_mut(&target.parent)?.entries.insert(target.last, Node::File(Name::new(&inode)));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut root = self.root();
        let inode = find_file(&root, path)?;
        let names = Names::of(path)?;
        root.dir_mut(&names.parent)?.entries.remove(&names.last);
        drop(root);
        // Outside the lock of the tree, as this may free the contents.
        drop(inode);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut root = self.root();
        let names = Names::of(path)?;
        match root.find(&names)? {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            Some(Node::Dir(dir)) if !dir.entries.is_empty() => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Some(Node::Dir(_)) => {}
        }
        root.dir_mut(&names.parent)?.entries.remove(&names.last);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.root().dir(&components(dir)).map(|_| ())
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let mut root = self.root();
        match find_file(&root, path) {
            Ok(inode) => inode.body().mode = mode,
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => root.dir_mut(&components(path))?.mode = mode,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        let mut root = self.root();
        let inode = match find_file(&root, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(&mut root, path)?,
            found => found?,
        };
        let file = MemFile::open(inode, true);
        file.try_lock()?;
        Ok(Box::new(MemLock { _file: file }))
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.metadata(path)?;
        Ok(*self.shared.free())
    }
}
