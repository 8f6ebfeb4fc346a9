//! The storage engine: collections of points, durable through a log, sealed into immutable segments, cut by snapshots.
//!
//! Synchronous and embeddable: it knows nothing of HTTP, archives or async runtimes. Every file operation goes through
//! [`icecore_io::Fs`].

pub mod adopt;
mod alias;
mod budget;
mod catalog;
pub mod codec;
mod collection;
pub mod config;
pub mod document;
pub mod engine;
pub mod error;
pub mod filter;
#[cfg(test)]
mod format_doc;
pub mod ids;
pub mod inspect;
mod manifest;
mod memtable;
pub mod names;
mod normalize;
pub mod op;
mod parallel;
pub mod payload;
mod poison;
mod prepare;
mod query;
pub mod read;
mod refs;
pub mod segment;
mod shard;
pub mod snapshot;
pub mod subject;
mod tombstones;
pub mod vector;
mod waits;
pub mod wal;

pub use adopt::{AdoptedCollection, AdoptedShard, Adoption, OnExisting, Staging};
pub use config::{CollectionConfig, DenseParams, Distance, SparseParams};
pub use engine::{AliasAction, CollectionInfo, Durability, Options, ShardInfo, Storage};
pub use error::{Error, ErrorKind, Result};
pub use icecore_io::digest as checksum;
pub use icecore_io::digest::{Crc32c, FileDigest, Sha256Digest};
pub use ids::{Generation, Lsn, PointId, SegmentId, ShardDirId};
pub use op::{NamedVector, Operation, Point, PointVectors, Target, UpsertMode, Vector};
pub use read::{Facet, FacetHit, OrderedScroll, Page, Record, Scroll, Select, WithVectors};
pub use snapshot::{Scope, Snapshot, SnapshotFile};
pub use subject::{Subject, SubjectCollection, SubjectKind, SubjectSegment, SubjectShard, SubjectTombstones};
pub use vector::Datatype;
pub use waits::{WAIT_BUCKETS, WaitHistogram, WaitStats};
pub use wal::recovery::TornTail;
