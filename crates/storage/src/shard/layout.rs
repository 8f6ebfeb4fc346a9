//! Where things are inside a shard's directory, and how a new one is laid out.

use std::path::{Path, PathBuf};

use icecore_io::{Fs, PublishError};

use crate::error::{Result, on};
use crate::ids::{Generation, SegmentId};
use crate::manifest::{self, ShardManifest};

pub(crate) const SEGMENTS: &str = "segments";
pub(crate) const TOMBSTONES: &str = "tombstones";
pub(crate) const WAL: &str = "wal";
/// The log file that is being prepared.
pub(crate) const NEXT_LOG: &str = "next.wal";
const SEGMENT_SUFFIX: &str = ".seg";

/// The name of a segment's file.
pub(crate) fn segment_name(id: SegmentId) -> String {
    format!("{id}{SEGMENT_SUFFIX}")
}

/// The segment whose file has this name.
pub(crate) fn parse_segment_name(name: &str) -> Option<SegmentId> {
    name.strip_suffix(SEGMENT_SUFFIX)?.parse().ok()
}

/// The name of a tombstone file.
pub(crate) fn tombstones_name(segment: SegmentId, generation: Generation) -> String {
    format!("{segment}.{generation}")
}

/// The segment and the generation of a tombstone file of this name.
pub(crate) fn parse_tombstones_name(name: &str) -> Option<(SegmentId, Generation)> {
    let (segment, generation) = name.split_once('.')?;
    Some((segment.parse().ok()?, generation.parse().ok()?))
}

pub(crate) fn segment_path(dir: &Path, id: SegmentId) -> PathBuf {
    dir.join(SEGMENTS).join(segment_name(id))
}

pub(crate) fn tombstones_path(dir: &Path, segment: SegmentId, generation: Generation) -> PathBuf {
    dir.join(TOMBSTONES).join(tombstones_name(segment, generation))
}

/// Makes the directories of a shard that are missing in `dir` and publishes its first manifest. Everything inside is durable
/// afterwards; the name of `dir` is the caller's to sync.
pub(crate) fn create(fs: &dyn Fs, dir: &Path, first: &ShardManifest) -> Result<()> {
    fs.create_dir_all(dir).map_err(on("create", dir))?;
    for name in [manifest::DIR, SEGMENTS, TOMBSTONES, WAL] {
        let path = dir.join(name);
        fs.create_dir_all(&path).map_err(on("create", &path))?;
        fs.sync_dir(&path).map_err(on("sync", &path))?;
    }
    fs.sync_dir(dir).map_err(on("sync", dir))?;
    let manifests = dir.join(manifest::DIR);
    manifest::write(fs, &manifests, first).map_err(PublishError::into_source).map_err(on("publish a manifest in", &manifests))
}
