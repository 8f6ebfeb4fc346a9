//! The storage engine: collections of points, durable through a log, sealed into immutable segments, cut by snapshots.
//!
//! Synchronous and embeddable: it knows nothing of HTTP, archives or async runtimes. Every file operation goes through
//! [`icecore_io::Fs`].

pub mod checksum;
pub mod codec;
pub mod error;
pub mod ids;
pub mod op;
pub mod segment;
pub mod wal;

pub use error::{Error, ErrorKind, Result};
pub use ids::{Generation, Lsn, PointId, SegmentId, ShardDirId};
pub use op::{NamedVector, Operation, Point, Vector};
