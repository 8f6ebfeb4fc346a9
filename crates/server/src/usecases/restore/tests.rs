//! Restores on a storage in memory: what comes back, and that a refusal changes nothing.

use std::path::Path;

use icecore_io::MemFs;
use icecore_storage::{AliasAction, Scope};

use super::at_start::Restored;
use super::{Request, RestoreError, restore};
use crate::app::App;
use crate::error::{AppError, Kind, Result};
use crate::stores::ArchiveInfo;
use crate::testing::{app, archive, files, fill, label};
use crate::usecases::create::{Options, create};

/// Restores what `change` asks for.
fn run(app: &App, change: impl FnOnce(&mut Request)) -> Result<Restored> {
    let mut request = Request::default();
    change(&mut request);
    restore(app.fs.as_ref(), &app.storage, &app.config.storage.storage_path, &request, &())
}

/// As [`run`], for what has to be refused without a change of the disk.
fn refused(app: &App, change: impl FnOnce(&mut Request)) -> AppError {
    let before = files(app.fs.as_ref(), Path::new("storage"));
    let error = run(app, change).unwrap_err();
    assert_eq!(files(app.fs.as_ref(), Path::new("storage")), before, "{error}");
    error
}

fn collection(name: &str) -> Scope {
    Scope::Collection(name.to_owned())
}

fn alias(app: &App, alias: &str, collection: &str) {
    let action = AliasAction::Create { collection: collection.to_owned(), alias: alias.to_owned() };
    app.storage.update_aliases(&[action]).unwrap();
}

fn flip(fs: &MemFs, path: &Path, offset: u64) {
    use icecore_io::Fs;
    fs.set_mode(path, 0o644).unwrap();
    let file = fs.open_write(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

#[test]
fn one_archive_becomes_several_collections() {
    let fs = MemFs::new();
    let app = app(&fs);
    fill(&app, "a", 3, "one");
    app.storage.flush().unwrap();
    let path = archive(&app, collection("a"));
    let restored = run(&app, |request| {
        request.collections = vec![(path.clone(), "c".to_owned()), (path.clone(), "b".to_owned())];
    });
    let restored = restored.unwrap();
    assert_eq!((restored.collections, restored.aliases), (vec!["b".to_owned(), "c".to_owned()], 0));
    assert_eq!([label(&app, "a"), label(&app, "b"), label(&app, "c")], ["one", "one", "one"]);
    assert!(restored.bytes > 0);
}

#[test]
fn a_storage_archive_brings_its_aliases_and_leaves_the_rest() {
    let (from, to) = (MemFs::new(), MemFs::new());
    let old = app(&from);
    fill(&old, "a", 1, "old");
    fill(&old, "b", 2, "old");
    alias(&old, "alias", "b");
    let path = archive(&old, Scope::Storage);
    drop(old);

    let new = app(&to);
    fill(&new, "a", 1, "new");
    fill(&new, "other", 1, "new");
    copy(&from, &to, &path);
    let error = refused(&new, |request| request.storage = Some(path.clone()));
    assert_eq!(error.to_string(), "Collection `a` already exists; use --force-snapshot to replace it");
    assert_eq!((error.kind(), label(&new, "a")), (Kind::Conflict, "new".to_owned()));

    let one = run(&new, |request| request.collections = vec![(path.clone(), "b".to_owned())]).unwrap();
    assert_eq!((one.collections, one.aliases), (vec!["b".to_owned()], 0));
    run(&new, |request| {
        request.storage = Some(path.clone());
        request.force = true;
    })
    .unwrap();
    assert_eq!([label(&new, "a"), label(&new, "b"), label(&new, "alias"), label(&new, "other")], ["old", "old", "old", "new"]);
}

fn copy(from: &MemFs, to: &MemFs, path: &Path) {
    use icecore_io::Fs;
    let bytes = icecore_io::read_file(from, path, u64::MAX).unwrap();
    to.create_dir_all(path.parent().unwrap()).unwrap();
    to.create_new(path).unwrap().write_all_at(&bytes, 0).unwrap();
}

#[test]
fn what_collides_is_refused_with_the_way_out() {
    let fs = MemFs::new();
    let app = app(&fs);
    fill(&app, "a", 2, "one");
    fill(&app, "b", 1, "one");
    alias(&app, "alias", "a");
    let path = archive(&app, collection("a"));
    let all = archive(&app, Scope::Storage);
    let to = |name: &str| (path.clone(), name.to_owned());

    let error = refused(&app, |request| request.collections = vec![to("new"), to("a")]);
    assert_eq!(error.to_string(), "Collection `a` already exists; use --force-snapshot to replace it");
    let twice = refused(&app, |request| request.collections = vec![to("new"), to("new")]);
    assert!(matches!(twice, AppError::Restore(RestoreError::NamedTwice { .. })), "{twice}");
    let both = refused(&app, |request| {
        request.collections = vec![to("a")];
        request.storage = Some(all.clone());
        request.force = true;
    });
    assert!(matches!(both, AppError::Restore(RestoreError::NamedTwice { .. })), "{both}");
    for force in [false, true] {
        let shadow = refused(&app, |request| {
            request.collections = vec![to("alias")];
            request.force = force;
        });
        assert!(matches!(&shadow, AppError::Restore(RestoreError::NameIsAlias { .. })), "{shadow}");
    }
}

#[test]
fn archives_of_the_wrong_kind_are_told_apart() {
    let fs = MemFs::new();
    let app = app(&fs);
    fill(&app, "a", 2, "one");
    fill(&app, "b", 1, "one");
    let one = archive(&app, collection("a"));
    let all = archive(&app, Scope::Storage);
    let shard = archive(&app, Scope::Shard { collection: "a".to_owned(), shard: 1 });
    for wrong in [&one, &shard] {
        let error = refused(&app, |request| request.storage = Some(wrong.clone()));
        assert!(matches!(&error, AppError::Restore(RestoreError::WrongKind { .. })), "{error}");
    }
    let error = refused(&app, |request| request.collections = vec![(shard.clone(), "new".to_owned())]);
    assert!(error.to_string().contains("is a snapshot of a shard"), "{error}");
    let error = refused(&app, |request| request.collections = vec![(all.clone(), "new".to_owned())]);
    assert!(error.to_string().ends_with("it has: a, b"), "{error}");
    let error = refused(&app, |request| request.storage = Some("none".into()));
    assert_eq!(error.kind(), Kind::NotFound);
}

#[test]
fn one_damaged_archive_keeps_all_from_being_restored() {
    let fs = MemFs::new();
    let app = app(&fs);
    fill(&app, "a", 1, "one");
    let sound = archive(&app, collection("a"));
    let damaged = archive(&app, collection("a"));
    // The last byte of the last member's data, which is not padded to the end of its block only by chance.
    let reader = icecore_archive::Reader::open(&fs, &damaged).unwrap();
    let last = reader.manifest().len() - 1;
    let offset = reader.plan().data_offset(last).unwrap() + reader.manifest().get(last).unwrap().len - 1;
    drop(reader);
    let mut checksum = damaged.clone().into_os_string();
    checksum.push(".checksum");
    flip(&fs, &damaged, offset);
    let request = |request: &mut Request| {
        request.collections = vec![(sound.clone(), "b".to_owned()), (damaged.clone(), "c".to_owned())];
    };
    assert_eq!(refused(&app, request).kind(), Kind::Corrupt);
    // The members' own digests find it, too.
    icecore_io::Fs::remove_file(&fs, Path::new(&checksum)).unwrap();
    assert_eq!(refused(&app, request).kind(), Kind::Corrupt);
    assert_eq!(app.storage.collections(), ["a"]);
}

#[test]
fn another_file_than_was_noted_is_refused() {
    let fs = MemFs::new();
    let app = app(&fs);
    fill(&app, "a", 1, "one");
    let path = archive(&app, collection("a"));
    let mut checksum = path.clone().into_os_string();
    checksum.push(".checksum");
    flip(&fs, Path::new(&checksum), 0);
    let error = refused(&app, |request| request.collections = vec![(path.clone(), "b".to_owned())]);
    let refused = matches!(&error, AppError::Restore(RestoreError::Checksum { .. } | RestoreError::ChecksumFile { .. }));
    assert!(refused, "{error}");
}

#[test]
fn a_full_disk_shows_before_anything_is_written() {
    let fs = MemFs::new();
    let app = app(&fs);
    fill(&app, "a", 1, "one");
    let path = archive(&app, collection("a"));
    fs.set_free_space(10);
    let error = refused(&app, |request| request.collections = vec![(path.clone(), "b".to_owned())]);
    assert_eq!(error.kind(), Kind::NoSpace);
    assert!(error.to_string().contains("10 are free"), "{error}");
}

#[test]
fn archives_made_at_once_have_names_of_their_own() {
    let fs = MemFs::new();
    let app = app(&fs);
    fill(&app, "a", 1, "one");
    let options = Options { full: true, ..Options::default() };
    let mut names: Vec<ArchiveInfo> = std::thread::scope(|scope| {
        let makers: Vec<_> =
            (0..4).map(|_| scope.spawn(|| create(&app, &collection("a"), options, &(), |_| Ok(())).unwrap())).collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    names.sort_by(|one, other| one.name.cmp(&other.name));
    names.dedup_by(|one, other| one.name == other.name);
    assert_eq!(names.len(), 4);
    assert_eq!(crate::usecases::fetch::list(&app, &collection("a")).unwrap(), names);
}
