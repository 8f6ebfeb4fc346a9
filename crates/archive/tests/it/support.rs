//! Members made of pseudo-random bytes, and archives of them in memory.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use icecore_archive::{
    ArchiveName, Compression, Crc32c, Created, Error, Member, MemberPath, Plan, Progress, Reader, Sha256Digest, StreamReader,
    Streamed, WriteSink,
};
use icecore_archive::{create, unpack, write_archive, write_compressed};
use icecore_io::{File, Fs, ManualClock, MemFs};
use serde_json::{Value, json};

pub(crate) const DIR: &str = "/store";
pub(crate) const THREADS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// The sizes around which something changes.
pub(crate) const SIZES: [usize; 9] = [0, 1, 511, 512, 513, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, (1 << 20) + 3];

/// `len` bytes that depend on `seed` and do not repeat soon.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// One file of each size.
pub(crate) fn files() -> Files {
    let file = |(index, len): (usize, &usize)| (format!("d{}/f{index}.bin", index % 3), bytes(index as u64 + 1, *len));
    SIZES.iter().enumerate().map(file).collect()
}

pub(crate) fn member(path: &str, data: &[u8]) -> Member {
    let path = MemberPath::new(path).unwrap();
    Member { path, len: data.len() as u64, sha256: Sha256Digest::of(data), crc32c: Crc32c::of(data) }
}

pub(crate) fn plan(files: &Files) -> Plan {
    plan_with(json!({"kind": "test"}), files)
}

pub(crate) fn plan_with(subject: Value, files: &Files) -> Plan {
    Plan::new(subject, files.iter().map(|(path, data)| member(path, data)).collect()).unwrap()
}

/// A source whose members are these files.
pub(crate) fn source(files: &Files) -> impl Fn(usize) -> io::Result<Arc<dyn File>> + Sync + use<> {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new("/source")).unwrap();
    for (index, (_, data)) in files.iter().enumerate() {
        put(&fs, &format!("/source/{index}"), data);
    }
    move |index| fs.open_read(Path::new(&format!("/source/{index}")))
}

/// The bytes of an archive.
pub(crate) fn archive(files: &Files) -> Vec<u8> {
    archive_of(&plan(files), files)
}

pub(crate) fn archive_of(plan: &Plan, files: &Files) -> Vec<u8> {
    let mut out = Vec::new();
    let written = write_archive(plan, &source(files), &mut WriteSink(&mut out), &()).unwrap();
    assert_eq!((written.len, written.sha256), (out.len() as u64, Sha256Digest::of(&out)));
    out
}

/// The fastest compression.
pub(crate) fn fast(threads: usize) -> Compression {
    Compression::new(1, NonZeroUsize::new(threads).unwrap()).unwrap()
}

/// The bytes of a compressed archive.
pub(crate) fn compressed(files: &Files) -> Vec<u8> {
    let mut out = Vec::new();
    let written = write_compressed(&plan(files), &source(files), &mut WriteSink(&mut out), fast(2), &()).unwrap();
    assert_eq!((written.len, written.sha256), (out.len() as u64, Sha256Digest::of(&out)));
    out
}

/// `len` bytes of which a frame of 8 MiB becomes one of a few kilobytes.
pub(crate) fn repeated(seed: u64, len: usize) -> Vec<u8> {
    bytes(seed, 1009).into_iter().cycle().take(len).collect()
}

/// An empty file system with a directory for archives.
pub(crate) fn store() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new(DIR)).unwrap();
    fs
}

pub(crate) fn put(fs: &dyn Fs, path: &str, data: &[u8]) {
    fs.create_new(Path::new(path)).unwrap().write_all_at(data, 0).unwrap();
}

pub(crate) fn get(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    icecore_io::read_file(fs, path, u64::MAX).unwrap()
}

pub(crate) fn names(fs: &dyn Fs, dir: &str) -> Vec<String> {
    fs.list(Path::new(dir)).unwrap().into_iter().map(|entry| entry.name).collect()
}

pub(crate) fn name(name: &str) -> ArchiveName {
    ArchiveName::new(name).unwrap()
}

pub(crate) fn create_in(fs: &dyn Fs, archive: &str, files: &Files) -> Result<Created, Error> {
    let clock = ManualClock::new(Duration::from_millis(1_700_000_000_250));
    create(fs, &clock, Path::new(DIR), &name(archive), &plan(files), &source(files), &())
}

/// Puts bytes into a file of a new file system and opens them as an archive.
pub(crate) fn open(bytes: &[u8]) -> (MemFs, Result<Reader, Error>) {
    let fs = store();
    put(&fs, "/store/a.snapshot", bytes);
    let reader = Reader::open(&fs, Path::new("/store/a.snapshot"));
    (fs, reader)
}

/// Unpacks all members to their own paths below `/out`.
pub(crate) fn unpack_all(fs: &dyn Fs, reader: &Reader) -> Result<icecore_archive::Unpacked, Error> {
    fs.create_dir_all(Path::new("/out")).unwrap();
    unpack(reader, fs, Path::new("/out"), |_, member| Some(PathBuf::from(member.path)), THREADS, &())
}

/// Opens a stream and unpacks all of its members to their own paths below `/out`.
pub(crate) fn stream_all(
    fs: &dyn Fs,
    input: impl io::Read,
    announced: Option<u64>,
    progress: &dyn Progress,
) -> Result<Streamed, Error> {
    fs.create_dir_all(Path::new("/out")).unwrap();
    let reader = StreamReader::open(input, Path::new("/store/a.snapshot"), announced)?;
    reader.unpack(fs, Path::new("/out"), |_, member| Some(PathBuf::from(member.path)), progress)
}
