//! Creating an archive does all of it or none of it, whatever fails.

use std::io;
use std::path::Path;
use std::sync::Arc;

use icecore_archive::{Error, ErrorKind, Reader, list, sweep, verify};
use icecore_io::{Fault, FaultFs, Fs, MemFs, Operation, OsFs, publish};

use crate::support::{DIR, Files, archive, bytes, create_in, get, names, put, store};

fn two() -> Files {
    vec![("a".to_owned(), bytes(1, 3 << 20)), ("b".to_owned(), bytes(2, 100))]
}

#[test]
fn the_archive_and_its_side_files_are_there_and_nothing_else() {
    let fs = store();
    let created = create_in(&fs, "a.snapshot", &two()).unwrap();
    assert_eq!(names(&fs, DIR), ["a.snapshot", "a.snapshot.checksum", "a.snapshot.meta.json"]);
    assert_eq!(get(&fs, Path::new("/store/a.snapshot.checksum")), created.sha256.to_string().into_bytes());
    let meta: serde_json::Value = serde_json::from_slice(&get(&fs, Path::new("/store/a.snapshot.meta.json"))).unwrap();
    let file = fs.metadata(&created.path).unwrap();
    let modified_ns = file.modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let expected = serde_json::json!({
        "created_at": 1_700_000_000u64,
        "size": created.len,
        "sha256": created.sha256.to_string(),
        "manifest_sha256": created.manifest_sha256.to_string(),
        "file": { "inode": file.inode, "modified_ns": u64::try_from(modified_ns).unwrap() },
        "verified_at": null,
    });
    assert_eq!(meta, expected);
    assert_eq!(fs.metadata(&created.path).unwrap().mode, 0o444);
}

#[test]
fn a_real_directory_works_like_the_one_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let fs = OsFs::new();
    let clock = icecore_io::ManualClock::new(std::time::Duration::ZERO);
    let source = crate::support::source(&two());
    let plan = crate::support::plan(&two());
    let name = crate::support::name("a.snapshot");
    let made = || icecore_archive::create(&fs, &clock, dir.path(), &name, &plan, &source, &());
    let created = made().unwrap();
    assert!(std::fs::read(&created.path).unwrap() == archive(&two()));
    assert!(matches!(made(), Err(Error::AlreadyExists { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    let reader = Reader::open(&fs, &created.path).unwrap();
    assert!(verify(&fs, &reader, &()).unwrap().is_sound());
    assert!(sweep(&fs, dir.path()).unwrap().removed.is_empty());
    icecore_archive::delete(&fs, dir.path(), &name).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// A long archive is written past the page cache, by another thread.
#[test]
fn a_long_archive_has_the_same_bytes_and_leaves_nothing_if_it_fails() {
    let files = vec![("a".to_owned(), bytes(1, 20 << 20)), ("b".to_owned(), bytes(2, 100))];
    let (fs, mem) = counted();
    let created = create_in(&fs, "a.snapshot", &files).unwrap();
    assert!(get(&mem, &created.path) == archive(&files));
    assert_eq!(fs.faults().calls(Operation::WriteDirectly), 3, "on, off before the last piece, and off at the end");
    for nth in [1, 5, 11] {
        fs.faults().inject(Fault::on(Operation::WriteAt).path_contains("b.snapshot").nth(nth).errno(28));
        let error = create_in(&fs, "b.snapshot", &files).unwrap_err();
        assert_eq!((error.kind(), names(&mem, DIR).len()), (ErrorKind::NoSpace, 3), "{error}");
        fs.faults().clear();
    }
    assert!(create_in(&fs, "b.snapshot", &files).is_ok());
}

#[test]
fn a_taken_name_keeps_everything_that_has_it() {
    for taken in ["a.snapshot", "a.snapshot.checksum", "a.snapshot.meta.json"] {
        let fs = store();
        put(&fs, &format!("{DIR}/{taken}"), b"precious");
        let error = create_in(&fs, "a.snapshot", &two()).unwrap_err();
        assert!(matches!(&error, Error::AlreadyExists { path } if path.ends_with(taken)), "{error}");
        assert_eq!(names(&fs, DIR), [taken]);
        assert_eq!(get(&fs, &Path::new(DIR).join(taken)), b"precious");
    }
    let fs = store();
    create_in(&fs, "a.snapshot", &two()).unwrap();
    let before = fs.fork();
    let other = vec![("other".to_owned(), bytes(9, 10))];
    assert_eq!(create_in(&fs, "a.snapshot", &other).unwrap_err().kind(), ErrorKind::AlreadyExists);
    for name in names(&before, DIR) {
        let path = Path::new(DIR).join(&name);
        assert_eq!(get(&fs, &path), get(&before, &path));
    }
    assert_eq!(names(&fs, DIR), names(&before, DIR));
}

/// An archive that somebody puts there by hand between the check and the commit is not overwritten.
#[test]
fn a_name_that_is_taken_meanwhile_is_kept() {
    let mem = store();
    let fs = FaultFs::new(Arc::new(mem.clone()));
    fs.faults()
        .inject(Fault::on(Operation::RenameNoreplace).path_contains("a.snapshot").nth(3).kind(io::ErrorKind::AlreadyExists));
    let error = create_in(&fs, "a.snapshot", &two()).unwrap_err();
    assert_eq!(fs.faults().fired(), 1);
    assert!(matches!(&error, Error::AlreadyExists { path } if path == Path::new("/store/a.snapshot")), "{error}");
    assert!(names(&mem, DIR).is_empty());
}

#[test]
fn too_little_space_is_said_before_anything_is_written() {
    let fs = store();
    fs.set_free_space(1 << 20);
    let error = create_in(&fs, "a.snapshot", &two()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed, free: 1_048_576, .. } if needed > 3 << 20), "{error}");
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(names(&fs, DIR).is_empty());
}

const OPERATIONS: [Operation; 16] = [
    Operation::OpenRead,
    Operation::OpenWrite,
    Operation::CreateNew,
    Operation::Metadata,
    Operation::RenameNoreplace,
    Operation::SyncDir,
    Operation::SetMode,
    Operation::FreeSpace,
    Operation::Len,
    Operation::ReadAt,
    Operation::WriteAt,
    Operation::SetLen,
    Operation::SyncData,
    Operation::Allocate,
    Operation::StartWriteback,
    Operation::TryLock,
];

/// Fails every call of every operation once, before and after its effect, and looks at what is left.
#[test]
fn whichever_call_fails_nothing_is_left() {
    let files = vec![("a".to_owned(), bytes(1, 9 << 20)), ("b".to_owned(), bytes(2, 100))];
    let (clean, mem) = counted();
    create_in(&clean, "a.snapshot", &files).unwrap();
    assert_eq!(names(&mem, DIR).len(), 3);
    let mut failed = 0;
    for operation in OPERATIONS {
        for nth in 1..=clean.faults().calls(operation) {
            for fault in [Fault::on(operation), Fault::on(operation).after_effect()] {
                let (fs, mem) = counted();
                fs.faults().inject(fault.nth(nth));
                let result = create_in(&fs, "a.snapshot", &files);
                assert_eq!(fs.faults().fired(), 1, "{operation:?} {nth}");
                assert!(list(&mem, Path::new(DIR)).unwrap().len() == usize::from(result.is_ok()), "{operation:?} {nth}");
                if let Err(error) = result {
                    failed += 1;
                    assert_clean(&mem, &format!("{operation:?} {nth}: {error}"));
                }
            }
        }
    }
    assert!(failed > 60, "{failed}");
}

/// What the failed call may have left is at most what a sweep removes, and the name can be used again.
fn assert_clean(mem: &MemFs, what: &str) {
    sweep(mem, Path::new(DIR)).unwrap();
    assert!(names(mem, DIR).is_empty(), "{what}: {:?}", names(mem, DIR));
    assert!(create_in(mem, "a.snapshot", &vec![("a".to_owned(), Vec::new())]).is_ok(), "{what}");
}

#[test]
fn ordinary_failures_leave_nothing_even_before_a_sweep() {
    const ENOSPC: i32 = 28;
    let faults = [
        Fault::on(Operation::Allocate).errno(ENOSPC),
        Fault::on(Operation::WriteAt).nth(2).errno(ENOSPC),
        Fault::on(Operation::WriteAt).path_contains("checksum").errno(ENOSPC),
        Fault::on(Operation::WriteAt).path_contains("meta").errno(ENOSPC),
        Fault::on(Operation::SyncData),
        Fault::on(Operation::SyncData).path_contains("meta"),
        Fault::on(Operation::RenameNoreplace),
        Fault::on(Operation::RenameNoreplace).nth(2),
        Fault::on(Operation::RenameNoreplace).nth(3),
        Fault::on(Operation::SyncDir),
        Fault::on(Operation::SyncDir).nth(2),
        Fault::on(Operation::SetMode),
    ];
    for fault in faults {
        let (fs, mem) = counted();
        fs.faults().inject(fault.clone());
        let error = create_in(&fs, "a.snapshot", &two()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::NoSpace), "{fault:?}: {error}");
        assert_eq!(fs.faults().fired(), 1, "{fault:?}");
        assert!(names(&mem, DIR).is_empty(), "{fault:?}: {:?}", names(&mem, DIR));
    }
}

/// A disk that fills up in the middle of a write takes a part of it first.
#[test]
fn a_write_that_stops_half_way_leaves_nothing() {
    let (fs, mem) = counted();
    fs.faults().inject(Fault::short_write(1000).nth(2).errno(28));
    let error = create_in(&fs, "a.snapshot", &two()).unwrap_err();
    assert_eq!((error.kind(), fs.faults().fired()), (ErrorKind::NoSpace, 2), "{error}");
    assert!(matches!(error, Error::Sink { offset: 262_144, .. }), "{error}");
    assert!(names(&mem, DIR).is_empty());
}

#[test]
fn a_file_system_without_extras_will_do() {
    let (fs, mem) = counted();
    let extras = [Operation::Allocate, Operation::WriteDirectly, Operation::StartWriteback, Operation::WaitWriteback];
    for operation in extras {
        fs.faults().inject(Fault::on(operation).kind(io::ErrorKind::Unsupported).from_then_on());
    }
    let created = create_in(&fs, "a.snapshot", &vec![("a".to_owned(), bytes(1, 48 << 20))]).unwrap();
    assert!(fs.faults().fired() >= 6);
    assert_eq!(mem.metadata(&created.path).unwrap().len, created.len);
}

/// An error of an early write-back is perhaps told only once, and not by the sync at the end.
#[test]
fn an_archive_of_which_not_all_was_written_back_is_none() {
    let (fs, mem) = counted();
    fs.faults().inject(Fault::on(Operation::WaitWriteback).nth(2).errno(5));
    let error = create_in(&fs, "a.snapshot", &vec![("a".to_owned(), bytes(1, 48 << 20))]).unwrap_err();
    assert!(matches!(error, Error::Sink { .. }) && fs.faults().fired() == 1, "{error}");
    assert!(names(&mem, DIR).is_empty());
}

#[test]
fn a_left_over_temporary_does_not_stand_in_the_way() {
    let fs = store();
    put(&fs, "/store/.a.snapshot.tmp", &bytes(5, 30 << 20));
    fs.set_mode(Path::new("/store/.a.snapshot.tmp"), 0o444).unwrap();
    let side_temp = publish::temp_path(Path::new("/store/a.snapshot.checksum"));
    put(&fs, side_temp.to_str().unwrap(), b"half");
    let created = create_in(&fs, "a.snapshot", &two()).unwrap();
    assert!(get(&fs, &created.path) == archive(&two()));
    assert_eq!(names(&fs, DIR).len(), 3);
}

#[test]
fn two_at_once_do_not_mix() {
    let fs = store();
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| create_in(&fs, "a.snapshot", &two()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let losers_were_told =
        results.iter().filter_map(|result| result.as_ref().err()).all(|error| error.kind() == ErrorKind::AlreadyExists);
    assert!(losers_were_told, "{results:?}");
    assert_eq!(names(&fs, DIR).len(), 3);
    let reader = Reader::open(&fs, Path::new("/store/a.snapshot")).unwrap();
    assert!(verify(&fs, &reader, &()).unwrap().is_sound());
}

fn counted() -> (FaultFs, MemFs) {
    let mem = store();
    (FaultFs::new(Arc::new(mem.clone())), mem)
}
