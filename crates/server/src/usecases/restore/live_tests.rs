//! Restores into a running server: what changes, and that a refusal changes nothing.

use std::io::Read;
use std::path::{Path, PathBuf};

use icecore_archive::Sha256Digest;
use icecore_io::{Fs, MemFs, read_file};
use icecore_storage::{Durability, Operation, PointId, Scope};

use super::{Expected, Goal, Input, RestoreError, stage};
use crate::app::App;
use crate::error::{AppError, Kind, Result};
use crate::testing::{app, archive, files, fill, label};

/// How an archive comes in.
#[derive(Debug, Clone, Copy)]
enum Way {
    File,
    Stream,
}

const WAYS: [Way; 2] = [Way::File, Way::Stream];

fn collection(name: &str) -> Goal {
    Goal::Collection(name.to_owned())
}

fn shard(collection: &str, shard: u32) -> Goal {
    Goal::Shard { collection: collection.to_owned(), shard }
}

fn input(fs: &MemFs, path: &Path, way: Way) -> Result<Input, RestoreError> {
    match way {
        Way::File => Input::file(fs, path).map(|(input, _)| input),
        Way::Stream => {
            let bytes = read_file(fs, path, u64::MAX).unwrap();
            let len = bytes.len() as u64;
            let stream: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(bytes));
            Input::stream(stream, Path::new("sent"), Some(len))
        }
    }
}

fn run(app: &App, fs: &MemFs, path: &Path, way: Way, goal: Goal, expected: Option<Sha256Digest>) -> Result<()> {
    let staged = stage(app, input(fs, path, way)?, goal, expected.map(Expected::Given), &())?;
    staged.commit(app)
}

/// As [`run`], for what has to be refused without a change of the disk.
fn refused(app: &App, fs: &MemFs, path: &Path, way: Way, goal: Goal, expected: Option<Sha256Digest>) -> AppError {
    let before = files(fs, Path::new("storage"));
    let error = run(app, fs, path, way, goal, expected).unwrap_err();
    assert_eq!(files(fs, Path::new("storage")), before, "{error}");
    error
}

fn empty(app: &App, collection: &str) {
    let ids = (0..10).map(PointId::Num).collect();
    app.storage.write(collection, Operation::delete(ids), Durability::Synced).unwrap();
}

fn count(app: &App, collection: &str) -> u64 {
    app.storage.count(collection, None).unwrap()
}

#[test]
fn a_collection_is_created_or_replaced() {
    for way in WAYS {
        let fs = MemFs::new();
        let app = app(&fs);
        fill(&app, "a", 2, "one");
        let path = archive(&app, Scope::Collection("a".to_owned()));
        let digest = Sha256Digest::of(&read_file(&fs, &path, u64::MAX).unwrap());
        empty(&app, "a");
        for name in ["a", "new"] {
            run(&app, &fs, &path, way, collection(name), Some(digest)).unwrap();
            assert_eq!(label(&app, name), "one", "{way:?}");
        }
        assert!(files(&fs, Path::new("storage/staging")).is_empty(), "{way:?}");
    }
}

#[test]
fn one_shard_is_replaced_and_the_others_stay() {
    for way in WAYS {
        let fs = MemFs::new();
        let app = app(&fs);
        fill(&app, "a", 2, "one");
        let path = archive(&app, Scope::Shard { collection: "a".to_owned(), shard: 1 });
        let points = app.storage.info("a").unwrap().shards.iter().map(|shard| shard.points).collect::<Vec<_>>();
        empty(&app, "a");
        run(&app, &fs, &path, way, shard("a", 1), None).unwrap();
        assert_eq!(count(&app, "a"), points[1], "{way:?}");

        let other = refused(&app, &fs, &path, way, shard("a", 0), None);
        assert!(matches!(&other, AppError::Restore(RestoreError::OtherShard { wanted: 0, .. })), "{other}");
        let whole = refused(&app, &fs, &path, way, collection("new"), None);
        assert!(whole.to_string().contains("is a snapshot of a shard"), "{whole}");
        let missing = refused(&app, &fs, &path, way, shard("none", 1), None);
        assert_eq!(missing.kind(), Kind::NotFound);
    }
}

#[test]
fn one_collection_is_taken_out_of_a_storage_archive() {
    for way in WAYS {
        let fs = MemFs::new();
        let app = app(&fs);
        fill(&app, "a", 1, "one");
        fill(&app, "b", 1, "two");
        let path = archive(&app, Scope::Storage);
        empty(&app, "a");
        run(&app, &fs, &path, way, collection("b"), None).unwrap();
        assert_eq!((label(&app, "b").as_str(), count(&app, "a")), ("two", 0), "{way:?}");
        let error = refused(&app, &fs, &path, way, collection("c"), None);
        assert!(error.to_string().ends_with("it has: a, b"), "{error}");
        let error = refused(&app, &fs, &path, way, shard("a", 0), None);
        assert!(error.to_string().contains("is a snapshot of the whole storage"), "{error}");
    }
}

#[test]
fn what_is_not_alike_or_not_meant_is_refused() {
    for way in WAYS {
        let fs = MemFs::new();
        let app = app(&fs);
        fill(&app, "a", 2, "one");
        fill(&app, "other", 1, "two");
        let path = archive(&app, Scope::Collection("a".to_owned()));
        let unlike = refused(&app, &fs, &path, way, collection("other"), None);
        assert!(unlike.to_string().ends_with("Collection shard number: 1 Snapshot shard number: 2"), "{unlike}");
        let wrong = refused(&app, &fs, &path, way, collection("a"), Some(Sha256Digest::of(b"other")));
        assert!(matches!(&wrong, AppError::Restore(RestoreError::GivenChecksum { .. })), "{wrong}");
        fs.set_free_space(10);
        let full = refused(&app, &fs, &path, way, collection("a"), None);
        assert_eq!((full.kind(), full.to_string().contains("10 are free")), (Kind::NoSpace, true), "{full}");
    }
}

#[test]
fn a_damaged_or_cut_archive_changes_nothing() {
    for way in WAYS {
        let fs = MemFs::new();
        let app = app(&fs);
        fill(&app, "a", 1, "one");
        let path = archive(&app, Scope::Collection("a".to_owned()));
        let bytes = read_file(&fs, &path, u64::MAX).unwrap();
        let mut damaged = bytes.clone();
        let last = damaged.len() - 1024 - 512;
        damaged[last] ^= 1;
        for (name, wrong) in [("damaged", &damaged[..]), ("cut", &bytes[..bytes.len() - 512]), ("text", b"no tar".as_slice())] {
            let wrong_path = PathBuf::from(format!("snapshots/{name}"));
            fs.create_new(&wrong_path).unwrap().write_all_at(wrong, 0).unwrap();
            let error = refused(&app, &fs, &wrong_path, way, collection("a"), None);
            assert!(matches!(&error, AppError::Restore(RestoreError::Archive(_))), "{name}: {error}");
        }
        assert_eq!(label(&app, "a"), "one");
    }
}
