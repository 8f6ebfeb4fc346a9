//! Archives any list of files: one tar file with a manifest, whose every byte is known from the manifest and checked against it.
//!
//! A [`Plan`] says what an archive will contain and where, before anything is read. [`write_archive`] sends it to any [`Sink`];
//! [`create`] makes a file of it, which appears complete under its name or not at all; with [`Sharing`] it becomes another name of an
//! equal archive that is known to be sound. [`Reader`] opens one; [`verify`] lists all that
//! is wrong with it; [`unpack`] takes members out, or a part of them; [`StreamReader`] does both at once with an archive that arrives
//! in order and cannot be read twice. [`write_compressed`] and a [`Draft`] make compressed archives, which everything that reads
//! takes like the others. [`keep`] keeps one that was made elsewhere. [`read_back`] verifies one that was made, and notes it. [`list`], [`delete`] and [`sweep`] look after a directory of
//! archives. [`Directory`] makes an archive of any directory. The format is described in `FORMAT.md`.
//!
//! What the members mean is the caller's business: the manifest carries a JSON value, the subject, on their behalf. All disk access
//! goes through [`icecore_io::Fs`]. Everything is synchronous.

mod checking;
mod compressed;
mod contents;
mod create;
mod directory;
mod error;
mod foreign;
mod format;
mod in_order;
mod intake;
mod keep;
mod opening;
mod plan;
mod problem;
mod progress;
mod publication;
mod read_back;
mod reader;
mod sharing;
mod store;
mod stream;
mod syncing;
mod target;
mod unpack;
mod verify;
mod workers;
mod writer;

pub use create::{Created, Draft, create, create_draft};
pub use directory::{DIRECTORY_KIND, Directory, DirectorySubject, unpack_directory};
pub use error::{Error, ErrorKind};
pub use foreign::Foreign;
pub use format::frames::{
    CHECKSUMS_LEN, CHECKSUMS_MAGIC, CHECKSUMS_TAG, FRAME_LEN, FRAME_LEN_MAX, FRAME_LEN_MIN, FRAME_OVERHEAD_MAX, FRAMES_MAX,
    SEEK_ENTRY_LEN, SEEK_FOOTER_LEN, SEEK_TABLE_MAGIC, SEEKABLE_MAGIC, WINDOW_LOG_MAX,
};
pub use format::layout::{
    ALIGN_FROM_LEN, ARCHIVE_LEN_MAX, COMMENT_RECORD_LEN_MIN, DATA_ALIGNMENT, DIGEST_NAME, MANIFEST_LEN_MAX, MANIFEST_NAME,
    MEMBERS_MAX, PAX_NAME, SUBJECT_DEPTH_MAX, TRAILER_LEN,
};
pub use format::manifest::{Manifest, Member, MemberRef};
pub use format::path::{COMPONENT_LEN_MAX, MemberPath, PATH_LEN_MAX, PathRule, RESERVED_PREFIX};
pub use format::tar::{BLOCK_LEN, NAME_SIZE, USTAR_SIZE_MAX};
pub use format::version::LAYOUT;
pub use icecore_io::digest::{Crc32c, FileDigest, Hasher, ParseDigestError, Sha256Digest};
pub use keep::{Kept, keep};
pub use plan::Plan;
pub use problem::Problem;
pub use progress::{Progress, ProgressHandle};
pub use read_back::{ReadBack, read_back};
pub use reader::Reader;
pub use sharing::Sharing;
pub use store::{
    ARCHIVE_NAME_LEN_MAX, ARCHIVE_SUFFIX, ArchiveName, COMPRESSED_SUFFIX, Stored, Swept, delete, find, list, record_damaged,
    record_verified, sweep,
};
pub use stream::{StreamReader, Streamed};
pub use target::Unpacked;
pub use unpack::unpack;
pub use verify::{Report, VerifyOptions, WholeDigest, verify, verify_with};
pub use writer::{
    Compression, FileSink, Incoming, LEVELS, Sink, Source, WriteSink, Written, write_archive, write_compressed, write_stream,
};
