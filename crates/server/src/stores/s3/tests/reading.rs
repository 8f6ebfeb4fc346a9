//! Archives as files: ranges, threads, and objects that change or go.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use icecore_io::File;

use super::super::blocks::BLOCK_LEN;
use super::double::Fate;
use super::*;

const BLOCK: usize = 4 << 20;
const _: () = assert!(BLOCK_LEN == BLOCK as u64);
/// Five blocks, the last of them short.
const LEN: usize = 4 * BLOCK + 11;

fn opened(double: &Double) -> (S3Store, Arc<dyn File>, Vec<u8>) {
    let store = store(double);
    let bytes: Vec<u8> = (0..=250).cycle().take(LEN).collect();
    let name = "a.snapshot".parse().unwrap();
    store.put_stream(&Place::Storage, &name, &mut bytes.as_slice(), None, &()).unwrap();
    let file = store.open(&Place::Storage, &name).unwrap().file;
    double.seen();
    (store, file, bytes)
}

#[test]
fn any_part_is_read_and_little_more_than_that_is_fetched() {
    let double = Double::start();
    let (_store, file, bytes) = opened(&double);
    for (offset, len) in [(LEN - 20, 20), (BLOCK - 3, 6), (0, 1)] {
        let mut read = vec![0; len];
        file.read_exact_at(&mut read, offset as u64).unwrap();
        assert_eq!(read, bytes[offset..offset + len], "{offset}");
    }
    assert_eq!(file.read_at(&mut [0], LEN as u64).unwrap(), 0);
    assert_eq!(file.read_exact_at(&mut [0; 2], LEN as u64 - 1).unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
    // Blocks 3 and 4 (the end lies in both), 0 and 1, and two ahead at most.
    let fetched: usize = double.seen().iter().map(|seen| seen.len).sum();
    assert!(fetched <= LEN, "{fetched}");
}

#[test]
fn many_threads_fetch_each_block_once() {
    let double = Double::start();
    let (_store, file, bytes) = opened(&double);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut read = vec![0; LEN];
                file.read_exact_at(&mut read, 0).unwrap();
                assert!(read == bytes);
            });
        }
    });
    let seen = double.seen();
    assert_eq!((seen.len(), seen.iter().map(|seen| seen.len).sum::<usize>()), (5, LEN));
}

#[test]
fn an_object_that_is_replaced_or_gone_fails_the_reader_and_names_itself() {
    let double = Double::start();
    let (_store, file, bytes) = opened(&double);
    file.read_exact_at(&mut [0; 7], 0).unwrap();
    double.write("p/a.snapshot", &vec![9; LEN]);
    let error = file.read_exact_at(&mut [0; 7], 4 * BLOCK_LEN).unwrap_err();
    let found = S3Error::find(&error).unwrap();
    assert_eq!((found.fault, found.object.as_str()), (Fault::Changed, "s3://archives/p/a.snapshot"));
    double.write("p/a.snapshot", &bytes);
    file.read_exact_at(&mut [0; 7], 4 * BLOCK_LEN).unwrap();
    double.remove("p/a.snapshot");
    let error = file.read_exact_at(&mut [0; 7], 3 * BLOCK_LEN).unwrap_err();
    assert_eq!(S3Error::find(&error).unwrap().fault, Fault::NoObject);
}

#[test]
fn a_server_that_stumbles_is_asked_again() {
    let double = Double::start();
    let (_store, file, _) = opened(&double);
    let stumbles = AtomicUsize::new(0);
    double.decide(move |_| match stumbles.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Fate::Refuse(StatusCode::INTERNAL_SERVER_ERROR),
        _ => Fate::Answer,
    });
    file.read_exact_at(&mut [0; 7], 0).unwrap();
}

#[test]
fn without_a_place_for_blocks_exactly_what_is_read_is_fetched() {
    let double = Double::start();
    let (store, _, bytes) = opened(&double);
    let store = S3Store { budget: Budget::of(0), ..store };
    let file = store.open(&Place::Storage, &"a.snapshot".parse().unwrap()).unwrap().file;
    double.seen();
    let mut read = vec![0; 1000];
    file.read_exact_at(&mut read, BLOCK_LEN - 500).unwrap();
    assert_eq!(read, bytes[BLOCK - 500..BLOCK + 500]);
    assert_eq!(double.seen().iter().map(|seen| seen.len).collect::<Vec<_>>(), [1000]);
}
