//! Archives of directories: what is kept, what is refused, and that a directory that changes makes no archive.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use icecore_archive::{
    ArchiveName, Created, Directory, DirectorySubject, Error, ErrorKind, Progress, Reader, create, unpack_directory, verify,
};
use icecore_io::{File, Fs, ManualClock, MemFs, OsFs};

use crate::support::{DIR, THREADS, bytes, get, names, put, store};

const TREE: &str = "/tree";

/// A tree with everything that an archive keeps.
fn tree() -> MemFs {
    let fs = store();
    for dir in ["/tree/bin", "/tree/empty/deeper", "/tree/gr\u{fc}n", "/tree/bin.d"] {
        fs.create_dir_all(Path::new(dir)).unwrap();
    }
    put(&fs, "/tree/bin/tool", &bytes(1, 70_000));
    put(&fs, "/tree/bin.d/x", b"");
    put(&fs, "/tree/gr\u{fc}n/\u{4e2d}", &bytes(2, (1 << 20) + 5));
    put(&fs, "/tree/plain", &bytes(3, 10));
    fs.set_mode(Path::new("/tree/bin/tool"), 0o755).unwrap();
    fs
}

fn archive(fs: &MemFs, progress: &dyn Progress) -> Result<Created, Error> {
    let directory = Directory::scan(Arc::new(fs.clone()), Path::new(TREE))?;
    let plan = directory.plan(THREADS, &())?;
    let clock = ManualClock::new(Duration::from_secs(1_700_000_000));
    let name = ArchiveName::unlisted("tree.tar")?;
    create(fs, &clock, Path::new(DIR), &name, &plan, &directory, progress).map_err(|error| directory.explain(error))
}

#[test]
fn a_tree_comes_back_with_executables_and_empty_directories() {
    let fs = tree();
    let created = archive(&fs, &()).unwrap();
    let reader = Reader::open(&fs, &created.path).unwrap();
    assert!(verify(&fs, &reader, &()).unwrap().is_sound());
    let paths: Vec<&str> = reader.manifest().iter().map(|member| member.path).collect();
    assert_eq!(paths, ["bin/tool", "bin.d/x", "gr\u{fc}n/\u{4e2d}", "plain"]);
    let subject = DirectorySubject::of(reader.manifest()).unwrap().unwrap();
    assert_eq!(
        (subject.executables.as_slice(), subject.directories.as_slice()),
        (["bin/tool".into()].as_slice(), ["empty/deeper".into()].as_slice())
    );

    fs.create_dir(Path::new("/out")).unwrap();
    let unpacked = unpack_directory(&reader, &subject, &fs, Path::new("/out"), THREADS, &()).unwrap();
    assert_eq!(unpacked.files, 4);
    assert_eq!(names(&fs, "/out"), names(&fs, TREE));
    for path in &paths {
        assert!(get(&fs, &Path::new("/out").join(path)) == get(&fs, &Path::new(TREE).join(path)), "{path}");
    }
    assert!(names(&fs, "/out/empty/deeper").is_empty());
    let mode = |path: &str| fs.metadata(Path::new(path)).unwrap().mode;
    assert_eq!(mode("/out/bin/tool") & 0o111, (mode("/out/bin/tool") & 0o444) >> 2, "whoever may read it may execute it");
    assert_ne!(mode("/out/bin/tool") & 0o100, 0);
    assert_eq!(mode("/out/plain") & 0o111, 0);

    let again = Directory::scan(Arc::new(fs.clone()), Path::new("/out")).unwrap().plan(THREADS, &()).unwrap();
    assert_eq!(again.manifest_sha256(), created.manifest_sha256, "equal trees make equal archives");
}

#[test]
fn an_empty_directory_is_an_archive_without_members() {
    let fs = store();
    fs.create_dir(Path::new(TREE)).unwrap();
    let created = archive(&fs, &()).unwrap();
    let reader = Reader::open(&fs, &created.path).unwrap();
    let subject = DirectorySubject::of(reader.manifest()).unwrap().unwrap();
    assert_eq!((reader.manifest().len(), subject), (0, DirectorySubject::default()));
}

#[test]
fn links_special_files_and_impossible_names_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let scan = || Directory::scan(Arc::new(OsFs), dir.path());
    type Make = fn(&Path);
    let cases: [(&str, Make); 5] = [
        ("a symbolic link", |path| std::os::unix::fs::symlink("target", path).unwrap()),
        ("a special file", |path| drop(std::os::unix::net::UnixListener::bind(path).unwrap())),
        ("a\\b", |path| std::fs::write(path.with_file_name("a\\b"), b"").unwrap()),
        ("a\nb", |path| std::fs::create_dir(path.with_file_name("a\nb")).unwrap()),
        ("icecore", |path| std::fs::create_dir(path.with_file_name("icecore")).unwrap()),
    ];
    for (what, make) in cases {
        make(&dir.path().join("it"));
        let error = scan().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("{what:?}")) || text.contains(what) && text.contains("/it"), "{text}");
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let path = entry.unwrap().path();
            std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(&path)).unwrap();
        }
    }
    std::fs::write(dir.path().join("file"), b"").unwrap();
    assert!(matches!(Directory::scan(Arc::new(OsFs), &dir.path().join("file")), Err(Error::NotArchivable { .. })));
}

/// What somebody does to a file while its directory is archived.
type Change = fn(&MemFs, &Path);

const CHANGES: [(&str, Change); 4] = [
    ("gone", |fs, path| fs.remove_file(path).unwrap()),
    ("length", |fs, path| append(&fs.open_write(path).unwrap())),
    ("length", |fs, path| fs.open_write(path).unwrap().set_len(3).unwrap()),
    ("replaced", |fs, path| {
        let contents = get(fs, path);
        let other = path.with_file_name("other");
        put(fs, other.to_str().unwrap(), &contents);
        fs.rename(&other, path).unwrap();
    }),
];

fn append(file: &Arc<dyn File>) {
    file.write_all_at(b"more", file.len().unwrap()).unwrap();
}

/// Makes a change when the copy is under way: the first file has been read, the last one not to its end.
struct During<'a> {
    fs: &'a MemFs,
    path: &'a str,
    change: Change,
    done: AtomicBool,
}

impl Progress for During<'_> {
    fn start(&self, _total: u64) {}

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        if !self.done.swap(true, Ordering::Relaxed) {
            (self.change)(self.fs, Path::new(self.path));
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_change_between_scan_and_digests_is_noticed() {
    for (what, change) in CHANGES {
        let fs = tree();
        let directory = Directory::scan(Arc::new(fs.clone()), Path::new(TREE)).unwrap();
        change(&fs, Path::new("/tree/plain"));
        let error = directory.plan(THREADS, &()).unwrap_err();
        assert!(matches!(error, Error::Changed { .. }) && error.to_string().contains("plain"), "{what}: {error}");
    }
}

#[test]
fn a_change_during_the_copy_is_noticed_before_and_behind_the_file() {
    for path in ["/tree/bin/tool", "/tree/plain"] {
        for (what, change) in CHANGES {
            let fs = tree();
            let during = During { fs: &fs, path, change, done: AtomicBool::new(false) };
            let error = archive(&fs, &during).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::Changed { .. }) && text.contains(path) && text.contains(what), "{what}: {text}");
            assert!(names(&fs, DIR).is_empty(), "nothing is published, and nothing is left");
        }
    }
}

#[test]
fn bytes_that_differ_although_nobody_wrote_are_damage() {
    let fs = tree();
    let directory = Directory::scan(Arc::new(fs.clone()), Path::new(TREE)).unwrap();
    let plan = directory.plan(THREADS, &()).unwrap();
    let source = |index: usize| {
        let other = if index == 0 { "/tree/gr\u{fc}n/\u{4e2d}" } else { "/tree/plain" };
        fs.open_read(Path::new(other))
    };
    let clock = ManualClock::new(Duration::ZERO);
    let name = ArchiveName::unlisted("a").unwrap();
    let error = create(&fs, &clock, Path::new(DIR), &name, &plan, &source, &()).unwrap_err();
    assert!(matches!(directory.explain(error), Error::Corrupt { member, .. } if member == "bin/tool"));
}

#[test]
fn an_archive_that_names_a_way_out_writes_nothing() {
    let fs = tree();
    let created = archive(&fs, &()).unwrap();
    let reader = Reader::open(&fs, &created.path).unwrap();
    fs.create_dir(Path::new("/out")).unwrap();
    // A subject that passed no check: the unpacking fails by itself and takes back what it made.
    for directories in [vec!["plain".to_owned()], vec!["plain/x".to_owned()]] {
        let subject = DirectorySubject { executables: Vec::new(), directories };
        assert!(unpack_directory(&reader, &subject, &fs, Path::new("/out"), THREADS, &()).is_err());
        assert!(names(&fs, "/out").is_empty(), "{:?}", names(&fs, "/out"));
    }
}
