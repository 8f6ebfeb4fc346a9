//! Plays a record up to any point and builds the file system that a crash there would leave.
//!
//! The fault model: a sync that returned OK is durable; a rename is atomic; anything unsynced may be lost or torn, in any order. A
//! file is durable by its own sync and its name by that of its directory; a name in a directory whose own name was lost is lost with
//! it. Permission bits count as contents. Playing on costs what the next operation costs and an image shares all unchanged bytes, so
//! an image at every operation of a long record is cheap. Damage to what was durable is not played here: see [`crate::FaultFs`].

mod contents;
mod names;

use std::collections::{BTreeMap, HashMap};

use self::contents::{Change, Contents, below};
use self::names::{Dirs, Namespace, Target};
use crate::mem::{ROOT_INODE, Tree, TreeDir, TreeFile, TreeNode};
use crate::{MemFs, Op, Rng};

/// What kind of crash an image is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashKind {
    /// The process was killed between two operations: everything that it did is there.
    Kill,
    /// The process was killed inside the next operation: if that is a write, a random beginning of it is there too, cut at any
    /// byte. Otherwise the same as [`CrashKind::Kill`].
    KillTorn {
        /// Decides where.
        seed: u64,
    },
    /// The power failed, and only what was synced is there: the last synced bytes of each file under the last synced names.
    PowerLossMin,
    /// The power failed, and of all that was not synced any part is there: names in any of their states since the last sync,
    /// writes whole, torn at sectors, or lost.
    PowerLossRandom {
        /// Decides which.
        seed: u64,
    },
}

/// A record that is played step by step.
#[derive(Debug)]
pub struct Replay {
    ops: Vec<Op>,
    position: usize,
    names: Namespace,
    files: HashMap<u64, Contents>,
    dir_modes: HashMap<u64, u32>,
    marks: Vec<u64>,
    inode_bound: u64,
    free: u64,
}

impl Replay {
    /// Plays `ops`, which were recorded on top of `base`; starts before the first. All of `base` counts as durable.
    pub fn new(base: &MemFs, ops: Vec<Op>) -> Self {
        let Tree { root, inode_bound, free } = base.tree();
        let (mut dirs, mut files, mut dir_modes) = (Dirs::new(), HashMap::new(), HashMap::new());
        import(&root, &mut dirs, &mut files, &mut dir_modes);
        let marks = Vec::new();
        Self { ops, position: 0, names: Namespace::new(dirs), files, dir_modes, marks, inode_bound, free }
    }

    /// How many operations have been played.
    pub fn position(&self) -> usize {
        self.position
    }

    /// All operations, played or not.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// The operation that [`Replay::advance`] plays next.
    pub fn next_op(&self) -> Option<&Op> {
        self.ops.get(self.position)
    }

    /// The marks that were passed, in order: what a test knows to have been done.
    pub fn marks(&self) -> &[u64] {
        &self.marks
    }

    /// Plays one operation; false at the end of the record.
    pub fn advance(&mut self) -> bool {
        let Some(op) = self.ops.get(self.position).cloned() else {
            return false;
        };
        self.position += 1;
        self.apply(op);
        true
    }

    /// Plays up to `position` operations in all; never goes back.
    pub fn advance_to(&mut self, position: usize) {
        while self.position < position && self.advance() {}
    }

    /// The file system that a process finds when it starts after a crash at this point. Nothing holds a lock.
    pub fn image(&self, kind: CrashKind) -> MemFs {
        let root = match kind {
            CrashKind::Kill => self.dir(ROOT_INODE, &self.names.live, &mut |file| self.live(file)),
            CrashKind::KillTorn { seed } => {
                let torn = self.torn_write(seed);
                self.dir(ROOT_INODE, &self.names.live, &mut |file| match &torn {
                    Some(torn) if torn.inode == file => torn.clone(),
                    _ => self.live(file),
                })
            }
            CrashKind::PowerLossMin => self.dir(ROOT_INODE, &self.names.durable, &mut |inode| {
                let found = self.contents(inode);
                TreeFile { inode, bytes: found.durable.clone(), mode: found.durable_mode }
            }),
            CrashKind::PowerLossRandom { seed } => self.after_power_loss(&mut Rng::new(seed)),
        };
        MemFs::from_tree(Tree { root, inode_bound: self.inode_bound, free: self.free })
    }

    fn live(&self, inode: u64) -> TreeFile {
        let found = self.contents(inode);
        TreeFile { inode, bytes: found.live.clone(), mode: found.mode }
    }

    /// The file that the next operation writes to, with a beginning of that write.
    fn torn_write(&self, seed: u64) -> Option<TreeFile> {
        let Some(Op::Write { file, offset, data }) = self.next_op() else {
            return None;
        };
        let written = 1 + below(&mut Rng::new(seed), data.len().saturating_sub(1));
        let found = self.contents(*file);
        Some(TreeFile { inode: *file, bytes: found.after_torn_write(index(*offset), data, written), mode: found.mode })
    }

    fn after_power_loss(&self, rng: &mut Rng) -> TreeDir {
        // How much is kept is drawn too, or nearly all and nearly nothing would never come up in a long list of changes.
        let names_percent = rng.below(5) * 25;
        let data_percent = rng.below(5) * 25;
        let dirs = self.names.after_power_loss(names_percent, rng);
        // A file with several names must come out the same under each.
        let mut files: HashMap<u64, TreeFile> = HashMap::new();
        self.dir(ROOT_INODE, &dirs, &mut |inode| {
            let file = files.entry(inode).or_insert_with(|| {
                let (bytes, mode) = self.contents(inode).after_power_loss(data_percent, rng);
                TreeFile { inode, bytes, mode }
            });
            file.clone()
        })
    }

    /// A directory with all that the names lead to from it.
    fn dir(&self, inode: u64, dirs: &Dirs, file: &mut dyn FnMut(u64) -> TreeFile) -> TreeDir {
        let mut entries = BTreeMap::new();
        for (name, target) in dirs.get(&inode).into_iter().flatten() {
            let node = match *target {
                Target::File(inode) => TreeNode::File(file(inode)),
                Target::Dir(inode) => TreeNode::Dir(self.dir(inode, dirs, file)),
            };
            entries.insert(name.clone(), node);
        }
        TreeDir { inode, mode: self.dir_modes.get(&inode).copied().unwrap_or(DIR_MODE), entries }
    }

    fn contents(&self, inode: u64) -> &Contents {
        let Some(found) = self.files.get(&inode) else {
            panic!("the record names file {inode}, which is neither in its base nor made by it");
        };
        found
    }

    fn contents_mut(&mut self, inode: u64) -> &mut Contents {
        let Some(found) = self.files.get_mut(&inode) else {
            panic!("the record changes file {inode}, which is neither in its base nor made by it");
        };
        found
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::CreateFile { path, file } => {
                self.inode_bound = self.inode_bound.max(file + 1);
                self.files.insert(file, Contents::new());
                self.names.set(&path, Some(Target::File(file)));
            }
            Op::Write { file, offset, data } => self.contents_mut(file).change(Change::Write { start: index(offset), data }),
            Op::SetLen { file, len } => self.contents_mut(file).change(Change::SetLen(index(len))),
            Op::SyncData { file } => self.contents_mut(file).sync(),
            Op::CreateDir { path, dir } => {
                self.inode_bound = self.inode_bound.max(dir + 1);
                self.names.set(&path, Some(Target::Dir(dir)));
            }
            Op::Rename { from, to } => self.names.rename(&from, &to),
            Op::Link { from, to } => {
                let target = self.names.target(&from);
                self.names.set(&to, Some(target));
            }
            Op::RemoveFile { path } => self.names.set(&path, None),
            Op::RemoveDir { path } => self.names.remove_dir(&path),
            Op::SyncDir { path } => self.names.sync(&path),
            Op::SetMode { path, mode } => match self.names.target(&path) {
                Target::File(file) => self.contents_mut(file).mode = mode,
                // Nothing syncs a directory's own bits, and nothing depends on them.
                Target::Dir(dir) => {
                    self.dir_modes.insert(dir, mode);
                }
            },
            Op::Mark(number) => self.marks.push(number),
        }
    }
}

/// The mode of a directory whose mode was never set.
const DIR_MODE: u32 = 0o755;

/// A position of a file that is in memory.
fn index(offset: u64) -> usize {
    let Ok(index) = usize::try_from(offset) else {
        panic!("the record has a file of more than {offset} bytes, which does not fit in memory");
    };
    index
}

fn import(dir: &TreeDir, dirs: &mut Dirs, files: &mut HashMap<u64, Contents>, modes: &mut HashMap<u64, u32>) {
    modes.insert(dir.inode, dir.mode);
    let mut entries = BTreeMap::new();
    for (name, node) in &dir.entries {
        let target = match node {
            TreeNode::File(file) => {
                files.insert(file.inode, Contents::durable(&file.bytes, file.mode));
                Target::File(file.inode)
            }
            TreeNode::Dir(below) => {
                import(below, dirs, files, modes);
                Target::Dir(below.inode)
            }
        };
        entries.insert(name.clone(), target);
    }
    dirs.insert(dir.inode, entries);
}
