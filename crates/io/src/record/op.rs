//! What a record is made of: one change of a file system each.
//!
//! An operation holds all that is needed to do it again, so a record can be played without the file system that it was made on.

use std::path::PathBuf;
use std::sync::Arc;

/// One recorded change. Files and directories are named by inode number where a path could have changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// An empty file came to be.
    CreateFile {
        /// Its first name.
        path: PathBuf,
        /// Its inode number.
        file: u64,
    },
    /// Bytes were written (or copied or cloned) into a file.
    Write {
        /// The file's inode number.
        file: u64,
        /// Where the bytes begin.
        offset: u64,
        /// The bytes that were written.
        data: Arc<[u8]>,
    },
    /// A file was cut or extended with zeros.
    SetLen {
        /// The file's inode number.
        file: u64,
        /// The new length in bytes.
        len: u64,
    },
    /// A file's contents and length became durable.
    SyncData {
        /// The file's inode number.
        file: u64,
    },
    /// An empty directory came to be.
    CreateDir {
        /// Its name.
        path: PathBuf,
        /// Its inode number.
        dir: u64,
    },
    /// A file or directory got another name, whatever was there before being replaced.
    Rename {
        /// The old name.
        from: PathBuf,
        /// The new name.
        to: PathBuf,
    },
    /// A file got a second name.
    Link {
        /// A name that it had.
        from: PathBuf,
        /// The name that it got.
        to: PathBuf,
    },
    /// A file lost a name.
    RemoveFile {
        /// The name.
        path: PathBuf,
    },
    /// An empty directory was removed.
    RemoveDir {
        /// Its name.
        path: PathBuf,
    },
    /// A directory's entries became durable.
    SyncDir {
        /// The directory.
        path: PathBuf,
    },
    /// Permission bits changed.
    SetMode {
        /// The file or directory.
        path: PathBuf,
        /// The new bits.
        mode: u32,
    },
    /// Nothing happened to the file system: a test noted where it was, such as what had been acknowledged.
    Mark(u64),
}
