//! Any directory, archived and unpacked as `icecore archive create` and `extract` do it.
//!
//! Nothing in it is changed. Making its archive reads everything twice, because nobody has noted its digests before: once for them,
//! on all cores, and once to copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_archive::{
    ArchiveName, Compression, Directory, DirectorySubject, Draft, MemberRef, Progress, Reader, unpack_directory,
};
use icecore_io::{Clock, Fs};
use serde_json::{Value, json};

use super::error::{BenchError, Result};
use super::files::{Files, OneFile};
use super::scratch::check_space;
use super::subject::{Restored, Subject};
use crate::tools::{ToolError, threads};

/// What its archives are called; there is one at a time but for the time of making another.
const NAMES: [&str; 2] = ["directory.snapshot", "directory-2.snapshot"];
/// What the compressed one is called.
const COMPRESSED_NAME: &str = "directory.snapshot.zst";

/// A directory that is not ours.
#[derive(Debug)]
pub(super) struct Tree {
    fs: Arc<dyn Fs>,
    clock: Arc<dyn Clock>,
    root: PathBuf,
    /// Where its archives go.
    archives: PathBuf,
    files: Files,
}

impl Tree {
    /// Reads all files in `root`, a path without symbolic links, once. Archives will go to `archives`, on a file system with room for
    /// `copies` times the files.
    pub(super) fn read(
        fs: Arc<dyn Fs>,
        clock: Arc<dyn Clock>,
        root: PathBuf,
        archives: PathBuf,
        copies: u64,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let is_storage = icecore_storage::inspect::is_storage(fs.as_ref(), &root).map_err(BenchError::io("look into", &root))?;
        if is_storage {
            return Err(ToolError::IsStorage { path: root }.into());
        }
        if archives.starts_with(&root) {
            return Err(ToolError::Inside { path: archives, dir: root }.into());
        }
        let directory = Directory::scan(Arc::clone(&fs), &root)?;
        if directory.bytes() == 0 {
            return Err(BenchError::Empty { path: root });
        }
        check_space(fs.as_ref(), &archives, directory.bytes(), copies)?;
        // The archives' own list of files has the order of their members.
        let plan = directory.plan(threads(), progress)?;
        let file = |member: MemberRef<'_>| OneFile { relative: member.path.into(), len: member.len };
        let files = Files::new(root.clone(), plan.manifest().iter().map(file).collect());
        Ok(Self { fs, clock, root, archives, files })
    }

    /// The first name that is free.
    fn free_name(&self) -> Result<ArchiveName> {
        for name in NAMES {
            let path = self.archives.join(name);
            if !self.fs.exists(&path).map_err(BenchError::io("look at", &path))? {
                return Ok(ArchiveName::new(name)?);
            }
        }
        Err(icecore_archive::Error::AlreadyExists { path: self.archives.clone() }.into())
    }
}

impl Subject for Tree {
    fn files(&self) -> &Files {
        &self.files
    }

    fn describe(&self) -> String {
        format!("the directory {}", self.root.display())
    }

    fn facts(&self) -> Value {
        json!({ "kind": "directory", "path": self.root.to_string_lossy() })
    }

    fn create(&self, compression: Option<Compression>, progress: &dyn Progress) -> Result<PathBuf> {
        let name = if compression.is_some() { ArchiveName::new(COMPRESSED_NAME)? } else { self.free_name()? };
        let directory = Directory::scan(Arc::clone(&self.fs), &self.root)?;
        let plan = directory.plan(threads(), progress)?;
        let (fs, clock) = (self.fs.as_ref(), self.clock.as_ref());
        let draft = Draft { plan: &plan, source: &directory, compression, sharing: None };
        let made = icecore_archive::create_draft(fs, clock, &self.archives, &name, draft, progress)
            .map_err(|error| directory.explain(error))?;
        Ok(made.path)
    }

    fn restore(&self, archive: &Path, to: &Path, progress: &dyn Progress) -> Result<Restored> {
        let fs = self.fs.as_ref();
        fs.create_dir(to).map_err(BenchError::io("create", to))?;
        let reader = Reader::open(fs, archive)?;
        let subject = DirectorySubject::of(reader.manifest())?.unwrap_or_default();
        unpack_directory(&reader, &subject, fs, to, threads(), progress)?;
        Ok(Restored::Files)
    }
}
