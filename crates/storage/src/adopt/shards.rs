//! Unpacked shards are opened and checked, all at once.
//!
//! Three rounds, each over all shards at once: every shard is moved to its place and opened; every byte of all segments
//! is compared with its checksum, large segments in parts; ids are compared with the shard and among segments, and long logs become
//! segments. So what is cheap to find is found before anything large is read. Of several failures in a round the first in the
//! order of the shards is returned. Removing the directories after a failure is the caller's.

use std::sync::Arc;

use super::Staging;
use crate::config::CollectionConfig;
use crate::engine::Inner;
use crate::error::{Error, Result, on};
use crate::ids::{Generation, PointId, ShardDirId};
use crate::manifest::{self, SegmentEntry, ShardManifest, TombstoneEntry};
use crate::parallel;
use crate::shard::{self, Shard};
use crate::subject::{SubjectShard, SubjectTombstones};

/// A log tail of more bytes becomes a segment when it is adopted, so that the next start need not replay it.
const TAIL_BYTES_MAX: u64 = 1024 * 1024;

/// A shard out of an archive.
pub(super) struct Incoming<'a> {
    /// The configuration of its collection.
    pub(super) config: &'a CollectionConfig,
    pub(super) described: &'a SubjectShard,
    pub(super) staging: &'a Staging,
    /// The directory that it gets.
    pub(super) id: ShardDirId,
}

/// Makes shard directories of what was unpacked, moves them to their final places, and opens and checks all of it.
pub(super) fn open(inner: &Inner, incoming: &[Incoming<'_>]) -> Result<Vec<Arc<Shard>>> {
    let shards = parallel::try_map(incoming, parallel::syncing(), |shard| shard.open(inner))?;
    // The digests say that these are the archive's bytes; this, that an engine wrote them.
    shard::scrub_until_damaged(&shards)?;
    let opened: Vec<_> = incoming.iter().zip(&shards).collect();
    parallel::try_map(&opened, parallel::syncing(), |(incoming, shard)| incoming.finish(inner, shard))?;
    Ok(shards)
}

impl Incoming<'_> {
    fn open(&self, inner: &Inner) -> Result<Arc<Shard>> {
        let Self { config, described, staging, id } = *self;
        let staged = staging.shard_path(described)?;
        let manifest = manifest_of(described, staging)?;
        // Rules that the description breaks, before the publication that would take them for a failure of ours.
        manifest::check(&staged, manifest.generation, &manifest)?;
        shard::create_dir(inner.fs(), &staged, &manifest)?;
        let path = inner.shard_path(id);
        inner.fs().rename_noreplace(&staged, &path).map_err(on("move to its place", &path))?;
        let shard = inner.open_shard(id, config)?;
        if shard.last_lsn() != described.lsn {
            let reason = format!("its log ends with record {}, the archive says {}", shard.last_lsn(), described.lsn);
            return Err(Error::Malformed { path: path.join(shard::WAL), offset: 0, reason });
        }
        if let Some(reason) = shard.poisoned() {
            return Err(Error::Malformed { path: path.join(shard::WAL), offset: 0, reason: reason.to_owned() });
        }
        Ok(shard)
    }

    fn finish(&self, inner: &Inner, shard: &Shard) -> Result<()> {
        let belongs = |id: PointId| id.shard(self.config.shard_number) == self.described.number;
        if let Some((id, reason)) = shard.view().foreign_id(belongs)? {
            let path = inner.shard_path(self.id);
            return Err(Error::Malformed { path, offset: 0, reason: format!("point {id}: {reason}") });
        }
        if self.staging.log_bytes(self.described) > TAIL_BYTES_MAX { shard.flush() } else { Ok(()) }
    }
}

/// The manifest of an unpacked shard.
fn manifest_of(described: &SubjectShard, staging: &Staging) -> Result<ShardManifest> {
    let mut segments = Vec::with_capacity(described.segments.len());
    for segment in &described.segments {
        let path = format!("{}/{}/{}", described.path, shard::SEGMENTS, shard::segment_name(segment.id));
        let tombstones = match segment.tombstones {
            None => None,
            Some(SubjectTombstones { generation, marked }) => {
                let name = shard::tombstones_name(segment.id, generation);
                let path = format!("{}/{}/{name}", described.path, shard::TOMBSTONES);
                Some(TombstoneEntry { generation, marked, digest: staging.digest(&path)? })
            }
        };
        segments.push(SegmentEntry { id: segment.id, rows: segment.rows, digest: staging.digest(&path)?, tombstones });
    }
    // Tombstone files keep the generations in their names, so the manifest begins behind the newest.
    let newest = described.segments.iter().filter_map(|segment| segment.tombstones).map(|named| named.generation).max();
    Ok(ShardManifest {
        generation: newest.unwrap_or(Generation(1)),
        flushed_lsn: described.flushed_lsn,
        next_segment_id: described.next_segment_id,
        segments,
    })
}
