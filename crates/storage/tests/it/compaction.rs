//! Compactions: what they make, and what they do where a source cannot be read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use icecore_io::{Fault, FaultFs, Fs, ManualClock, MemFs, Operation as Call, Rng};
use icecore_storage::{Durability, Error, Operation, Options, Point, PointId, Scope, Storage};

use crate::disk::assert_no_orphans;
use crate::failing::{Bench, ENOSPC};
use crate::recorded::ROOT;
use crate::state::{Observed, observe};
use crate::support::{every_kind, kinds};

/// Components of the unnamed vector: so many that the vectors of a segment have several blocks, and some lie in two.
const SIZE: usize = 75;
/// A point that there is not: deleting it is a write that changes nothing.
const NOWHERE: u64 = 100_000;
/// Bytes of a block.
const BLOCK_LEN: u64 = 64 * 1024;

/// The files of the one shard's segments.
fn segments(disk: &MemFs) -> Vec<PathBuf> {
    let dir = Path::new(ROOT).join("shards/00000000000000000001/segments");
    disk.list(&dir).unwrap().into_iter().map(|entry| entry.path).collect()
}

/// One shard of five segments, some of whose rows are dead.
fn filled() -> MemFs {
    let bench = Bench::on(MemFs::new());
    bench.storage.create_collection("c", every_kind(1, SIZE)).unwrap();
    let write = |operation| bench.storage.write("c", operation, Durability::Synced).unwrap();
    let mut rng = Rng::new(7);
    for tag in 0..5 {
        // Ids of all segments lie between each other, except those of the last.
        let numbers = if tag == 4 { 9000..9300 } else { tag * 7..tag * 7 + 4 * 300 };
        let points = numbers.step_by(4).map(|number| point(number, tag, &mut rng));
        write(Operation::upsert(points.collect()));
        bench.storage.flush().unwrap();
    }
    write(Operation::delete((0..300).step_by(3).map(id).collect()));
    bench.storage.flush().unwrap();
    bench.disk.fork()
}

/// Ids of both kinds.
fn id(number: u64) -> PointId {
    if number.is_multiple_of(5) { PointId::Uuid((u128::from(number) << 64 | 1).to_be_bytes()) } else { PointId::Num(number) }
}

/// A point with some of the vectors and a payload of some length, at times one of several blocks.
fn point(number: u64, tag: u64, rng: &mut Rng) -> Point {
    let mut vectors = kinds(number, tag);
    if let Some(icecore_storage::Vector::Dense(unnamed)) = vectors.first_mut().map(|named| &mut named.vector) {
        unnamed.resize(SIZE, 0.25);
    }
    vectors.retain(|_| rng.below(5) > 0);
    let len = match rng.below(100) {
        0 => 3 * BLOCK_LEN + rng.below(9),
        _ => rng.below(400),
    };
    let payload = if len < 40 { String::new() } else { format!(r#"{{"t":{tag},"x":"{}"}}"#, "é".repeat(len as usize / 2)) };
    Point { id: id(number), vectors, payload }
}

/// What the file of a merge holds depends on its sources alone; the digest was that of the merge that read through memory maps.
#[test]
fn the_file_that_a_merge_makes_never_changes() {
    let bench = Bench::on(filled());
    let before = bench.seen();
    bench.storage.compact().unwrap();
    assert_eq!(bench.seen(), before);
    let cut = bench.storage.snapshot(&Scope::Collection("c".into())).unwrap();
    let segments: Vec<_> = cut.files.iter().filter(|file| file.member.ends_with(".seg")).collect();
    let [merged] = segments[..] else { panic!("{segments:?}") };
    assert!(merged.digest.len > 10 * BLOCK_LEN, "{} bytes", merged.digest.len);
    assert_eq!(merged.digest.sha256.to_string(), "1e834e39773051e5eb79c512f1cfcae1e72ea6dcb28c841f0bf88a332e187b33");
}

/// Whatever read of a source fails: nothing changes, writes go on, and a later attempt works.
#[test]
fn a_source_that_cannot_be_read_leaves_everything_as_it_was() {
    let disk = filled();
    let merged = |bench: &Bench, before: &Observed| {
        bench.storage.compact().unwrap();
        assert_eq!(segments(&bench.disk).len(), 1);
        assert_eq!(&bench.seen(), before);
        assert!(bench.storage.scrub().is_empty());
    };
    let mut fired = 0;
    for (call, step) in [(Call::OpenRead, 1), (Call::ReadAt, 7)] {
        for nth in (1..).step_by(step) {
            let bench = Bench::on(disk.fork());
            let (before, sources) = (bench.seen(), segments(&bench.disk));
            bench.faults.inject(Fault::on(call).path_contains(".seg").nth(nth));
            let outcome = bench.storage.compact();
            if bench.faults.fired() == 0 {
                outcome.unwrap();
                break;
            }
            fired += 1;
            let context = format!("{call:?} {nth}");
            let error = outcome.unwrap_err();
            assert!(matches!(&error, Error::Io { path, .. } if path.extension().is_some()), "{context}: {error}");
            assert_eq!(segments(&bench.disk), sources, "{context}");
            assert_eq!(bench.seen(), before, "{context}");
            bench.storage.write("c", Operation::delete(vec![id(NOWHERE)]), Durability::Synced).unwrap();
            merged(&bench, &before);
            assert_no_orphans(&bench.disk, Path::new(ROOT), &context);
        }
    }
    assert!(fired > 20, "only {fired} faults");
}

/// Blocks that were good when requests used them, and are damaged when the merge reads them: a merge that trusted what the map had
/// verified would give the damage a checksum of its own.
#[test]
fn a_damaged_block_ends_a_merge_with_its_place_and_is_never_copied() {
    let disk = filled();
    for source in 0..5 {
        for part in 1..8 {
            let bench = Bench::on(disk.fork());
            let (before, sources) = (bench.seen(), segments(&bench.disk));
            let path = &sources[source];
            let file = bench.disk.open_write(path).unwrap();
            // The first section begins on a page, or is short; the footer is behind the last quarter.
            let place = file.len().unwrap() * part / 10 + 1;
            let mut byte = [0];
            file.read_exact_at(&mut byte, place).unwrap();
            file.write_all_at(&[byte[0] ^ 0x40], place).unwrap();

            let error = bench.storage.compact().unwrap_err();
            let Error::BlockChecksum { path: named, offset, .. } = &error else { panic!("byte {place} of {path:?}: {error}") };
            assert_eq!(named, path);
            assert!((*offset..offset + BLOCK_LEN).contains(&place), "the block at {offset}, but byte {place} is damaged");
            assert_eq!(segments(&bench.disk), sources);
            bench.storage.write("c", Operation::delete(vec![id(NOWHERE)]), Durability::Synced).unwrap();

            file.write_all_at(&byte, place).unwrap();
            bench.storage.compact().unwrap();
            assert_eq!(bench.seen(), before);
        }
    }
}

/// Nobody calls a compaction in the background and sees its error; if nobody told it, segments would become more and more.
#[test]
fn a_compaction_in_the_background_that_fails_is_told_and_tried_again_after_a_rest() {
    let faulty = FaultFs::new(Arc::new(filled()));
    let faults = faulty.faults();
    // Segments are only made by merges here.
    faults.inject(Fault::on(Call::CreateNew).path_contains(".seg").errno(ENOSPC).from_then_on());
    let clock = Arc::new(ManualClock::new(Duration::ZERO));
    let storage = Storage::open(Arc::new(faulty), clock.clone(), Path::new(ROOT), Options::default()).unwrap();
    let before = observe(&storage);

    let problem = wait_for(|| storage.compaction_problem());
    assert!(problem.contains(".seg") && problem.contains("(os error 28)"), "{problem}");
    // The clock stands still, and the thread looks for work twice a second.
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(faults.fired(), 1, "the next attempt waits for the clock");
    clock.advance(Duration::from_secs(1));
    wait_for(|| (faults.fired() == 2).then_some(()));
    assert_eq!(observe(&storage), before);

    faults.clear();
    wait_for(|| {
        clock.advance(Duration::from_secs(1));
        storage.compaction_problem().is_none().then_some(())
    });
    assert_eq!(storage.info("c").unwrap().shards[0].segments, 1);
    assert_eq!(observe(&storage), before);
}

/// Waits until there is something.
fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..60_000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("it never came");
}
