//! File system and clock as arguments.
//!
//! [`Fs`] is everything that icecore asks of a disk; [`publish()`] is the only way that its parts replace a file.

mod clock;
mod fs;
mod mem;
mod os;
pub mod publish;

pub use clock::{Clock, ManualClock, OsClock};
pub use fs::{DirEntry, File, FileKind, Fs, Lock, Mapping, Metadata, read_file};
pub use mem::MemFs;
pub use os::OsFs;
pub use publish::{Existing, PublishError, publish, publish_synced};
