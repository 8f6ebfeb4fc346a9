//! What a crash may leave of the names.
//!
//! Each change of names is one step that happens whole or not at all, so a rename never loses both names. A step that was not
//! synced may be lost unless a later one that builds on it was kept: one that changes the same name, that moves another directory
//! (or the tree could become a circle), or that removes the directory that the step emptied. Syncing a directory makes every step
//! durable that touches one of its entries, with what those build on; other directories' steps stay pending.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::path::Path;

use crate::Rng;
use crate::mem::{Names, ROOT_INODE, components};

/// What a name stands for, by inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    File(u64),
    Dir(u64),
}

pub(super) type Entries = BTreeMap<OsString, Target>;

/// The entries of every directory, by its inode number. One that is missing has no entries.
pub(super) type Dirs = HashMap<u64, Entries>;

/// One name and what it stands for afterwards.
#[derive(Debug, Clone)]
struct Effect {
    dir: u64,
    name: OsString,
    target: Option<Target>,
}

impl Effect {
    fn apply(&self, dirs: &mut Dirs) {
        let entries = dirs.entry(self.dir).or_default();
        match self.target {
            Some(target) => entries.insert(self.name.clone(), target),
            None => entries.remove(&self.name),
        };
    }
}

/// A change that is not durable yet.
#[derive(Debug)]
struct Step {
    id: u64,
    effects: Vec<Effect>,
    moves_dir: bool,
    /// Earlier steps without which this one cannot have happened.
    builds_on: Vec<u64>,
}

impl Step {
    fn touches(&self, dir: u64) -> bool {
        self.effects.iter().any(|effect| effect.dir == dir)
    }

    fn shares_name(&self, effects: &[Effect]) -> bool {
        self.effects.iter().any(|mine| effects.iter().any(|other| mine.dir == other.dir && mine.name == other.name))
    }
}

/// All names at some point of a record.
#[derive(Debug, Default)]
pub(super) struct Namespace {
    pub(super) live: Dirs,
    pub(super) durable: Dirs,
    pending: Vec<Step>,
    next_step: u64,
}

impl Namespace {
    /// Names that were there and durable before the record began.
    pub(super) fn new(dirs: Dirs) -> Self {
        Self { live: dirs.clone(), durable: dirs, pending: Vec::new(), next_step: 0 }
    }

    /// What `path` stands for now.
    pub(super) fn target(&self, path: &Path) -> Target {
        let mut target = Target::Dir(ROOT_INODE);
        for name in components(path) {
            let next = match target {
                Target::Dir(dir) => self.live.get(&dir).and_then(|entries| entries.get(&name)),
                Target::File(_) => None,
            };
            let Some(next) = next else {
                panic!("the record names {path:?}, which is neither in its base nor made by it");
            };
            target = *next;
        }
        target
    }

    /// Gives `path` a target, or none.
    pub(super) fn set(&mut self, path: &Path, target: Option<Target>) {
        let effect = self.effect(path, target);
        self.step(vec![effect], None, false);
    }

    /// Removes an empty directory.
    pub(super) fn remove_dir(&mut self, path: &Path) {
        let Target::Dir(dir) = self.target(path) else {
            panic!("the record removes {path:?} as a directory, which is a file");
        };
        let effect = self.effect(path, None);
        self.step(vec![effect], Some(dir), false);
    }

    /// Moves a name, replacing what was at `to`.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        let target = self.target(from);
        let removed = self.effect(from, None);
        let added = self.effect(to, Some(target));
        let replaced = self.live.get(&added.dir).and_then(|entries| entries.get(&added.name)).copied();
        if replaced == Some(target) {
            // Two names of one file: the file system did nothing.
            return;
        }
        let emptied = match replaced {
            Some(Target::Dir(dir)) => Some(dir),
            _ => None,
        };
        self.step(vec![removed, added], emptied, matches!(target, Target::Dir(_)));
    }

    /// Makes the entries of a directory durable.
    pub(super) fn sync(&mut self, path: &Path) {
        let Target::Dir(dir) = self.target(path) else {
            panic!("the record syncs {path:?} as a directory, which is a file");
        };
        let mut synced = HashSet::new();
        for step in self.pending.iter().rev() {
            if step.touches(dir) || synced.contains(&step.id) {
                synced.insert(step.id);
                synced.extend(&step.builds_on);
            }
        }
        for step in self.pending.extract_if(.., |step| synced.contains(&step.id)) {
            step.effects.iter().for_each(|effect| effect.apply(&mut self.durable));
        }
    }

    /// The names after a loss of power that keeps about `percent` of the pending steps.
    pub(super) fn after_power_loss(&self, percent: u64, rng: &mut Rng) -> Dirs {
        let mut dirs = self.durable.clone();
        let mut lost = HashSet::new();
        for step in &self.pending {
            if rng.chance(percent) && !step.builds_on.iter().any(|id| lost.contains(id)) {
                step.effects.iter().for_each(|effect| effect.apply(&mut dirs));
            } else {
                lost.insert(step.id);
            }
        }
        dirs
    }

    fn effect(&self, path: &Path, target: Option<Target>) -> Effect {
        let Ok(Names { parent, last }) = Names::of(path) else {
            panic!("the record changes the name of the root directory");
        };
        match self.target(&parent.iter().collect::<std::path::PathBuf>()) {
            Target::Dir(dir) => Effect { dir, name: last, target },
            Target::File(_) => panic!("the record changes {path:?}, whose parent is a file"),
        }
    }

    fn step(&mut self, effects: Vec<Effect>, emptied: Option<u64>, moves_dir: bool) {
        let builds_on = self.pending.iter().filter(|earlier| {
            earlier.shares_name(&effects) || (moves_dir && earlier.moves_dir) || emptied.is_some_and(|dir| earlier.touches(dir))
        });
        let builds_on = builds_on.map(|earlier| earlier.id).collect();
        effects.iter().for_each(|effect| effect.apply(&mut self.live));
        self.pending.push(Step { id: self.next_step, effects, moves_dir, builds_on });
        self.next_step += 1;
    }
}
