//! The directories of a file system in memory: a tree of names.
//!
//! A path is read component by component from the root, with `.` and `..` resolved by name alone. The tree knows nothing of
//! contents: a leaf is a reference to an inode, and two leaves may refer to one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::Deref;
use std::path::{Component, Path};
use std::sync::Arc;

use super::inode::Inode;

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Node {
    File(Name),
    Dir(Dir),
}

/// One name of a file, which counts them for as long as they are in the tree.
#[derive(Debug)]
pub(super) struct Name(Arc<Inode>);

impl Name {
    /// Another name of this file.
    pub(super) fn new(inode: &Arc<Inode>) -> Self {
        inode.body().names += 1;
        Self(Arc::clone(inode))
    }

    /// Whether both are names of one file.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.0.body().names -= 1;
    }
}

impl Deref for Name {
    type Target = Arc<Inode>;

    fn deref(&self) -> &Arc<Inode> {
        &self.0
    }
}

/// A directory.
#[derive(Debug)]
pub(super) struct Dir {
    pub(super) inode: u64,
    pub(super) mode: u32,
    pub(super) entries: BTreeMap<OsString, Node>,
}

impl Dir {
    pub(super) fn new(inode: u64) -> Self {
        Self { inode, mode: 0o755, entries: BTreeMap::new() }
    }

    /// The directory that `names` lead to. `NotFound` if one is missing, `NotADirectory` if one is a file.
    pub(super) fn dir(&self, names: &[OsString]) -> io::Result<&Self> {
        let mut dir = self;
        for name in names {
            match dir.entries.get(name) {
                Some(Node::Dir(next)) => dir = next,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        Ok(dir)
    }

    /// As [`Dir::dir`], to change it.
    pub(super) fn dir_mut(&mut self, names: &[OsString]) -> io::Result<&mut Self> {
        let mut dir = self;
        for name in names {
            match dir.entries.get_mut(name) {
                Some(Node::Dir(next)) => dir = next,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        Ok(dir)
    }

    /// What `path` leads to, or `None` if only its last component is missing.
    pub(super) fn find(&self, path: &Names) -> io::Result<Option<&Node>> {
        Ok(self.dir(&path.parent)?.entries.get(&path.last))
    }
}

/// The components of a path below the root: those of its parent, and the last one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) parent: Vec<OsString>,
    pub(crate) last: OsString,
}

impl Names {
    /// Splits a path that must not be the root itself.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let mut parent = components(path);
        let Some(last) = parent.pop() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the root directory has no name"));
        };
        Ok(Self { parent, last })
    }
}

/// The names that lead from the root to `path`; none for the root itself. Relative paths start at the root too.
pub(crate) fn components(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => {
                // The parent of the root is the root, as on a real system.
                let _: Option<OsString> = names.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    names
}
