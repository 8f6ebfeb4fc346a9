//! Points: written, read, scrolled and counted.
//!
//! `write` and `read` hold the handlers; the other files are the pieces of their bodies, parsed straight into the types of the
//! storage without a tree of JSON values between, because a batch of points may have megabytes of numbers.

mod filter;
mod id;
mod json_path;
mod payload;
pub(super) mod read;
mod record;
pub(super) mod result;
mod select;
mod vectors;
pub(super) mod write;
