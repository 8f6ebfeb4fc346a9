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
    let double = Double::start();
    let store = store(&double);
    put(&store, &mut bytes().as_slice(), &()).unwrap();
    store.delete(&Place::Storage, &"a.snapshot".parse().unwrap()).unwrap();
    let count = double.seen().len();
    assert!(count > 10);
    let mut failed = 0;
    for number in 0..count {
        let mut current = 0;
        double.decide(move |seen| {
            // Undoing has to be possible, or it is for the next start.
            let refused = current == number && seen.method != Method::DELETE;
            current += 1;
            if refused { Fate::Refuse(StatusCode::BAD_REQUEST) } else { Fate::Answer }
        });
        let made = put(&store, &mut bytes().as_slice(), &());
        double.answer_all();
        match made {
            Ok(info) => store.delete(&Place::Storage, &info.name).unwrap(),
            Err(error) => {
                failed += 1;
                assert!(!error.to_string().contains("hush"), "{error}");
            }
        }
        assert_eq!((double.keys(), double.uploads()), (vec![], 0), "request {number}");
    }
    assert!(failed > 8, "{failed}");
    assert_eq!(store.records.after_restart().left_over().unwrap(), []);
}

/// The request was done, and its answer says that it was not: the archive is there, or nothing of it.
#[test]
fn a_lost_answer_is_no_half_archive() {
    let double = Double::start();
    let store = store(&double);
    put(&store, &mut bytes().as_slice(), &()).unwrap();
    store.delete(&Place::Storage, &"a.snapshot".parse().unwrap()).unwrap();
    for number in 0..double.seen().len() {
        let mut current = 0;
        double.decide(move |_| {
            current += 1;
            if current == number + 1 { Fate::LoseAnswer(StatusCode::BAD_REQUEST) } else { Fate::Answer }
        });
        let made = put(&store, &mut bytes().as_slice(), &());
        double.answer_all();
        let listed = store.list(&Place::Storage).unwrap();
        assert_eq!(listed.first(), made.as_ref().ok(), "request {number}: {made:?}");
        let next = after_restart(&store);
        next.sweep().unwrap();
        assert_eq!(next.list(&Place::Storage).unwrap(), listed, "request {number}");
        match made {
            Ok(info) => store.delete(&Place::Storage, &info.name).unwrap(),
            Err(_) => assert_eq!(double.keys(), [] as [String; 0], "request {number}"),
        }
        assert_eq!((double.keys(), double.uploads()), (vec![], 0), "request {number}");
    }
}

/// The network is cut off at a request, so that nothing after it is done, undoing included: all that is left is what the records say.
#[test]
fn a_run_that_ends_anywhere_leaves_what_the_next_one_removes() {
    let double = Double::start();
    let first = store(&double);
    put(&first, &mut bytes().as_slice(), &()).unwrap();
    first.delete(&Place::Storage, &"a.snapshot".parse().unwrap()).unwrap();
    let count = double.seen().len();
    for number in 0..count {
        let store = store(&double);
        let current = AtomicUsize::new(0);
        double.decide(move |_| match current.fetch_add(1, Ordering::Relaxed) < number {
            true => Fate::Answer,
            false => Fate::Refuse(StatusCode::BAD_REQUEST),
        });
        let made = put(&store, &mut bytes().as_slice(), &());
        let deleted = made.as_ref().ok().map(|info| store.delete(&Place::Storage, &info.name));
        double.answer_all();

        let next = after_restart(&store);
        next.sweep().unwrap();
        let listed = next.list(&Place::Storage).unwrap();
        match (made, deleted) {
            // Its deletion was refused before anything was done.
            (Ok(info), Some(Err(_))) if !listed.is_empty() => {
                assert_eq!(listed, std::slice::from_ref(&info));
                next.delete(&Place::Storage, &info.name).unwrap();
            }
            // It was complete, and its maker could not say so.
            (Err(_), _) if !listed.is_empty() => next.delete(&Place::Storage, &listed[0].name).unwrap(),
            _ => {}
        }
        assert_eq!((double.keys(), double.uploads()), (vec![], 0), "request {number} of {count}");
        assert_eq!(next.records.after_restart().left_over().unwrap(), []);
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
