//! One suite for every implementation: what `Fs` and `File` promise, and what they refuse.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{FaultFs, File, FileKind, Fs, MemFs, OsFs, RecordingFs, read_file};

/// Runs `check` on an empty directory of every implementation.
fn on_all(check: impl Fn(&dyn Fs, &Path)) {
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

fn put(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.create_new(path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn get(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    read_file(fs, path, 1 << 20).unwrap()
}

fn names(fs: &dyn Fs, dir: &Path) -> Vec<String> {
    fs.list(dir).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
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
fn a_file_opened_for_reading_cannot_be_written() {
    on_all(|fs, dir| {
        put(fs, &dir.join("a"), b"one");
        let file = fs.open_read(&dir.join("a")).unwrap();

        assert!(file.write_at(b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert_eq!(get(fs, &dir.join("a")), b"one");
    });
}

#[test]
fn reads_and_writes_are_at_explicit_positions() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"hello");
        file.write_all_at(b"w", 8).unwrap();
        assert_eq!(get(fs, &dir.join("a")), b"hello\0\0\0w");

        let mut buf = [0; 4];
        assert_eq!(file.read_at(&mut buf, 7).unwrap(), 2);
        assert_eq!(&buf[..2], b"\0w");
        assert_eq!(file.read_at(&mut buf, 9).unwrap(), 0);
        assert_eq!(file.read_at(&mut buf, 1000).unwrap(), 0);
        assert_eq!(kind(file.read_exact_at(&mut buf, 7)), ErrorKind::UnexpectedEof);

        file.set_len(2).unwrap();
        file.set_len(4).unwrap();
        assert_eq!(get(fs, &dir.join("a")), b"he\0\0");
        assert_eq!(file.len().unwrap(), 4);
        assert!(!file.is_empty().unwrap());
        file.sync_data().unwrap();
        file.start_writeback(0, 4).unwrap();
    });
}

#[test]
fn an_empty_write_changes_nothing() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"");
        assert_eq!(file.write_at(b"", 100).unwrap(), 0);
        assert_eq!(file.len().unwrap(), 0);
        assert!(file.is_empty().unwrap());
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

        assert_eq!(
            kind(fs.rename(&dir.join("d"), &dir.join("full"))),
            ErrorKind::DirectoryNotEmpty
        );
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

        assert_eq!(
            kind(fs.rename_noreplace(&dir.join("a"), &dir.join("b"))),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            kind(fs.rename_noreplace(&dir.join("a"), &dir.join("d"))),
            ErrorKind::AlreadyExists
        );
        assert_eq!(
            kind(fs.rename_noreplace(&dir.join("d"), &dir.join("e"))),
            ErrorKind::AlreadyExists
        );
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

        file.write_all_at(b"O", 0).unwrap();
        fs.remove_file(&dir.join("a")).unwrap();
        assert_eq!(get(fs, &dir.join("c")), b"One");
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
fn an_open_file_outlives_its_name() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"one");
        fs.rename(&dir.join("a"), &dir.join("b")).unwrap();
        file.write_all_at(b"two", 3).unwrap();
        assert_eq!(get(fs, &dir.join("b")), b"onetwo");

        let reader = fs.open_read(&dir.join("b")).unwrap();
        let mapping = reader.map().unwrap();
        fs.remove_file(&dir.join("b")).unwrap();
        put(fs, &dir.join("b"), b"other");

        let mut buf = [0; 6];
        reader.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(&buf, b"onetwo");
        drop(reader);
        assert_eq!(&mapping[..], b"onetwo");
        file.write_all_at(b"!", 6).unwrap();
        assert_eq!(get(fs, &dir.join("b")), b"other");
    });
}

#[test]
fn a_lock_excludes_every_other_one_until_it_is_dropped() {
    on_all(|fs, dir| {
        let path = dir.join("LOCK");
        let lock = fs.lock(&path).unwrap();
        assert_eq!(kind(fs.lock(&path)), ErrorKind::WouldBlock);
        assert_eq!(kind(fs.open_write(&path).unwrap().try_lock()), ErrorKind::WouldBlock);

        drop(lock);
        assert_eq!(fs.metadata(&path).unwrap().kind, FileKind::File);
        let again = fs.lock(&path).unwrap();
        drop(again);
    });
}

#[test]
fn a_locked_handle_stays_locked_until_its_last_reference_goes() {
    on_all(|fs, dir| {
        let first = put(fs, &dir.join("a"), b"");
        let second = fs.open_write(&dir.join("a")).unwrap();
        first.try_lock().unwrap();
        first.try_lock().unwrap();
        let reference = Arc::clone(&first);
        drop(first);
        assert_eq!(kind(second.try_lock()), ErrorKind::WouldBlock);

        drop(reference);
        second.try_lock().unwrap();
    });
}

#[test]
fn a_mapping_equals_what_is_read() {
    on_all(|fs, dir| {
        put(fs, &dir.join("empty"), b"");
        let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        put(fs, &dir.join("full"), &bytes);

        assert!(fs.open_read(&dir.join("empty")).unwrap().map().unwrap().is_empty());
        assert_eq!(&fs.open_read(&dir.join("full")).unwrap().map().unwrap()[..], &bytes[..]);
    });
}

/// Whether an optional operation worked; anything but "cannot" is a failure of the test.
fn worked<T>(result: std::io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::CrossesDevices) => None,
        Err(error) => panic!("expected success or Unsupported: {error}"),
    }
}

#[test]
fn allocate_keeps_length_and_contents() {
    on_all(|fs, dir| {
        let file = put(fs, &dir.join("a"), b"one");
        worked(file.allocate(0, 1 << 16));
        file.allocate(0, 0).unwrap();
        assert_eq!(get(fs, &dir.join("a")), b"one");
    });
}

#[test]
fn a_clone_is_independent_of_its_source() {
    on_all(|fs, dir| {
        let source = put(fs, &dir.join("a"), &[7; 8192]);
        let target = put(fs, &dir.join("b"), b"");
        if worked(target.clone_range(&*source, 0, 0, 8192)).is_some() {
            source.write_all_at(b"changed", 0).unwrap();
            assert_eq!(get(fs, &dir.join("b")), [7; 8192]);
        } else {
            assert!(target.is_empty().unwrap());
        }
    });
}

#[test]
fn copy_range_copies_at_most_what_there_is() {
    on_all(|fs, dir| {
        let source = put(fs, &dir.join("a"), b"0123456789");
        let target = put(fs, &dir.join("b"), b"abcdef");
        if let Some(copied) = worked(target.copy_range(&*source, 4, 2, 3)) {
            assert_eq!(copied, 3);
            assert_eq!(get(fs, &dir.join("b")), b"ab456f");
            assert_eq!(target.copy_range(&*source, 8, 0, 100).unwrap(), 2);
            assert_eq!(get(fs, &dir.join("b")), b"89456f");
            assert_eq!(target.copy_range(&*source, 10, 0, 100).unwrap(), 0);
            assert_eq!(target.copy_range(&*source, 1000, 0, 100).unwrap(), 0);
        }
    });
}

#[test]
fn free_space_is_told_of_what_exists() {
    on_all(|fs, dir| {
        assert!(fs.free_space(dir).unwrap() > 0);
        assert_eq!(kind(fs.free_space(&dir.join("missing"))), ErrorKind::NotFound);
    });
}

#[test]
fn a_full_disk_is_short_and_then_fails() {
    let fs = MemFs::new();
    let file = fs.create_new(Path::new("a")).unwrap();
    fs.set_free_space(5);

    assert_eq!(file.write_at(b"123", 0).unwrap(), 3);
    assert_eq!(file.write_at(b"4567", 3).unwrap(), 2);
    assert_eq!(kind(file.write_at(b"6", 5)), ErrorKind::StorageFull);
    assert_eq!(kind(file.set_len(6)), ErrorKind::StorageFull);
    assert_eq!(kind(file.allocate(0, 6)), ErrorKind::StorageFull);
    assert_eq!(file.write_at(b"over", 0).unwrap(), 4);
    assert_eq!(get(&fs, Path::new("a")), b"over5");

    file.set_len(1).unwrap();
    assert_eq!(fs.free_space(Path::new("/")).unwrap(), 4);
    file.allocate(0, 5).unwrap();
    assert_eq!(fs.free_space(Path::new("/")).unwrap(), 0);
    drop(file);
    fs.remove_file(Path::new("a")).unwrap();
    assert_eq!(fs.free_space(Path::new("/")).unwrap(), 5);
}

#[test]
fn a_fork_is_independent_and_keeps_inodes() {
    let fs = MemFs::new();
    let file = put(&fs, Path::new("/a"), b"one");
    fs.link(Path::new("/a"), Path::new("/b")).unwrap();
    fs.set_mode(Path::new("/a"), 0o600).unwrap();
    let fork = fs.fork();
    file.write_all_at(b"two", 0).unwrap();
    fs.remove_file(Path::new("/b")).unwrap();

    assert_eq!(get(&fork, Path::new("/b")), b"one");
    assert_eq!(fork.metadata(Path::new("/a")).unwrap().mode, 0o600);
    for name in ["/a", "/b"] {
        assert_eq!(
            fork.metadata(Path::new(name)).unwrap().inode,
            fs.metadata(Path::new("/a")).unwrap().inode
        );
    }
    put(&fork, Path::new("/c"), b"");
    assert_eq!(names(&fs, Path::new("/")), ["a"]);
}
