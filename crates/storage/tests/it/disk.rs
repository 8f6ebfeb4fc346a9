//! A storage directory read from outside, by what FORMAT.md says of it: which files belong to it and which are left over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use icecore_io::{FileKind, Fs, read_file};
use serde_json::Value;

/// Bytes before the JSON of a catalog or a manifest.
const DOCUMENT_HEADER_LEN: usize = 32;

/// Every file below `root` with its bytes.
pub(crate) fn files(fs: &dyn Fs, root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs.list(&dir).unwrap() {
            match fs.metadata(&entry.path).unwrap().kind {
                FileKind::Dir => dirs.push(entry.path),
                _ => drop(found.insert(entry.path.clone(), read_file(fs, &entry.path, u64::MAX).unwrap())),
            }
        }
    }
    found
}

fn names(fs: &dyn Fs, dir: &Path) -> BTreeSet<String> {
    fs.list(dir).unwrap_or_else(|error| panic!("{dir:?}: {error}")).into_iter().map(|entry| entry.name).collect()
}

/// The one document of a directory of generations.
fn document(fs: &dyn Fs, dir: &Path) -> Value {
    let names = names(fs, dir);
    assert_eq!(names.len(), 1, "{dir:?} has one generation: {names:?}");
    let bytes = read_file(fs, &dir.join(names.first().unwrap()), 1 << 30).unwrap();
    serde_json::from_slice(&bytes[DOCUMENT_HEADER_LEN..]).unwrap()
}

fn twenty(number: &Value) -> String {
    format!("{:020}", number.as_u64().unwrap())
}

/// Asserts that every file and directory of a storage is named by its catalog, a manifest, or is a log file behind one.
pub(crate) fn assert_no_orphans(fs: &dyn Fs, root: &Path, context: &str) {
    let expected: BTreeSet<String> = ["LOCK", "catalog", "shards", "staging"].map(String::from).into();
    assert_eq!(names(fs, root), expected, "{context}");
    assert_eq!(names(fs, &root.join("staging")), BTreeSet::new(), "{context}: staging is empty");
    let catalog = document(fs, &root.join("catalog"));
    let shards: BTreeSet<String> = catalog["collections"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|collection| collection["shards"].as_array().unwrap().iter().map(twenty))
        .collect();
    assert_eq!(names(fs, &root.join("shards")), shards, "{context}: the shards of the catalog");
    for shard in shards {
        assert_no_orphans_in_shard(fs, &root.join("shards").join(shard), context);
    }
}

fn assert_no_orphans_in_shard(fs: &dyn Fs, dir: &Path, context: &str) {
    let context = format!("{context}: {}", dir.display());
    let expected: BTreeSet<String> = ["manifest", "segments", "tombstones", "wal"].map(String::from).into();
    assert_eq!(names(fs, dir), expected, "{context}");
    let manifest = document(fs, &dir.join("manifest"));
    let (mut segments, mut tombstones) = (BTreeSet::new(), BTreeSet::new());
    for segment in manifest["segments"].as_array().unwrap() {
        let id = twenty(&segment["id"]);
        if let Some(generation) = segment["tombstones"].get("generation") {
            tombstones.insert(format!("{id}.{}", twenty(generation)));
        }
        segments.insert(format!("{id}.seg"));
    }
    assert_eq!(names(fs, &dir.join("segments")), segments, "{context}");
    assert_eq!(names(fs, &dir.join("tombstones")), tombstones, "{context}");
    let flushed = manifest["flushed_lsn"].as_u64().unwrap();
    let logs = names(fs, &dir.join("wal"));
    let next = format!("{:020}.wal", flushed + 1);
    assert_eq!(logs.first(), Some(&next), "{context}: the log begins behind what is flushed");
}
