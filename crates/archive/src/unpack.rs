//! Takes members out of an archive into files, verifying them on the way.
//!
//! Only the members that the caller selects are read, each once: its headers and padding are compared with what the manifest gives,
//! its data is digested while it is written. Files are created new, never overwritten, and only below the root. After `Ok` every
//! file and directory is durable; after an error everything that the call created is removed again (see [`target`](crate::target)).

use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use icecore_io::Fs;

use crate::Error;
use crate::compressed::Cursor;
use crate::format::manifest::MemberRef;
use crate::progress::{Progress, advance};
use crate::reader::{Reader, check_member};
use crate::syncing::with_syncing;
use crate::target::{Extras, Job, Made, MemberFile, Unpacked, check_space, jobs};
use crate::workers;
use icecore_io::digest::Hasher;

/// Members in one compressed frame that a thread takes together at most, so that small archives keep all threads busy.
const TOGETHER_COUNT: usize = 64;

/// Writes the members for which `select` gives a destination to files below `root`, on `threads` threads. Progress counts bytes of
/// data. `root` has to exist; a destination is a relative path of ordinary components, and missing directories are created.
///
/// Fails with [`Error::NoSpace`] before anything is written if the file system is too full, [`Error::Destination`] for a path that
/// leaves the root, [`Error::AlreadyExists`] if there is anything at a destination (or two members have the same), and
/// [`Error::Damaged`] if the archive is not what its manifest says.
pub fn unpack(
    reader: &Reader,
    fs: &dyn Fs,
    root: &Path,
    select: impl Fn(usize, MemberRef<'_>) -> Option<PathBuf>,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Unpacked, Error> {
    unpack_with(reader, fs, root, select, &Extras::default(), threads, progress)
}

/// [`unpack`] with what else the tree has.
pub(crate) fn unpack_with(
    reader: &Reader,
    fs: &dyn Fs,
    root: &Path,
    select: impl Fn(usize, MemberRef<'_>) -> Option<PathBuf>,
    extras: &Extras,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<Unpacked, Error> {
    let jobs = jobs(reader.manifest(), root, select, extras)?;
    let done = Unpacked::by(&jobs);
    check_space(fs, root, done.bytes)?;
    progress.start(done.bytes);
    reader.check_trailer()?;

    let mut made = Made::new(fs);
    made.create_dirs(root, &jobs, &extras.directories)?;
    let mut groups: Vec<&[Job]> = jobs
        .chunk_by(|one, other| reader.together(one.index, other.index))
        .flat_map(|jobs| jobs.chunks(TOGETHER_COUNT))
        .collect();
    if !reader.is_compressed() {
        // The longest first, so that no thread is left with it in the end. Frames are better read in order.
        groups.sort_by_key(|jobs| Reverse(jobs.iter().map(|job| job.len).sum::<u64>()));
    }
    with_syncing(|unsynced| {
        workers::run(&groups, threads, workers::buffer, |jobs, buffer| {
            let mut cursor = Cursor::default();
            jobs.iter().try_for_each(|job| unsynced.give(write_member(reader, &mut cursor, &made, job, buffer, progress)?))
        })
    })?;
    made.complete()?;
    Ok(done)
}

/// Writes the file of a member, which is not durable yet.
fn write_member<'a>(
    reader: &Reader,
    cursor: &mut Cursor,
    made: &Made<'a>,
    job: &'a Job,
    buffer: &mut [u8],
    progress: &dyn Progress,
) -> Result<MemberFile<'a>, Error> {
    let mut file = MemberFile::create(made, job)?;
    let Some(placed) = reader.plan().place(job.index) else {
        return Ok(file);
    };
    reader.check_frame(cursor, &placed)?;
    let mut hasher = Hasher::default();
    let mut offset = 0;
    while offset < job.len {
        let len = usize::try_from(job.len - offset).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = buffer.get_mut(..len).unwrap_or_default();
        reader.read_exact(cursor, bytes, placed.data_offset + offset)?;
        hasher.update(bytes);
        file.write(bytes)?;
        offset += len as u64;
        advance(progress, len as u64)?;
    }
    if let Some(problem) = check_member(placed.member, hasher).into_iter().next() {
        return Err(reader.damaged(problem));
    }
    Ok(file)
}
