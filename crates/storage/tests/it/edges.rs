//! Requests at the edge of what can be asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fs, MemFs};
use icecore_storage::{
    AliasAction, CollectionConfig, DenseParams, Distance, Durability, Error, OnExisting, Operation, PointId, Scope, Scroll,
    Select, Storage, Target, Vector, WithVectors,
};

use crate::recorded::ROOT;
use crate::state::{observe, points_of};
use crate::support::{ALL, config, dump, open, point, snapshot, upsert, upsert_of};

fn with_storage(test: impl Fn(&Arc<dyn Fs>, &Storage)) {
    let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    storage.create_collection("c", config(3, 2)).unwrap();
    test(&fs, &storage);
}

fn write(storage: &Storage, operation: Operation) -> icecore_storage::Result<u64> {
    storage.write("c", operation, Durability::Synced)
}

#[test]
fn requests_without_points_change_nothing() {
    with_storage(|_, storage| {
        upsert(storage, "c", vec![point(1, &[1.0, 2.0], "")]);
        let before = observe(storage);
        let lsns = || storage.info("c").unwrap().shards.iter().map(|shard| shard.last_lsn).collect::<Vec<_>>();
        let (lsns_before, payload) = (lsns(), "{}".to_owned());
        write(storage, Operation::upsert(Vec::new())).unwrap();
        write(storage, Operation::delete(Vec::new())).unwrap();
        write(storage, Operation::set_payload(Vec::new(), payload)).unwrap();
        storage.update_aliases(&[]).unwrap();
        assert_eq!((observe(storage), lsns()), (before, lsns_before));
        assert!(storage.retrieve("c", &[], &ALL).unwrap().is_empty());
        storage.flush().unwrap();
        storage.flush().unwrap();
        storage.compact().unwrap();
        assert_eq!(storage.count("c", None).unwrap(), 1);
    });
}

#[test]
fn of_an_id_that_is_twice_in_a_request_the_last_one_counts() {
    with_storage(|_, storage| {
        let points = vec![point(1, &[1.0, 1.0], r#"{"a":1}"#), point(1, &[2.0, 2.0], r#"{"a":2}"#)];
        write(storage, Operation::upsert(points)).unwrap();
        assert_eq!(storage.count("c", None).unwrap(), 1);
        let one = PointId::Num(1);
        let payload = r#"{"b":3}"#.to_owned();
        write(storage, Operation::set_payload(vec![one, one], payload)).unwrap();
        let found = storage.retrieve("c", &[one, PointId::Num(2), one], &ALL).unwrap();
        assert_eq!(found.len(), 1, "asked twice, answered once; the missing one is left out");
        assert_eq!(found[0].payload, r#"{"a":2,"b":3}"#);
        storage.flush().unwrap();
        assert_eq!(storage.retrieve("c", &[one], &ALL).unwrap()[0], found[0]);
        write(storage, Operation::delete(vec![one, one, PointId::Num(9)])).unwrap();
        assert_eq!(storage.count("c", None).unwrap(), 0);
        write(storage, Operation::delete(vec![one])).unwrap();
        assert_eq!(storage.count("c", None).unwrap(), 0);
    });
}

#[test]
fn an_operation_cannot_grow_with_the_number_of_shards() {
    with_storage(|_, storage| {
        storage.create_collection("wide", config(128, 2)).unwrap();
        let all = || Target::Filter("{}".to_owned());
        let payload = |len: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(len));
        let (fits, too_large) = (payload(1024), payload(3 * 1024 * 1024));
        for payload in [&fits, &too_large] {
            // To two points it is two copies at most.
            let few = Operation::set_payload(vec![PointId::Num(1), PointId::Num(2)], payload.clone());
            assert!(matches!(storage.write("wide", few, Durability::Synced), Err(Error::PointNotFound { .. })));
        }
        for (payload, refused) in [(fits, false), (too_large, true)] {
            for operation in [
                Operation::SetPayload { target: all(), payload: payload.clone(), key: None },
                Operation::OverwritePayload { target: all(), payload },
            ] {
                let outcome = storage.write("wide", operation, Durability::Synced);
                assert_eq!(matches!(outcome, Err(Error::OperationTooLarge { .. })), refused, "{outcome:?}");
            }
        }
    });
}

#[test]
fn scrolls_begin_and_end_anywhere() {
    with_storage(|_, storage| {
        let last = PointId::Num(u64::MAX);
        let mut end = point(0, &[1.0, 2.0], "");
        end.id = last;
        upsert(storage, "c", vec![end]);
        write(storage, upsert_of(0..5, 1)).unwrap();
        let scroll = |from, limit| {
            let page = storage.scroll("c", &crate::support::scroll(from, limit)).unwrap();
            (page.records.iter().map(|record| record.id).collect::<Vec<_>>(), page.next)
        };
        for _ in 0..2 {
            assert_eq!(scroll(None, 0), (vec![], Some(PointId::Num(0))));
            assert_eq!(scroll(Some(PointId::Num(5)), 0), (vec![], Some(last)));
            assert_eq!(scroll(Some(last), 1), (vec![last], None));
            assert_eq!(scroll(Some(PointId::Uuid([0; 16])), 9), (vec![], None));
            assert_eq!(scroll(Some(PointId::Uuid([255; 16])), 0), (vec![], None));
            assert_eq!(scroll(Some(PointId::Num(4)), usize::MAX), (vec![PointId::Num(4), last], None));
            storage.flush().unwrap();
        }
        let none = Select { payload: false, vectors: WithVectors::Named(vec!["other".into()]) };
        let bare = storage.scroll("c", &Scroll { select: none, ..crate::support::scroll(None, 1) }).unwrap();
        assert!(bare.records[0].vectors.is_empty() && bare.records[0].payload.is_empty());
    });
}

/// A payload was accepted by a check that looked less closely than the parser that later merges keys into it: the merge found
/// nothing to merge with, and dropped all other keys.
#[test]
fn a_payload_that_is_accepted_keeps_its_keys() {
    let deep = format!(r#"{{"keep":1,"deep":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    for payload in [r#"{"keep":1,"big":1e999}"#, &deep, r#"{"keep":1,"half":"\ud800"}"#, r#"{"keep":1,"a":1,"a":2}"#] {
        with_storage(|_, storage| {
            match write(storage, Operation::upsert(vec![point(1, &[1.0, 2.0], payload)])) {
                Err(Error::PayloadNotObject { .. }) => assert_eq!(storage.count("c", None).unwrap(), 0),
                Err(other) => panic!("{other}"),
                Ok(_) => {
                    let ids = vec![PointId::Num(1)];
                    write(storage, Operation::set_payload(ids, r#"{"new":2}"#)).unwrap();
                    let found = dump(storage, "c").remove(0).payload;
                    assert!(found.contains(r#""keep":1"#) && found.contains(r#""new":2"#), "{payload}: {found}");
                }
            }
            upsert(storage, "c", vec![point(2, &[1.0, 2.0], r#"{"keep":1}"#)]);
            let set = Operation::set_payload(vec![PointId::Num(2)], payload);
            let before = dump(storage, "c");
            match write(storage, set) {
                Err(_) => assert_eq!(dump(storage, "c"), before),
                Ok(_) => assert_ne!(dump(storage, "c"), before, "{payload}: said to be set, and nothing was"),
            }
        });
    }
}

#[test]
fn values_come_back_bit_for_bit() {
    with_storage(|fs, storage| {
        let values = [f32::MIN_POSITIVE / 2.0, -0.0, f32::MAX, f32::MIN, 1.0e-40, std::f32::consts::PI];
        let points = (0..).zip(values.chunks(2)).map(|(id, pair)| point(id, pair, "{}")).collect::<Vec<_>>();
        let expected = points.clone();
        upsert(storage, "c", points);
        for step in 0..2 {
            for (found, point) in dump(storage, "c").iter().zip(&expected) {
                let (Vector::Dense(found), Vector::Dense(written)) = (&found.vectors[0].vector, &point.vectors[0].vector) else {
                    panic!("another kind")
                };
                assert!(found.iter().map(|v| v.to_bits()).eq(written.iter().map(|v| v.to_bits())), "step {step}");
            }
            storage.flush().unwrap();
        }
        assert!(fs.exists(Path::new(ROOT)).unwrap());
    });
}

#[test]
fn a_rejected_request_is_rejected_wholly() {
    with_storage(|_, storage| {
        let before = observe(storage);
        let mut points: Vec<_> = (0..20).map(|id| point(id, &[1.0, 2.0], "")).collect();
        points.push(point(20, &[f32::NAN, 0.0], ""));
        assert!(matches!(write(storage, Operation::upsert(points)), Err(Error::VectorNotFinite { .. })));
        let mut twice = point(1, &[1.0, 2.0], "");
        twice.vectors.push(twice.vectors[0].clone());
        assert!(write(storage, Operation::upsert(vec![twice])).is_err());
        for payload in ["[]", "1", "{", "{}x", "null", " {}x"] {
            assert!(write(storage, Operation::upsert(vec![point(1, &[1.0, 2.0], payload)])).is_err(), "{payload}");
        }
        assert_eq!(observe(storage), before);
    });
}

#[test]
fn impossible_names_and_configurations_are_refused() {
    with_storage(|_, storage| {
        let before = observe(storage);
        for name in ["", ".", "..", "a/b", "\0", "a\u{7f}"] {
            assert!(matches!(storage.create_collection(name, config(1, 2)), Err(Error::InvalidName { .. })), "{name:?}");
            let create = AliasAction::Create { collection: "c".into(), alias: name.into() };
            assert!(matches!(storage.update_aliases(&[create]), Err(Error::InvalidName { .. })), "{name:?}");
            let none = BTreeMap::new();
            assert!(storage.check_adoption(&[(name, &config(1, 2))], &none, OnExisting::Replace).is_err(), "{name:?}");
        }
        for (shards, size) in [(0, 2), (1025, 2), (1, 0), (1, 65_537)] {
            assert!(matches!(storage.create_collection("d", config(shards, size)), Err(Error::InvalidConfig { .. })));
        }
        let vectors = BTreeMap::from([("n".repeat(256), DenseParams::new(2, Distance::Dot))]);
        let long = CollectionConfig { vectors, ..config(1, 2) };
        assert!(storage.create_collection("d", long).is_err());
        assert!(storage.snapshot(&Scope::Collection("missing".into())).is_err());
        assert!(matches!(
            storage.snapshot(&Scope::Shard { collection: "c".into(), shard: 3 }),
            Err(Error::ShardNotFound { shard: 3, .. })
        ));
        assert_eq!(observe(storage), before);
    });
}

#[test]
fn a_collection_without_vectors_holds_payloads() {
    with_storage(|fs, storage| {
        storage.create_collection("p", CollectionConfig { vectors: BTreeMap::new(), ..config(1, 2) }).unwrap();
        let mut bare = point(7, &[], r#"{"a":null}"#);
        bare.vectors.clear();
        upsert(storage, "p", vec![bare]);
        let before = dump(storage, "p");
        storage.flush().unwrap();
        assert_eq!(dump(storage, "p"), before);
        crate::support::restore(fs, &snapshot(storage, "p"), storage, |_| "q".into(), false).unwrap();
        assert_eq!(points_of(&dump(storage, "q")), points_of(&before));
    });
}

#[test]
fn everything_is_refused_after_close() {
    with_storage(|fs, storage| {
        write(storage, upsert_of(0..5, 1)).unwrap();
        let before = observe(storage);
        storage.close().unwrap();
        assert!(matches!(write(storage, upsert_of(5..6, 1)), Err(Error::Closed)));
        assert!(matches!(storage.create_collection("d", config(1, 2)), Err(Error::Closed)));
        assert!(matches!(storage.delete_collection("c"), Err(Error::Closed)));
        assert!(matches!(storage.snapshot(&Scope::Storage), Err(Error::Closed)));
        assert!(matches!(storage.stage(BTreeMap::new()), Err(Error::Closed)));
        storage.close().unwrap();
        assert!(matches!(open(fs, Path::new(ROOT)), Err(Error::Locked { .. })), "until it is dropped");
        assert_eq!(observe(storage), before);
    });
}

/// What only a snapshot keeps counts as pinned, also after its collection is gone.
#[test]
fn a_snapshot_of_a_deleted_collection_stays_whole_and_counted() {
    with_storage(|fs, storage| {
        write(storage, upsert_of(0..50, 1)).unwrap();
        storage.flush().unwrap();
        write(storage, upsert_of(40..60, 2)).unwrap();
        let before = observe(storage).collections["c"].clone();
        let cut = snapshot(storage, "c");
        assert!(storage.delete_collection("c").unwrap());
        assert!(storage.pinned_bytes() > 0);
        crate::support::restore(fs, &cut, storage, |_| "again".into(), false).unwrap();
        assert_eq!(observe(storage).collections["again"], before);
        drop(cut);
        assert_eq!(storage.pinned_bytes(), 0);
        crate::disk::assert_no_orphans(fs.as_ref(), Path::new(ROOT), "after the last reference");
    });
}
