//! What only the file system in memory can do: a disk of a given size, and forks.

use std::io::ErrorKind;
use std::path::Path;

use icecore_io::{Fs, MemFs};

use crate::conformance::{get, kind, names, put};

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
        assert_eq!(fork.metadata(Path::new(name)).unwrap().inode, fs.metadata(Path::new("/a")).unwrap().inode);
    }
    let links = |fs: &MemFs| fs.metadata(Path::new("/a")).unwrap().links;
    assert_eq!((links(&fork), links(&fs)), (2, 1));
    put(&fork, Path::new("/c"), b"");
    assert_eq!(names(&fs, Path::new("/")), ["a"]);
}
