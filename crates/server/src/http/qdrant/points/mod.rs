//! Points: written, read, scrolled, counted.
//!
//! `write` and `read` hold the handlers; the other files are the bodies of requests and their pieces, parsed straight into the types
//! of the storage without a tree of JSON values between, because a batch of points may have megabytes of numbers.

mod batch;
mod described;
mod facet;
mod filter;
mod id;
mod order;
mod path;
mod payload;
mod payload_change;
mod read;
mod record;
pub(super) mod result;
mod rows;
mod select;
mod shard_key;
mod target;
mod upsert;
mod vector;
mod vector_change;
mod vectors;
mod write;

pub(super) use described::routes;
pub(super) use id::point_id;
