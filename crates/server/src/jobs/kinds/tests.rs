//! Jobs that are done again: what has been done before is not done twice.

use std::sync::Arc;

use icecore_io::MemFs;
use icecore_storage::{Durability, Operation, PointId, Scope};
use serde_json::{Value, json};

use super::{JobKind, OnRestart, StoredJob, rebuild};
use crate::app::App;
use crate::error::{Kind, Result};
use crate::jobs::{JobId, NewJob, Running};
use crate::testing::{app, archive, fill, label};
use crate::usecases::create::{Options, create};
use crate::usecases::fetch;

pub(super) fn started(fs: &MemFs) -> Arc<App> {
    let app = Arc::new(app(fs));
    app.jobs.start().unwrap();
    fill(&app, "a", 2, "one");
    app
}

fn collection() -> Scope {
    Scope::Collection("a".to_owned())
}

pub(super) fn stored(kind: JobKind, request: Value) -> StoredJob {
    let id = JobId(uuid::Uuid::nil());
    StoredJob { id, kind, target: "collection/a".to_owned(), request, attempts: 1, checkpoint: None }
}

/// Does a job that a former process has left after it noted `checkpoint`.
pub(super) fn again(app: &Arc<App>, kind: JobKind, request: Value, checkpoint: Option<Value>) -> Result<Value> {
    let left = StoredJob { checkpoint: checkpoint.clone(), ..stored(kind, request) };
    let work = rebuild(app, &left).unwrap();
    run(app, kind, move |running| {
        if let Some(checkpoint) = checkpoint {
            running.set_checkpoint(&checkpoint)?;
        }
        work(running)
    })
}

fn run(app: &App, kind: JobKind, work: impl FnOnce(&Running) -> Result<Value> + Send + 'static) -> Result<Value> {
    let job = NewJob {
        kind,
        target: "collection/a".to_owned(),
        request: Value::Null,
        on_restart: OnRestart::Again,
        waits_for_others: false,
    };
    let submitted = app.jobs.submit(job, Box::new(work)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(submitted.outcome())
}

fn empty(app: &App) {
    let ids = (0..10).map(PointId::Num).collect();
    app.storage.write("a", Operation::delete(ids), Durability::Synced).unwrap();
}

#[test]
fn an_archive_that_was_finished_is_not_made_again() {
    let fs = MemFs::new();
    let app = started(&fs);
    archive(&app, collection());
    let made = fetch::list(&app, &collection()).unwrap();
    let request = json!({"collection": "a"});
    let named = |name: &str| Some(json!({"name": name}));
    let result = again(&app, JobKind::SnapshotCreate, request.clone(), named(made[0].name.as_str())).unwrap();
    assert_eq!(super::snapshot_create::archive(result).as_ref(), made.first());
    assert_eq!(fetch::list(&app, &collection()).unwrap(), made);

    // One that had only been begun.
    again(&app, JobKind::SnapshotCreate, request, named("a-1.snapshot")).unwrap();
    assert_eq!(fetch::list(&app, &collection()).unwrap().len(), 2);
}

/// A job that was killed after it had noted a name that another archive had would have ended as if that were its own.
#[test]
fn a_name_that_is_taken_is_not_noted() {
    let fs = MemFs::new();
    let app = started(&fs);
    for _ in 0..3 {
        let taken: Vec<String> =
            fetch::list(&app, &collection()).unwrap().iter().map(|archive| archive.name.to_string()).collect();
        let mut noted = Vec::new();
        let made = create(&app, &collection(), Options::default(), &(), |name| {
            noted.push(name.to_string());
            Ok(())
        });
        assert_eq!(noted, [made.unwrap().name.to_string()]);
        assert!(!taken.contains(&noted[0]));
    }
}

/// A collection that was created while the archive arrived once looked like the restored one.
#[test]
fn a_recovery_notes_the_directories_right_before_its_commit() {
    let fs = MemFs::new();
    let app = started(&fs);
    let name = archive(&app, Scope::Shard { collection: "a".to_owned(), shard: 0 });
    let name = name.file_name().unwrap().to_str().unwrap();
    let request = json!({"collection": "a", "shard": 0, "location": name});
    let work = rebuild(&app, &stored(JobKind::SnapshotRecover, request.clone())).unwrap();
    // Others than when the job was made.
    again(&app, JobKind::SnapshotRecover, request.clone(), None).unwrap();
    let before = json!([app.storage.info("a").unwrap().shards[0].dir]);
    let noted = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&noted);
    run(&app, JobKind::SnapshotRecover, move |running| {
        let done = work(running);
        *keep.lock().unwrap() = running.checkpoint();
        done
    })
    .unwrap();
    assert_eq!(noted.lock().unwrap().take(), Some(before));
}

#[test]
fn a_recovery_that_was_committed_is_not_done_again() {
    let fs = MemFs::new();
    let app = started(&fs);
    let path = archive(&app, Scope::Shard { collection: "a".to_owned(), shard: 0 });
    let name = path.file_name().unwrap().to_str().unwrap();
    let request = json!({"collection": "a", "shard": 0, "location": name});
    let dirs = |app: &App| json!([app.storage.info("a").unwrap().shards[0].dir]);
    let before = dirs(&app);
    empty(&app);

    // The process ended before the commit.
    assert_eq!(again(&app, JobKind::SnapshotRecover, request.clone(), Some(before.clone())).unwrap(), json!(true));
    let restored = app.storage.count("a", None).unwrap();
    assert!(restored > 0 && dirs(&app) != before);

    // It ended after the commit, and what was written since stays.
    empty(&app);
    assert_eq!(again(&app, JobKind::SnapshotRecover, request, Some(before)).unwrap(), json!(true));
    assert_eq!(app.storage.count("a", None).unwrap(), 0);
}

#[test]
fn an_archive_that_is_gone_was_deleted() {
    let fs = MemFs::new();
    let app = started(&fs);
    archive(&app, collection());
    let name = fetch::list(&app, &collection()).unwrap().remove(0).name.to_string();
    let request = json!({"collection": "a", "name": name});
    again(&app, JobKind::SnapshotDelete, request.clone(), None).unwrap();
    assert_eq!(fetch::list(&app, &collection()).unwrap(), []);
    // Its first run is the only one that may find nothing.
    assert_eq!(again(&app, JobKind::SnapshotDelete, request, None).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(label(&app, "a"), "one");
}

#[test]
fn what_cannot_be_understood_or_done_again_is_not() {
    let fs = MemFs::new();
    let app = started(&fs);
    for (kind, request) in [
        (JobKind::SnapshotUpload, json!({"collection": "a"})),
        (JobKind::SnapshotCreate, json!("nonsense")),
        (JobKind::SnapshotDelete, json!({"collection": "a"})),
        (JobKind::SnapshotRecover, json!({"collection": "a", "location": "ftp://h/x"})),
        (JobKind::SnapshotRecover, json!({"collection": "a", "location": "http://h/x", "checksum": "none"})),
    ] {
        assert!(rebuild(&app, &stored(kind, request.clone())).is_none(), "{kind} {request}");
    }
}
