//! A whole file system as a value: to fork one, and to build the image that a crash leaves.
//!
//! Inode numbers are kept, so that an operation recorded on one copy names the same file on another. Open handles and locks are
//! not copied: they belong to the process that made them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::sync::{Arc, Mutex};

use super::MemFs;
use super::inode::{Inode, Shared};
use super::tree::{Dir, Name, Node};

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) enum TreeNode {
    File(TreeFile),
    Dir(TreeDir),
}

/// A file; two of the same inode are hard links and have the same contents.
#[derive(Debug, Clone)]
pub(crate) struct TreeFile {
    pub(crate) inode: u64,
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) mode: u32,
}

/// A directory with all that is below it.
#[derive(Debug, Clone)]
pub(crate) struct TreeDir {
    pub(crate) inode: u64,
    pub(crate) mode: u32,
    pub(crate) entries: BTreeMap<OsString, TreeNode>,
}

/// All names of a file system, and the bound below which its inode numbers are.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pub(crate) root: TreeDir,
    pub(crate) inode_bound: u64,
    /// Bytes that can be written besides those that are there.
    pub(crate) free: u64,
}

impl MemFs {
    /// Everything that has a name.
    pub(crate) fn tree(&self) -> Tree {
        // Held until the copy is complete, so that no name comes or goes in between.
        let root = self.root();
        let free = *self.shared.free();
        Tree { root: export(&root), inode_bound: self.shared.inode_bound(), free }
    }

    /// A file system that holds exactly `tree`.
    pub(crate) fn from_tree(tree: Tree) -> Self {
        let shared = Arc::new(Shared::new(tree.inode_bound, tree.free));
        let root = import(tree.root, &shared, &mut HashMap::new());
        Self { root: Arc::new(Mutex::new(root)), shared }
    }
}

fn export(dir: &Dir) -> TreeDir {
    let entries = dir.entries.iter().map(|(name, node)| {
        let node = match node {
            Node::Dir(dir) => TreeNode::Dir(export(dir)),
            Node::File(inode) => {
                let body = inode.body();
                TreeNode::File(TreeFile { inode: inode.number, bytes: Arc::clone(&body.bytes), mode: body.mode })
            }
        };
        (name.clone(), node)
    });
    TreeDir { inode: dir.inode, mode: dir.mode, entries: entries.collect() }
}

fn import(dir: TreeDir, shared: &Arc<Shared>, files: &mut HashMap<u64, Arc<Inode>>) -> Dir {
    let mut copy = Dir::new(dir.inode);
    copy.mode = dir.mode;
    for (name, node) in dir.entries {
        let node = match node {
            TreeNode::Dir(dir) => Node::Dir(import(dir, shared, files)),
            TreeNode::File(TreeFile { inode, bytes, mode }) => {
                let file = files.entry(inode).or_insert_with(|| Arc::new(Inode::new(inode, bytes, mode, shared)));
                Node::File(Name::new(file))
            }
        };
        copy.entries.insert(name, node);
    }
    copy
}
