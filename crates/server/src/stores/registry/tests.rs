//! Configurations on a file system in memory: what is kept, what is refused, and that no secret gets out.

use icecore_io::{Fault, FaultFs, ManualClock, MemFs, Operation, read_file};
use serde_json::Value;

use super::*;
use crate::config::Secret;
use crate::stores::conformance::{self, OpenOnes};
use crate::testing::runtime;

const DOCUMENT: &str = "/icecore-test/storage/stores.json";

fn settings() -> StorageSettings {
    StorageSettings {
        storage_path: "/icecore-test/storage".into(),
        snapshots_path: "/icecore-test/snapshots".into(),
        ..StorageSettings::default()
    }
}

fn prepared() -> MemFs {
    let fs = MemFs::new();
    fs.create_dir_all(&settings().storage_path).unwrap();
    fs
}

fn open_with(fs: Arc<dyn Fs>, key: Option<EncryptionKey>) -> Result<Stores> {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(Duration::from_secs(1_721_637_115)));
    let fallback = LocalStore::open(Arc::clone(&fs), Arc::clone(&clock), settings().snapshots_path).unwrap();
    Stores::open(fs, clock, &settings(), key, Arc::new(fallback), runtime())
}

fn open(fs: &MemFs) -> Stores {
    open_with(Arc::new(fs.clone()), None).unwrap()
}

fn local(name: &str, path: &str) -> Draft {
    Draft { name: name.to_owned(), kind: Kind::Local, path: Some(path.to_owned()), s3: S3Fields::default(), is_default: false }
}

fn s3(name: &str) -> Draft {
    let s3 = S3Fields {
        endpoint: Some("http://127.0.0.1:9000".to_owned()),
        bucket: Some("archives".to_owned()),
        region: None,
        access_key: Some(Secret::new("AKIA-hush-1")),
        secret_key: Some(Secret::new("hush-2")),
    };
    Draft { name: name.to_owned(), kind: Kind::S3, path: None, s3, is_default: false }
}

fn defaults(stores: &Stores) -> Vec<String> {
    stores.list().into_iter().filter(|record| record.is_default).map(|record| record.name).collect()
}

fn keys_of(stores: &Stores, id: StoreId) -> Option<Keys> {
    let record = stores.list().into_iter().find(|record| record.id == id).unwrap();
    stores.opened(&record).unwrap()
}

fn document(fs: &MemFs) -> Vec<u8> {
    read_file(fs, DOCUMENT.as_ref(), 1_000_000).unwrap()
}

#[test]
fn what_was_created_is_there_after_a_restart() {
    let fs = prepared();
    let (one, two) = {
        let stores = open(&fs);
        (stores.create(local("one", "/icecore-test/one")).unwrap(), stores.create(s3(" two ")).unwrap())
    };
    let stores = open(&fs);
    assert_eq!(stores.list(), [one, two.clone()]);
    assert_eq!(two.name, "two");
    let keys = keys_of(&stores, two.id).unwrap();
    assert_eq!((keys.access_key.expose(), keys.secret_key.expose()), ("AKIA-hush-1", "hush-2"));
    assert_eq!(fs.metadata(DOCUMENT.as_ref()).unwrap().mode & 0o777, 0o600);
}

#[test]
fn no_secret_is_in_the_document_or_printed() {
    let fs = prepared();
    let stores = open(&fs);
    let record = stores.create(s3("s")).unwrap();
    let text = String::from_utf8(document(&fs)).unwrap();
    for shown in [text, format!("{record:?} {stores:?} {:?}", s3("s"))] {
        assert!(!shown.contains("hush") && !shown.contains("AKIA"), "{shown}");
    }
}

#[test]
fn there_is_one_default_at_most_and_it_stays() {
    let fs = prepared();
    let stores = open(&fs);
    assert_eq!(stores.resolve(None).unwrap().id, None);
    let one = stores.create(Draft { is_default: true, ..local("one", "/icecore-test/one") }).unwrap();
    let two = stores.create(Draft { is_default: true, ..local("two", "/icecore-test/two") }).unwrap();
    assert_eq!(defaults(&stores), ["two"]);
    let change = |is_default| Change { is_default: Some(is_default), ..Change::default() };
    assert!(matches!(stores.update(&two.id.to_string(), change(false)), Err(StoresError::DefaultUnset)));
    assert!(matches!(stores.delete(&two.id.to_string()), Err(StoresError::DefaultDeleted)));
    stores.update(&one.id.to_string(), change(true)).unwrap();
    assert_eq!(defaults(&stores), ["one"]);
    stores.update(&two.id.to_string(), change(false)).unwrap();
    stores.delete(&two.id.to_string()).unwrap();
    assert_eq!(defaults(&open(&fs)), ["one"]);
    let resolved = stores.resolve(None).unwrap();
    assert_eq!(resolved.id, Some(one.id.to_string()));
}

#[test]
fn an_id_that_names_nothing_is_not_found() {
    let fs = prepared();
    let stores = open(&fs);
    for id in ["", "x", "5c56c793-69f3-4fbf-87e6-c4bf54c28c26"] {
        assert!(matches!(stores.resolve(Some(id)), Err(StoresError::NotFound)), "{id}");
        assert!(matches!(stores.update(id, Change::default()), Err(StoresError::NotFound)), "{id}");
        assert!(matches!(stores.delete(id), Err(StoresError::NotFound)), "{id}");
    }
}

#[test]
fn a_local_store_keeps_archives_in_its_directory() {
    let fs = prepared();
    let stores = open(&fs);
    let record = stores.create(local("l", "/icecore-test/elsewhere")).unwrap();
    let resolved = stores.resolve(Some(&record.id.to_string())).unwrap();
    conformance::check(resolved.store.as_ref(), OpenOnes::ReadOn);
    assert!(fs.exists("/icecore-test/elsewhere/b.snapshot".as_ref()).unwrap());
    // Another path is another store, at once.
    let change = Change { path: Some("/icecore-test/other".to_owned()), ..Change::default() };
    stores.update(&record.id.to_string(), change).unwrap();
    let moved = stores.resolve(Some(&record.id.to_string())).unwrap();
    conformance::check(moved.store.as_ref(), OpenOnes::ReadOn);
}

#[test]
fn a_change_keeps_what_it_does_not_give() {
    let fs = prepared();
    let stores = open(&fs);
    let id = stores.create(s3("s")).unwrap().id;
    let change = |s3: S3Fields| stores.update(&id.to_string(), Change { s3, ..Change::default() });
    let before = stores.list();
    let masked = S3Fields {
        access_key: Some(Secret::new(MASK)),
        secret_key: Some(Secret::new("")),
        region: Some("eu".to_owned()),
        ..S3Fields::default()
    };
    let changed = change(masked).unwrap();
    let Settings::S3 { endpoint, bucket, region, keys } = &changed.settings else { panic!("it is of type s3") };
    assert_eq!((endpoint.as_deref(), bucket.as_str()), (Some("http://127.0.0.1:9000"), "archives"));
    assert_eq!(region.as_deref(), Some("eu"));
    let Settings::S3 { keys: old, .. } = &before[0].settings else { panic!("it is of type s3") };
    assert_eq!(keys, old);
    // One key alone goes together with the other that is there.
    change(S3Fields { secret_key: Some(Secret::new("hush-3")), ..S3Fields::default() }).unwrap();
    let keys = keys_of(&stores, id).unwrap();
    assert_eq!((keys.access_key.expose(), keys.secret_key.expose()), ("AKIA-hush-1", "hush-3"));
    let removed = change(S3Fields { region: Some(String::new()), ..S3Fields::default() }).unwrap();
    assert!(matches!(removed.settings, Settings::S3 { region: None, .. }));
    let other = stores.update(&id.to_string(), Change { kind: Some(Kind::Local), ..Change::default() });
    assert!(matches!(other, Err(StoresError::Invalid { .. })));
}

#[test]
fn what_breaks_a_rule_is_refused_and_changes_nothing() {
    let fs = prepared();
    let stores = open(&fs);
    stores.create(local("kept", "/icecore-test/kept")).unwrap();
    let before = document(&fs);
    let with = |change: fn(&mut S3Fields)| {
        let mut draft = s3("s");
        change(&mut draft.s3);
        draft
    };
    let wrong = [
        local("", "/icecore-test/a"),
        local(" ", "/icecore-test/a"),
        local("a\nb", "/icecore-test/a"),
        local(&"n".repeat(256), "/icecore-test/a"),
        local("a", ""),
        local("a", "relative"),
        local("a", "/icecore-test/a/../storage"),
        local("a", "/icecore-test/storage"),
        local("a", "/icecore-test/storage/staging"),
        local("a", "/icecore-test"),
        local("a", "/"),
        local("a", "/icecore-test/snapshots/c"),
        local("a", "/icecore-test/a\0"),
        Draft { path: None, ..local("a", "") },
        with(|s3| s3.bucket = None),
        with(|s3| s3.bucket = Some(" ".to_owned())),
        with(|s3| s3.bucket = Some("a/b".to_owned())),
        with(|s3| s3.access_key = None),
        with(|s3| s3.secret_key = Some(Secret::new(""))),
        with(|s3| s3.access_key = Some(Secret::new(MASK))),
        with(|s3| s3.endpoint = Some("localhost:9000".to_owned())),
        with(|s3| s3.endpoint = Some("http://user:hush@h".to_owned())),
        with(|s3| s3.endpoint = Some("http://h/?key=hush".to_owned())),
        with(|s3| s3.region = Some("a b".to_owned())),
    ];
    for draft in wrong {
        let error = stores.create(draft.clone()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StoresError::Invalid { .. }), "{draft:?}: {text}");
        assert!(text.starts_with("Invalid configuration: ") && !text.contains("hush"), "{text}");
    }
    assert_eq!(document(&fs), before);
    // The snapshots directory itself is a store already.
    stores.create(local("same", "/icecore-test/snapshots")).unwrap();
    stores.create(with(|s3| (s3.access_key, s3.secret_key, s3.endpoint) = (None, None, None))).unwrap();
}

#[test]
fn a_link_into_a_directory_of_the_server_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let storage = dir.path().join("storage");
    std::fs::create_dir(&storage).unwrap();
    std::os::unix::fs::symlink(&storage, dir.path().join("link")).unwrap();
    let settings =
        StorageSettings { storage_path: storage, snapshots_path: dir.path().join("snapshots"), ..StorageSettings::default() };
    let reserved = Reserved::of(&settings);
    let check = |path: &str| check::local_path(&dir.path().join(path), &reserved);
    assert!(matches!(check("link"), Err(StoresError::Invalid { .. })));
    assert!(matches!(check("link/below/it"), Err(StoresError::Invalid { .. })));
    check("elsewhere/below/it").unwrap();
}

#[test]
fn another_key_loses_nothing() {
    let fs = prepared();
    let with = |byte: u8| open_with(Arc::new(fs.clone()), Some(EncryptionKey::new([byte; 32]))).unwrap();
    let id = with(1).create(s3("s")).unwrap().id.to_string();
    let before = document(&fs);
    let other = with(2);
    assert_eq!(other.list().len(), 1);
    assert!(matches!(other.resolve(Some(&id)), Err(StoresError::WrongKey { .. })));
    let half = S3Fields { secret_key: Some(Secret::new("hush-3")), ..S3Fields::default() };
    assert!(matches!(other.update(&id, Change { s3: half, ..Change::default() }), Err(StoresError::WrongKey { .. })));
    assert_eq!(document(&fs), before);
    // Who has both keys needs no old ones.
    let both =
        S3Fields { access_key: Some(Secret::new("AKIA-2")), secret_key: Some(Secret::new("hush-3")), ..S3Fields::default() };
    other.update(&id, Change { s3: both, ..Change::default() }).unwrap();
    assert_eq!(keys_of(&other, id.parse().unwrap()).unwrap().access_key.expose(), "AKIA-2");
}

#[test]
fn damage_is_found_and_left_alone() {
    let fs = prepared();
    open(&fs).create(local("one", "/icecore-test/one")).unwrap();
    let sound = document(&fs);
    let write = |bytes: &[u8]| {
        fs.remove_file(DOCUMENT.as_ref()).unwrap();
        fs.create_new(DOCUMENT.as_ref()).unwrap().write_all_at(bytes, 0).unwrap();
    };
    let text = String::from_utf8(sound.clone()).unwrap();
    let damaged = [
        text.replace("/icecore-test/one", "/icecore-test/two"),
        text.replace("\"stores\"", "\"other\""),
        text[..40].to_owned(),
        String::new(),
    ];
    for text in damaged {
        write(text.as_bytes());
        assert!(matches!(open_with(Arc::new(fs.clone()), None), Err(StoresError::Damaged { .. })), "{text}");
        assert_eq!(document(&fs), text.as_bytes());
    }
    write(text.replace("\"format\": 1", "\"format\": 2").as_bytes());
    assert!(matches!(open_with(Arc::new(fs.clone()), None), Err(StoresError::Newer { found: 2, known: 1, .. })));
    write(&sound);
    assert_eq!(open(&fs).list().len(), 1);
}

#[test]
fn a_failed_write_changes_nothing_and_a_failed_sync_stops_changes() {
    let inner = prepared();
    let fs = FaultFs::new(Arc::new(inner.clone()));
    let stores = open_with(Arc::new(fs.clone()), None).unwrap();
    stores.create(local("one", "/icecore-test/one")).unwrap();
    fs.faults().inject(Fault::on(Operation::WriteAt));
    assert!(matches!(stores.create(local("two", "/icecore-test/two")), Err(StoresError::Io { .. })));
    assert_eq!(stores.list().len(), 1);
    fs.faults().inject(Fault::on(Operation::SyncDir));
    assert!(matches!(stores.create(local("two", "/icecore-test/two")), Err(StoresError::Io { .. })));
    assert!(matches!(stores.create(local("two", "/icecore-test/two")), Err(StoresError::Poisoned)));
    assert_eq!(stores.list().len(), 1);
}

#[test]
fn a_directory_is_tried_by_what_can_be_done_in_it() {
    let fs = prepared();
    let stores = open(&fs);
    let tried = |path: &str| {
        let Tested { success, message } = stores.test(local("", path));
        (success, message)
    };
    assert_eq!(tried("/icecore-test/new"), (true, "Directory created successfully".to_owned()));
    assert_eq!(tried("/icecore-test/new"), (true, "Local storage path is accessible".to_owned()));
    assert_eq!(fs.list("/icecore-test/new".as_ref()).unwrap().len(), 0);
    fs.create_new("/icecore-test/file".as_ref()).unwrap();
    assert_eq!(tried("/icecore-test/file"), (false, "Path is not a directory: /icecore-test/file".to_owned()));
    assert_eq!(tried("/icecore-test/file/below").1, "Cannot create directory: /icecore-test/file/below");
    assert!(tried("/icecore-test/storage/x").1.starts_with("Invalid configuration: "));
    assert!(!tried("").0);
}

#[test]
fn a_bucket_needs_what_the_contract_says() {
    let stores = open(&prepared());
    let mut draft = s3("s");
    draft.s3.endpoint = None;
    assert_eq!(stores.test(draft.clone()).message, "Failed: S3 endpoint is required");
    draft.s3.region = Some("eu".to_owned());
    draft.s3.bucket = None;
    assert_eq!(stores.test(draft.clone()).message, "Failed: S3 bucket is required");
    draft.s3.bucket = Some("b".to_owned());
    draft.s3.secret_key = None;
    assert!(stores.test(draft).message.starts_with("Invalid configuration: "));
}

#[test]
fn the_document_is_what_the_format_says() {
    let fs = prepared();
    open(&fs).create(s3("s")).unwrap();
    let found: Value = serde_json::from_slice(&document(&fs)).unwrap();
    let fields: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["format", "sha256", "stores"]);
    assert_eq!(found["format"], 1);
    let settings = &found["stores"][0]["settings"];
    assert_eq!((&settings["type"], &settings["bucket"]), (&Value::from("s3"), &Value::from("archives")));
    // Nonce, ciphertext and tag.
    assert!(settings["keys"].as_str().unwrap().len() > 2 * (12 + 16));
}
