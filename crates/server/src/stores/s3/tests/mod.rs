//! The store against a server in this process that heeds no conditions, and against any real one that the environment names.

mod copying;
mod double;
mod failures;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use icecore_io::{ManualClock, MemFs};
use object_store::multipart::MultipartStore;
use tokio::runtime::Runtime;

use super::*;
use crate::config::Secret;
use crate::stores::conformance::{self, OpenOnes};
use double::{BUCKET, Double};

/// Length of a part in these tests: that of real ones would be megabytes to hash for each case.
const PART_LEN: usize = 64 << 10;

/// A store of the double's bucket.
fn store(double: &Double) -> S3Store {
    let records = Records::new(Arc::new(MemFs::new()), "s3".into());
    let clock = Arc::new(ManualClock::new(Duration::from_secs(1_000)));
    let store = S3Store::connect(options(double), records, clock, double.runtime.handle().clone()).unwrap();
    S3Store { part_len_min: PART_LEN, ..store }
}

fn options(double: &Double) -> S3Options {
    S3Options {
        endpoint: Some(double.url.clone()),
        bucket: BUCKET.to_owned(),
        region: None,
        access_key: Some(Secret::new("hush-1")),
        secret_key: Some(Secret::new("hush-2")),
        prefix: "p".to_owned(),
    }
}

/// The store as the next run of the program finds it.
fn after_restart(store: &S3Store) -> S3Store {
    let records = store.records.after_restart();
    S3Store::connect(store.options.clone(), records, Arc::clone(&store.clock), store.bucket.runtime.clone()).unwrap()
}

#[test]
fn keeps_the_promises() {
    let double = Double::start();
    let store = store(&double);
    conformance::check(&store, OpenOnes::MayFail);
    assert_eq!((double.uploads(), store.records.after_restart().left_over().unwrap()), (0, vec![]));
    let claims: Vec<String> = double.keys().into_iter().filter(|key| key.contains(".making/")).collect();
    assert_eq!(claims, [] as [String; 0]);
}

/// `ICECORE_TEST_S3=http://key:secret@host:port/bucket[/prefix]`, with a prefix under which nothing is.
#[test]
#[ignore = "needs an S3 server, named by ICECORE_TEST_S3"]
fn keeps_the_promises_on_a_real_server() {
    let url = url::Url::parse(&std::env::var("ICECORE_TEST_S3").unwrap()).unwrap();
    let (bucket, prefix) = url.path().trim_matches('/').split_once('/').unwrap_or((url.path().trim_matches('/'), ""));
    let options = S3Options {
        endpoint: Some(format!("{}://{}:{}", url.scheme(), url.host_str().unwrap(), url.port_or_known_default().unwrap())),
        bucket: bucket.to_owned(),
        region: std::env::var("AWS_REGION").ok(),
        access_key: Some(Secret::new(url.username())),
        secret_key: Some(Secret::new(url.password().unwrap())),
        prefix: format!("{prefix}/{}", id::Id::random().unwrap()),
    };
    let runtime = Runtime::new().unwrap();
    let store = || {
        let records = Records::new(Arc::new(MemFs::new()), "s3".into());
        let clock = Arc::new(ManualClock::new(Duration::from_secs(1_000)));
        S3Store::connect(options.clone(), records, clock, runtime.handle().clone()).unwrap()
    };
    race(&[store(), store(), store()]);
    let store = store();
    store.probe().unwrap();
    for info in store.list(&Place::Storage).unwrap() {
        store.delete(&Place::Storage, &info.name).unwrap();
    }
    conformance::check(&store, OpenOnes::MayFail);
    // More than one part, and a part that is not full.
    let bytes: Vec<u8> = (0..=250).cycle().take((20 << 20) + 1).collect();
    let name: ArchiveName = "long.snapshot".parse().unwrap();
    store.put_stream(&Place::Storage, &name, &mut bytes.as_slice(), None, &()).unwrap();
    let file = store.open(&Place::Storage, &name).unwrap().file;
    let mut read = vec![0; bytes.len()];
    file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes);
    store.delete(&Place::Storage, &name).unwrap();
    // An upload whose id was lost is found by its key.
    let keys = store.keys(&Place::Storage, &name).unwrap();
    runtime.block_on(store.bucket.client.create_multipart(&keys.data)).unwrap();
    assert_eq!((store.abort_uploads(&keys, None).unwrap(), store.abort_uploads(&keys, None).unwrap()), (1, 0));
}

#[test]
fn objects_lie_where_files_would() {
    let double = Double::start();
    let store = store(&double);
    conformance::put(&store, &Place::Storage, "full.snapshot", b"x").unwrap();
    conformance::put(&store, &Place::Collection("a b".to_owned()), "a.snapshot", b"x").unwrap();
    conformance::put(&store, &Place::Shard { collection: "a b".to_owned(), shard: 3 }, "s.snapshot", b"x").unwrap();
    let expected: Vec<String> = ["p/a b/a.snapshot", "p/a b/shards/3/s.snapshot", "p/full.snapshot"]
        .iter()
        .flat_map(|key| ["", ".checksum", ".meta.json"].map(|suffix| format!("{key}{suffix}")))
        .collect();
    assert_eq!(double.keys(), expected);
}

#[test]
fn what_somebody_else_has_put_there_is_not_listed_and_not_touched() {
    let double = Double::start();
    let store = store(&double);
    double.write("p/foreign.snapshot", b"x");
    double.write("p/half.snapshot.meta.json", b"{}");
    double.write("p/nonsense/.meta.json", b"x");
    let before = double.keys();
    assert_eq!(store.list(&Place::Storage).unwrap(), []);
    let name = "foreign.snapshot".parse().unwrap();
    assert!(matches!(store.open(&Place::Storage, &name), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.delete(&Place::Storage, &name), Err(StoreError::NotFound { .. })));
    for taken in ["foreign.snapshot", "half.snapshot"] {
        let put = conformance::put(&store, &Place::Storage, taken, b"x");
        assert!(matches!(put, Err(StoreError::Exists { .. })), "{taken}: {put:?}");
    }
    assert_eq!((after_restart(&store).sweep().unwrap(), double.keys()), (0, before));
    // Its address is another matter.
    let address = |text: &str| ObjectAddress::parse(&url::Url::parse(text).unwrap()).unwrap();
    let object = store.open_object(&address("s3://archives/p/foreign.snapshot")).unwrap();
    assert_eq!((object.file.len().unwrap(), object.sha256), (1, None));
    for missing in ["s3://archives/p/none", "s3://elsewhere/p/foreign.snapshot"] {
        assert!(matches!(store.open_object(&address(missing)), Err(StoreError::NotFound { .. })), "{missing}");
    }
}

#[test]
fn a_list_is_one_request_once_the_index_objects_are_known() {
    let double = Double::start();
    let store = store(&double);
    for name in ["a.snapshot", "b.snapshot"] {
        conformance::put(&store, &Place::Storage, name, b"x").unwrap();
    }
    let first = store.list(&Place::Storage).unwrap();
    assert_eq!(first.len(), 2);
    double.seen();
    assert_eq!(store.list(&Place::Storage).unwrap(), first);
    assert!(double.seen().iter().all(|seen| seen.key.is_empty()), "pages of the list and nothing else");
    // An archive without its data is none.
    double.remove("p/a.snapshot");
    assert_eq!(store.list(&Place::Storage).unwrap().len(), 1);
}

#[test]
fn one_of_many_who_want_a_name_gets_it_or_none() {
    let double = Double::start();
    race(&[store(&double), store(&double), store(&double), store(&double)]);
    assert!(!double.keys().iter().any(|key| key.contains(".making/")), "{:?}", double.keys());
}

/// Several stores of one bucket want the same names at once.
fn race(stores: &[S3Store]) {
    for round in 0..4 {
        let name = format!("r{round}.snapshot");
        let made: Vec<Result<ArchiveInfo>> = std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (number, store) in stores.iter().enumerate() {
                let (name, data) = (&name, format!("data of {number}"));
                threads.push(scope.spawn(move || conformance::put(store, &Place::Storage, name, data.as_bytes())));
            }
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        assert!(won.len() <= 1, "{won:?}");
        assert!(lost.iter().all(|lost| matches!(lost, Err(StoreError::Exists { .. }))), "{lost:?}");
        for store in stores {
            let listed = store.list(&Place::Storage).unwrap().into_iter().find(|info| info.name.as_str() == name);
            assert_eq!(listed.as_ref(), won.first().map(|won| won.as_ref().unwrap()));
        }
    }
}

#[test]
fn probing_tells_what_is_wrong_without_secrets() {
    let double = Double::start();
    store(&double).probe().unwrap();
    let other = S3Options { bucket: "none".to_owned(), ..options(&double) };
    let records = Records::new(Arc::new(MemFs::new()), "s3".into());
    let clock = Arc::new(ManualClock::new(Duration::ZERO));
    let other = S3Store::connect(other, records, clock, double.runtime.handle().clone()).unwrap();
    let error = refused(&other);
    assert_eq!(error.fault, Fault::NoBucket);
    assert_eq!(error.to_string(), "list s3://none: the server says NoSuchBucket (404 Not Found)");
    assert!(!format!("{other:?} {error:?}").contains("hush"));

    double.decide(|_| double::Fate::Refuse(axum::http::StatusCode::FORBIDDEN));
    let error = refused(&store(&double));
    assert_eq!((error.fault, error.to_string().contains("hush")), (Fault::Denied, false), "{error}");
}

fn refused(store: &S3Store) -> S3Error {
    match store.probe() {
        Err(StoreError::Object(error)) => error,
        other => panic!("{other:?}"),
    }
}
