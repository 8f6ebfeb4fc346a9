//! Makes an archive in a directory: complete under its name, or not there at all.
//!
//! The archive is written under a temporary, locked name and synced, its side files beside it; then these get their names, which are
//! made durable; then the archive's rename, which never overwrites, commits. Where an equal archive may be shared, its file gets the
//! new name at that moment, instead of a copy. Whatever fails, everything that the call made is removed again; after a crash
//! [`sweep`](crate::sweep()) does that. Which names archives get is the caller's business; which archives may be shared is decided
//! in [`sharing`](crate::sharing), and the order of the steps that others can see in [`publication`](crate::publication).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use icecore_io::{Clock, File, Fs};

use crate::Error;
use crate::format::frames::file_len_max;
use crate::plan::Plan;
use crate::progress::{Progress, advance};
use crate::publication::{About, Publication};
use crate::sharing::{Sharing, twins};
use crate::store::{ArchiveName, Attempt, Meta, seconds, time};
use crate::writer::{Compression, Source, Written, into_file, write_compressed, write_to_file};
use icecore_io::digest::Sha256Digest;

/// What the side files and the directory may take beside the archive, in bytes.
pub(crate) const SIDE_FILES_LEN: u64 = 64 << 10;

/// A finished, durable archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub len: u64,
    /// Digest of the whole file.
    pub sha256: Sha256Digest,
    /// Digest of the manifest.
    pub manifest_sha256: Sha256Digest,
    /// When it was made, in whole seconds.
    pub created_at: SystemTime,
    /// Whether it is another name of an archive that was there, and nothing was copied.
    pub shared: bool,
}

/// What an archive is made of, and in which form.
#[derive(Clone, Copy)]
pub struct Draft<'a> {
    /// Its layout.
    pub plan: &'a Plan,
    /// Its members' data.
    pub source: &'a dyn Source,
    /// Whether it is compressed.
    pub compression: Option<Compression>,
    /// Whether it may share the file of an equal archive. A compressed one never does.
    pub sharing: Option<Sharing<'a>>,
}

/// Makes the archive `name` in `dir`, with its side files; a copy, not compressed. See [`create_draft`].
pub fn create(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    plan: &Plan,
    source: &dyn Source,
    progress: &dyn Progress,
) -> Result<Created, Error> {
    create_draft(fs, clock, dir, name, Draft { plan, source, compression: None, sharing: None }, progress)
}

/// Makes the archive `name` in `dir`, with its side files. After `Ok` all of it is durable.
///
/// Fails with [`Error::ArchiveName`] if the name ends in `.zst` and the archive is not to be compressed, or the other way round; with
/// [`Error::AlreadyExists`] if there is an archive or a side file of that name, or somebody is making one: it stays as it
/// is; with [`Error::NoSpace`] before anything is written if the file system is too full, even for an archive that may become
/// shorter, but not for one that is shared; and otherwise as [`write_archive`](crate::write_archive()) and [`write_compressed`] do. After an error nothing of the new archive is left, except
/// a side file that the system refuses to remove, or of which it said that it could not be made: that is for
/// [`sweep`](crate::sweep()).
pub fn create_draft(
    fs: &dyn Fs,
    clock: &dyn Clock,
    dir: &Path,
    name: &ArchiveName,
    draft: Draft<'_>,
    progress: &dyn Progress,
) -> Result<Created, Error> {
    draft.check_name(name)?;
    let needed = draft.needed();
    check_space(fs, dir, needed, if draft.may_share().is_some() { SIDE_FILES_LEN } else { needed })?;
    let path = dir.join(name.as_str());
    let Some(attempt) = Attempt::begin(fs, dir, name).map_err(Error::io("create a temporary for", &path))? else {
        return Err(Error::AlreadyExists { path });
    };
    let mut making = Making { fs, clock, dir, draft, progress, out: Publication::new(fs, dir, &path, &attempt) };
    let result = making.make();
    if result.is_ok() {
        making.out.keep();
    }
    result
}

impl<'a> Draft<'a> {
    /// Whether the name says rightly if the archive is compressed; [`Error::ArchiveName`] if not.
    pub fn check_name(&self, name: &ArchiveName) -> Result<(), Error> {
        if name.is_compressed() == self.compression.is_some() {
            return Ok(());
        }
        let rule = "it must end in `.zst` if the archive is compressed, and only then";
        Err(Error::ArchiveName { name: name.to_string(), rule })
    }

    /// The longest that the file can become, in bytes; of an archive that is not compressed, its length.
    pub fn len_max(&self) -> u64 {
        match self.compression {
            Some(_) => file_len_max(self.plan.archive_len()),
            None => self.plan.archive_len(),
        }
    }

    /// The most space that a copy can take with all that is beside it, in bytes.
    fn needed(&self) -> u64 {
        self.len_max().saturating_add(SIDE_FILES_LEN)
    }

    /// How the archive may share another's file.
    fn may_share(&self) -> Option<Sharing<'a>> {
        self.sharing.filter(|_| self.compression.is_none())
    }

    /// Writes the archive to an empty file.
    fn write(&self, file: &Arc<dyn File>, path: &Path, progress: &dyn Progress) -> Result<Written, Error> {
        match self.compression {
            // Nothing is reserved: the length is not known.
            Some(compression) => {
                into_file(file, self.plan, |sink| write_compressed(self.plan, self.source, sink, compression, progress))
            }
            None => {
                let reserve = || reserve(file, self.plan.archive_len()).map_err(Error::io("reserve space for", path));
                write_to_file(self.plan, self.source, file, reserve, progress)
            }
        }
    }
}

/// Fails if there are less than `least` bytes free; the error says that `needed` are needed.
pub(crate) fn check_space(fs: &dyn Fs, dir: &Path, needed: u64, least: u64) -> Result<(), Error> {
    let free = fs.free_space(dir).map_err(Error::io("measure the free space of", dir))?;
    if free < least {
        return Err(Error::NoSpace { path: dir.to_owned(), needed, free });
    }
    Ok(())
}

/// One call and what it was given.
struct Making<'a> {
    fs: &'a dyn Fs,
    clock: &'a dyn Clock,
    dir: &'a Path,
    draft: Draft<'a>,
    progress: &'a dyn Progress,
    out: Publication<'a>,
}

impl Making<'_> {
    fn make(&mut self) -> Result<Created, Error> {
        self.out.check_names()?;
        let Some(sharing) = self.draft.may_share() else {
            return self.copy();
        };
        if let Some(created) = self.share(sharing)? {
            return Ok(created);
        }
        let needed = self.draft.needed();
        check_space(self.fs, self.dir, needed, needed)?;
        self.copy()
    }

    /// Writes the archive.
    fn copy(&mut self) -> Result<Created, Error> {
        let Self { draft, progress, .. } = *self;
        let about = About {
            uncompressed_size: draft.compression.map(|_| draft.plan.archive_len()),
            manifest_sha256: Some(draft.plan.manifest_sha256()),
        };
        let meta = self.out.write(self.clock, about, |file, temp| draft.write(file, temp, progress))?;
        Ok(self.created(&meta, false))
    }

    /// Gives the file of an equal archive the new name. `None` if there is none that may be shared, or none that can be linked; then
    /// nothing is left of the attempt.
    fn share(&mut self, sharing: Sharing<'_>) -> Result<Option<Created>, Error> {
        let Self { fs, clock, dir, draft, progress, .. } = *self;
        // Reading an archive back is cheaper than a copy, reading several is not.
        let mut may_verify = true;
        for mut twin in twins(fs, dir, draft.plan, clock.now(), sharing) {
            if !twin.has_manifest_of(draft.plan) {
                continue;
            }
            if !twin.is_fresh() {
                let is_sound = std::mem::take(&mut may_verify) && twin.verify(clock, progress)?;
                if !is_sound {
                    continue;
                }
            }
            // Nothing is left to copy. Whoever wants it stopped is heard all the same.
            progress.start(0);
            advance(progress, 0)?;
            draft.source.check_unchanged()?;
            let meta = Meta { created_at: seconds(clock.now()), ..twin.meta().clone() };
            self.out.publish_side_files(&meta, None)?;
            if self.out.link(&twin)? {
                return Ok(Some(self.created(&meta, true)));
            }
            self.out.remove_side_files()?;
        }
        Ok(None)
    }

    fn created(&self, meta: &Meta, shared: bool) -> Created {
        Created {
            path: self.out.path().to_owned(),
            len: meta.size,
            sha256: meta.sha256,
            manifest_sha256: self.draft.plan.manifest_sha256(),
            created_at: time(meta.created_at),
            shared,
        }
    }
}

/// Reserves blocks where the file system can, so that a full disk shows now.
pub(crate) fn reserve(file: &Arc<dyn File>, len: u64) -> io::Result<()> {
    match file.allocate(0, len) {
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(()),
    }
}
