//! A storage made for the purpose, archived and restored as a server does it.
//!
//! It is opened as the server opens it and then left alone: all points are in segments and nothing is left to compact, so that nothing
//! but the measured work goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_archive::{Compression, Progress};
use icecore_io::OsFs;
use icecore_storage::{Scope, Snapshot, SnapshotFile, Storage};
use serde_json::{Value, json};

use super::args::BenchArgs;
use super::error::{BenchError, Result};
use super::files::{Files, OneFile};
use super::fill;
use super::scratch::check_space;
use super::subject::{Restored, Subject, points};
use crate::app::App;
use crate::config::Config;
use crate::serve;
use crate::shutdown::Shutdown;
use crate::usecases::create;
use crate::usecases::restore::{Request, restore};

/// An open server without front doors, full of points.
#[derive(Debug)]
pub(super) struct Made {
    app: Arc<App>,
    files: Files,
    /// Keeps the files.
    _snapshot: Snapshot,
    points: u64,
    args: BenchArgs,
}

impl Made {
    /// Makes a storage in `dir`, and opens it with a store of archives beside it. Must be called inside a runtime.
    pub(super) fn make(args: &BenchArgs, dir: &Path, copies: u64, shutdown: &Shutdown) -> Result<Self> {
        check_space(&OsFs, dir, fill::bytes_wanted(args), copies)?;
        let mut config = Config::default();
        config.storage.storage_path = dir.join("storage");
        config.storage.snapshots_path = dir.join("snapshots");
        fill::fill_elsewhere(args, &config.storage.storage_path, shutdown)?;
        let app = serve::open(config, shutdown.clone())?;
        let points = points(&app.storage)?;
        let snapshot = app.storage.snapshot(&Scope::Storage)?;
        let root = app.config.storage.storage_path.clone();
        let files = snapshot.files.iter().map(|file| one_file(&root, file)).collect::<Result<_>>()?;
        Ok(Self { app, files: Files::new(root, files), _snapshot: snapshot, points, args: args.clone() })
    }
}

fn one_file(root: &Path, file: &SnapshotFile) -> Result<OneFile> {
    // The storage was opened at this very path, and its files are in it.
    let relative = file.source.strip_prefix(root).map_err(|_| BenchError::Changed { path: file.source.clone() })?;
    Ok(OneFile { relative: relative.to_owned(), len: file.digest.len })
}

impl Subject for Made {
    fn files(&self) -> &Files {
        &self.files
    }

    fn describe(&self) -> String {
        let BenchArgs { dimensions, payload_bytes, shards, collections, .. } = self.args;
        let points = self.points;
        format!(
            "{points} points of {dimensions} dimensions and {payload_bytes} bytes of payload; collections: {collections}, shards of each: {shards}"
        )
    }

    fn facts(&self) -> Value {
        let BenchArgs { dimensions, payload_bytes, shards, collections, .. } = self.args;
        json!({
            "kind": "storage",
            "points": self.points,
            "dimensions": dimensions,
            "payload_bytes": payload_bytes,
            "shards": shards,
            "collections": collections,
        })
    }

    fn create(&self, compression: Option<Compression>, progress: &dyn Progress) -> Result<PathBuf> {
        let options = create::Options { compression, ..create::Options::default() };
        let made = create::create(&self.app, &Scope::Storage, options, progress, |_| Ok(()))?;
        Ok(self.app.config.storage.snapshots_path.join(made.name.as_str()))
    }

    /// What a start with `--storage-snapshot` does between opening its empty storage and listening.
    fn restore(&self, archive: &Path, to: &Path, progress: &dyn Progress) -> Result<Restored> {
        let App { fs, clock, config, .. } = self.app.as_ref();
        let storage = Storage::open(Arc::clone(fs), Arc::clone(clock), to, config.storage.options())?;
        let request = Request { storage: Some(archive.to_owned()), ..Request::default() };
        restore(fs.as_ref(), &storage, to, &request, progress)?;
        Ok(Restored::Storage { storage: Box::new(storage), expected: self.points })
    }
}
