//! An archive shares the file of an equal one that is known to be sound, and of no other.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use icecore_archive::{
    Created, Draft, Error, ErrorKind, Progress, Sharing, Source, create_draft, delete, find, list, record_verified, sweep,
};
use icecore_io::{CrashKind, Fault, FaultFs, File, Fs, ManualClock, MemFs, Operation, OsFs, RecordingFs};

use crate::support::{DIR, Files, archive, bytes, create_in, fast, get, name, names, plan, put, source, store};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// When the first archive is made, in seconds.
const BEGIN: u64 = 1_700_000_000;

fn two() -> Files {
    vec![("a".to_owned(), bytes(1, 300_000)), ("b".to_owned(), bytes(2, 100))]
}

/// Asks for archives and remembers what was told of damage.
struct Maker {
    now: Duration,
    reverify_after: Duration,
    told: Mutex<Vec<String>>,
}

impl Maker {
    /// One for whom a verification counts for a week.
    fn new() -> Self {
        Self { now: Duration::from_secs(BEGIN + 60), reverify_after: WEEK, told: Mutex::default() }
    }

    fn make(&self, fs: &dyn Fs, archive: &str, files: &Files) -> Result<Created, Error> {
        self.make_of(fs, archive, files, &source(files), &())
    }

    fn make_of(
        &self,
        fs: &dyn Fs,
        archive: &str,
        files: &Files,
        source: &dyn Source,
        progress: &dyn Progress,
    ) -> Result<Created, Error> {
        let damaged = |error: &Error| self.told.lock().unwrap().push(error.to_string());
        let sharing = Some(Sharing { reverify_after: self.reverify_after, damaged: &damaged });
        let compression = archive.ends_with(".zst").then(|| fast(1));
        let draft = Draft { plan: &plan(files), source, compression, sharing };
        create_draft(fs, &ManualClock::new(self.now), dir(), &name(archive), draft, progress)
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

/// Counts bytes.
#[derive(Default)]
struct Counted {
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress for Counted {
    fn start(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        ControlFlow::Continue(())
    }
}

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn at(file: &str) -> PathBuf {
    dir().join(file)
}

fn inode(fs: &dyn Fs, file: &str) -> u64 {
    fs.metadata(&at(file)).unwrap().inode
}

fn seconds(after: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN + after)
}

fn faulty(mem: &MemFs) -> FaultFs {
    FaultFs::new(Arc::new(mem.clone()))
}

/// Every archive that is listed is `two`, and nothing else is in the directory.
fn check_whole(fs: &dyn Fs, expected: &[&str], what: &str) {
    let listed = list(fs, dir()).unwrap();
    assert_eq!(listed.iter().map(|stored| stored.name.as_str()).collect::<Vec<_>>(), expected, "{what}");
    for stored in &listed {
        assert!(get(fs, &stored.path) == archive(&two()), "{what}: {}", stored.name);
        assert!(stored.manifest_sha256.is_some(), "{what}: {} lacks its side files", stored.name);
    }
    assert_eq!(names(fs, DIR).len(), 3 * expected.len(), "{what}: {:?}", names(fs, DIR));
}

#[test]
fn the_second_is_verified_and_the_third_reads_nothing() {
    let fs = store();
    let first = create_in(&fs, "a.snapshot", &two()).unwrap();
    assert!(!first.shared && !find(&fs, dir(), &name("a.snapshot")).unwrap().shared);
    let free = fs.free_space(dir()).unwrap();
    let maker = Maker::new();

    let counted = Counted::default();
    let second = maker.make_of(&fs, "b.snapshot", &two(), &source(&two()), &counted).unwrap();
    assert_eq!(counted.done.load(Ordering::Relaxed), first.len, "it was read back");
    assert_eq!(second, Created { path: at("b.snapshot"), created_at: seconds(60), shared: true, ..first });

    let counted = Counted::default();
    let third = maker.make_of(&fs, "c.snapshot", &two(), &source(&two()), &counted).unwrap();
    assert_eq!((counted.total.into_inner(), counted.done.into_inner()), (0, 0));
    assert!(third.shared);

    check_whole(&fs, &["a.snapshot", "b.snapshot", "c.snapshot"], "shared");
    let listed = list(&fs, dir()).unwrap();
    assert!(listed.iter().all(|stored| stored.shared && stored.verified_at == Some(seconds(60))), "{listed:?}");
    assert_eq!([inode(&fs, "b.snapshot"), inode(&fs, "c.snapshot")], [inode(&fs, "a.snapshot"); 2]);
    assert!(free - fs.free_space(dir()).unwrap() < 2048, "only side files take space");
    assert!(maker.told().is_empty());
}

#[test]
fn deleting_one_leaves_the_other() {
    for (deleted, left) in [("a.snapshot", "b.snapshot"), ("b.snapshot", "a.snapshot")] {
        let fs = store();
        create_in(&fs, "a.snapshot", &two()).unwrap();
        assert!(Maker::new().make(&fs, "b.snapshot", &two()).unwrap().shared);
        delete(&fs, dir(), &name(deleted)).unwrap();
        check_whole(&fs, &[left], deleted);
        assert!(!find(&fs, dir(), &name(left)).unwrap().shared);
        // What is left is as good as before.
        assert!(Maker::new().make(&fs, "c.snapshot", &two()).unwrap().shared);
    }
}

#[test]
fn whatever_has_changed_is_not_shared() {
    const UNCHANGED: &str = "nothing has changed";
    let meta = |change: fn(&mut serde_json::Value)| {
        move |fs: &MemFs| {
            let path = at("a.snapshot.meta.json");
            let mut meta = serde_json::from_slice(&get(fs, &path)).unwrap();
            change(&mut meta);
            fs.remove_file(&path).unwrap();
            put(fs, path.to_str().unwrap(), meta.to_string().as_bytes());
        }
    };
    let write = |offset: u64, data: &'static [u8]| {
        move |fs: &MemFs| fs.open_write(&at("a.snapshot")).unwrap().write_all_at(data, offset).unwrap()
    };
    type Change = Box<dyn Fn(&MemFs)>;
    let changes: [(&str, Change); 12] = [
        (UNCHANGED, Box::new(meta(|_| ()))),
        ("the same byte was written again", Box::new(write(0, b"i"))),
        ("a byte was appended", Box::new(write(plan(&two()).archive_len(), b"x"))),
        ("it can be written", Box::new(|fs| fs.set_mode(&at("a.snapshot"), 0o644).unwrap())),
        ("no digest file", Box::new(|fs| fs.remove_file(&at("a.snapshot.checksum")).unwrap())),
        (
            "another digest file",
            Box::new(|fs| {
                fs.remove_file(&at("a.snapshot.checksum")).unwrap();
                put(fs, "/store/a.snapshot.checksum", "0".repeat(64).as_bytes());
            }),
        ),
        ("no index file", Box::new(|fs| fs.remove_file(&at("a.snapshot.meta.json")).unwrap())),
        ("another manifest", Box::new(meta(|meta| meta["manifest_sha256"] = "0".repeat(64).into()))),
        ("no note of the file", Box::new(meta(|meta| meta["file"] = serde_json::Value::Null))),
        ("another inode", Box::new(meta(|meta| meta["file"]["inode"] = 4711.into()))),
        ("another time", Box::new(meta(|meta| meta["file"]["modified_ns"] = 4711.into()))),
        (
            "a copy of it",
            Box::new(|fs| {
                let data = get(fs, &at("a.snapshot"));
                fs.remove_file(&at("a.snapshot")).unwrap();
                put(fs, "/store/a.snapshot", &data);
                fs.set_mode(&at("a.snapshot"), 0o444).unwrap();
            }),
        ),
    ];
    for (what, change) in changes {
        let fs = store();
        create_in(&fs, "a.snapshot", &two()).unwrap();
        record_verified(&fs, dir(), &name("a.snapshot"), seconds(0)).unwrap();
        change(&fs);
        let maker = Maker::new();
        let made = maker.make(&fs, "b.snapshot", &two()).unwrap();
        let is_shared = inode(&fs, "a.snapshot") == inode(&fs, "b.snapshot");
        assert_eq!((made.shared, is_shared), (what == UNCHANGED, what == UNCHANGED), "{what}");
        assert!(get(&fs, &made.path) == archive(&two()), "{what}");
        assert!(maker.told().is_empty(), "{what}: it is not known to be damaged");
    }
}

#[test]
fn other_contents_and_compressed_archives_are_copied() {
    let fs = store();
    let maker = Maker::new();
    create_in(&fs, "a.snapshot", &two()).unwrap();
    let mut other = two();
    other[1].1[7] ^= 1;
    assert!(!maker.make(&fs, "b.snapshot", &other).unwrap().shared);
    for archive in ["c.snapshot.zst", "d.snapshot.zst"] {
        assert!(!maker.make(&fs, archive, &two()).unwrap().shared, "{archive}");
    }
    assert!(list(&fs, dir()).unwrap().iter().all(|stored| !stored.shared));
}

#[test]
fn an_archive_that_cannot_be_opened_is_told() {
    let fs = store();
    create_in(&fs, "a.snapshot", &two()).unwrap();
    let fs = faulty(&fs);
    // A byte of the manifest, as it is read from now on.
    fs.faults().corrupt("/a.snapshot", 600, 1);
    let maker = Maker::new();
    assert!(!maker.make(&fs, "b.snapshot", &two()).unwrap().shared);
    assert!(matches!(maker.told().as_slice(), [told] if told.contains("/store/a.snapshot")), "{:?}", maker.told());
}

#[test]
fn damage_is_found_told_and_not_shared() {
    let mem = store();
    let len = create_in(&mem, "a.snapshot", &two()).unwrap().len;
    for offset in [len / 2, len - 1] {
        let (mem, maker) = (mem.fork(), Maker::new());
        // Times of a fork are its own.
        delete(&mem, dir(), &name("a.snapshot")).unwrap();
        create_in(&mem, "a.snapshot", &two()).unwrap();
        let fs = faulty(&mem);
        fs.faults().corrupt("/a.snapshot", offset, 0x10);
        assert!(!maker.make(&fs, "b.snapshot", &two()).unwrap().shared);
        assert!(matches!(maker.told().as_slice(), [told] if told.contains("/store/a.snapshot")), "{:?}", maker.told());
        check_whole(&mem, &["a.snapshot", "b.snapshot"], "what is stored did not change");
        assert_eq!(find(&mem, dir(), &name("a.snapshot")).unwrap().verified_at, None);
        // The newer one is asked first, and it is sound.
        assert!(maker.make(&fs, "c.snapshot", &two()).unwrap().shared);
        assert_eq!((inode(&mem, "c.snapshot"), maker.told().len()), (inode(&mem, "b.snapshot"), 1));
    }
}

/// Whoever changes bytes and sets the time back is found when the bytes are read, and not before.
#[test]
fn a_change_with_its_time_set_back_is_found_by_the_verification() {
    let mut other = two();
    other[0].1[5] ^= 1;
    let middle = archive(&two()).len() as u64 / 2;
    // One byte, or an archive of the same length that is sound and has another manifest.
    for (offset, data) in [(middle, b"!".to_vec()), (0, archive(&other))] {
        let real = tempfile::tempdir().unwrap();
        let (fs, clock) = (OsFs::new(), ManualClock::new(Duration::from_secs(BEGIN)));
        let (plan, source) = (plan(&two()), source(&two()));
        let told = Mutex::new(Vec::new());
        let damaged = |error: &Error| told.lock().unwrap().push(error.to_string());
        let make = |archive: &str, reverify_after| {
            let sharing = Some(Sharing { reverify_after, damaged: &damaged });
            let draft = Draft { plan: &plan, source: &source, compression: None, sharing };
            create_draft(&fs, &clock, real.path(), &name(archive), draft, &()).unwrap()
        };
        let first = make("a.snapshot", WEEK);
        let shared = make("b.snapshot", WEEK);
        assert!(shared.shared && fs.metadata(&first.path).unwrap().links == 2);
        delete(&fs, real.path(), &name("b.snapshot")).unwrap();

        let modified = std::fs::metadata(&first.path).unwrap().modified().unwrap();
        fs.set_mode(&first.path, 0o644).unwrap();
        let file = std::fs::File::options().write(true).open(&first.path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &data, offset).unwrap();
        file.set_modified(modified).unwrap();
        fs.set_mode(&first.path, 0o444).unwrap();

        assert!(!make("c.snapshot", Duration::ZERO).shared);
        assert!(matches!(told.lock().unwrap().as_slice(), [told] if told.contains("a.snapshot")));
        assert!(std::fs::read(real.path().join("c.snapshot")).unwrap() == archive(&two()));
    }
}

#[test]
fn a_verification_counts_for_a_time() {
    let cases =
        [(0, WEEK, 0), (59, WEEK, 0), (60 + WEEK.as_secs(), WEEK, 1), (0, Duration::ZERO, 1), (0, Duration::from_secs(61), 0)];
    for (age, reverify_after, reads) in cases {
        let fs = store();
        let len = create_in(&fs, "a.snapshot", &two()).unwrap().len;
        record_verified(&fs, dir(), &name("a.snapshot"), seconds(60)).unwrap();
        let now = Duration::from_secs(BEGIN + 60 + age);
        let maker = Maker { now, reverify_after, ..Maker::new() };
        let counted = Counted::default();
        assert!(maker.make_of(&fs, "b.snapshot", &two(), &source(&two()), &counted).unwrap().shared);
        assert_eq!(counted.done.into_inner(), reads * len, "{age} {reverify_after:?}");
        let expected = if reads > 0 { now } else { Duration::from_secs(BEGIN + 60) };
        for archive in ["a.snapshot", "b.snapshot"] {
            let verified_at = find(&fs, dir(), &name(archive)).unwrap().verified_at;
            assert_eq!(verified_at, Some(SystemTime::UNIX_EPOCH + expected), "{archive}");
        }
    }
    // One that is still to come counts for nothing: some clock was wrong.
    let fs = store();
    let len = create_in(&fs, "a.snapshot", &two()).unwrap().len;
    record_verified(&fs, dir(), &name("a.snapshot"), seconds(3600)).unwrap();
    let counted = Counted::default();
    assert!(Maker::new().make_of(&fs, "b.snapshot", &two(), &source(&two()), &counted).unwrap().shared);
    assert_eq!(counted.done.into_inner(), len);
}

#[test]
fn where_nothing_can_be_linked_a_copy_is_made() {
    let kinds = [
        io::ErrorKind::TooManyLinks,
        io::ErrorKind::CrossesDevices,
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::Unsupported,
        io::ErrorKind::NotFound,
    ];
    for kind in kinds {
        let mem = store();
        create_in(&mem, "a.snapshot", &two()).unwrap();
        let fs = faulty(&mem);
        fs.faults().inject(Fault::on(Operation::Link).kind(kind).from_then_on());
        let made = Maker::new().make(&fs, "b.snapshot", &two()).unwrap();
        assert!(!made.shared && fs.faults().fired() == 1, "{kind}");
        check_whole(&mem, &["a.snapshot", "b.snapshot"], &kind.to_string());
        assert!(find(&mem, dir(), &name("b.snapshot")).unwrap().verified_at.is_none(), "a copy was not read back");
    }
    // The answer is lost, and the link is there.
    let mem = store();
    create_in(&mem, "a.snapshot", &two()).unwrap();
    let fs = faulty(&mem);
    fs.faults().inject(Fault::on(Operation::Link).after_effect());
    assert!(Maker::new().make(&fs, "b.snapshot", &two()).unwrap().shared && fs.faults().fired() == 1);
    check_whole(&mem, &["a.snapshot", "b.snapshot"], "lost answer");
}

/// When a file has as many names as it can have, another one is tried.
#[test]
fn the_next_one_is_taken_when_one_has_no_room_for_names() {
    let mem = store();
    let clock = ManualClock::new(Duration::from_secs(BEGIN));
    for archive in ["a.snapshot", "b.snapshot"] {
        icecore_archive::create(&mem, &clock, dir(), &name(archive), &plan(&two()), &source(&two()), &()).unwrap();
        record_verified(&mem, dir(), &name(archive), seconds(0)).unwrap();
        clock.advance(Duration::from_secs(1));
    }
    let fs = faulty(&mem);
    fs.faults().inject(Fault::on(Operation::Link).path_contains("/b.snapshot").kind(io::ErrorKind::TooManyLinks));
    assert!(Maker::new().make(&fs, "c.snapshot", &two()).unwrap().shared);
    assert_eq!((fs.faults().fired(), inode(&mem, "c.snapshot")), (1, inode(&mem, "a.snapshot")));
    check_whole(&mem, &["a.snapshot", "b.snapshot", "c.snapshot"], "the next one");
}

/// A source that does something right before the archive gets its name.
struct Late<'a, S>(S, &'a (dyn Fn() -> Result<(), Error> + Sync));

impl<S: Source> Source for Late<'_, S> {
    fn open(&self, index: usize) -> io::Result<Arc<dyn File>> {
        self.0.open(index)
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        (self.1)()
    }
}

#[test]
fn a_file_that_took_the_name_meanwhile_is_not_linked() {
    let fs = store();
    create_in(&fs, "a.snapshot", &two()).unwrap();
    let replace = || {
        if fs.metadata(&at("a.snapshot")).unwrap().mode == 0o444 {
            fs.remove_file(&at("a.snapshot")).unwrap();
            put(&fs, "/store/a.snapshot", b"something else");
        }
        Ok(())
    };
    let made = Maker::new().make_of(&fs, "b.snapshot", &two(), &Late(source(&two()), &replace), &()).unwrap();
    assert!(!made.shared && get(&fs, &made.path) == archive(&two()));
    assert_eq!(get(&fs, &at("a.snapshot")), b"something else");
    assert_eq!(fs.metadata(&at("a.snapshot")).unwrap().links, 1);
}

#[test]
fn who_stops_it_or_whose_files_change_gets_nothing() {
    let fs = store();
    create_in(&fs, "a.snapshot", &two()).unwrap();
    let changed = || Err(Error::Changed { path: "x".into(), change: "in size" });
    let error = Maker::new().make_of(&fs, "b.snapshot", &two(), &Late(source(&two()), &changed), &()).unwrap_err();
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    check_whole(&fs, &["a.snapshot"], "changed");

    struct Stopped;
    impl Progress for Stopped {
        fn start(&self, _total: u64) {}

        fn advance(&self, _bytes: u64) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    // It was verified by the failed attempt, so nothing is read; or its bytes are, and that is stopped.
    for reverify_after in [WEEK, Duration::ZERO] {
        let maker = Maker { reverify_after, ..Maker::new() };
        let error = maker.make_of(&fs, "b.snapshot", &two(), &source(&two()), &Stopped).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        check_whole(&fs, &["a.snapshot"], "stopped");
    }
}

#[test]
fn there_is_room_for_a_name_where_there_is_none_for_a_copy() {
    let fs = store();
    create_in(&fs, "a.snapshot", &two()).unwrap();
    fs.set_free_space(100_000);
    assert!(Maker::new().make(&fs, "b.snapshot", &two()).unwrap().shared);
    fs.set_mode(&at("a.snapshot"), 0o644).unwrap();
    let error = Maker::new().make(&fs, "c.snapshot", &two()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed, free, .. } if needed > 300_000 && free < 100_000), "{error}");
    fs.set_free_space(1 << 10);
    let error = Maker::new().make(&fs, "c.snapshot", &two()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { needed, free: 1024, .. } if needed > 300_000), "{error}");
    assert_eq!(list(&fs, dir()).unwrap().len(), 2);
}

/// Fails every call of every operation once, before and after its effect.
#[test]
fn whichever_call_fails_all_or_nothing_is_there() {
    const OPERATIONS: [Operation; 14] = [
        Operation::OpenRead,
        Operation::OpenWrite,
        Operation::CreateNew,
        Operation::Metadata,
        Operation::List,
        Operation::Rename,
        Operation::RenameNoreplace,
        Operation::Link,
        Operation::RemoveFile,
        Operation::SyncDir,
        Operation::FreeSpace,
        Operation::WriteAt,
        Operation::SyncData,
        Operation::TryLock,
    ];
    let fresh = || {
        let mem = store();
        create_in(&mem, "a.snapshot", &two()).unwrap();
        (faulty(&mem), mem)
    };
    let (clean, _) = fresh();
    assert!(Maker::new().make(&clean, "b.snapshot", &two()).unwrap().shared);
    let mut failed = 0;
    for operation in OPERATIONS {
        for nth in 1..=clean.faults().calls(operation) {
            for fault in [Fault::on(operation), Fault::on(operation).after_effect()] {
                let what = format!("{operation:?} {nth}");
                let (fs, mem) = fresh();
                fs.faults().inject(fault.nth(nth));
                let result = Maker::new().make(&fs, "b.snapshot", &two());
                assert_eq!(fs.faults().fired(), 1, "{what}");
                sweep(&mem, dir()).unwrap();
                match result {
                    Ok(_) => check_whole(&mem, &["a.snapshot", "b.snapshot"], &what),
                    Err(error) => {
                        failed += 1;
                        check_whole(&mem, &["a.snapshot"], &format!("{what}: {error}"));
                    }
                }
            }
        }
    }
    assert!(failed > 25, "{failed}");
}

/// Cuts the record of two archives of one file and a deletion everywhere, in every way.
#[test]
fn after_a_crash_what_is_listed_is_whole() {
    let base = store();
    let fs = RecordingFs::with_base(Arc::new(base.fork()), &base);
    let small: Files = vec![("a".to_owned(), bytes(1, 70_000)), ("b".to_owned(), bytes(2, 100))];
    create_in(&fs, "a.snapshot", &small).unwrap();
    fs.mark(1);
    assert!(Maker::new().make(&fs, "b.snapshot", &small).unwrap().shared);
    fs.mark(2);
    delete(&fs, dir(), &name("a.snapshot")).unwrap();
    fs.mark(3);
    let expected = archive(&small);
    let mut replay = fs.replay();
    let mut cuts = 0;
    loop {
        let marks = replay.marks().to_vec();
        for kind in crash_kinds() {
            let image = replay.image(kind);
            cuts += 1;
            sweep(&image, dir()).unwrap();
            let listed = list(&image, dir()).unwrap();
            let is_there = |archive: &str| listed.iter().any(|stored| stored.name.as_str() == archive);
            assert!(is_there("a.snapshot") || !marks.contains(&1) || marks.contains(&2), "the first is gone");
            assert!(!is_there("a.snapshot") || !marks.contains(&3), "the deleted one is back");
            assert!(is_there("b.snapshot") || !marks.contains(&2), "the second is gone");
            for stored in &listed {
                assert!(get(&image, &stored.path) == expected, "a torn archive is listed");
                assert!(stored.manifest_sha256.is_some(), "an archive without its side files");
            }
            assert_eq!(names(&image, DIR).len(), 3 * listed.len(), "{:?}", names(&image, DIR));
        }
        if !replay.advance() {
            break;
        }
    }
    assert!(cuts > 300, "{cuts}");
}

fn crash_kinds() -> impl Iterator<Item = CrashKind> {
    let seeded = (0..4).flat_map(|seed| [CrashKind::KillTorn { seed }, CrashKind::PowerLossRandom { seed }]);
    [CrashKind::Kill, CrashKind::PowerLossMin].into_iter().chain(seeded)
}

#[test]
fn many_at_once_end_with_whole_archives() {
    let fs = store();
    create_in(&fs, "a.snapshot", &two()).unwrap();
    let maker = Maker::new();
    let archives: Vec<String> = (0..6).map(|number| format!("b{number}.snapshot")).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = archives.iter().map(|archive| scope.spawn(|| maker.make(&fs, archive, &two()).unwrap())).collect();
        threads.into_iter().for_each(|thread| assert!(thread.join().unwrap().shared));
    });
    let mut expected = vec!["a.snapshot"];
    expected.extend(archives.iter().map(String::as_str));
    check_whole(&fs, &expected, "at once");
}
