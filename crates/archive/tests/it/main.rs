//! Behaviour of the crate from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "tests look at the disk behind the crate's back")]

mod blocks;
mod cancel;
mod compat;
mod compressed;
mod compressed_damage;
mod compressed_hostile;
mod compressed_store;
mod create;
mod damage;
mod directory;
mod format_doc;
mod hostile;
mod read_back;
mod roundtrip;
mod sharing;
mod stream;
mod support;
mod tree;
mod unpack;
