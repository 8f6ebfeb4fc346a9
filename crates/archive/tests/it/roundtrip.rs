//! What goes in comes out, and equal plans give equal bytes.

use std::path::Path;

use icecore_archive::{Reader, Sha256Digest, verify};
use serde_json::json;

use crate::support::{Files, archive, archive_of, bytes, create_in, files, get, open, plan, plan_with, store, unpack_all};

fn check(files: &Files) {
    let archive = archive(files);
    assert_eq!(archive.len() as u64, plan(files).archive_len());
    let (fs, reader) = open(&archive);
    let reader = reader.unwrap();
    assert_eq!(reader.plan(), &plan(files));
    let report = verify(&fs, &reader, &()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.sha256, Some(Sha256Digest::of(&archive)));
    assert_eq!((report.members, report.bytes), (files.len() as u64, archive.len() as u64));

    let unpacked = unpack_all(&fs, &reader).unwrap();
    assert_eq!(unpacked.files, files.len() as u64);
    for (index, (path, data)) in files.iter().enumerate() {
        assert!(get(&fs, &Path::new("/out").join(path)) == *data, "{path}");
        assert!(reader.read_member(index).unwrap().unwrap() == *data, "{path}");
    }
    assert_eq!(reader.read_member(files.len()).unwrap(), None);
}

#[test]
fn every_size_alone() {
    for file in files() {
        check(&vec![file]);
    }
}

#[test]
fn every_size_together_in_both_orders() {
    let mut files = files();
    check(&files);
    files.reverse();
    check(&files);
}

#[test]
fn nothing_at_all() {
    check(&Vec::new());
}

#[test]
fn many_small_members_and_long_paths() {
    let mut files: Files =
        (0..3000).map(|index| (format!("many/{index:05}"), bytes(index, usize::try_from(index).unwrap() % 700))).collect();
    for len in [99, 100, 101, 155, 255] {
        files.push(("p".repeat(len), bytes(len as u64, len)));
        files.push((format!("{}/long", "deep/".repeat(150)) + &"q".repeat(len - 90), bytes(len as u64, 70_000)));
    }
    let files = files.into_iter().map(|(path, data)| (path.replace("//", "/"), data)).collect();
    check(&files);
}

#[test]
fn equal_plans_give_equal_bytes_wherever_the_data_comes_from() {
    let files = files();
    assert!(archive(&files) == archive(&files));
    let longer: Files = files.iter().map(|(path, data)| (path.clone(), [data.as_slice(), b"later records"].concat())).collect();
    assert!(archive_of(&plan(&files), &longer) == archive(&files), "only the planned beginning of a source is taken");
    let other = plan_with(json!({"kind": "other"}), &files);
    assert!(archive_of(&other, &files) != archive(&files));
}

#[test]
fn the_archive_of_one_point_is_small() {
    let files = vec![("collections/0000/shards/0/wal/00000000000000000001.wal".to_owned(), bytes(1, 200))];
    assert!(archive(&files).len() < 64 << 10);
}

#[test]
fn a_created_file_is_what_the_stream_is() {
    let fs = store();
    let created = create_in(&fs, "a.snapshot", &files()).unwrap();
    assert!(get(&fs, &created.path) == archive(&files()));
    let reader = Reader::open(&fs, &created.path).unwrap();
    let report = verify(&fs, &reader, &()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!((report.sha256, reader.plan().manifest_sha256()), (Some(created.sha256), created.manifest_sha256));
}
