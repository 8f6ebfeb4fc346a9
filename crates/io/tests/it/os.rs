//! What only a real file system can show: symbolic links, pipes and names that are not UTF-8.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use icecore_io::{FileKind, Fs, OsFs};

#[test]
fn a_symbolic_link_is_never_followed_to_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("target"), dir.path().join("link"));
    fs::write(&target, b"secret").unwrap();
    symlink(&target, &link).unwrap();
    let os = OsFs::new();

    assert!(os.open_read(&link).is_err());
    assert!(os.open_write(&link).is_err());
    assert!(os.lock(&link).is_err());
    assert!(os.set_mode(&link, 0o600).is_err());
    assert_eq!(os.create_new(&link).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(os.metadata(&link).unwrap().kind, FileKind::Symlink);

    os.remove_file(&link).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"secret");
}

#[test]
fn a_dangling_link_is_not_created_through() {
    let dir = tempfile::tempdir().unwrap();
    let (target, link) = (dir.path().join("outside"), dir.path().join("link"));
    symlink(&target, &link).unwrap();

    assert!(OsFs::new().lock(&link).is_err());
    assert!(OsFs::new().create_new(&link).is_err());
    assert!(!target.exists());
}

/// Hides `OsFs::remove_dir_all`, so that the trait's own one is tested on a disk too.
#[derive(Debug)]
struct Provided(OsFs);

macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        impl Fs for Provided {
            $(fn $name(&self, $($argument: $type),*) -> std::io::Result<$result> {
                self.0.$name($($argument),*)
            })*
        }
    };
}

forward! {
    open_read(path: &std::path::Path) -> std::sync::Arc<dyn icecore_io::File>;
    open_write(path: &std::path::Path) -> std::sync::Arc<dyn icecore_io::File>;
    create_new(path: &std::path::Path) -> std::sync::Arc<dyn icecore_io::File>;
    metadata(path: &std::path::Path) -> icecore_io::Metadata;
    create_dir(path: &std::path::Path) -> ();
    list(dir: &std::path::Path) -> Vec<icecore_io::DirEntry>;
    rename(from: &std::path::Path, to: &std::path::Path) -> ();
    rename_noreplace(from: &std::path::Path, to: &std::path::Path) -> ();
    link(from: &std::path::Path, to: &std::path::Path) -> ();
    remove_file(path: &std::path::Path) -> ();
    remove_dir(path: &std::path::Path) -> ();
    sync_dir(dir: &std::path::Path) -> ();
    set_mode(path: &std::path::Path, mode: u32) -> ();
    lock(path: &std::path::Path) -> Box<dyn icecore_io::Lock>;
    free_space(path: &std::path::Path) -> u64;
}

#[test]
fn remove_dir_all_removes_links_and_leaves_what_they_point_to() {
    let implementations: [Box<dyn Fs>; 2] = [Box::new(OsFs::new()), Box::new(Provided(OsFs::new()))];
    for os in implementations {
        let dir = tempfile::tempdir().unwrap();
        let (outside, inside) = (dir.path().join("outside"), dir.path().join("inside"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), b"kept").unwrap();
        fs::create_dir(&inside).unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        symlink(&outside, dir.path().join("top")).unwrap();

        os.remove_dir_all(&inside).unwrap();
        os.remove_dir_all(&dir.path().join("top")).unwrap();

        assert!(!inside.exists());
        assert_eq!(os.metadata(&dir.path().join("top")).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(fs::read(outside.join("kept")).unwrap(), b"kept");
    }
}

#[test]
fn a_pipe_is_refused_rather_than_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();

    assert_eq!(OsFs::new().open_read(&pipe).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(OsFs::new().metadata(&pipe).unwrap().kind, FileKind::Other);
}

#[test]
fn a_name_that_is_not_utf8_is_an_error_of_the_list() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(OsStr::from_bytes(b"\xff")), b"").unwrap();

    assert_eq!(OsFs::new().list(dir.path()).unwrap_err().kind(), ErrorKind::InvalidData);
}

#[test]
fn new_files_are_not_writable_by_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    OsFs::new().create_new(&path).unwrap();

    assert_eq!(OsFs::new().metadata(&path).unwrap().mode & !0o644, 0);
}
