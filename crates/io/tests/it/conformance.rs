//! One suite for every implementation: what `Fs` and `File` promise, and what they refuse.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{FaultFs, File, FileKind, Fs, MemFs, OsFs, RecordingFs, read_file};

/// Runs `check` on an empty directory of every implementation.
pub(super) fn on_all(check: impl Fn(&dyn Fs, &Path)) {
    let disk = tempfile::tempdir().unwrap();
    check(&OsFs::new(), disk.path());

    let root = PathBuf::from("/data");
    let memory = MemFs::new();
    memory.create_dir(&root).unwrap();
    check(&memory, &root);

    let recording = RecordingFs::new(Arc::new(MemFs::new()));
    recording.create_dir(&root).unwrap();
    check(&recording, &root);

    let faulty = FaultFs::new(Arc::new(MemFs::new()));
    faulty.create_dir(&root).unwrap();
    check(&faulty, &root);
}

pub(super) fn put(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.create_new(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

pub(super) fn get(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    read_file(fs, path, 1 << 20).unwrap()
}

pub(super) fn names(fs: &dyn Fs, dir: &Path) -> Vec<String> {
    fs.list(dir).unwrap().into_iter().map(|entry| entry.name).collect()
}

pub(super) fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("the call was expected to fail"),
        Err(error) => error.kind(),
    }
}

#[test]
fn create_new_refuses_what_exists() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"one");
        fs.create_dir(&dir.join("d")).unwrap();

        assert_eq!(kind(fs.create_new(&dir.join("a"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.create_new(&dir.join("d"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.create_new(&dir.join("missing/a"))), ErrorKind::NotFound);
        assert_eq!(kind(fs.create_new(&dir.join("a/b"))), ErrorKind::NotADirectory);
        assert_eq!(get(fs, &dir.join("a")), b"one");
    });
}

#[test]
fn open_wants_an_existing_file() {
    on_all(|fs, dir| {
        fs.create_dir(&dir.join("d")).unwrap();

        assert_eq!(kind(fs.open_read(&dir.join("a"))), ErrorKind::NotFound);
        assert_eq!(kind(fs.open_write(&dir.join("a"))), ErrorKind::NotFound);
        assert_eq!(kind(fs.open_read(&dir.join("d"))), ErrorKind::IsADirectory);
        assert_eq!(kind(fs.open_write(&dir.join("d"))), ErrorKind::IsADirectory);
        assert!(!fs.exists(&dir.join("a")).unwrap());
    });
}

#[test]
fn read_file_refuses_more_than_it_is_allowed() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"12345");
        assert_eq!(read_file(fs, &dir.join("a"), 5).unwrap(), b"12345");
        assert_eq!(kind(read_file(fs, &dir.join("a"), 4)), ErrorKind::InvalidData);
    });
}

#[test]
fn rename_replaces_a_file() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"new");
        put(fs, &dir.join("b"), b"old");
        fs.rename(&dir.join("a"), &dir.join("b")).unwrap();

        assert_eq!(get(fs, &dir.join("b")), b"new");
        assert_eq!(names(fs, dir), ["b"]);
        assert_eq!(kind(fs.rename(&dir.join("a"), &dir.join("c"))), ErrorKind::NotFound);
    });
}

#[test]
fn rename_moves_a_directory_with_its_contents() {
    on_all(|fs, dir| {
        fs.create_dir_all(&dir.join("d/e")).unwrap();
        put(fs, &dir.join("d/e/a"), b"one");
        fs.create_dir(&dir.join("full")).unwrap();
        put(fs, &dir.join("full/b"), b"two");
        put(fs, &dir.join("file"), b"");

        assert_eq!(kind(fs.rename(&dir.join("d"), &dir.join("full"))), ErrorKind::DirectoryNotEmpty);
        assert_eq!(kind(fs.rename(&dir.join("d"), &dir.join("file"))), ErrorKind::NotADirectory);
        assert_eq!(kind(fs.rename(&dir.join("file"), &dir.join("d"))), ErrorKind::IsADirectory);
        assert_eq!(kind(fs.rename(&dir.join("d"), &dir.join("d/e/f"))), ErrorKind::InvalidInput);
        fs.rename(&dir.join("d"), &dir.join("moved")).unwrap();

        assert_eq!(get(fs, &dir.join("moved/e/a")), b"one");
        assert_eq!(names(fs, dir), ["file", "full", "moved"]);
    });
}

#[test]
fn rename_onto_another_name_of_the_same_file_keeps_both() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"one");
        fs.link(&dir.join("a"), &dir.join("b")).unwrap();
        fs.rename(&dir.join("a"), &dir.join("b")).unwrap();
        fs.rename(&dir.join("a"), &dir.join("a")).unwrap();

        assert_eq!(names(fs, dir), ["a", "b"]);
    });
}

#[test]
fn rename_noreplace_never_replaces() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"new");
        put(fs, &dir.join("b"), b"old");
        fs.create_dir(&dir.join("d")).unwrap();
        fs.create_dir(&dir.join("e")).unwrap();

        assert_eq!(kind(fs.rename_noreplace(&dir.join("a"), &dir.join("b"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.rename_noreplace(&dir.join("a"), &dir.join("d"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.rename_noreplace(&dir.join("d"), &dir.join("e"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.rename_noreplace(&dir.join("x"), &dir.join("y"))), ErrorKind::NotFound);
        assert_eq!(get(fs, &dir.join("a")), b"new");
        assert_eq!(get(fs, &dir.join("b")), b"old");

        fs.rename_noreplace(&dir.join("a"), &dir.join("c")).unwrap();
        fs.rename_noreplace(&dir.join("d"), &dir.join("f")).unwrap();
        assert_eq!(names(fs, dir), ["b", "c", "e", "f"]);
    });
}

#[test]
fn a_link_is_the_same_file_and_never_replaces() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"one");
        put(fs, &dir.join("b"), b"two");
        assert_eq!(kind(fs.link(&dir.join("a"), &dir.join("b"))), ErrorKind::AlreadyExists);
        assert_eq!(get(fs, &dir.join("b")), b"two");

        fs.link(&dir.join("a"), &dir.join("c")).unwrap();
        let inode = |name: &str| fs.metadata(&dir.join(name)).unwrap().inode;
        assert_eq!(inode("a"), inode("c"));
        assert_ne!(inode("a"), inode("b"));
        let links = |name: &str| fs.metadata(&dir.join(name)).unwrap().links;
        assert_eq!((links("a"), links("b"), links("c")), (2, 1, 2));

        file.write_all_at(b"O", 0).unwrap();
        fs.remove_file(&dir.join("a")).unwrap();
        assert_eq!((get(fs, &dir.join("c")), links("c")), (b"One".to_vec(), 1));
        fs.link(&dir.join("c"), &dir.join("a")).unwrap();
        fs.rename(&dir.join("b"), &dir.join("a")).unwrap();
        fs.rename(&dir.join("c"), &dir.join("d")).unwrap();
        assert_eq!((links("a"), links("d")), (1, 1), "a rename takes the name of what it replaces");
    });
}

#[test]
fn a_directory_cannot_be_linked() {
    on_all(|fs, dir| {
        fs.create_dir(&dir.join("d")).unwrap();
        assert_eq!(kind(fs.link(&dir.join("d"), &dir.join("e"))), ErrorKind::PermissionDenied);
    });
}

#[test]
fn metadata_tells_files_from_directories() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"12345");
        let file = fs.metadata(&dir.join("a")).unwrap();

        assert_eq!((file.kind, file.len), (FileKind::File, 5));
        assert_eq!(fs.metadata(dir).unwrap().kind, FileKind::Dir);
        assert_eq!(kind(fs.metadata(&dir.join("b"))), ErrorKind::NotFound);
        assert_eq!(kind(fs.metadata(&dir.join("a/b"))), ErrorKind::NotADirectory);
    });
}

#[test]
fn set_mode_sets_the_permission_bits() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"");
        fs.set_mode(&dir.join("a"), 0o600).unwrap();
        assert_eq!(fs.metadata(&dir.join("a")).unwrap().mode, 0o600);
        assert_eq!(kind(fs.set_mode(&dir.join("b"), 0o600)), ErrorKind::NotFound);
    });
}

#[test]
fn a_list_is_sorted_and_has_whole_paths() {
    on_all(|fs, dir| {
        for name in ["b", "a", "c", "a.tmp", "B"] {
            put(fs, &dir.join(name), b"");
        }
        assert_eq!(names(fs, dir), ["B", "a", "a.tmp", "b", "c"]);
        assert!(fs.list(dir).unwrap().iter().all(|entry| entry.path == dir.join(&entry.name)));
        assert_eq!(kind(fs.list(&dir.join("missing"))), ErrorKind::NotFound);
        assert_eq!(kind(fs.list(&dir.join("a"))), ErrorKind::NotADirectory);
    });
}

#[test]
fn create_dir_refuses_what_exists_and_create_dir_all_does_not() {
    on_all(|fs, dir| {
        fs.create_dir(&dir.join("d")).unwrap();
        put(fs, &dir.join("a"), b"");
        assert_eq!(kind(fs.create_dir(&dir.join("d"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.create_dir(&dir.join("x/y"))), ErrorKind::NotFound);

        fs.create_dir_all(&dir.join("d/e/f")).unwrap();
        fs.create_dir_all(&dir.join("d/e/f")).unwrap();
        assert_eq!(names(fs, &dir.join("d/e")), ["f"]);
        assert_eq!(kind(fs.create_dir_all(&dir.join("a"))), ErrorKind::AlreadyExists);
        assert_eq!(kind(fs.create_dir_all(&dir.join("a/b"))), ErrorKind::NotADirectory);
    });
}

#[test]
fn removing_wants_the_right_kind() {
    on_all(|fs, dir| {
        fs.create_dir_all(&dir.join("d/e")).unwrap();
        put(fs, &dir.join("a"), b"");

        assert_eq!(kind(fs.remove_dir(&dir.join("d"))), ErrorKind::DirectoryNotEmpty);
        assert_eq!(kind(fs.remove_dir(&dir.join("a"))), ErrorKind::NotADirectory);
        assert_eq!(kind(fs.remove_file(&dir.join("d"))), ErrorKind::IsADirectory);
        assert_eq!(kind(fs.remove_file(&dir.join("b"))), ErrorKind::NotFound);
        assert_eq!(kind(fs.remove_dir(&dir.join("b"))), ErrorKind::NotFound);
        assert_eq!(names(fs, dir), ["a", "d"]);

        fs.remove_dir(&dir.join("d/e")).unwrap();
        fs.remove_dir(&dir.join("d")).unwrap();
        fs.remove_file(&dir.join("a")).unwrap();
        assert!(names(fs, dir).is_empty());
        fs.sync_dir(dir).unwrap();
    });
}

#[test]
fn remove_dir_all_takes_everything_below_and_nothing_else() {
    on_all(|fs, dir| {
        fs.create_dir_all(&dir.join("d/e/f")).unwrap();
        put(fs, &dir.join("d/a"), b"");
        put(fs, &dir.join("d/e/b"), b"");
        put(fs, &dir.join("kept"), b"");

        fs.remove_dir_all(&dir.join("d")).unwrap();
        fs.remove_dir_all(&dir.join("d")).unwrap();
        assert_eq!(names(fs, dir), ["kept"]);
        assert_eq!(kind(fs.remove_dir_all(&dir.join("kept"))), ErrorKind::NotADirectory);
        assert_eq!(names(fs, dir), ["kept"]);
    });
}

#[test]
fn free_space_is_told_of_what_exists() {
    on_all(|fs, dir| {
        assert!(fs.free_space(dir).unwrap() > 0);
        assert_eq!(kind(fs.free_space(&dir.join("missing"))), ErrorKind::NotFound);
    });
}
