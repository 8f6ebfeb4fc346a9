//! A crash at any moment: whatever the disk is left with, the storage opens, nothing acknowledged is gone, and nothing is half done.
//!
//! The run is played up to every single file operation; there the process is killed, killed inside a write, or the power is
//! cut with nothing, or any part, of what was not synced on the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use icecore_io::{CrashKind, Fs, MemFs, RecordingFs, Replay};
use icecore_storage::{Durability, Operation, PointId, PointVectors, Scope, Storage, Target, UpsertMode};

use crate::disk::assert_no_orphans;
use crate::plain::{among, number_at, with_vector};
use crate::recorded::{Model, ROOT, Run};
use crate::state::{MULTI, Observed, observe, stored};
use crate::support::{kinds, open, point, upsert, upsert_kinds, upsert_of};

/// A point that no run writes.
const PROBE: u64 = 1 << 40;

use Durability::{Buffered, Synced};

/// Every kind of change, in an order that has each meet the others' files.
fn everything() -> (Replay, Model) {
    let mut run = Run::begin();
    run.create("a", 2);
    run.upsert("a", 0..6, 1, Synced);
    run.upsert("a", 4..9, 2, Buffered);
    run.upsert("a", 2..3, 3, Buffered);
    run.write("a", &Operation::delete((0..9).step_by(4).map(PointId::Num).collect()), Synced);
    run.flush();
    parts_of_points(&mut run);
    run.create("b", 1);
    run.alias("x", "a");
    run.upsert("a", 5..12, 4, Buffered);
    let ids = vec![PointId::Num(5), PointId::Num(6), PointId::Num(7)];
    run.write("a", &Operation::set_payload(ids, r#"{"s":1}"#), Buffered);
    run.flush();
    run.upsert("b", 0..3, 5, Buffered);
    run.index("a", "s");
    let cut = run.snapshot(&Scope::Collection("a".into()));
    run.write("a", &Operation::delete(vec![PointId::Num(5), PointId::Num(11)]), Buffered);
    run.upsert("a", 0..2, 6, Synced);
    run.flush();
    run.upsert("a", 1..4, 7, Synced);
    run.flush();
    run.compact();
    run.upsert("b", 1..5, 8, Synced);
    run.adopt(&cut, "c", false);
    run.upsert("c", 20..23, 9, Synced);
    run.adopt(&cut, "a", true);
    drop(cut);
    run.upsert("a", 30..33, 10, Buffered);
    let shard = run.snapshot(&Scope::Shard { collection: "c".into(), shard: 1 });
    run.upsert("c", 20..24, 11, Buffered);
    run.adopt_shard(&shard, "a");
    drop(shard);
    run.upsert("a", 33..36, 12, Synced);
    run.flush();
    run.delete("c");
    run.alias("x", "b");
    run.delete("a");
    run.upsert("b", 2..3, 13, Buffered);
    run.end()
}

/// Every operation that changes a part of a point, most of them on points in segments: their rows in memory refer to those.
fn parts_of_points(run: &mut Run) {
    let ids = |ids: &[u64]| Target::Ids(ids.iter().copied().map(PointId::Num).collect());
    let payload = || r#"{"x":[1,null],"t":2}"#.to_owned();
    let points = |operation| match operation {
        Operation::Upsert { points, .. } => points,
        other => panic!("{other:?}"),
    };
    let update = |id: u64| PointVectors { id: PointId::Num(id), vectors: kinds(id, 20) };
    let second = Target::Filter(number_at("t", 2));
    run.write("a", &Operation::SetPayload { target: second, payload: payload(), key: Some("n.m".into()) }, Buffered);
    run.write("a", &Operation::UpdateVectors { points: vec![update(1), update(6)], condition: None }, Buffered);
    run.flush();
    let (mode, condition) = (UpsertMode::UpdateOnly, Some(number_at("t", 1)));
    run.write("a", &Operation::Upsert { points: points(upsert_kinds(0..3, 21)), mode, condition }, Buffered);
    let mode = UpsertMode::InsertOnly;
    run.write("a", &Operation::Upsert { points: points(upsert_kinds(4..6, 22)), mode, condition: None }, Synced);
    let names = vec![MULTI.to_owned(), String::new()];
    run.write("a", &Operation::DeleteVectors { target: Target::Filter(with_vector("half")), names }, Synced);
    run.write("a", &Operation::DeletePayload { target: ids(&[5, 6]), keys: vec!["n.m".into(), "t".into()] }, Buffered);
    run.write("a", &Operation::ClearPayload { target: ids(&[7]) }, Buffered);
    let third = Target::Filter(among(&[PointId::Num(3), PointId::Num(77)]));
    run.write("a", &Operation::OverwritePayload { target: third, payload: payload() }, Buffered);
    // What is in memory refers to segments that the compaction replaces.
    run.compact();
    let points = vec![PointVectors { id: PointId::Num(3), vectors: kinds(3, 23) }, update(7)];
    run.write("a", &Operation::UpdateVectors { points, condition: Some(number_at("t", 2)) }, Synced);
    run.flush();
    run.write("a", &Operation::set_payload(vec![PointId::Num(6), PointId::Num(7)], payload()), Buffered);
    run.compact();
    run.write("a", &Operation::Delete { target: Target::Filter(number_at("t", 22)) }, Buffered);
    run.flush();
}

fn kinds_of_crashes(position: usize) -> Vec<CrashKind> {
    let seed = position as u64;
    vec![
        CrashKind::Kill,
        CrashKind::KillTorn { seed },
        CrashKind::PowerLossMin,
        CrashKind::PowerLossRandom { seed: 3 * seed },
        CrashKind::PowerLossRandom { seed: 3 * seed + 1 },
        CrashKind::PowerLossRandom { seed: 3 * seed + 2 },
    ]
}

/// Calls `check` at every position of a record, on all cores.
fn at_every_position(replay: impl Fn() -> Replay + Sync, check: impl Fn(&Replay, usize) + Sync) {
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (replay, check) = (&replay, &check);
            scope.spawn(move || {
                let mut replay = replay();
                for position in 0..=replay.ops().len() {
                    replay.advance_to(position);
                    if position % workers == worker {
                        check(&replay, position);
                    }
                }
            });
        }
    });
}

fn open_image(fs: &Arc<dyn Fs>, context: &str) -> Storage {
    open(fs, Path::new(ROOT)).unwrap_or_else(|error| panic!("{context}: the start failed: {error:?}"))
}

/// Opens what a crash left, compares, writes, and opens again.
fn check_image(model: &Model, image: MemFs, kind: CrashKind, marks: &[u64], context: &str) {
    let fs: Arc<dyn Fs> = Arc::new(image);
    let storage = open_image(&fs, context);
    let mut seen = observe(&storage);
    model.check(&seen, kind, marks).unwrap_or_else(|reason| panic!("{context}: {reason}"));
    assert_no_orphans(fs.as_ref(), Path::new(ROOT), context);
    write_probes(&storage, &mut seen);
    drop(storage);
    let storage = open_image(&fs, context);
    assert_eq!(observe(&storage), seen, "{context}: the second start");
    assert_eq!(storage.scrub().len(), 0, "{context}");
}

/// Writes to every collection, and to what was seen.
fn write_probes(storage: &Storage, seen: &mut Observed) {
    for (name, collection) in &mut seen.collections {
        let probe = point(PROBE, &[1.0, 2.0], "");
        let shard = probe.id.shard(u32::try_from(collection.shards.len()).unwrap()) as usize;
        collection.shards[shard].insert(probe.id, stored(&probe.vectors, ""));
        upsert(storage, name, vec![probe]);
    }
}

#[test]
fn after_any_crash_each_part_is_before_or_after_each_operation() {
    let (replay, model) = everything();
    let ops = replay.ops().to_vec();
    let images = AtomicUsize::new(0);
    at_every_position(
        || Replay::new(&MemFs::new(), ops.clone()),
        |replay, position| {
            for kind in kinds_of_crashes(position) {
                let context = format!("{kind:?} before operation {position}, {:?}", name_of(replay));
                check_image(&model, replay.image(kind), kind, replay.marks(), &context);
                images.fetch_add(1, Ordering::Relaxed);
            }
        },
    );
    let images = images.into_inner();
    println!("{images} images of {} file operations", ops.len());
    assert!(images >= 2000, "only {images} images");
}

/// The next operation without its bytes.
fn name_of(replay: &Replay) -> String {
    replay.next_op().map(|op| format!("{op:?}").chars().take(120).collect()).unwrap_or_default()
}

#[test]
fn a_crash_during_the_start_after_a_crash_changes_nothing() {
    let (replay, model) = everything();
    let ops = replay.ops().to_vec();
    let images = AtomicUsize::new(0);
    at_every_position(
        || Replay::new(&MemFs::new(), ops.clone()),
        |replay, position| {
            if !position.is_multiple_of(23) {
                return;
            }
            for kind in [CrashKind::Kill, CrashKind::PowerLossRandom { seed: position as u64 }] {
                let image = replay.image(kind);
                let recording = RecordingFs::with_base(Arc::new(image.fork()), &image);
                let fs: Arc<dyn Fs> = Arc::new(recording.clone());
                drop(open_image(&fs, &format!("{kind:?} before operation {position}")));
                let mut second = recording.replay();
                loop {
                    let at = second.position();
                    let seed = at as u64;
                    for again in [CrashKind::KillTorn { seed }, CrashKind::PowerLossMin, CrashKind::PowerLossRandom { seed }] {
                        let context = format!("{kind:?} before operation {position}, then {again:?} before {at} of the start");
                        check_image(&model, second.image(again), kind, replay.marks(), &context);
                        images.fetch_add(1, Ordering::Relaxed);
                    }
                    if !second.advance() {
                        break;
                    }
                }
            }
        },
    );
    println!("{} images", images.into_inner());
}

/// A killed process leaves files that only the system's memory holds. The next one reads them as if they were on the disk, and
/// builds on them: then a power cut must not take away what it built on.
#[test]
fn what_was_read_after_a_kill_is_durable_before_anything_is_built_on_it() {
    let (replay, model) = everything();
    let ops = replay.ops().to_vec();
    let images = AtomicUsize::new(0);
    at_every_position(
        || Replay::new(&MemFs::new(), ops.clone()),
        |replay, position| {
            if !position.is_multiple_of(7) {
                return;
            }
            // The restarted process goes on with the record of the killed one: nothing becomes durable by a restart.
            let image = replay.image(CrashKind::Kill);
            let recording = RecordingFs::with_base(Arc::new(image.fork()), &image);
            let seen = observe(&open_image(&(Arc::new(image.fork()) as Arc<dyn Fs>), "after the kill"));
            let mut run = Run::go_on(recording, Model::from_seen(&seen));
            for name in seen.collections.keys() {
                run.write(name, &upsert_of(PROBE..PROBE + 3, 100), Synced);
            }
            run.flush();
            for name in seen.collections.keys() {
                run.write(name, &upsert_of(PROBE + 1..PROBE + 4, 101), Synced);
            }
            let (second, after) = run.end();
            let both = ops[..position].iter().chain(second.ops()).cloned().collect();
            let mut both = Replay::new(&MemFs::new(), both);
            both.advance_to(position);
            let before = both.marks().len();
            loop {
                let at = both.position();
                for kind in [CrashKind::PowerLossMin, CrashKind::PowerLossRandom { seed: (position * at) as u64 }] {
                    let context = format!("kill before operation {position}, then {kind:?} before {at}");
                    match both.marks().split_at(before) {
                        // Until the first answer either state may be found.
                        (first, []) => check_image(&model, both.image(kind), kind, first, &context),
                        (_, marks) => check_image(&after, both.image(kind), kind, marks, &context),
                    }
                    images.fetch_add(1, Ordering::Relaxed);
                }
                let steps = if at.is_multiple_of(2) { 1 } else { 4 };
                if (0..steps).filter(|_| both.advance()).count() == 0 {
                    break;
                }
            }
        },
    );
    println!("{} images", images.into_inner());
}

/// A log tail of more than a mebibyte becomes a segment while it is adopted.
#[test]
fn a_crash_while_a_long_log_is_adopted_leaves_all_or_nothing() {
    let mut run = Run::begin();
    run.create("a", 1);
    let mut large = point(1, &[1.0, 2.0], "");
    large.payload = format!(r#"{{"text":"{}"}}"#, "x".repeat(1100 * 1024));
    run.write("a", &Operation::upsert(vec![large, point(2, &[0.5, 0.25], "")]), Synced);
    let cut = run.snapshot(&Scope::Collection("a".into()));
    let begin = run.recording.ops().len();
    run.adopt(&cut, "b", false);
    drop(cut);
    run.upsert("b", 2..4, 1, Synced);
    let (replay, model) = run.end();
    let ops = replay.ops().to_vec();
    at_every_position(
        || Replay::new(&MemFs::new(), ops.clone()),
        |replay, position| {
            if position >= begin {
                for kind in [CrashKind::Kill, CrashKind::PowerLossMin, CrashKind::PowerLossRandom { seed: position as u64 }] {
                    let context = format!("{kind:?} before operation {position}, {:?}", name_of(replay));
                    check_image(&model, replay.image(kind), kind, replay.marks(), &context);
                }
            }
        },
    );
}

#[test]
fn the_model_refuses_what_it_should() {
    let mut run = Run::begin();
    run.create("a", 1);
    run.upsert("a", 0..2, 1, Synced);
    run.upsert("a", 1..3, 2, Buffered);
    let full = observe(&run.storage);
    let (_, model) = run.end();
    let marks: Vec<u64> = (1..=3).flat_map(|step| [2 * step, 2 * step + 1]).collect();
    let mut torn = full.clone();
    torn.collections.get_mut("a").unwrap().shards[0].remove(&PointId::Num(2));
    let none = Observed { collections: BTreeMap::new(), aliases: BTreeMap::new() };
    for kind in [CrashKind::Kill, CrashKind::PowerLossMin] {
        assert_eq!(model.check(&full, kind, &marks), Ok(()));
        assert!(model.check(&torn, kind, &marks).is_err(), "half of an operation");
        assert!(model.check(&none, kind, &marks).is_err(), "a collection that was acknowledged");
        assert!(model.check(&full, kind, &marks[..4]).is_err(), "an operation that was not begun");
    }
}
