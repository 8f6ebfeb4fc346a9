//! A stream is unpacked in one pass: all of it verified, durably, or nothing.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use icecore_archive::{
    Error, ErrorKind, Foreign, MemberRef, Problem, Progress, ProgressHandle, Reader, Sha256Digest, StreamReader, Streamed,
    Unpacked,
};
use icecore_io::{CrashKind, Fault, FaultFs, Fs, MemFs, Operation, RecordingFs};

use crate::support::{Files, archive, bytes, files, get, names, open, plan, put, store, stream_all, unpack_all};

const OUT: &str = "/out";
const LABEL: &str = "the upload";

/// Small enough to try every byte: a pax record, an empty member, one without padding, one byte.
fn tiny() -> Files {
    vec![
        ("p".repeat(120), bytes(1, 70)),
        ("d/empty".to_owned(), Vec::new()),
        ("d/block".to_owned(), bytes(2, 512)),
        ("z".to_owned(), bytes(3, 1)),
    ]
}

/// Several buffers, with an aligned member.
fn large() -> Files {
    vec![("a".to_owned(), bytes(1, 700)), ("d/aligned".to_owned(), bytes(2, (2 << 20) + 5)), ("z".to_owned(), bytes(4, 1))]
}

fn out() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir_all(Path::new(OUT)).unwrap();
    fs
}

fn all(_: usize, member: MemberRef<'_>) -> Option<PathBuf> {
    Some(PathBuf::from(member.path))
}

/// An input that gives at most `step` bytes at a time, is interrupted before each, and counts.
#[derive(Debug)]
struct Trickle<'a> {
    bytes: &'a [u8],
    step: usize,
    interrupted: bool,
    given: u64,
    longest_request: usize,
}

impl<'a> Trickle<'a> {
    fn new(bytes: &'a [u8], step: usize) -> Self {
        Self { bytes, step, interrupted: false, given: 0, longest_request: 0 }
    }
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.longest_request = self.longest_request.max(buffer.len());
        let len = self.step.min(buffer.len());
        let read = self.bytes.read(&mut buffer[..len])?;
        self.given += read as u64;
        Ok(read)
    }
}

/// An input that fails after its bytes.
#[derive(Debug)]
struct Broken<'a>(&'a [u8], io::ErrorKind);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(self.1.into()),
            read => Ok(read),
        }
    }
}

#[test]
fn a_stream_gives_what_the_file_gives() {
    let many: Files = (0..300).map(|index| (format!("many/{index}"), bytes(index, 7))).collect();
    for files in [Vec::new(), tiny(), large(), files(), many] {
        let archive = archive(&files);
        let (expected, reader) = open(&archive);
        let reader = reader.unwrap();
        let unpacked = unpack_all(&expected, &reader).unwrap();
        for announced in [None, Some(archive.len() as u64)] {
            let (fs, progress) = (out(), ProgressHandle::new());
            let stream = StreamReader::open(archive.as_slice(), Path::new(LABEL), announced).unwrap();
            assert_eq!((stream.plan(), stream.manifest()), (reader.plan(), reader.manifest()));
            let streamed = stream.unpack(&fs, Path::new(OUT), all, &progress).unwrap();
            assert_eq!(streamed, Streamed { unpacked, sha256: Sha256Digest::of(&archive) });
            assert_eq!((progress.done(), progress.total()), (archive.len() as u64, archive.len() as u64));
            for (path, data) in &files {
                assert!(get(&fs, &Path::new(OUT).join(path)) == *data, "{path}");
            }
        }
    }
}

#[test]
fn a_part_is_taken_out_and_the_rest_is_verified_too() {
    let select = |_: usize, member: MemberRef<'_>| member.path.strip_prefix("d/").map(PathBuf::from);
    let unpack = |bytes: &[u8]| {
        let fs = out();
        let stream = StreamReader::open(bytes, Path::new(LABEL), None).unwrap();
        (stream.unpack(&fs, Path::new(OUT), select, &()), fs)
    };
    let sound = archive(&large());
    let (streamed, fs) = unpack(&sound);
    let unpacked = Unpacked { files: 1, bytes: (2 << 20) + 5 };
    assert_eq!(streamed.unwrap(), Streamed { unpacked, sha256: Sha256Digest::of(&sound) });
    assert_eq!(names(&fs, OUT), ["aligned"]);

    let plan = plan(&large());
    for index in [0, 2] {
        let mut damaged = sound.clone();
        damaged[usize::try_from(plan.data_offset(index).unwrap()).unwrap()] ^= 1;
        let (error, fs) = unpack(&damaged);
        let path = plan.manifest().get(index).unwrap().path;
        assert!(matches!(error, Err(Error::Damaged { source: Problem::Sha256 { member, .. }, .. }) if member == path));
        assert!(names(&fs, OUT).is_empty());
    }
}

#[test]
fn reads_of_any_length_and_interruptions_change_nothing() {
    for (files, steps) in [(tiny(), 1..=9), (large(), 4_093..=4_096)] {
        let archive = archive(&files);
        for step in steps {
            let fs = out();
            let streamed = stream_all(&fs, Trickle::new(&archive, step), None, &()).unwrap();
            assert_eq!(streamed.sha256, Sha256Digest::of(&archive));
            for (path, data) in &files {
                assert!(get(&fs, &Path::new(OUT).join(path)) == *data, "{path}");
            }
        }
    }
}

#[test]
fn an_input_that_fails_is_an_error_that_names_the_stream() {
    let archive = archive(&tiny());
    // A body that is cut off instead of ended fails where the end should be.
    let ends = (0..archive.len()).step_by(97).chain([archive.len()]);
    for end in ends {
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof] {
            let fs = out();
            let stream = StreamReader::open(Broken(&archive[..end], kind), Path::new(LABEL), None);
            let error = stream.and_then(|stream| stream.unpack(&fs, Path::new(OUT), all, &())).unwrap_err();
            assert!(
                matches!(&error, Error::Io { action: "read", path, source } if path == Path::new(LABEL) && source.kind() == kind),
                "{end}: {error}"
            );
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(names(&fs, OUT).is_empty(), "{end}");
        }
    }
}

#[test]
fn a_flipped_bit_at_any_byte_fails_and_leaves_nothing() {
    let sound = archive(&tiny());
    let fs = out();
    for offset in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[offset] ^= 1 << (offset % 8);
        let error = stream_all(&fs, damaged.as_slice(), None, &()).expect_err("damage must be found");
        let expected = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::InvalidInput];
        assert!(expected.contains(&error.kind()), "byte {offset}: {error}");
        assert!(names(&fs, OUT).is_empty(), "byte {offset}");
    }
    assert!(stream_all(&fs, sound.as_slice(), None, &()).is_ok());
}

#[test]
fn a_cut_anywhere_is_an_error_that_names_both_lengths() {
    for files in [tiny(), large()] {
        let sound = archive(&files);
        let fs = out();
        // One buffer of the long one is like another.
        let blocks = (0..sound.len()).step_by(512).filter(|cut| *cut < 100_000 || *cut > sound.len() - 100_000);
        for cut in blocks.chain([1, 511, 513, 4099, sound.len() - 513, sound.len() - 1]) {
            match stream_all(&fs, &sound[..cut], None, &()) {
                Err(Error::Truncated { expected, actual, .. }) => {
                    assert_eq!(actual, cut as u64);
                    assert!(expected > actual && expected <= sound.len() as u64, "{cut}: {expected}");
                }
                Err(Error::NotTar { len, .. }) => assert!(len == cut as u64 && cut < 21, "{cut}"),
                other => panic!("{cut}: {other:?}"),
            }
            assert!(names(&fs, OUT).is_empty(), "{cut}");
            let announced = stream_all(&fs, &sound[..cut], Some(sound.len() as u64), &());
            assert_eq!(announced.unwrap_err().kind(), if cut < 21 { ErrorKind::InvalidInput } else { ErrorKind::Corrupt });
            assert!(names(&fs, OUT).is_empty(), "{cut}");
        }
    }
}

#[test]
fn a_byte_after_the_end_is_an_error_and_no_more_is_read() {
    let sound = archive(&tiny());
    let len = sound.len() as u64;
    for more in [1, 512, 10_240] {
        let longer = [sound.clone(), vec![0; more]].concat();
        for announced in [None, Some(len)] {
            let (fs, mut input) = (out(), Trickle::new(&longer, usize::MAX));
            let error = stream_all(&fs, &mut input, announced, &()).unwrap_err();
            assert!(matches!(error, Error::TrailingBytes { expected, actual, .. } if expected == len && actual == len + 1));
            assert_eq!(input.given, len + 1);
            assert!(names(&fs, OUT).is_empty());
        }
    }
}

#[test]
fn a_wrong_announcement_is_noticed_before_anything_is_unpacked() {
    let sound = archive(&tiny());
    let len = sound.len() as u64;
    let prelude_len = plan(&tiny()).header_offset(0).unwrap();
    for announced in [0, 511, 512, prelude_len, len - 1, len + 1, len + 512, u64::MAX] {
        let mut input = Trickle::new(&sound, usize::MAX);
        let error = StreamReader::open(&mut input, Path::new(LABEL), Some(announced)).unwrap_err();
        match error {
            Error::Truncated { path, expected, actual } => {
                assert!(actual == announced && expected > announced && expected <= len, "{announced}: {expected} {actual}");
                assert_eq!(path, Path::new(LABEL));
            }
            Error::TrailingBytes { expected, actual, .. } => assert!(announced > len && (expected, actual) == (len, announced)),
            other => panic!("{announced}: {other}"),
        }
        assert!(input.given <= prelude_len);
    }
}

#[test]
fn a_foreign_stream_is_told_by_its_first_mebibyte() {
    let dir = tempfile::tempdir().unwrap();
    let packed = |files: &[(&str, usize)]| {
        for (name, len) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, vec![7; *len]).unwrap();
        }
        let names = files.iter().map(|(name, _)| name);
        let tar =
            std::process::Command::new("tar").args(["c", "--format=gnu", "-C"]).arg(dir.path()).args(names).output().unwrap();
        assert!(tar.status.success());
        tar.stdout
    };
    let long = 3 << 20;
    let cases = [
        (packed(&[("0/segments/c6e1.tar", long), ("config.json", 9)]), Foreign::QdrantCollection),
        (packed(&[("segments/c6e1.tar", long), ("shard_config.json", 9)]), Foreign::QdrantShard),
        (packed(&[("c-1-2.snapshot", long), ("config.json", 9)]), Foreign::QdrantStorage),
        (packed(&[("icecore/manifest.json", 9), ("d/f", long)]), Foreign::Repacked),
        (packed(&[("d/f", long), ("icecore/manifest.json", 9)]), Foreign::Tar),
        // A window of more than 64 MiB, and a dictionary.
        ([vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x88], vec![1; long]].concat(), Foreign::ZstdNeeds("a window of more than 64 MiB")),
        ([vec![0x28, 0xb5, 0x2f, 0xfd, 1, 0, 7], vec![1; long]].concat(), Foreign::ZstdNeeds("a dictionary")),
    ];
    for (bytes, expected) in cases {
        for announced in [None, Some(bytes.len() as u64)] {
            let mut input = Trickle::new(&bytes, 8_191);
            let error = StreamReader::open(&mut input, Path::new(LABEL), announced).unwrap_err();
            assert!(
                matches!(&error, Error::Foreign { path, foreign } if path == Path::new(LABEL) && *foreign == expected),
                "{error}"
            );
            assert!(input.given <= 512 + (1 << 20), "{expected:?}: {}", input.given);
        }
    }
}

#[test]
fn memory_for_a_manifest_is_taken_as_its_bytes_arrive() {
    let mut header = archive(&Vec::new())[..512].to_vec();
    header[124..136].copy_from_slice(b"02000000000\0");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    for (announced, more) in [(None, 0), (None, 5_000_000), (Some(1 << 40), 4096)] {
        let bytes = [header.clone(), vec![b'{'; more]].concat();
        let mut input = Trickle::new(&bytes, usize::MAX);
        let error = StreamReader::open(&mut input, Path::new(LABEL), announced).unwrap_err();
        let (least, cut) = ((256 << 20) + 512 + 1024 + 1024, bytes.len() as u64);
        assert!(matches!(error, Error::Truncated { expected, actual, .. } if (expected, actual) == (least, cut)), "{error}");
        assert!(input.longest_request <= 1 << 20, "{}", input.longest_request);
    }
}

/// Breaks at the `left`th call.
struct StopAfter(AtomicU64);

impl Progress for StopAfter {
    fn start(&self, _total: u64) {}

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            0 | 1 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[test]
fn a_cancelled_stream_stops_at_its_next_read_and_leaves_nothing() {
    let archive = archive(&large());
    let prelude_len = plan(&large()).header_offset(0).unwrap();
    let counter = StopAfter(AtomicU64::new(u64::MAX));
    assert!(stream_all(&out(), Trickle::new(&archive, 32_768), None, &counter).is_ok());
    let calls_count = u64::MAX - counter.0.load(Ordering::Relaxed);
    assert!(calls_count > 64, "{calls_count}");
    for calls in 1..=calls_count {
        let (fs, mut input) = (out(), Trickle::new(&archive, 32_768));
        let error = stream_all(&fs, &mut input, None, &StopAfter(AtomicU64::new(calls))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{calls}: {error}");
        assert!(input.given <= prelude_len + (calls - 1) * 32_768, "{calls}: {}", input.given);
        assert!(names(&fs, OUT).is_empty());
    }
}

#[test]
fn what_unpack_refuses_is_refused() {
    let archive = archive(&tiny());
    let stream = || StreamReader::open(archive.as_slice(), Path::new(LABEL), None).unwrap();
    let fs = out();
    for bad in ["/etc/x", "../x", "a/../../x", ".", ""] {
        let error = stream().unpack(&fs, Path::new(OUT), |_, _| Some(PathBuf::from(bad)), &()).unwrap_err();
        assert!(matches!(error, Error::Destination { .. }), "{bad:?}: {error}");
    }
    let error = stream().unpack(&fs, Path::new(OUT), |_, _| Some(PathBuf::from("same")), &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(names(&fs, OUT).is_empty());

    put(&fs, "/out/z", b"precious");
    let error = stream().unpack(&fs, Path::new(OUT), all, &()).unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { path } if path == Path::new("/out/z")), "{error}");
    assert_eq!((names(&fs, OUT), get(&fs, Path::new("/out/z"))), (vec!["z".to_owned()], b"precious".to_vec()));

    let fs = out();
    fs.set_free_space(100);
    let error = stream().unpack(&fs, Path::new(OUT), all, &()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed: 583, free: 100, .. }), "{error}");
    assert!(names(&fs, OUT).is_empty());
}

#[test]
fn whichever_call_fails_nothing_is_left() {
    let archive = archive(&large());
    let operations = [
        Operation::CreateNew,
        Operation::CreateDir,
        Operation::WriteAt,
        Operation::SyncData,
        Operation::SyncDir,
        Operation::FreeSpace,
    ];
    let unpack = |fs: &FaultFs| {
        let stream = StreamReader::open(archive.as_slice(), Path::new(LABEL), None).unwrap();
        stream.unpack(fs, Path::new(OUT), all, &())
    };
    let clean = FaultFs::new(Arc::new(out()));
    assert!(unpack(&clean).is_ok());
    for operation in operations {
        let calls = clean.faults().calls(operation);
        assert!(calls > 0, "{operation:?}");
        for nth in 1..=calls {
            let mem = out();
            let fs = FaultFs::new(Arc::new(mem.clone()));
            fs.faults().inject(Fault::on(operation).nth(nth));
            let error = unpack(&fs).unwrap_err();
            assert_eq!((error.kind(), fs.faults().fired()), (ErrorKind::Io, 1), "{operation:?} {nth}: {error}");
            assert!(names(&mem, OUT).is_empty(), "{operation:?} {nth}");
        }
    }
}

/// Each file's sync fails while more files follow than may wait for theirs.
#[test]
fn a_failed_sync_ends_the_stream_with_its_own_error() {
    let files: Files = (0..60).map(|index| (format!("f{index:02}"), bytes(index, 9))).collect();
    let archive = archive(&files);
    for nth in [1, 20, 60] {
        let mem = out();
        let fs = FaultFs::new(Arc::new(mem.clone()));
        fs.faults().inject(Fault::on(Operation::SyncData).nth(nth));
        let error = stream_all(&fs, archive.as_slice(), None, &()).unwrap_err();
        assert!(matches!(&error, Error::Io { action: "sync", .. }), "{nth}: {error}");
        assert!(names(&mem, OUT).is_empty(), "{nth}");
    }
}

#[test]
fn after_success_a_power_cut_takes_nothing() {
    let base = out();
    let fs = RecordingFs::with_base(Arc::new(base.fork()), &base);
    let streamed = stream_all(&fs, archive(&large()).as_slice(), None, &()).unwrap();
    assert_eq!(streamed.unpacked.files, 3);
    let mut replay = fs.replay();
    replay.advance_to(usize::MAX);
    for kind in [CrashKind::PowerLossMin, CrashKind::PowerLossRandom { seed: 1 }, CrashKind::PowerLossRandom { seed: 2 }] {
        let image = replay.image(kind);
        for (path, data) in large() {
            assert!(get(&image, &Path::new(OUT).join(&path)) == data, "{path}");
        }
    }
}

#[test]
fn an_open_file_is_read_under_the_name_that_the_caller_gives() {
    let fs = store();
    let sound = archive(&tiny());
    put(&fs, "/store/a.snapshot", &sound);
    put(&fs, "/store/b.snapshot", &sound[..sound.len() - 1]);
    let open = |path: &str| Reader::from_file(fs.open_read(Path::new(path)).unwrap(), PathBuf::from(LABEL));
    let reader = open("/store/a.snapshot").unwrap();
    assert_eq!((reader.plan(), reader.path()), (&plan(&tiny()), Path::new(LABEL)));
    assert_eq!(unpack_all(&fs, &reader).unwrap().files, 4);
    let error = open("/store/b.snapshot").unwrap_err();
    assert!(matches!(&error, Error::Truncated { path, .. } if path == Path::new(LABEL)), "{error}");
}
