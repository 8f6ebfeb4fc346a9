//! Listing, deleting and sweeping a directory of archives.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use icecore_archive::{ErrorKind, Sha256Digest, delete, find, list, record_verified, sweep};
use icecore_io::{CrashKind, Fault, FaultFs, Fs, Operation, RecordingFs};

use crate::support::{DIR, Files, archive, bytes, create_in, get, name, names, put, store};

fn one() -> Files {
    vec![("a".to_owned(), bytes(1, 5000))]
}

fn dir() -> &'static Path {
    Path::new(DIR)
}

#[test]
fn a_list_shows_archives_and_what_is_known_of_them() {
    let fs = store();
    let created = create_in(&fs, "b.snapshot", &one()).unwrap();
    put(&fs, "/store/a.snapshot", b"by hand");
    put(&fs, "/store/a.snapshot.checksum", Sha256Digest::of(b"by hand").to_string().as_bytes());
    put(&fs, "/store/notes.txt", b"not an archive");
    put(&fs, "/store/.c.snapshot.tmp", b"in the making");
    fs.create_dir(Path::new("/store/d.snapshot")).unwrap();
    let listed = list(&fs, dir()).unwrap();
    assert_eq!(listed.iter().map(|stored| stored.name.as_str()).collect::<Vec<_>>(), ["a.snapshot", "b.snapshot"]);
    assert_eq!((listed[0].len, listed[0].sha256), (7, Some(Sha256Digest::of(b"by hand"))));
    assert_eq!((listed[0].manifest_sha256, listed[0].verified_at), (None, None));
    assert_eq!(listed[0].created_at, fs.metadata(Path::new("/store/a.snapshot")).unwrap().modified);
    assert_eq!(
        (listed[1].len, listed[1].sha256, listed[1].manifest_sha256),
        (created.len, Some(created.sha256), Some(created.manifest_sha256))
    );
    assert_eq!((listed[1].created_at, listed[1].verified_at), (created.created_at, None));
    assert_eq!(find(&fs, dir(), &name("b.snapshot")).unwrap(), listed[1]);
    assert_eq!(find(&fs, dir(), &name("c.snapshot")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn side_files_of_another_archive_are_not_believed() {
    let fs = store();
    create_in(&fs, "a.snapshot", &one()).unwrap();
    fs.remove_file(Path::new("/store/a.snapshot")).unwrap();
    put(&fs, "/store/a.snapshot", b"put here later");
    let listed = list(&fs, dir()).unwrap();
    assert_eq!((listed[0].len, listed[0].manifest_sha256), (14, None));
    for damage in [b"{".as_slice(), b"", &[0xff; 70_000]] {
        fs.remove_file(Path::new("/store/a.snapshot.meta.json")).unwrap();
        put(&fs, "/store/a.snapshot.meta.json", damage);
        assert_eq!(list(&fs, dir()).unwrap()[0].len, 14);
    }
}

#[test]
fn a_verification_is_noted_and_shown() {
    let fs = store();
    create_in(&fs, "a.snapshot", &one()).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    record_verified(&fs, dir(), &name("a.snapshot"), at).unwrap();
    assert_eq!(find(&fs, dir(), &name("a.snapshot")).unwrap().verified_at, Some(at));
    put(&fs, "/store/b.snapshot", b"by hand");
    record_verified(&fs, dir(), &name("b.snapshot"), at).unwrap();
    assert!(!fs.exists(Path::new("/store/b.snapshot.meta.json")).unwrap());
}

#[test]
fn deleting_takes_the_side_files_along_and_nothing_else() {
    let fs = store();
    create_in(&fs, "a.snapshot", &one()).unwrap();
    create_in(&fs, "b.snapshot", &one()).unwrap();
    delete(&fs, dir(), &name("a.snapshot")).unwrap();
    assert_eq!(names(&fs, DIR), ["b.snapshot", "b.snapshot.checksum", "b.snapshot.meta.json"]);
    assert_eq!(delete(&fs, dir(), &name("a.snapshot")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_failed_deletion_of_the_archive_keeps_its_side_files() {
    let mem = store();
    create_in(&mem, "a.snapshot", &one()).unwrap();
    let fs = FaultFs::new(Arc::new(mem.clone()));
    fs.faults().inject(Fault::on(Operation::RemoveFile));
    assert_eq!(delete(&fs, dir(), &name("a.snapshot")).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(names(&mem, DIR).len(), 3);
    assert_eq!(list(&mem, dir()).unwrap().len(), 1);
}

#[test]
fn a_sweep_takes_what_is_dead_and_leaves_what_lives() {
    let fs = store();
    create_in(&fs, "whole.snapshot", &one()).unwrap();
    let dead = [".dead.snapshot.tmp", "dead.snapshot.checksum", "orphan.snapshot.meta.json", "whole.snapshot.meta.json.tmp"];
    let live = [".live.snapshot.tmp", "live.snapshot.checksum", "live.snapshot.checksum.tmp"];
    let other = ["notes.txt", ".hidden.tmp", "x.checksum", "byhand.snapshot"];
    for file in dead.iter().chain(&live).chain(&other) {
        put(&fs, &format!("{DIR}/{file}"), b"x");
    }
    let lock = fs.open_write(Path::new("/store/.live.snapshot.tmp")).unwrap();
    lock.try_lock().unwrap();

    let swept = sweep(&fs, dir()).unwrap();
    let mut expected: Vec<_> = dead.iter().map(|file| dir().join(file)).collect();
    expected.sort();
    assert_eq!(swept.removed, expected);
    let mut left: Vec<_> = live.iter().chain(&other).copied().collect();
    left.extend(["whole.snapshot", "whole.snapshot.checksum", "whole.snapshot.meta.json"]);
    left.sort_unstable();
    assert_eq!(names(&fs, DIR), left);

    drop(lock);
    assert_eq!(sweep(&fs, dir()).unwrap().removed.len(), 3);
    assert!(sweep(&fs, dir()).unwrap().removed.is_empty());
}

#[test]
fn after_a_crash_an_archive_is_whole_or_not_listed() {
    crash_everywhere(&one());
}

/// One that is written past the page cache, by a thread of its own.
#[test]
fn after_a_crash_a_long_archive_is_whole_or_not_listed() {
    crash_everywhere(&vec![("a".to_owned(), bytes(1, 16 << 20))]);
}

/// Cuts the record of a creation, a verification and a deletion everywhere, in every way.
fn crash_everywhere(files: &Files) {
    let base = store();
    let fs = RecordingFs::with_base(Arc::new(base.fork()), &base);
    create_in(&fs, "a.snapshot", files).unwrap();
    fs.mark(1);
    record_verified(&fs, dir(), &name("a.snapshot"), SystemTime::UNIX_EPOCH).unwrap();
    fs.mark(2);
    delete(&fs, dir(), &name("a.snapshot")).unwrap();
    fs.mark(3);
    let expected = archive(files);
    let mut replay = fs.replay();
    let mut cuts = 0;
    loop {
        let marks = replay.marks().to_vec();
        for kind in crash_kinds() {
            let image = replay.image(kind);
            cuts += 1;
            sweep(&image, dir()).unwrap();
            let listed = list(&image, dir()).unwrap();
            match listed.as_slice() {
                [] => assert!(!marks.contains(&1) || marks.contains(&2), "the finished archive is gone"),
                [stored] => {
                    assert!(!marks.contains(&3), "the deleted archive is back");
                    assert!(get(&image, &stored.path) == expected, "a torn archive is listed");
                    assert_eq!(stored.sha256, Some(Sha256Digest::of(&expected)));
                }
                more => panic!("{more:?}"),
            }
            let hidden = names(&image, DIR).into_iter().filter(|name| name.starts_with('.') || name.ends_with(".tmp")).count();
            assert_eq!(hidden, 0);
        }
        if !replay.advance() {
            break;
        }
    }
    assert!(cuts > 50, "{cuts}");
}

fn crash_kinds() -> impl Iterator<Item = CrashKind> {
    let seeded = (0..4).flat_map(|seed| [CrashKind::KillTorn { seed }, CrashKind::PowerLossRandom { seed }]);
    [CrashKind::Kill, CrashKind::PowerLossMin].into_iter().chain(seeded)
}
