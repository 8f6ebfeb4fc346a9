//! Logs of archives that no engine wrote: right checksums around operations that no request could have brought there.
//!
//! Such an archive is refused without any change, or it is harmless: the operation has no effect on the points, whatever is done
//! with them afterwards. Nothing of it can panic, and nothing keeps the next start from opening the storage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{Fs, MemFs, read_file};
use icecore_storage::codec::encode;
use icecore_storage::wal::file::HEADER_LEN;
use icecore_storage::wal::record::{ALIGNMENT, RecordHeader};
use icecore_storage::{
    Adoption, Crc32c, Durability, FileDigest, Lsn, NamedVector, Operation, PointId, PointVectors, Storage, Target, UpsertMode,
    Vector,
};

use crate::disk::files;
use crate::recorded::ROOT;
use crate::state::{Points, observe};
use crate::support::{adoption, copy_member, dump, every_kind, open, point, snapshot, upsert_kinds};

/// What the log of the archive begins with.
const POINTS: u64 = 5;

fn filled() -> (Arc<dyn Fs>, Storage) {
    let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    storage.create_collection("c", every_kind(1, 2)).unwrap();
    storage.write("c", upsert_kinds(0..POINTS, 1), Durability::Synced).unwrap();
    (fs, storage)
}

/// Adopts an archive of "c" as "new", with one more record behind its log. What it leaves on the disk is flushed, compacted and
/// opened again.
fn adopt_with(body: &[u8]) -> Result<Points, String> {
    let (fs, storage) = filled();
    let cut = snapshot(&storage, "c");
    let [log] = cut.files.as_slice() else { panic!("all of it is in one log file") };
    let (seen, disk) = (observe(&storage), files(fs.as_ref(), Path::new(ROOT)));

    let mut bytes = read_file(fs.as_ref(), &log.source, 1 << 30).unwrap();
    bytes.truncate(usize::try_from(log.digest.len).unwrap());
    let lsn = cut.subject.collections[0].shards[0].lsn.next();
    bytes.extend(record(lsn, body));
    let forged = PathBuf::from("/forged");
    fs.create_new(&forged).unwrap().write_all_at(&bytes, 0).unwrap();
    // Digests are compared by whoever unpacks an archive; of a log no manifest keeps one.
    let digest = FileDigest { len: bytes.len() as u64, ..log.digest };
    let staging = Arc::new(storage.stage([(log.member.clone(), digest)].into()).unwrap());
    copy_member(&fs, &forged, digest.len, &staging.path().join(&log.member));
    let mut adoption: Adoption = adoption(&cut, &staging, |_| "new".into(), false);
    adoption.collections[0].from.shards[0].lsn = lsn;
    drop(staging);
    if let Err(error) = storage.adopt(adoption) {
        assert_eq!(observe(&storage), seen, "{error}");
        assert!(files(fs.as_ref(), Path::new(ROOT)) == disk, "{error}");
        return Err(error.to_string());
    }

    let adopted = observe(&storage).collections["new"].shards[0].clone();
    let again = |storage: &Storage, when: &str| {
        assert_eq!(observe(storage).collections["new"].shards[0], adopted, "{when}");
    };
    drop(storage);
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    again(&storage, "replayed");
    storage.write("new", Operation::upsert(vec![point(1 << 40, &[1.0, 2.0], "")]), Durability::Synced).unwrap();
    storage.write("new", Operation::delete(vec![PointId::Num(1 << 40)]), Durability::Synced).unwrap();
    storage.flush().unwrap();
    again(&storage, "flushed");
    storage.compact().unwrap();
    again(&storage, "compacted");
    drop(storage);
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    again(&storage, "opened again");
    assert!(storage.scrub().is_empty());
    Ok(adopted)
}

/// A record of the first batch, whose checksums are right.
fn record(lsn: Lsn, body: &[u8]) -> Vec<u8> {
    let body_len = u32::try_from(body.len()).unwrap();
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(ALIGNMENT), 0);
    let header = RecordHeader { body_len, lsn, batch_offset: HEADER_LEN as u64, body_crc: Crc32c::of(&padded) };
    [header.encode().as_slice(), &padded].concat()
}

fn unchanged() -> Points {
    observe(&filled().1).collections["c"].shards[0].clone()
}

fn all() -> Target {
    Target::Filter("{}".into())
}

#[test]
fn what_the_forger_writes_is_a_log_that_is_read() {
    let body = encode(&Operation::ClearPayload { target: all() }).unwrap();
    let mut expected = unchanged();
    expected.values_mut().for_each(|point| point.payload.clear());
    assert_eq!(adopt_with(&body), Ok(expected));
}

#[test]
fn filters_and_paths_that_are_none_have_no_effect() {
    let before = unchanged();
    let deep = format!("{}{}", r#"{"must":["#.repeat(5000), "]}".repeat(5000));
    let long = vec!["k"; 100_000].join(".");
    let payload = || r#"{"x":1}"#.to_owned();
    let update = PointVectors { id: PointId::Num(1), vectors: Vec::new() };
    for text in ["", "1", "{", r#"{"must":[{"key":"","match":{"value":1}}]}"#, r#"{"other":[]}"#, "\u{0}", &deep] {
        let (target, condition) = (|| Target::Filter(text.into()), Some(text.to_owned()));
        for operation in [
            Operation::Delete { target: target() },
            Operation::SetPayload { target: target(), payload: payload(), key: None },
            Operation::OverwritePayload { target: target(), payload: payload() },
            Operation::DeletePayload { target: target(), keys: vec!["t".into()] },
            Operation::ClearPayload { target: target() },
            Operation::DeleteVectors { target: target(), names: vec!["half".into()] },
            Operation::UpdateVectors { points: vec![update.clone()], condition: condition.clone() },
            Operation::Upsert { points: vec![point(1, &[0.0, 0.0], "")], mode: UpsertMode::Upsert, condition },
        ] {
            assert_eq!(adopt_with(&encode(&operation).unwrap()).as_ref(), Ok(&before), "{:.300}", format!("{operation:?}"));
        }
    }
    for key in ["", ".", "a..b", "a[", "a[x]", "[]", "\"", &long] {
        for operation in [
            Operation::SetPayload { target: all(), payload: payload(), key: Some(key.into()) },
            Operation::DeletePayload { target: all(), keys: vec!["t.x".into(), key.into()] },
        ] {
            assert_eq!(adopt_with(&encode(&operation).unwrap()).as_ref(), Ok(&before), "{:.300}", format!("{operation:?}"));
        }
    }
    for payload in ["[1]", "{", "null", r#"{"a":1e999}"#] {
        let set = Operation::SetPayload { target: all(), payload: payload.into(), key: None };
        assert_eq!(adopt_with(&encode(&set).unwrap()).as_ref(), Ok(&before), "{payload}");
    }
    let missing = Operation::DeleteVectors { target: all(), names: vec!["none".into(), "\u{0}".into()] };
    assert_eq!(adopt_with(&encode(&missing).unwrap()).as_ref(), Ok(&before));
}

#[test]
fn vectors_that_the_collection_cannot_have_are_refused() {
    let dense = |values: &[f32]| Vector::Dense(values.to_vec());
    let multi = |values: &[f32]| Vector::Multi(values.to_vec());
    let sparse = |indices: &[u32], values: &[f32]| Vector::Sparse { indices: indices.to_vec(), values: values.to_vec() };
    let cases = [
        ("", sparse(&[1], &[1.0])),
        ("", multi(&[1.0, 2.0])),
        ("", dense(&[])),
        ("half", dense(&[1.0])),
        ("half", dense(&[1.0, 0.1])),
        ("half", dense(&[1.0, 1e6])),
        ("byte", dense(&[1.0, 2.0, -0.0])),
        ("byte", dense(&[1.0, 2.0, f32::NAN])),
        ("byte", dense(&[1.0, 2.0, f32::INFINITY])),
        ("byte", dense(&[1.0, 2.0, 256.0])),
        ("multi", dense(&[1.0, 2.0])),
        ("multi", multi(&[1.0, 2.0, 3.0])),
        ("sparse", dense(&[1.0])),
        ("sparse", sparse(&[2, 1], &[1.0, 2.0])),
        ("sparse", sparse(&[1, 1], &[1.0, 2.0])),
        ("sparse", sparse(&[1, 2], &[1.0])),
        ("sparse", sparse(&[], &[1.0])),
        ("none", dense(&[1.0, 2.0])),
    ];
    for (name, vector) in cases {
        let vectors = vec![NamedVector { name: name.into(), vector }];
        let update = PointVectors { id: PointId::Num(1), vectors: vectors.clone() };
        let upsert = icecore_storage::Point { id: PointId::Num(1), vectors, payload: String::new() };
        for operation in [
            Operation::UpdateVectors { points: vec![update], condition: None },
            Operation::Upsert { points: vec![upsert], mode: UpsertMode::UpdateOnly, condition: Some("{".into()) },
        ] {
            let refused = adopt_with(&encode(&operation).unwrap());
            assert!(refused.is_err(), "{operation:?}");
        }
    }
    let twice = vec![NamedVector { name: "half".into(), vector: dense(&[1.0, 2.0]) }; 2];
    let update = PointVectors { id: PointId::Num(1), vectors: twice };
    assert!(adopt_with(&encode(&Operation::UpdateVectors { points: vec![update], condition: None }).unwrap()).is_err());
}

/// Numbers that no request may write but that every file can hold come back as they are, bit for bit.
#[test]
fn numbers_that_are_not_finite_do_no_harm() {
    let strange = [f32::NAN, f32::NEG_INFINITY];
    let vectors = vec![
        NamedVector { name: String::new(), vector: Vector::Dense(strange.to_vec()) },
        NamedVector { name: "half".into(), vector: Vector::Dense(vec![f32::INFINITY, -0.0]) },
        NamedVector { name: "multi".into(), vector: Vector::Multi(Vec::new()) },
        NamedVector { name: "sparse".into(), vector: Vector::Sparse { indices: vec![0, u32::MAX], values: strange.to_vec() } },
    ];
    let update = PointVectors { id: PointId::Num(1), vectors };
    let Ok(points) = adopt_with(&encode(&Operation::UpdateVectors { points: vec![update], condition: None }).unwrap()) else {
        return;
    };
    assert_eq!(points[&PointId::Num(1)].vectors[""].2, strange.map(f32::to_bits));
    assert_eq!(points.len() as u64, POINTS);
}

#[test]
fn bodies_that_are_no_operation_are_refused() {
    let number = |value: u32| value.to_le_bytes();
    let huge = u64::MAX.to_le_bytes();
    let many = 3_000_000u64.to_le_bytes();
    let bodies: [&[&[u8]]; 9] = [
        &[],
        &[&number(8)],
        &[&number(0), &many],
        &[&number(1), &number(0), &huge],
        &[&number(1), &number(2)],
        &[&number(1), &number(1), &huge],
        &[&number(6), &many],
        &[&number(7), &number(0), &[0; 8], &many],
        &[&number(5), &number(0), &[0; 8], &[0]],
    ];
    for pieces in bodies {
        assert!(adopt_with(&pieces.concat()).is_err(), "{pieces:?}");
    }
    let mut mode = encode(&Operation::upsert(Vec::new())).unwrap();
    let at = mode.len() - 5;
    mode[at] = 3;
    assert!(adopt_with(&mode).is_err(), "a mode that is none");
    let mut optional = encode(&Operation::upsert(Vec::new())).unwrap();
    *optional.last_mut().unwrap() = 2;
    assert!(adopt_with(&optional).is_err(), "neither a condition nor none");
}

/// Points of an archive whose payloads are no objects are read as they are, and no operation makes other points of them.
#[test]
fn payloads_that_are_none_stay_where_they_are() {
    let operation = Operation::OverwritePayload { target: Target::Ids(vec![PointId::Num(2)]), payload: "[1".into() };
    if let Ok(points) = adopt_with(&encode(&operation).unwrap()) {
        let mut expected = unchanged();
        expected.get_mut(&PointId::Num(2)).unwrap().payload = "[1".into();
        assert_eq!(points, expected);
    }
    let (_, storage) = filled();
    assert_eq!(dump(&storage, "c").len() as u64, POINTS);
}
