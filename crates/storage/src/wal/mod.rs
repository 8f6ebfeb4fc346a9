//! The log of one shard: what was accepted but is not yet in a segment.
//!
//! One file a memtable. A *batch* is what lies between two syncs of a file, and the next batch is written only after the sync
//! of the one before returned; each record names the offset at which its batch begins. So a record that cannot be read was
//! durable once if any later header names a batch that begins behind it, and is the torn end of the log otherwise. Behind the records
//! a file may have zeros, which are room for more.
//!
//! Nothing here knows what a body means, queues writers or decides when to sync: that is the shard's.

pub mod file;
pub(crate) mod next;
pub(crate) mod reader;
pub mod record;
pub(crate) mod recovery;
mod room;
pub(crate) mod survey;
mod tail;
mod window;
pub(crate) mod writer;

#[cfg(test)]
mod testing;
