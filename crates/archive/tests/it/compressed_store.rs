//! Compressed archives in a directory: made wholly or not at all, listed, deleted and swept like the others.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use icecore_archive::{
    Created, Draft, Error, ErrorKind, Progress, ProgressHandle, Reader, WriteSink, create_draft, delete, find, list,
    record_verified, sweep, verify, write_compressed,
};
use icecore_io::{Clock, Fault, FaultFs, Fs, ManualClock, Operation};

use crate::support::{DIR, Files, bytes, compressed, fast, get, name, names, plan, put, repeated, source, store};

const NAME: &str = "a.snapshot.zst";

fn files() -> Files {
    vec![("a".to_owned(), repeated(1, (9 << 20) + 5)), ("b".to_owned(), bytes(2, 100))]
}

fn clock() -> ManualClock {
    ManualClock::new(Duration::from_secs(1_700_000_000))
}

fn make(fs: &dyn Fs, archive: &str, files: &Files, progress: &dyn Progress) -> Result<Created, Error> {
    let (plan, source) = (plan(files), source(files));
    let draft = Draft { plan: &plan, source: &source, compression: Some(fast(2)), sharing: None };
    create_draft(fs, &clock(), Path::new(DIR), &name(archive), draft, progress)
}

#[test]
fn it_is_listed_with_both_lengths_and_goes_with_its_side_files() {
    let fs = store();
    let created = make(&fs, NAME, &files(), &()).unwrap();
    assert_eq!(names(&fs, DIR), [NAME, "a.snapshot.zst.checksum", "a.snapshot.zst.meta.json"]);
    assert!(get(&fs, &created.path) == compressed(&files()));
    assert_eq!(get(&fs, Path::new("/store/a.snapshot.zst.checksum")), created.sha256.to_string().into_bytes());
    let meta: serde_json::Value = serde_json::from_slice(&get(&fs, Path::new("/store/a.snapshot.zst.meta.json"))).unwrap();
    let file = fs.metadata(&created.path).unwrap();
    let modified_ns = file.modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let expected = serde_json::json!({
        "created_at": 1_700_000_000u64,
        "size": created.len,
        "uncompressed_size": plan(&files()).archive_len(),
        "sha256": created.sha256.to_string(),
        "manifest_sha256": plan(&files()).manifest_sha256().to_string(),
        "file": { "inode": file.inode, "modified_ns": u64::try_from(modified_ns).unwrap() },
        "verified_at": null,
    });
    assert_eq!(meta, expected);

    let reader = Reader::open(&fs, &created.path).unwrap();
    let report = verify(&fs, &reader, &()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    record_verified(&fs, Path::new(DIR), &name(NAME), clock().now()).unwrap();
    let listed = list(&fs, Path::new(DIR)).unwrap();
    assert_eq!(listed, [find(&fs, Path::new(DIR), &name(NAME)).unwrap()]);
    let stored = &listed[0];
    assert_eq!((stored.len, stored.uncompressed_len), (created.len, Some(plan(&files()).archive_len())));
    assert_eq!((stored.sha256, stored.verified_at), (Some(created.sha256), Some(clock().now())));

    assert_eq!(make(&fs, NAME, &files(), &()).unwrap_err().kind(), ErrorKind::AlreadyExists);
    delete(&fs, Path::new(DIR), &name(NAME)).unwrap();
    assert!(names(&fs, DIR).is_empty());
}

#[test]
fn a_plain_and_a_compressed_archive_of_one_cut_live_side_by_side() {
    let fs = store();
    let plain = crate::support::create_in(&fs, "a.snapshot", &files()).unwrap();
    let small = make(&fs, NAME, &files(), &()).unwrap();
    assert_eq!(plain.manifest_sha256, small.manifest_sha256);
    let listed: Vec<_> =
        list(&fs, Path::new(DIR)).unwrap().into_iter().map(|stored| (stored.name, stored.uncompressed_len)).collect();
    assert_eq!(listed, [(name("a.snapshot"), None), (name(NAME), Some(plain.len))]);
    delete(&fs, Path::new(DIR), &name("a.snapshot")).unwrap();
    assert!(sweep(&fs, Path::new(DIR)).unwrap().removed.is_empty());
    assert_eq!(names(&fs, DIR).len(), 3);
}

#[test]
fn the_name_says_whether_it_is_compressed() {
    let fs = store();
    for refused in [make(&fs, "a.snapshot", &files(), &()), crate::support::create_in(&fs, NAME, &files())] {
        assert!(matches!(refused, Err(Error::ArchiveName { .. })), "{refused:?}");
    }
    assert!(names(&fs, DIR).is_empty());
}

#[test]
fn there_has_to_be_room_for_bytes_that_cannot_be_compressed() {
    let fs = store();
    fs.set_free_space(plan(&files()).archive_len());
    let error = make(&fs, NAME, &files(), &()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed, free, .. } if needed > free), "{error}");
    assert!(names(&fs, DIR).is_empty());
}

const OPERATIONS: [Operation; 14] = [
    Operation::OpenRead,
    Operation::OpenWrite,
    Operation::CreateNew,
    Operation::Metadata,
    Operation::RenameNoreplace,
    Operation::SyncDir,
    Operation::SetMode,
    Operation::FreeSpace,
    Operation::Len,
    Operation::WriteAt,
    Operation::SetLen,
    Operation::SyncData,
    Operation::StartWriteback,
    Operation::TryLock,
];

#[test]
fn whichever_call_fails_nothing_is_left() {
    let files = vec![("a".to_owned(), bytes(1, 300_000)), ("b".to_owned(), bytes(2, 100))];
    let counted = || {
        let mem = store();
        (FaultFs::new(Arc::new(mem.clone())), mem)
    };
    let (clean, _) = counted();
    make(&clean, NAME, &files, &()).unwrap();
    assert_eq!(clean.faults().calls(Operation::Allocate), 0, "the length is not known");
    let mut failed = 0;
    for operation in OPERATIONS {
        for nth in 1..=clean.faults().calls(operation) {
            for fault in [Fault::on(operation), Fault::on(operation).after_effect()] {
                let (fs, mem) = counted();
                fs.faults().inject(fault.nth(nth));
                let result = make(&fs, NAME, &files, &());
                assert_eq!(fs.faults().fired(), 1, "{operation:?} {nth}");
                assert!(list(&mem, Path::new(DIR)).unwrap().len() == usize::from(result.is_ok()), "{operation:?} {nth}");
                if result.is_err() {
                    failed += 1;
                    sweep(&mem, Path::new(DIR)).unwrap();
                    assert!(names(&mem, DIR).is_empty(), "{operation:?} {nth}");
                }
            }
        }
    }
    assert!(failed > 40, "{failed}");
}

#[test]
fn what_a_crash_leaves_is_swept() {
    let fs = store();
    for left in [".a.snapshot.zst.tmp", "a.snapshot.zst.checksum", "b.snapshot.zst.meta.json", "b.snapshot.zst.meta.json.tmp"] {
        put(&fs, &format!("{DIR}/{left}"), b"half");
    }
    assert_eq!(sweep(&fs, Path::new(DIR)).unwrap().removed.len(), 4);
    assert!(names(&fs, DIR).is_empty());
}

/// Breaks when so many bytes are done.
struct StopAt(u64, ProgressHandle);

impl Progress for StopAt {
    fn start(&self, total: u64) {
        self.1.start(total);
    }

    fn advance(&self, bytes: u64) -> std::ops::ControlFlow<()> {
        let _ = self.1.advance(bytes);
        if self.1.done() >= self.0 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    }
}

#[test]
fn a_cancelled_creation_stops_within_a_buffer_and_leaves_nothing() {
    let total = plan(&files()).archive_len();
    for at in [0, 1, 1 << 20, 8 << 20, (8 << 20) + 1, 9 << 20, total] {
        let (fs, stop) = (store(), StopAt(at, ProgressHandle::new()));
        let error = make(&fs, NAME, &files(), &stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{at}: {error}");
        // The CRC of at most one buffer, and the header after it, came in between.
        assert!(stop.1.done() <= at + (2 << 20), "{at}: {}", stop.1.done());
        assert!(names(&fs, DIR).is_empty());
    }
    let progress = ProgressHandle::new();
    make(&store(), NAME, &files(), &progress).unwrap();
    assert_eq!((progress.done(), progress.total()), (total, total));
}

#[test]
fn cancelled_readers_stop_and_leave_nothing() {
    let bytes = compressed(&files());
    for at in [1, 1 << 20, 8 << 20, 9 << 20] {
        let (fs, reader) = crate::support::open(&bytes);
        let reader = reader.unwrap();
        let stop = || StopAt(at, ProgressHandle::new());
        assert!(matches!(verify(&fs, &reader, &stop()), Err(Error::Cancelled)));
        fs.create_dir(Path::new("/out")).unwrap();
        let all = |_: usize, member: icecore_archive::MemberRef<'_>| Some(member.path.into());
        let unpacked = icecore_archive::unpack(&reader, &fs, Path::new("/out"), all, crate::support::THREADS, &stop());
        assert!(matches!(unpacked, Err(Error::Cancelled)));
        assert!(matches!(crate::support::stream_all(&fs, bytes.as_slice(), None, &stop()), Err(Error::Cancelled)));
        assert!(names(&fs, "/out").is_empty());
    }
}

#[test]
fn sources_and_sinks_that_fail_end_the_writing_with_their_error() {
    struct Full(u64);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let files = vec![("a".to_owned(), repeated(1, 40 << 20)), ("b".to_owned(), repeated(2, 100))];
    for writes in 0..6 {
        let error = write_compressed(&plan(&files), &source(&files), &mut WriteSink(Full(writes)), fast(2), &()).unwrap_err();
        assert!(matches!(error, Error::Sink { offset, .. } if (offset == 0) == (writes == 0)), "{writes}: {error}");
        assert_eq!(error.kind(), ErrorKind::NoSpace);
    }
    let mut damaged = files.clone();
    damaged[0].1[20 << 20] ^= 1;
    let error = write_compressed(&plan(&files), &source(&damaged), &mut WriteSink(Vec::new()), fast(2), &()).unwrap_err();
    assert!(matches!(&error, Error::Corrupt { member, .. } if member == "a"), "{error}");
    damaged[1].1.truncate(99);
    damaged[0] = files[0].clone();
    let error = write_compressed(&plan(&files), &source(&damaged), &mut WriteSink(Vec::new()), fast(2), &()).unwrap_err();
    assert!(matches!(error, Error::SourceLength { expected: 100, actual: 99, .. }), "{error}");
}
