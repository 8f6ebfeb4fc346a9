//! An archive is read back once after it was made; that is noted, and nothing else changes.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use icecore_archive::{
    Draft, Error, Progress, ProgressHandle, ReadBack, Sharing, create_draft, delete, find, list, read_back, record_verified,
    sweep,
};
use icecore_io::{CrashKind, Fault, FaultFs, Fs, ManualClock, MemFs, Operation, RecordingFs};

use crate::support::{DIR, Files, archive, bytes, fast, get, name, names, plan, put, source, store};

const PLAIN: &str = "a.snapshot";
const COMPRESSED: &str = "a.snapshot.zst";
/// When it is read back.
const NOW: Duration = Duration::from_secs(1_700_000_060);

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn at(file: &str) -> PathBuf {
    dir().join(file)
}

/// More than one buffer.
fn two() -> Files {
    vec![("a".to_owned(), bytes(1, 900_000)), ("b".to_owned(), bytes(2, 100))]
}

fn make(fs: &dyn Fs, archive: &str, files: &Files) {
    let compression = archive.ends_with(".zst").then(|| fast(1));
    let draft = Draft { plan: &plan(files), source: &source(files), compression, sharing: None };
    create_draft(fs, &ManualClock::new(NOW - Duration::from_secs(60)), dir(), &name(archive), draft, &()).unwrap();
}

fn made(archive: &str) -> MemFs {
    let fs = store();
    make(&fs, archive, &two());
    fs
}

fn read(fs: &dyn Fs, archive: &str, progress: &dyn Progress) -> Result<ReadBack, Error> {
    read_back(fs, &ManualClock::new(NOW), dir(), &name(archive), progress)
}

fn verified_at(fs: &dyn Fs, archive: &str) -> Option<SystemTime> {
    find(fs, dir(), &name(archive)).unwrap().verified_at
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + NOW
}

/// Does something while the first bytes are read.
struct Meanwhile<F>(F);

impl<F: Fn() + Sync> Progress for Meanwhile<F> {
    fn start(&self, _total: u64) {
        self.0();
    }

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

#[test]
fn a_sound_one_is_read_once_and_noted() {
    for archive in [PLAIN, COMPRESSED] {
        let fs = made(archive);
        let before = get(&fs, &at(archive));
        let progress = ProgressHandle::new();
        let ReadBack::Sound { bytes, noted: Ok(()) } = read(&fs, archive, &progress).unwrap() else { panic!("{archive}") };
        assert_eq!((bytes, progress.done()), (before.len() as u64, progress.total()), "{archive}");
        assert_eq!(verified_at(&fs, archive), Some(now()), "{archive}");
        assert!(get(&fs, &at(archive)) == before && names(&fs, DIR).len() == 3, "{archive}");

        let progress = ProgressHandle::new();
        assert!(matches!(read(&fs, archive, &progress), Ok(ReadBack::Unneeded)), "{archive}");
        assert_eq!(progress.total(), 0, "nothing is read twice");
    }
}

#[test]
fn the_next_one_shares_it_and_reads_nothing() {
    let fs = made(PLAIN);
    assert!(matches!(read(&fs, PLAIN, &()), Ok(ReadBack::Sound { noted: Ok(()), .. })));
    let damaged = |error: &Error| panic!("{error}");
    let sharing = Some(Sharing { reverify_after: Duration::from_secs(60), damaged: &damaged });
    let (plan, source) = (plan(&two()), source(&two()));
    let draft = Draft { plan: &plan, source: &source, compression: None, sharing };
    let progress = ProgressHandle::new();
    let created = create_draft(&fs, &ManualClock::new(NOW), dir(), &name("b.snapshot"), draft, &progress).unwrap();
    assert!(created.shared && progress.total() == 0 && progress.done() == 0);
}

#[test]
fn what_has_no_note_or_is_not_there_is_not_read() {
    let fs = made(PLAIN);
    let progress = ProgressHandle::new();
    assert!(matches!(read(&fs, "none.snapshot", &progress), Ok(ReadBack::Unneeded)));
    put(&fs, "/store/copied.snapshot", &archive(&two()));
    assert!(matches!(read(&fs, "copied.snapshot", &progress), Ok(ReadBack::Unneeded)));
    // A note about another file.
    put(&fs, "/store/longer.snapshot", &[archive(&two()), vec![0]].concat());
    put(&fs, "/store/longer.snapshot.meta.json", &get(&fs, &at("a.snapshot.meta.json")));
    assert!(matches!(read(&fs, "longer.snapshot", &progress), Ok(ReadBack::Unneeded)));
    assert_eq!(progress.total(), 0);
}

#[test]
fn damage_is_told_and_nothing_is_noted_or_changed() {
    for archive in [PLAIN, COMPRESSED] {
        let mem = made(archive);
        let whole = get(&mem, &at(archive));
        let files = names(&mem, DIR);
        let end = whole.len() as u64 - 1;
        // Behind the ends of the side files, whose paths begin the same.
        for offset in [600, whole.len() as u64 / 2, end] {
            let fs = FaultFs::new(Arc::new(mem.clone()));
            fs.faults().corrupt(format!("/{archive}"), offset, 1);
            let found = read(&fs, archive, &()).unwrap();
            let ReadBack::Damaged(error) = found else { panic!("{archive} at {offset}: {found:?}") };
            assert!(error.to_string().contains(archive), "{error}");
            assert_eq!(verified_at(&mem, archive), None, "{archive} at {offset}");
            assert!(get(&mem, &at(archive)) == whole && names(&mem, DIR) == files);
        }
    }
}

/// Of a file that is kept open, all bytes are there after its deletion: only its name tells.
#[test]
fn one_that_is_deleted_meanwhile_is_no_error_and_gets_no_note() {
    for archive in [PLAIN, COMPRESSED] {
        let fs = made(archive);
        let progress = Meanwhile(|| delete(&fs, dir(), &name(archive)).unwrap());
        assert!(matches!(read(&fs, archive, &progress), Ok(ReadBack::Unneeded)), "{archive}");
        assert_eq!(names(&fs, DIR), [""; 0], "{archive}");
    }
}

#[test]
fn one_that_takes_its_name_meanwhile_is_not_taken_for_it() {
    let other: Files = vec![("c".to_owned(), bytes(3, 5_000))];
    for next in [&two(), &other] {
        let fs = made(PLAIN);
        let progress = Meanwhile(|| {
            delete(&fs, dir(), &name(PLAIN)).unwrap();
            make(&fs, PLAIN, next);
        });
        assert!(matches!(read(&fs, PLAIN, &progress), Ok(ReadBack::Unneeded)));
        assert_eq!(verified_at(&fs, PLAIN), None, "the new one was not read");
        assert!(get(&fs, &at(PLAIN)) == archive(next) && names(&fs, DIR).len() == 3);
    }
}

#[test]
fn what_somebody_else_verifies_meanwhile_is_not_read_to_its_end() {
    let fs = made(PLAIN);
    let other = now() - Duration::from_secs(5);
    let progress = Meanwhile(|| record_verified(&fs, dir(), &name(PLAIN), other).unwrap());
    let fs = FaultFs::new(Arc::new(fs.clone()));
    // Whoever read on would find it.
    fs.faults().corrupt(format!("/{PLAIN}"), archive(&two()).len() as u64 - 1, 1);
    assert!(matches!(read(&fs, PLAIN, &progress), Ok(ReadBack::Unneeded)));
    assert_eq!(verified_at(&fs, PLAIN), Some(other));
}

#[test]
fn one_that_is_stopped_says_so_and_leaves_all_as_it_was() {
    for archive in [PLAIN, COMPRESSED] {
        let fs = made(archive);
        let progress = ProgressHandle::new();
        progress.cancel();
        assert!(matches!(read(&fs, archive, &progress), Err(Error::Cancelled)), "{archive}");
        assert!(verified_at(&fs, archive).is_none() && names(&fs, DIR).len() == 3, "{archive}");
    }
}

#[test]
fn a_note_that_cannot_be_written_is_told_and_harms_nothing() {
    let mem = made(PLAIN);
    let before = get(&mem, &at("a.snapshot.meta.json"));
    let calls = [(Operation::CreateNew, ".tmp"), (Operation::WriteAt, "meta.json"), (Operation::SyncData, "meta.json")];
    for (operation, part) in calls.into_iter().chain([(Operation::Rename, "meta.json")]) {
        let mem = mem.fork();
        let fs = FaultFs::new(Arc::new(mem.clone()));
        fs.faults().inject(Fault::on(operation).path_contains(part).kind(io::ErrorKind::StorageFull).from_then_on());
        let found = read(&fs, PLAIN, &()).unwrap();
        assert!(matches!(found, ReadBack::Sound { noted: Err(_), .. }), "{operation:?}: {found:?}");
        assert_eq!(get(&mem, &at("a.snapshot.meta.json")), before, "{operation:?}");
        assert_eq!(names(&mem, DIR).len(), 3, "{operation:?}: {:?}", names(&mem, DIR));
        // The next time it can be.
        fs.faults().clear();
        assert!(matches!(read(&fs, PLAIN, &()), Ok(ReadBack::Sound { noted: Ok(()), .. })), "{operation:?}");
    }
}

/// Whichever call fails, the archive is whole, and it is never noted without having been read.
#[test]
fn every_call_may_fail() {
    let operations = [
        Operation::OpenRead,
        Operation::CreateNew,
        Operation::Metadata,
        Operation::Rename,
        Operation::RemoveFile,
        Operation::SyncDir,
        Operation::Len,
        Operation::ReadAt,
        Operation::WriteAt,
        Operation::SyncData,
        Operation::TryLock,
    ];
    for archive in [PLAIN, COMPRESSED] {
        let whole = made(archive);
        let bytes = get(&whole, &at(archive));
        for operation in operations {
            for nth in 1.. {
                let mem = whole.fork();
                let fs = FaultFs::new(Arc::new(mem.clone()));
                fs.faults().inject(Fault::on(operation).nth(nth));
                let found = read(&fs, archive, &());
                let what = format!("{archive}, {operation:?} {nth}: {found:?}");
                if fs.faults().fired() == 0 {
                    assert!(matches!(found, Ok(ReadBack::Sound { noted: Ok(()), .. })), "{what}");
                    break;
                }
                assert!(get(&mem, &at(archive)) == bytes, "{what}");
                let stored = find(&mem, dir(), &name(archive)).unwrap();
                assert!(stored.manifest_sha256.is_some(), "{what}: the note is gone");
                if !matches!(found, Ok(ReadBack::Sound { .. } | ReadBack::Unneeded)) {
                    assert_eq!(stored.verified_at, None, "{what}");
                }
                // What may be left is what a start removes.
                sweep(&mem, dir()).unwrap();
                assert_eq!(names(&mem, DIR).len(), 3, "{what}: {:?}", names(&mem, DIR));
            }
        }
    }
}

/// At any instant the archive is listed and whole, with the old note or the new one.
#[test]
fn a_crash_at_any_call_leaves_it_whole() {
    let base = made(PLAIN);
    let fs = RecordingFs::with_base(Arc::new(base.fork()), &base);
    assert!(matches!(read(&fs, PLAIN, &()), Ok(ReadBack::Sound { noted: Ok(()), .. })));
    let mut notes = [0, 0];
    let mut replay = fs.replay();
    loop {
        for kind in
            [CrashKind::Kill, CrashKind::KillTorn { seed: 1 }, CrashKind::PowerLossMin, CrashKind::PowerLossRandom { seed: 2 }]
        {
            let image = replay.image(kind);
            let what = format!("{kind:?} before {:?}", replay.next_op());
            sweep(&image, dir()).unwrap();
            let listed = list(&image, dir()).unwrap();
            let [stored] = listed.as_slice() else { panic!("{what}: {listed:?}") };
            assert!(stored.manifest_sha256.is_some() && get(&image, &stored.path) == archive(&two()), "{what}");
            assert_eq!(names(&image, DIR).len(), 3, "{what}: {:?}", names(&image, DIR));
            notes[usize::from(stored.verified_at.is_some())] += 1;
        }
        if !replay.advance() {
            break;
        }
    }
    assert!(notes.iter().all(|count| *count > 0), "{notes:?}");
}
