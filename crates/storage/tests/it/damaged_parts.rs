//! Damage to a segment under operations that change a part of its points, and keep the others where they are.
//!
//! Whatever is asked of a point afterwards, each of its parts by itself, is what it should be or an error that names the segment:
//! never what was there before an operation that was acknowledged. The other points go on as ever. Damage comes either before
//! the operations, which then may fail, or behind their acknowledgement, so that the replay meets it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{Fs, MemFs};
use icecore_storage::{Durability, Error, Operation, PointId, PointVectors, Select, Storage, Target, WithVectors};

use crate::disk::files;
use crate::plain::number_at;
use crate::random::NAMES;
use crate::recorded::ROOT;
use crate::state::{Points, Stored, apply, points_of};
use crate::support::{every_kind, kinds, open, upsert_kinds};

/// Where the ids begin, which are numbers.
const FIRST_SECTION: usize = 4096;
/// Points in the segment that is damaged; as many are in the other.
const POINTS: u64 = 8;

struct Filled {
    disk: MemFs,
    points: Points,
    /// The segment of the first points.
    segment: PathBuf,
    /// Where it is damaged.
    offset: usize,
}

impl Filled {
    /// Whether the damage may be in the way of a point. Without its ids nobody knows which points a segment does not have.
    fn reaches(&self, id: PointId) -> bool {
        self.offset < FIRST_SECTION + 8 * POINTS as usize || matches!(id, PointId::Num(number) if number < POINTS)
    }
}

fn filled() -> Filled {
    let disk = MemFs::new();
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    storage.create_collection("c", every_kind(1, 2)).unwrap();
    let mut points = Points::new();
    for ids in [0..POINTS, POINTS..2 * POINTS] {
        let operation = upsert_kinds(ids, 1);
        assert!(apply(&mut points, &operation));
        storage.write("c", operation, Durability::Synced).unwrap();
        storage.flush().unwrap();
    }
    drop(storage);
    let found = files(&disk, Path::new(ROOT));
    let mut segments = found.keys().filter(|path| path.extension().is_some_and(|extension| extension == "seg"));
    let segment = segments.next().unwrap().clone();
    Filled { disk: disk.fork(), points, segment, offset: usize::MAX }
}

/// One operation of each kind on a point of each segment, by id.
fn operations() -> Vec<Operation> {
    let target = |id: u64| Target::Ids(vec![PointId::Num(id), PointId::Num(POINTS + id)]);
    let update = |id: u64| {
        let vectors = kinds(id, 9).into_iter().filter(|named| named.name == "half").collect();
        PointVectors { id: PointId::Num(id), vectors }
    };
    let payload = || r#"{"x":1}"#.to_owned();
    vec![
        Operation::SetPayload { target: target(0), payload: payload(), key: None },
        Operation::OverwritePayload { target: target(1), payload: payload() },
        Operation::DeletePayload { target: target(2), keys: vec!["t".into()] },
        Operation::ClearPayload { target: target(3) },
        Operation::UpdateVectors { points: vec![update(4), update(POINTS + 4)], condition: None },
        Operation::DeleteVectors { target: target(5), names: vec!["byte".into()] },
        Operation::Delete { target: target(6) },
        // The payloads of all points are looked at.
        Operation::Delete { target: Target::Filter(number_at("n.id", POINTS + 7)) },
        Operation::ClearPayload { target: Target::Filter(number_at("n.id", POINTS + 2)) },
        // The same points again, in other parts.
        Operation::UpdateVectors { points: vec![update(0), update(POINTS)], condition: None },
        Operation::SetPayload { target: target(4), payload: payload(), key: Some("n".into()) },
    ]
}

/// What each part of each point may be.
type Allowed = BTreeMap<PointId, Vec<Option<Stored>>>;

/// Reads a point part by part; each is one of those allowed, or an error that names the segment.
fn check_parts(storage: &Storage, filled: &Filled, allowed: &Allowed, context: &str) {
    let part = |id: PointId, payload: bool, vectors: &[&str]| {
        let vectors = WithVectors::Named(vectors.iter().map(|name| (*name).into()).collect());
        match storage.retrieve("c", &[id], &Select { payload, vectors }) {
            Ok(records) => Some(points_of(&records).remove(&id)),
            Err(error) => {
                assert!(error.is_corrupt(), "{context}: reads go on: {error}");
                check_error(&error, filled, context);
                assert!(filled.reaches(id), "{context}: point {id} is in another segment: {error}");
                None
            }
        }
    };
    for (&id, states) in allowed {
        if let Some(found) = part(id, true, &[]) {
            let payloads: Vec<_> = states.iter().map(|state| state.as_ref().map(|point| point.payload.clone())).collect();
            let found = found.map(|point| point.payload);
            assert!(payloads.contains(&found), "{context}: payload of {id}: {found:?}, not one of {payloads:?}");
        }
        for name in NAMES {
            if let Some(found) = part(id, false, &[name]) {
                let found = found.map(|mut point| point.vectors.remove(name));
                let vectors: Vec<_> =
                    states.iter().map(|state| state.as_ref().map(|point| point.vectors.get(name).cloned())).collect();
                assert!(vectors.contains(&found), "{context}: {name:?} of {id}: {found:?}, not one of {vectors:?}");
            }
        }
    }
}

fn check_error(error: &Error, filled: &Filled, context: &str) {
    let text = format!("{error} {error:?}");
    // A shard that met damage in a replay or a flush is closed for writes, and says which.
    assert!(error.is_corrupt() || matches!(error, Error::Poisoned { .. }), "{context}: {text}");
    assert!(text.contains(&*filled.segment.to_string_lossy()), "{context}: {text}");
}

/// The places of the segment that are flipped: all sections, and what describes them.
fn places(filled: &Filled) -> Vec<usize> {
    let bytes = files(&filled.disk, Path::new(ROOT)).remove(&filled.segment).unwrap();
    (FIRST_SECTION..bytes.len()).filter(|offset| bytes[*offset] != 0).step_by(3).collect()
}

fn flip(disk: &MemFs, path: &Path, offset: usize) {
    let file = disk.open_write(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset as u64).unwrap();
    file.write_all_at(&[byte[0] ^ 4], offset as u64).unwrap();
}

fn exactly(points: &Points, before: &Points) -> Allowed {
    before.keys().map(|id| (*id, vec![points.get(id).cloned()])).collect()
}

#[test]
fn damage_behind_the_acknowledgement_never_shows_what_was_before() {
    let mut filled = filled();
    let before = filled.points.clone();
    let fs: Arc<dyn Fs> = Arc::new(filled.disk.clone());
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    for operation in operations() {
        assert!(apply(&mut filled.points, &operation));
        storage.write("c", operation, Durability::Synced).unwrap();
    }
    drop(storage);
    let allowed = exactly(&filled.points, &before);
    let mut opened = 0;
    for offset in places(&filled) {
        filled.offset = offset;
        let disk = filled.disk.fork();
        flip(&disk, &filled.segment, offset);
        let fs: Arc<dyn Fs> = Arc::new(disk);
        let context = format!("flipped at {offset}");
        match open(&fs, Path::new(ROOT)) {
            Err(error) => check_error(&error, &filled, &context),
            Ok(storage) => {
                opened += 1;
                check_parts(&storage, &filled, &allowed, &context);
                if let Err(error) = storage.flush() {
                    check_error(&error, &filled, &context);
                }
                check_parts(&storage, &filled, &allowed, &format!("{context}, flushed"));
            }
        }
    }
    assert!(opened > 20, "{opened} starts");
}

#[test]
fn what_fails_because_of_damage_changes_a_point_wholly_or_not_at_all() {
    let mut filled = filled();
    let mut failed = 0;
    for offset in places(&filled) {
        filled.offset = offset;
        let disk = filled.disk.fork();
        flip(&disk, &filled.segment, offset);
        let fs: Arc<dyn Fs> = Arc::new(disk);
        let context = format!("flipped at {offset}");
        let storage = match open(&fs, Path::new(ROOT)) {
            Ok(storage) => storage,
            Err(error) => {
                check_error(&error, &filled, &context);
                continue;
            }
        };
        let mut allowed = exactly(&filled.points, &filled.points);
        for operation in operations() {
            let refused = storage.write("c", operation.clone(), Durability::Synced);
            if let Err(error) = &refused {
                check_error(error, &filled, &context);
                failed += 1;
            }
            for (&id, states) in &mut allowed {
                let after = states.iter().map(|state| {
                    let mut point: Points = state.iter().map(|state| (id, state.clone())).collect();
                    apply(&mut point, &operation);
                    point.remove(&id)
                });
                let after: Vec<_> = after.collect();
                // Whoever was told of an error does not know; but of the other segment's point it says nothing.
                if refused.is_err() && filled.reaches(id) { states.extend(after) } else { *states = after }
            }
        }
        check_parts(&storage, &filled, &allowed, &context);
        drop(storage);
        let storage = open(&fs, Path::new(ROOT)).unwrap();
        check_parts(&storage, &filled, &allowed, &format!("{context}, opened again"));
    }
    assert!(failed > 20, "{failed} operations failed");
}
