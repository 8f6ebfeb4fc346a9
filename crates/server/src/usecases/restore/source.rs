//! One archive and what is wanted of it: a file that can be read anywhere, or a stream that passes once.
//!
//! Of a file only the manifest and the wanted members are read, on all cores; with a digest of the whole to compare, the rest too.
//! A stream is read to its end in any case.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use icecore_archive::{Foreign, Manifest, MemberRef, Plan, Progress, Reader, Sha256Digest, StreamReader};
use icecore_io::{File, Fs};
use icecore_storage::{
    AdoptedCollection, AdoptedShard, CollectionConfig, FileDigest, Staging, Storage, Subject, SubjectCollection, SubjectKind,
};

use super::Goal;
use super::checksum::{self, Race};
use super::error::{RestoreError, of_stream};
use super::select::{Selection, Target, select};
use crate::error::Result;

/// An opened archive.
pub(crate) enum Input {
    /// In a file.
    File {
        /// Its parts.
        reader: Box<Reader>,
        /// Its bytes.
        file: Arc<dyn File>,
    },
    /// Arriving.
    Stream(Box<StreamReader<Box<dyn Read + Send>>>),
}

impl std::fmt::Debug for Input {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { reader, .. } => formatter.debug_tuple("File").field(&reader.path()).finish(),
            Self::Stream(_) => formatter.debug_tuple("Stream").finish_non_exhaustive(),
        }
    }
}

impl Input {
    /// Opens the archive at `path`, with the digest that the file beside it notes.
    pub(crate) fn file(fs: &dyn Fs, path: &Path) -> Result<(Self, Option<Expected>), RestoreError> {
        let file = fs.open_read(path).map_err(|source| RestoreError::Read { path: path.to_owned(), source })?;
        let input = Self::opened(file, path)?;
        Ok((input, checksum::beside(fs, path)?.map(Expected::Beside)))
    }

    /// Takes the archive in an open file, called `label` in errors. One that somebody else compressed can only be read in order.
    pub(crate) fn opened(file: Arc<dyn File>, label: &Path) -> Result<Self, RestoreError> {
        match Reader::from_file(Arc::clone(&file), label.to_owned()) {
            Ok(reader) => Ok(Self::File { reader: Box::new(reader), file }),
            Err(icecore_archive::Error::Foreign { foreign: Foreign::Zstd, .. }) => {
                let len = file.len().map_err(|source| RestoreError::Read { path: label.to_owned(), source })?;
                Self::stream(Box::new(InOrder { file, offset: 0 }), label, Some(len))
            }
            Err(error) => Err(RestoreError::Archive(error)),
        }
    }

    /// Takes the archive in an open file every byte of which has to be fetched, for `goal`. No byte is fetched twice: an archive that
    /// is wanted as a whole passes once, in order, and is compared with a digest on the way; of one that is wanted in part only
    /// that part is fetched, which leaves nothing to compare with a digest of the whole that is merely noted.
    pub(crate) fn fetched(
        file: Arc<dyn File>,
        label: &Path,
        goal: &Goal,
        given: Option<Expected>,
        noted: Option<Expected>,
    ) -> Result<(Self, Option<Expected>), RestoreError> {
        let expected = given.or(noted);
        let opened = Self::opened(Arc::clone(&file), label)?;
        match (&opened, expected) {
            (Self::File { reader, .. }, Some(_)) if given.is_some() || is_all_of(reader.manifest(), goal) => {
                let len = file.len().map_err(|source| RestoreError::Read { path: label.to_owned(), source })?;
                Ok((Self::stream(Box::new(InOrder { file, offset: 0 }), label, Some(len))?, expected))
            }
            (Self::File { .. }, _) => Ok((opened, None)),
            (Self::Stream(_), _) => Ok((opened, expected)),
        }
    }

    /// Takes the archive in a stream of `len` bytes, if that is known, called `label` in errors.
    pub(crate) fn stream(stream: Box<dyn Read + Send>, label: &Path, len: Option<u64>) -> Result<Self, RestoreError> {
        let reader = StreamReader::open(stream, label, len).map_err(|error| of_stream(error, label))?;
        Ok(Self::Stream(Box::new(reader)))
    }

    fn plan(&self) -> &Plan {
        match self {
            Self::File { reader, .. } => reader.plan(),
            Self::Stream(reader) => reader.plan(),
        }
    }

    fn manifest(&self) -> &Manifest {
        self.plan().manifest()
    }

    fn label(&self) -> &Path {
        match self {
            Self::File { reader, .. } => reader.path(),
            Self::Stream(reader) => reader.label(),
        }
    }
}

/// Whether an archive is of what is to be restored, and of nothing else. One whose subject cannot be understood is not.
fn is_all_of(manifest: &Manifest, goal: &Goal) -> bool {
    let subject = serde_json::from_value::<Subject>(manifest.subject().clone());
    subject.is_ok_and(|subject| match goal {
        Goal::Storage => subject.kind == SubjectKind::Storage,
        Goal::Collection(_) => subject.kind == SubjectKind::Collection,
        Goal::Shard { .. } => subject.kind == SubjectKind::Shard,
    })
}

/// A file from its first byte to its last.
struct InOrder {
    file: Arc<dyn File>,
    offset: u64,
}

impl Read for InOrder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.offset)?;
        self.offset += len as u64;
        Ok(len)
    }
}

/// The digest that a whole archive should have, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The file beside it.
    Beside(Sha256Digest),
    /// Who asked for the restore.
    Given(Sha256Digest),
}

impl Expected {
    fn digest(self) -> Sha256Digest {
        match self {
            Self::Beside(digest) | Self::Given(digest) => digest,
        }
    }

    fn check(self, label: &Path, actual: Sha256Digest) -> Result<(), RestoreError> {
        match self {
            _ if actual == self.digest() => Ok(()),
            Self::Beside(expected) => Err(RestoreError::Checksum { path: label.to_owned(), expected, actual }),
            Self::Given(expected) => Err(RestoreError::GivenChecksum { expected, actual }),
        }
    }
}

/// An opened archive, and what is wanted of it.
#[derive(Debug)]
pub(super) struct Source {
    input: Input,
    target: Target,
    selection: Selection,
    expected: Option<Expected>,
}

/// What was unpacked of one archive. Dropping it removes that again.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) collections: Vec<AdoptedCollection>,
    pub(super) shards: Vec<AdoptedShard>,
    pub(super) bytes: u64,
}

impl Source {
    /// Fails if the archive is not what `target` needs.
    pub(super) fn new(input: Input, target: Target, expected: Option<Expected>) -> Result<Self, RestoreError> {
        let selection = select(input.manifest(), input.label(), &target)?;
        Ok(Self { input, target, selection, expected })
    }

    /// The collections to be put in place, by the names that they get.
    pub(super) fn named(&self) -> impl Iterator<Item = (&str, &CollectionConfig)> {
        let whole = matches!(self.target, Target::Collection(_) | Target::Storage);
        let collections = self.selection.collections.iter().filter(move |_| whole);
        collections.map(|(name, collection)| (name.as_str(), &collection.config))
    }

    /// The shard to be put in place: the name of its collection here, and its description.
    pub(super) fn shard(&self) -> Option<(&str, &SubjectCollection)> {
        let Target::Shard { .. } = self.target else { return None };
        self.selection.collections.first().map(|(name, collection)| (name.as_str(), collection))
    }

    /// Alias to collection.
    pub(super) fn aliases(&self) -> &BTreeMap<String, String> {
        &self.selection.aliases
    }

    /// Bytes that will be unpacked.
    pub(super) fn bytes(&self) -> u64 {
        self.selection.bytes
    }

    /// Bytes that have to be read.
    pub(super) fn work(&self) -> u64 {
        let archive_len = self.input.plan().archive_len();
        match self.input {
            Input::File { .. } => self.selection.bytes + self.expected.map_or(0, |_| archive_len),
            Input::Stream(_) => archive_len,
        }
    }

    /// Unpacks what is wanted into a staging directory, and compares the digest of the whole if one is expected.
    pub(super) fn unpack(self, fs: &dyn Fs, storage: &Storage, progress: &dyn Progress) -> Result<Unpacked> {
        let Self { input, target, selection, expected } = self;
        let staging = Arc::new(storage.stage(digests(input.manifest(), &selection))?);
        let wanted = |_, member: MemberRef<'_>| selection.wants(member.path).then(|| PathBuf::from(member.path));
        match input {
            Input::File { reader, file } => {
                let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
                let race = Race::new(progress);
                let label = reader.path();
                race.run(
                    || {
                        icecore_archive::unpack(&reader, fs, staging.path(), wanted, threads, &race)
                            .map(drop)
                            .map_err(RestoreError::Archive)
                    },
                    || match expected {
                        Some(expected) => expected.check(label, checksum::digest(file.as_ref(), label, &race)?),
                        None => Ok(()),
                    },
                )?;
            }
            Input::Stream(reader) => {
                let label = reader.label().to_owned();
                let progress = Race::new(progress);
                let streamed = reader.unpack(fs, staging.path(), wanted, &progress).map_err(|error| of_stream(error, &label))?;
                if let Some(expected) = expected {
                    expected.check(&label, streamed.sha256)?;
                }
            }
        }
        Ok(adopted(target, selection, &staging))
    }
}

/// Whether `needed` more bytes fit onto the file system of `path`.
pub(super) fn check_space(fs: &dyn Fs, path: &Path, needed: u64) -> Result<(), RestoreError> {
    let free = fs.free_space(path).map_err(|source| RestoreError::Space { path: path.to_owned(), source })?;
    if free < needed {
        return Err(RestoreError::NoSpace { path: path.to_owned(), needed, free });
    }
    Ok(())
}

fn digests(manifest: &Manifest, selection: &Selection) -> BTreeMap<String, FileDigest> {
    let wanted = manifest.iter().filter(|member| selection.wants(member.path));
    let digest = |member: MemberRef<'_>| FileDigest { len: member.len, sha256: member.sha256, crc32c: member.crc32c };
    wanted.map(|member| (member.path.to_owned(), digest(member))).collect()
}

fn adopted(target: Target, selection: Selection, staging: &Arc<Staging>) -> Unpacked {
    let mut unpacked = Unpacked { collections: Vec::new(), shards: Vec::new(), bytes: selection.bytes };
    for (name, from) in selection.collections {
        let staging = Arc::clone(staging);
        match target {
            Target::Collection(_) | Target::Storage => unpacked.collections.push(AdoptedCollection { name, from, staging }),
            Target::Shard { .. } => unpacked.shards.push(AdoptedShard { collection: name, from, staging }),
        }
    }
    unpacked
}
