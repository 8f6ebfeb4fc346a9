//! Jobs of the manager's that are done again, what the database keeps of them, and what they say when they cannot be done.

use std::sync::Arc;

use icecore_io::MemFs;
use icecore_storage::{Durability, Operation, PointId, Scope};
use serde_json::{Map, Value, json};

use super::super::tests::{again, started, stored};
use super::*;
use crate::clusters::Clusters;
use crate::config::ClusterSettings;
use crate::testing::{archive, fill};
use crate::usecases::fetch;

/// A server that knows the cluster `east` at this address.
fn app_with(fs: &MemFs, url: &str) -> App {
    let mut app = crate::testing::app(fs);
    let settings = ClusterSettings { name: "east".to_owned(), urls: vec![url.parse().unwrap()], api_key: None, ca_cert: None };
    app.config.clusters.push(settings);
    app.clusters = Clusters::new(&app.config, crate::testing::runtime()).unwrap();
    app
}

fn started_with(fs: &MemFs, url: &str) -> Arc<App> {
    let app = Arc::new(app_with(fs, url));
    app.jobs.start().unwrap();
    app
}

fn empty(app: &App, collection: &str) {
    let ids = (0..10).map(PointId::Num).collect();
    app.storage.write(collection, Operation::delete(ids), Durability::Synced).unwrap();
}

fn dirs(app: &App, collection: &str) -> Value {
    json!(app.storage.info(collection).unwrap().shards.iter().map(|shard| shard.dir).collect::<Vec<_>>())
}

fn count(app: &App, collection: &str) -> u64 {
    app.storage.count(collection, None).unwrap()
}

fn everything(app: &App) -> Value {
    let path = archive(app, Scope::Storage);
    json!({"collection_name": "*", "snapshot_name": path.file_name().unwrap().to_str().unwrap(), "metadata": {}})
}

fn wanted(kind: JobKind, metadata: Value) -> Wanted {
    Wanted {
        kind,
        collection_name: "a".to_owned(),
        shard_id: None,
        snapshot_name: None,
        storage_id: None,
        cluster: None,
        metadata: metadata.as_object().cloned().unwrap_or_default(),
    }
}

#[test]
fn a_restore_of_everything_that_was_committed_is_not_done_again() {
    let fs = MemFs::new();
    let app = started(&fs);
    fill(&app, "b", 1, "two");
    let request = everything(&app);
    let checkpoint = || Some(json!({"replaced": {"a": dirs(&app, "a"), "b": dirs(&app, "b")}, "shard": null}));
    let before = checkpoint();
    ["a", "b"].iter().for_each(|name| empty(&app, name));

    again(&app, JobKind::Restore, request.clone(), before.clone()).unwrap();
    assert_eq!((count(&app, "a"), count(&app, "b")), (10, 10));

    // It ended after the commit, and what was written since stays.
    ["a", "b"].iter().for_each(|name| empty(&app, name));
    again(&app, JobKind::Restore, request, before).unwrap();
    assert_eq!((count(&app, "a"), count(&app, "b")), (0, 0));
}

/// A restore of one of its collections at the same time would have looked like the commit of all.
#[test]
fn a_change_of_one_collection_is_not_the_commit_of_all() {
    let fs = MemFs::new();
    let app = started(&fs);
    fill(&app, "b", 1, "two");
    let request = everything(&app);
    let before = Some(json!({"replaced": {"a": dirs(&app, "a"), "b": dirs(&app, "b")}, "shard": null}));
    let name = archive(&app, Scope::Collection("a".to_owned()));
    let one = json!({
        "collection_name": "a", "collection": "a", "metadata": {}, "snapshot_name": name.file_name().unwrap().to_str().unwrap(),
    });
    again(&app, JobKind::Restore, one, None).unwrap();
    empty(&app, "b");
    again(&app, JobKind::Restore, request, before).unwrap();
    assert_eq!(count(&app, "b"), 10);
}

#[test]
fn a_shard_that_was_restored_is_not_restored_again() {
    let fs = MemFs::new();
    let app = started(&fs);
    let name = archive(&app, Scope::Shard { collection: "a".to_owned(), shard: 1 });
    let request = json!({
        "collection_name": "a", "collection": "a", "shard_id": 1, "metadata": {},
        "snapshot_name": name.file_name().unwrap().to_str().unwrap(),
    });
    let before = Some(json!({"replaced": {"a": [dirs(&app, "a")[1]]}, "shard": 1}));
    empty(&app, "a");
    again(&app, JobKind::ShardRestore, request.clone(), before.clone()).unwrap();
    let restored = count(&app, "a");
    assert!(restored > 0 && restored < 10);
    empty(&app, "a");
    again(&app, JobKind::ShardRestore, request, before).unwrap();
    assert_eq!(count(&app, "a"), 0);
}

#[test]
fn a_backup_that_was_committed_is_not_made_again() {
    let fs = MemFs::new();
    let app = started(&fs);
    let scope = Scope::Collection("a".to_owned());
    archive(&app, scope.clone());
    let name = fetch::list(&app, &scope).unwrap()[0].name.to_string();
    let request = json!({"collection_name": "a", "collection": "a", "metadata": {}});
    again(&app, JobKind::Backup, request.clone(), Some(json!({"name": name}))).unwrap();
    assert_eq!(fetch::list(&app, &scope).unwrap().len(), 1);
    again(&app, JobKind::Backup, request, None).unwrap();
    assert_eq!(fetch::list(&app, &scope).unwrap().len(), 2);
}

/// A process that was killed while the cluster restored does not know whether it has.
#[test]
fn a_restore_that_a_cluster_may_have_made_is_not_made_again() {
    let fs = MemFs::new();
    let app = started_with(&fs, "http://127.0.0.1:1");
    let request = json!({
        "collection_name": "c", "collection": "c", "cluster": "east", "snapshot_name": "x.snapshot", "metadata": {},
    });
    let sent = Some(json!({"sent": true}));
    let error = again(&app, JobKind::Restore, request.clone(), sent).unwrap_err().to_string();
    assert!(error.contains("only a look at it tells"), "{error}");
    // One that was not sent is tried.
    assert_eq!(again(&app, JobKind::Restore, request, None).unwrap_err().to_string(), "Snapshot x.snapshot not found");
}

#[test]
fn a_job_is_about_the_default_cluster_and_stays_so() {
    let fs = MemFs::new();
    let mut app = app_with(&fs, "http://127.0.0.1:1");
    app.config.manager.default_cluster = Some("east".to_owned());
    app.clusters = Clusters::new(&app.config, crate::testing::runtime()).unwrap();
    let app = Arc::new(app);
    for (cluster, settled) in [(None, "east"), (Some("east"), "east"), (Some(EMBEDDED), EMBEDDED)] {
        let wanted = Wanted { cluster: cluster.map(str::to_owned), ..wanted(JobKind::Backup, Value::Null) };
        let id = submit(&app, wanted).unwrap();
        let kept = described(&app.jobs.describe(id).unwrap().unwrap()).unwrap();
        assert_eq!(kept.cluster.as_deref(), Some(settled), "{cluster:?}");
    }
}

#[test]
fn the_archives_of_a_cluster_are_shown_as_many_as_they_are() {
    let fs = MemFs::new();
    let app = Arc::new(app_with(&fs, "http://127.0.0.1:1"));
    let id = submit(&app, Wanted { cluster: Some("east".to_owned()), ..wanted(JobKind::Backup, Value::Null) }).unwrap();
    let job = app.jobs.describe(id).unwrap().unwrap();
    let archive = |shard: u32| json!({"collection": "a", "shard_id": shard, "snapshot_name": format!("{shard}.snapshot")});
    let shown = |checkpoint: Value| described(&Description { checkpoint: Some(checkpoint), ..job.clone() }).unwrap();
    let one = shown(json!({"archives": [archive(1)], "there": {"node": "http://h/", "collection": "a", "name": "x"}}));
    assert_eq!((one.snapshot_name.as_deref(), one.metadata.len()), (Some("1.snapshot"), 0));
    let two = shown(json!({"archives": [archive(0), archive(1)]}));
    assert_eq!((two.snapshot_name, &two.metadata["archives"]), (None, &json!([archive(0), archive(1)])));
    let alias = json!([{"alias_name": "b", "collection_name": "a"}]);
    let everything = shown(json!({"archives": [archive(0)], "aliases": alias}));
    assert_eq!(everything.snapshot_name, None, "its set is not there yet");
    let whole = shown(json!({"archives": [archive(0)], "aliases": [], "set": "s.snapshot"}));
    assert_eq!(whole.snapshot_name.as_deref(), Some("s.snapshot"));
    assert_eq!((&everything.metadata["archives"], &everything.metadata["aliases"]), (&json!([archive(0)]), &alias));
}

#[test]
fn what_is_kept_has_no_secrets_and_is_not_done_without_them() {
    let fs = MemFs::new();
    let app = Arc::new(crate::testing::app(&fs));
    let secret = json!({"url": "http://user:hush@h/a.snapshot", "api_key": "hush", "note": "x"});
    let id = submit(&app, wanted(JobKind::Restore, secret)).unwrap();
    let kept = app.jobs.describe(id).unwrap().unwrap();
    assert!(!kept.request.to_string().contains("hush"), "{}", kept.request);
    assert_eq!(described(&kept).unwrap().metadata["note"], "x");
    assert!(rebuild(&app, &stored(JobKind::Restore, kept.request)).is_none());

    let plain = submit(&app, wanted(JobKind::Restore, json!({"url": "http://h/a.snapshot"}))).unwrap();
    let kept = app.jobs.describe(plain).unwrap().unwrap();
    assert!(rebuild(&app, &stored(JobKind::Restore, kept.request)).is_some());
}

#[test]
fn no_job_is_made_for_a_store_or_a_cluster_that_there_is_not() {
    let fs = MemFs::new();
    let app = Arc::new(crate::testing::app(&fs));
    let backup = wanted(JobKind::Backup, Value::Null);
    let error = submit(&app, Wanted { storage_id: Some("x".to_owned()), ..backup.clone() }).unwrap_err();
    assert_eq!(error.to_string(), "Storage config not found");
    let error = submit(&app, Wanted { cluster: Some("mars".to_owned()), ..backup.clone() }).unwrap_err();
    assert_eq!(error.to_string(), "unknown cluster \"mars\"");
    assert_eq!(app.jobs.list(Default::default(), 0, 10).unwrap().1, 0);
    submit(&app, Wanted { cluster: Some(EMBEDDED.to_owned()), ..backup }).unwrap();
}

#[test]
fn a_store_that_is_gone_when_the_job_begins_is_the_reason_that_it_fails() {
    let fs = MemFs::new();
    let app = started(&fs);
    for kind in [JobKind::Backup, JobKind::Restore] {
        let request = json!({
            "collection_name": "a", "collection": "a", "storage_id": "gone", "snapshot_name": "x.snapshot", "metadata": Map::new(),
        });
        assert_eq!(again(&app, kind, request, None).unwrap_err().to_string(), "Storage config not found");
    }
}
