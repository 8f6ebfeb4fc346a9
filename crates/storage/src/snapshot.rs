//! A snapshot: the files that make up one instant of a shard, a collection or everything, pinned so that none goes away.
//!
//! The cut is one instant in all its shards: while it is queued everywhere, the exclusive side of every barrier is held, so
//! each request stands before it in all shards or behind it in all. That takes no I/O; then each shard makes its part
//! durable. The result is a list of references, never a copy; dropping it lets the files go.

use std::path::PathBuf;
use std::sync::Arc;

use crate::checksum::FileDigest;
use crate::engine::Storage;
use crate::error::Result;
use crate::ids::SegmentId;
use crate::manifest::ShardManifest;
use crate::shard::{self, Cut, Shard};
use crate::subject::{Subject, SubjectCollection, SubjectKind, SubjectSegment, SubjectShard, SubjectTombstones};
use crate::wal::file::file_name;

/// What to cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One shard of a collection.
    Shard {
        /// The collection's name, or an alias of it.
        collection: String,
        /// The shard's number.
        shard: u32,
    },
    /// A collection, by its name or an alias.
    Collection(String),
    /// Everything.
    Storage,
}

/// Keeps files from being removed.
pub(crate) trait Pin: Send + Sync {}

/// One file of a snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotFile {
    /// Where it belongs in an archive.
    pub member: String,
    /// Its first `digest.len` bytes belong to the snapshot; a log file may have grown since.
    pub digest: FileDigest,
    /// Where it is now, for as long as the snapshot lives.
    pub source: PathBuf,
}

/// A consistent cut, for as long as the value lives.
pub struct Snapshot {
    /// What an archive of it says in its manifest.
    pub subject: Subject,
    /// Its files in the order of an archive.
    pub files: Vec<SnapshotFile>,
    pins: Vec<Arc<dyn Pin>>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Snapshot").field("subject", &self.subject).field("files", &self.files).finish_non_exhaustive()
    }
}

impl Storage {
    /// Cuts `scope` at one instant and waits until the cut is durable. Every write that was answered before the call is in it.
    ///
    /// A shard that takes no more writes is cut at its last record that is known to be durable. A sync that fails for the cut
    /// fails the snapshot.
    pub fn snapshot(&self, scope: &Scope) -> Result<Snapshot> {
        let inner = self.inner();
        inner.check_open()?;
        // No collection comes, goes or changes its name between the note of the catalog and the cut.
        let held = inner.lock_commits();
        let state = inner.state();
        let (kind, names, only) = match scope {
            Scope::Storage => (SubjectKind::Storage, state.collections.keys().map(String::as_str).collect(), None),
            Scope::Collection(name) => (SubjectKind::Collection, vec![name.as_str()], None),
            Scope::Shard { collection, shard } => (SubjectKind::Shard, vec![collection.as_str()], Some(*shard)),
        };
        let mut parts = Vec::new();
        for name in names {
            let collection = state.resolve(name)?;
            let shards: Vec<&Arc<Shard>> = match only {
                None => collection.shards.iter().collect(),
                Some(number) => vec![collection.shard(number)?],
            };
            parts.push((state.catalog.resolve(name).unwrap_or(name), collection, shards));
        }
        let barriers: Vec<_> = parts.iter().map(|(_, collection, _)| collection.close_barrier()).collect();
        let shards = parts.iter().flat_map(|(_, _, shards)| shards.iter().copied());
        let tickets: Vec<_> = shards.map(|shard| (shard, shard.enqueue_cut())).collect();
        drop(barriers);
        drop(held);
        // All logs that have to be synced are synced at once.
        let threads = tickets.iter().filter(|(shard, _)| shard.is_unsynced()).count();
        let mut cuts = inner.helpers.map(&tickets, threads, |(shard, ticket)| shard.wait(ticket)).into_iter();

        let aliases = if kind == SubjectKind::Storage { state.catalog.aliases.clone() } else { Default::default() };
        let subject = Subject { kind, collections: Vec::new(), aliases };
        let mut snapshot = Snapshot { subject, files: Vec::new(), pins: Vec::new() };
        for (ordinal, (name, collection, shards)) in parts.iter().enumerate() {
            let mut described = Vec::with_capacity(shards.len());
            for (number, cut) in (only.unwrap_or(0)..).zip(cuts.by_ref().take(shards.len())) {
                let path = format!("collections/{ordinal:04}/shards/{number}");
                described.push(snapshot.add_shard(number, path, &cut?));
            }
            let payload_schema = state.catalog.collections.get(*name).map(|entry| entry.payload_schema.clone());
            snapshot.subject.collections.push(SubjectCollection {
                name: (*name).to_owned(),
                config: collection.config.clone(),
                payload_schema: payload_schema.unwrap_or_default(),
                shards: described,
            });
        }
        Ok(snapshot)
    }
}

impl Snapshot {
    /// Takes the files of a shard in: segments and tombstones by id, then the log, oldest first.
    fn add_shard(&mut self, number: u32, path: String, cut: &Cut) -> SubjectShard {
        let version = &cut.view.version;
        let mut segments = Vec::with_capacity(version.segments.len());
        for (live, entry) in version.segments.iter().zip(&version.manifest.segments) {
            let member = format!("{path}/{}/{}", shard::SEGMENTS, shard::segment_name(entry.id));
            self.add_file(member, entry.digest, live.file.path().to_owned(), live.file.clone());
            if let (Some((_, file)), Some(named)) = (&live.tombstones, &entry.tombstones) {
                let member = format!("{path}/{}/{}", shard::TOMBSTONES, shard::tombstones_name(entry.id, named.generation));
                self.add_file(member, named.digest, file.path().to_owned(), file.clone());
            }
            let tombstones = entry.tombstones.as_ref();
            let tombstones = tombstones.map(|named| SubjectTombstones { generation: named.generation, marked: named.marked });
            segments.push(SubjectSegment { id: entry.id, rows: entry.rows, tombstones });
        }
        let frozen = cut.view.frozen.iter().filter_map(|memtable| Some((&memtable.log, memtable.log.sealed()?)));
        let mut wal_files = Vec::new();
        for (log, end) in frozen.chain(std::iter::once((&cut.view.active.log, &cut.log_end))) {
            // A log file without records says nothing.
            if end.lsn() >= log.first_lsn {
                let member = format!("{path}/{}/{}", shard::WAL, file_name(log.first_lsn));
                self.add_file(member, end.digest(), log.file.path().to_owned(), log.file.clone());
                wal_files.push(log.first_lsn);
            }
        }
        SubjectShard {
            number,
            path,
            lsn: cut.log_end.lsn(),
            flushed_lsn: version.manifest.flushed_lsn,
            next_segment_id: next_segment_id(&version.manifest),
            segments,
            wal: wal_files,
        }
    }

    fn add_file(&mut self, member: String, digest: FileDigest, source: PathBuf, pin: Arc<dyn Pin>) {
        self.files.push(SnapshotFile { member, digest, source });
        self.pins.push(pin);
    }
}

/// The id that the next segment gets where the archive is restored: behind those that are in it.
fn next_segment_id(manifest: &ShardManifest) -> SegmentId {
    manifest.segments.last().map_or(SegmentId(1), |last| last.id.next())
}
