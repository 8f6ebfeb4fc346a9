//! Unpacking writes what was selected, durably, or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_archive::{Error, ErrorKind, Reader, Unpacked, unpack};
use icecore_io::{CrashKind, Fault, FaultFs, Fs, MemFs, Operation, OsFs, RecordingFs};

use crate::support::{Files, THREADS, archive, bytes, get, names, open, plan, put, unpack_all};

const OUT: &str = "/out";

fn tree() -> Files {
    let paths = ["top", "c/0000/a", "c/0000/b", "c/0001/a", "c/0001/deep/er/b"];
    paths.iter().enumerate().map(|(index, path)| ((*path).to_owned(), bytes(index as u64, 1000 + index * 70_000))).collect()
}

fn opened() -> (MemFs, Reader) {
    let (fs, reader) = open(&archive(&tree()));
    fs.create_dir_all(Path::new(OUT)).unwrap();
    (fs, reader.unwrap())
}

fn select(prefix: &'static str) -> impl Fn(usize, icecore_archive::MemberRef<'_>) -> Option<PathBuf> {
    move |_, member| member.path.strip_prefix(prefix).map(PathBuf::from)
}

#[test]
fn a_part_is_taken_out_without_reading_the_rest() {
    let mut damaged = archive(&tree());
    let plan = plan(&tree());
    for index in [0, 3, 4] {
        damaged[usize::try_from(plan.header_offset(index).unwrap()).unwrap()] ^= 1;
        damaged[usize::try_from(plan.data_offset(index).unwrap()).unwrap()] ^= 1;
    }
    let (fs, reader) = open(&damaged);
    let reader = reader.unwrap();
    fs.create_dir_all(Path::new(OUT)).unwrap();
    let unpacked = unpack(&reader, &fs, Path::new(OUT), select("c/0000/"), THREADS, &()).unwrap();
    assert_eq!(unpacked, Unpacked { files: 2, bytes: 71_000 + 141_000 });
    assert_eq!(names(&fs, OUT), ["a", "b"]);
    assert!(get(&fs, Path::new("/out/b")) == tree()[2].1);
    let apart = |_: usize, member: icecore_archive::MemberRef<'_>| {
        member.path.strip_prefix("c/0001/").map(|rest| Path::new("apart").join(rest))
    };
    let error = unpack(&reader, &fs, Path::new(OUT), apart, THREADS, &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(names(&fs, OUT), ["a", "b"], "what was there before stays");
}

#[test]
fn nothing_selected_is_nothing_done() {
    let (fs, reader) = opened();
    let unpacked = unpack(&reader, &fs, Path::new(OUT), |_, _| None, THREADS, &()).unwrap();
    assert_eq!(unpacked, Unpacked { files: 0, bytes: 0 });
    assert!(names(&fs, OUT).is_empty());
}

#[test]
fn what_is_at_a_destination_is_never_overwritten() {
    let (fs, reader) = opened();
    fs.create_dir_all(Path::new("/out/c/0001")).unwrap();
    put(&fs, "/out/c/0001/a", b"precious");
    let error = unpack_all(&fs, &reader).unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { path } if path == Path::new("/out/c/0001/a")), "{error}");
    assert_eq!(
        (names(&fs, OUT), names(&fs, "/out/c"), names(&fs, "/out/c/0001")),
        (vec!["c".into()], vec!["0001".into()], vec!["a".into()])
    );
    assert_eq!(get(&fs, Path::new("/out/c/0001/a")), b"precious");
}

#[test]
fn destinations_outside_the_root_are_refused() {
    for bad in ["/etc/x", "../x", "a/../../x", ".", "./x", ""] {
        let (fs, reader) = opened();
        let error = unpack(&reader, &fs, Path::new(OUT), |_, _| Some(PathBuf::from(bad)), THREADS, &()).unwrap_err();
        assert!(matches!(error, Error::Destination { .. }), "{bad:?}: {error}");
        assert!(names(&fs, OUT).is_empty());
    }
    let (fs, reader) = opened();
    let error = unpack(&reader, &fs, Path::new(OUT), |_, _| Some(PathBuf::from("same")), THREADS, &()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(names(&fs, OUT).is_empty());
}

#[test]
fn a_symbolic_link_in_the_way_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (dir.path().join("root"), dir.path().join("elsewhere"));
    std::fs::create_dir(&root).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, root.join("c")).unwrap();
    std::fs::write(dir.path().join("a.snapshot"), archive(&tree())).unwrap();
    let fs = OsFs::new();
    let reader = Reader::open(&fs, &dir.path().join("a.snapshot")).unwrap();
    let all = |_: usize, member: icecore_archive::MemberRef<'_>| Some(PathBuf::from(member.path));
    assert!(unpack(&reader, &fs, &root, all, THREADS, &()).is_err());
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);

    std::fs::remove_file(root.join("c")).unwrap();
    unpack(&reader, &fs, &root, all, THREADS, &()).unwrap();
    for (path, data) in tree() {
        assert!(std::fs::read(root.join(path)).unwrap() == data);
    }
}

#[test]
fn too_little_space_is_said_before_anything_is_written() {
    let (fs, reader) = opened();
    fs.set_free_space(1000);
    let error = unpack_all(&fs, &reader).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed, free: 1000, .. } if needed == reader.plan().data_len()), "{error}");
    assert!(names(&fs, OUT).is_empty());
}

#[test]
fn whichever_call_fails_nothing_is_left() {
    let operations = [
        Operation::CreateNew,
        Operation::CreateDir,
        Operation::WriteAt,
        Operation::SyncData,
        Operation::SyncDir,
        Operation::FreeSpace,
        Operation::ReadAt,
    ];
    let wrapped = || {
        let (mem, _) = opened();
        let fs = FaultFs::new(Arc::new(mem.clone()));
        let reader = Reader::open(&fs, Path::new("/store/a.snapshot")).unwrap();
        (fs, mem, reader)
    };
    let (clean, _, reader) = wrapped();
    let before: Vec<u64> = operations.iter().map(|operation| clean.faults().calls(*operation)).collect();
    let all = |_: usize, member: icecore_archive::MemberRef<'_>| Some(PathBuf::from(member.path));
    unpack(&reader, &clean, Path::new(OUT), all, THREADS, &()).unwrap();
    for (operation, before) in operations.into_iter().zip(before) {
        let calls = clean.faults().calls(operation) - before;
        assert!(calls > 0, "{operation:?}");
        for nth in 1..=calls {
            let (fs, mem, reader) = wrapped();
            fs.faults().inject(Fault::on(operation).nth(nth));
            let error = unpack(&reader, &fs, Path::new(OUT), all, THREADS, &()).unwrap_err();
            assert_eq!((error.kind(), fs.faults().fired()), (ErrorKind::Io, 1), "{operation:?} {nth}: {error}");
            assert!(names(&mem, OUT).is_empty(), "{operation:?} {nth}");
        }
    }
}

#[test]
fn after_success_a_power_cut_takes_nothing() {
    let (base, reader) = opened();
    let fs = RecordingFs::with_base(Arc::new(base.fork()), &base);
    unpack(&reader, &fs, Path::new(OUT), |_, member| Some(PathBuf::from(member.path)), THREADS, &()).unwrap();
    let mut replay = fs.replay();
    replay.advance_to(usize::MAX);
    for kind in [CrashKind::PowerLossMin, CrashKind::PowerLossRandom { seed: 1 }, CrashKind::PowerLossRandom { seed: 2 }] {
        let image = replay.image(kind);
        for (path, data) in tree() {
            assert!(get(&image, &Path::new(OUT).join(&path)) == data, "{path}");
        }
    }
}
