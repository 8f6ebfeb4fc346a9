//! File system and clock as arguments.
//!
//! [`Fs`] is everything that icecore asks of a disk; [`publish()`] is the only way that its parts replace a file. [`OsFs`] is the
//! real thing and [`MemFs`] the same in memory. [`RecordingFs`] with [`Replay`] shows what a crash at any point would leave, and
//! [`FaultFs`] makes calls fail.

mod block;
mod clock;
pub mod digest;
mod fault;
mod fs;
mod image;
mod mem;
mod os;
mod priority;
pub mod publish;
mod record;
mod rng;

pub use block::{Block, DIRECT_ALIGNMENT};
pub use clock::{Clock, ManualClock, OsClock};
pub use fault::{Fault, FaultFs, Faults, Operation};
pub use fs::{DirEntry, File, FileKind, Fs, Lock, Mapping, Metadata, read_file};
pub use image::{CrashKind, Replay};
pub use mem::MemFs;
pub use os::OsFs;
pub use priority::{Share, in_background, lower_this_thread};
pub use publish::{Existing, PublishError, publish, publish_synced, rename_synced, write_temp};
pub use record::{Op, RecordingFs};
pub use rng::Rng;
