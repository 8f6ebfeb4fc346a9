//! The files that are archived, as every program sees them: icecore, the plain programs and those to compare with.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

/// Files below one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    root: PathBuf,
    files: Vec<OneFile>,
}

/// A file and how much of it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OneFile {
    /// Below the root.
    pub(super) relative: PathBuf,
    /// The bytes at its beginning that are archived: a log file may be longer.
    pub(super) len: u64,
}

impl Files {
    /// These files, in the order of the archive.
    pub(super) fn new(root: PathBuf, files: Vec<OneFile>) -> Self {
        Self { root, files }
    }

    /// The directory that they are in.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// The bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// Each file in the order of the archive.
    pub(super) fn iter(&self) -> impl Iterator<Item = &OneFile> {
        self.files.iter()
    }

    /// Where a file is.
    pub(super) fn path(&self, file: &OneFile) -> PathBuf {
        self.root.join(&file.relative)
    }

    /// Where all of them are.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| self.path(file)).collect()
    }

    /// The largest first: handed out one after another in this order, they keep all cores busy for the longest time.
    pub(super) fn largest_first(&self) -> Vec<&OneFile> {
        let mut files: Vec<&OneFile> = self.files.iter().collect();
        files.sort_by_key(|file| Reverse(file.len));
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_summed_and_sorted() {
        let file = |name: &str, len| OneFile { relative: name.into(), len };
        let files = Files::new("/r".into(), vec![file("a", 1), file("b/c", 30), file("d", 2)]);
        assert_eq!((files.count(), files.bytes()), (3, 33));
        assert_eq!(files.paths(), ["/r/a", "/r/b/c", "/r/d"].map(PathBuf::from));
        let lens: Vec<u64> = files.largest_first().iter().map(|file| file.len).collect();
        assert_eq!(lens, [30, 2, 1]);
    }
}
