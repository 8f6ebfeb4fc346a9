//! Requests that fail, answers that are lost, and runs that end in the middle: a put makes an archive or leaves nothing.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::{Method, StatusCode};

use super::double::{Fate, Seen};
use super::*;

/// Three parts.
const LEN: usize = 2 * PART_LEN + 7;

fn put(store: &S3Store, reader: &mut dyn Read, progress: &dyn Progress) -> Result<ArchiveInfo> {
    store.put_stream(&Place::Storage, &"a.snapshot".parse().unwrap(), reader, None, progress)
}

fn bytes() -> Vec<u8> {
    (0..=250).cycle().take(LEN).collect()
}

/// A way to make an archive `a.snapshot`.
struct Way {
    /// What has to be there before.
    prepare: fn(&S3Store),
    make: fn(&S3Store) -> Result<ArchiveInfo>,
}

/// It is sent, or an equal one is copied.
const WAYS: [Way; 2] = [
    Way { prepare: |_| (), make: |store| put(store, &mut bytes().as_slice(), &()) },
    Way { prepare: |store| drop(copying::original(store)), make: |store| copying::make(store, "a.snapshot", &copying::data()) },
];

impl Way {
    /// Prepares a server. Gives the keys that it has then, and the number of requests that making the archive and deleting it takes.
    fn begin(&self, double: &Double) -> (Vec<String>, usize) {
        let store = store(double);
        (self.prepare)(&store);
        let keys = double.keys();
        double.seen();
        let made = (self.make)(&store).unwrap();
        store.delete(&Place::Storage, &made.name).unwrap();
        assert_eq!(double.keys(), keys);
        (keys, double.seen().len())
    }
}

/// The archive, if it is listed.
fn listed(store: &S3Store) -> Option<ArchiveInfo> {
    store.list(&Place::Storage).unwrap().into_iter().find(|info| info.name.as_str() == "a.snapshot")
}

#[test]
fn a_long_archive_arrives_in_parts_that_are_repeated_if_they_fail() {
    let double = Double::start();
    let store = store(&double);
    let mut failures = 3;
    double.decide(move |seen: &Seen| match seen.query.contains("partNumber=2") && failures > 0 {
        true => {
            failures -= 1;
            Fate::Refuse(StatusCode::SERVICE_UNAVAILABLE)
        }
        false => Fate::Answer,
    });
    let bytes = bytes();
    let info = put(&store, &mut bytes.as_slice(), &()).unwrap();
    assert_eq!((info.size, info.sha256), (LEN as u64, Some(icecore_archive::Sha256Digest::of(&bytes))));
    let parts = double.seen().into_iter().filter(|seen| seen.query.contains("partNumber=")).count();
    assert_eq!((parts, double.uploads()), (6, 0));
    let mut read = vec![0; LEN];
    store.open(&Place::Storage, &info.name).unwrap().file.read_exact_at(&mut read, 0).unwrap();
    assert!(read == bytes);
}

#[test]
fn whichever_request_is_refused_nothing_is_left() {
    for way in WAYS {
        let double = Double::start();
        let (keys, count) = way.begin(&double);
        assert!(count > 10);
        let store = store(&double);
        let mut failed = 0;
        for number in 0..count {
            let mut current = 0;
            double.decide(move |seen| {
                // Undoing has to be possible, or it is for the next start.
                let refused = current == number && seen.method != Method::DELETE;
                current += 1;
                if refused { Fate::Refuse(StatusCode::BAD_REQUEST) } else { Fate::Answer }
            });
            let made = (way.make)(&store);
            double.answer_all();
            match made {
                Ok(info) => store.delete(&Place::Storage, &info.name).unwrap(),
                Err(error) => {
                    failed += 1;
                    assert!(!error.to_string().contains("hush"), "{error}");
                }
            }
            assert_eq!((double.keys(), double.uploads()), (keys.clone(), 0), "request {number}");
        }
        assert!(failed > 5, "{failed}");
        assert_eq!(store.records.after_restart().left_over().unwrap(), []);
    }
}

/// The request was done, and its answer says that it was not: the archive is there, or nothing of it.
#[test]
fn a_lost_answer_is_no_half_archive() {
    for way in WAYS {
        let double = Double::start();
        let (keys, count) = way.begin(&double);
        let store = store(&double);
        for number in 0..count {
            let mut current = 0;
            double.decide(move |_| {
                current += 1;
                if current == number + 1 { Fate::LoseAnswer(StatusCode::BAD_REQUEST) } else { Fate::Answer }
            });
            let made = (way.make)(&store);
            double.answer_all();
            assert_eq!(listed(&store).as_ref(), made.as_ref().ok(), "request {number}: {made:?}");
            let next = after_restart(&store);
            next.sweep().unwrap();
            assert_eq!(listed(&next).as_ref(), made.as_ref().ok(), "request {number}");
            match made {
                Ok(info) => store.delete(&Place::Storage, &info.name).unwrap(),
                Err(_) => assert_eq!(double.keys(), keys, "request {number}"),
            }
            assert_eq!((double.keys(), double.uploads()), (keys.clone(), 0), "request {number}");
        }
    }
}

/// The network is cut off at a request, so that nothing after it is done, undoing included: all that is left is what the records say.
#[test]
fn a_run_that_ends_anywhere_leaves_what_the_next_one_removes() {
    for way in WAYS {
        let double = Double::start();
        let (keys, count) = way.begin(&double);
        for number in 0..count {
            let store = store(&double);
            let current = AtomicUsize::new(0);
            double.decide(move |_| match current.fetch_add(1, Ordering::Relaxed) < number {
                true => Fate::Answer,
                false => Fate::Refuse(StatusCode::BAD_REQUEST),
            });
            let made = (way.make)(&store);
            let deleted = made.as_ref().ok().map(|info| store.delete(&Place::Storage, &info.name));
            double.answer_all();

            let next = after_restart(&store);
            next.sweep().unwrap();
            match (listed(&next), made, deleted) {
                // Its deletion was refused before anything was done.
                (Some(listed), Ok(info), Some(Err(_))) => {
                    assert_eq!(listed, info);
                    next.delete(&Place::Storage, &info.name).unwrap();
                }
                // It was complete, and its maker could not say so.
                (Some(listed), Err(_), _) => next.delete(&Place::Storage, &listed.name).unwrap(),
                _ => {}
            }
            assert_eq!((double.keys(), double.uploads()), (keys.clone(), 0), "request {number} of {count}");
            assert_eq!(next.records.after_restart().left_over().unwrap(), []);
        }
    }
}

#[test]
fn the_next_run_leaves_alone_what_it_does_not_know() {
    let double = Double::start();
    let (store, other) = (store(&double), store(&double));
    // The other's archive is on its way while this one starts.
    struct Starting<'a>(&'a [u8], Option<&'a dyn Fn()>);
    impl Read for Starting<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if let (true, Some(start)) = (self.0.is_empty(), self.1.take()) {
                start();
            }
            self.0.read(buffer)
        }
    }
    let bytes = bytes();
    let start = || assert_eq!(after_restart(&store).sweep().unwrap(), 0);
    put(&other, &mut Starting(&bytes, Some(&start)), &()).unwrap();
    assert_eq!(store.list(&Place::Storage).unwrap().len(), 1);
}

#[test]
fn a_reader_that_panics_leaves_a_record() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _buffer: &mut [u8]) -> std::io::Result<usize> {
            panic!("boom")
        }
    }
    let double = Double::start();
    let store = store(&double);
    // Longer than what is read at a time.
    let long = vec![7; 2 << 20];
    let panicked = catch_unwind(AssertUnwindSafe(|| put(&store, &mut long.as_slice().chain(Panics), &())));
    assert!(panicked.is_err());
    assert_eq!(double.uploads(), 1);
    let next = after_restart(&store);
    assert_eq!(next.sweep().unwrap(), 1, "the upload");
    assert_eq!((double.keys(), double.uploads()), (vec![], 0));
}
