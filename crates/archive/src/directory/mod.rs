//! Archives of directories that have nothing to do with a storage: everything below one, as it was at the beginning.
//!
//! [`Directory::scan`] notes what there is; [`Directory::plan`] digests all files on several threads; [`create`](crate::create())
//! copies them, the directory being the [`Source`](crate::Source). A file that is not the same from the scan to the end of the copy
//! fails the archive. What a tar of this layout has no place for, executable bits and empty directories, stands in the subject, and
//! [`unpack_directory`] puts it back. Owners, times and other permission bits are not kept; links and special files are refused.
//!
//! Files that appear after the scan are not in the archive. This is no cut of a directory that others write to.

mod scan;
mod source;
mod subject;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use icecore_io::Fs;

use crate::Error;
use crate::progress::Progress;
use crate::reader::Reader;
use crate::target::{Extras, Unpacked};
use crate::unpack::unpack_with;

pub use scan::Directory;
pub use subject::{DIRECTORY_KIND, DirectorySubject};

/// Writes all members below `root`, as [`unpack`](crate::unpack()) does, and what else `subject` says of them.
///
/// `root` has to exist. Fails as [`unpack`](crate::unpack()) does, and leaves as little behind.
pub fn unpack_directory(
    reader: &Reader,
    subject: &DirectorySubject,
    fs: &dyn Fs,
    root: &Path,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Unpacked, Error> {
    let extras = Extras {
        executables: subject.executables.iter().cloned().collect(),
        directories: subject.directories.iter().map(PathBuf::from).collect(),
    };
    unpack_with(reader, fs, root, |_, member| Some(PathBuf::from(member.path)), &extras, threads, progress)
}
