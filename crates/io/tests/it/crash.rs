//! Images hold what the fault model says: what was synced for certain, and of the rest any part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use icecore_io::{CrashKind, FileKind, Fs, MemFs, Op, RecordingFs, Replay, read_file};

fn recording() -> RecordingFs {
    RecordingFs::new(Arc::new(MemFs::new()))
}

pub(super) fn p(path: &str) -> &Path {
    Path::new(path)
}

fn write(fs: &dyn Fs, path: &str, bytes: &[u8], sync: bool) {
    let file = fs.create_new(p(path)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    if sync {
        file.sync_data().unwrap();
    }
}

/// All paths, with the contents of the files.
pub(super) fn everything(fs: &dyn Fs) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    fn walk(fs: &dyn Fs, dir: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
        for entry in fs.list(dir).unwrap() {
            if fs.metadata(&entry.path).unwrap().kind == FileKind::Dir {
                walk(fs, &entry.path, found);
                found.insert(entry.path, None);
            } else {
                let bytes = read_file(fs, &entry.path, 1 << 20).unwrap();
                found.insert(entry.path, Some(bytes));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(fs, p("/"), &mut found);
    found
}

/// The record at its end.
pub(super) fn at_end(fs: &RecordingFs) -> Replay {
    let mut replay = fs.replay();
    replay.advance_to(usize::MAX);
    replay
}

/// Every different outcome of a loss of power at the end of the record.
fn outcomes(fs: &RecordingFs) -> BTreeSet<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let replay = at_end(fs);
    (0..500).map(|seed| everything(&replay.image(CrashKind::PowerLossRandom { seed }))).collect()
}

fn paths(outcomes: &BTreeSet<BTreeMap<PathBuf, Option<Vec<u8>>>>) -> BTreeSet<Vec<&str>> {
    outcomes.iter().map(|outcome| outcome.keys().map(|path| path.to_str().unwrap()).collect()).collect()
}

#[test]
fn a_file_needs_its_own_sync_and_that_of_its_directory() {
    for (sync_data, sync_dir, expected) in
        [(false, false, None), (true, false, None), (false, true, Some(&b""[..])), (true, true, Some(&b"bytes"[..]))]
    {
        let fs = recording();
        write(&fs, "/a", b"bytes", sync_data);
        if sync_dir {
            fs.sync_dir(p("/")).unwrap();
        }
        let replay = at_end(&fs);

        let min = everything(&replay.image(CrashKind::PowerLossMin));
        assert_eq!(min.get(p("/a")), expected.map(|bytes| Some(bytes.to_vec())).as_ref());
        let killed = everything(&replay.image(CrashKind::Kill));
        assert_eq!(killed.get(p("/a")), Some(&Some(b"bytes".to_vec())));
    }
}

#[test]
fn what_is_synced_twice_over_survives_every_loss_of_power() {
    let fs = recording();
    fs.create_dir(p("/d")).unwrap();
    fs.sync_dir(p("/")).unwrap();
    write(&fs, "/d/a", &[7; 2000], true);
    fs.sync_dir(p("/d")).unwrap();

    assert_eq!(outcomes(&fs).into_iter().collect::<Vec<_>>(), [everything(&fs)]);
}

#[test]
fn a_durable_name_in_a_directory_that_was_lost_is_lost() {
    let fs = recording();
    fs.create_dir(p("/d")).unwrap();
    write(&fs, "/d/a", b"bytes", true);
    fs.sync_dir(p("/d")).unwrap();

    assert!(everything(&at_end(&fs).image(CrashKind::PowerLossMin)).is_empty());
    assert_eq!(paths(&outcomes(&fs)), BTreeSet::from([vec![], vec!["/d", "/d/a"]]));
}

#[test]
fn an_unsynced_overwrite_is_torn_at_sectors_only() {
    let fs = recording();
    write(&fs, "/a", &[1; 4096], true);
    fs.sync_dir(p("/")).unwrap();
    fs.open_write(p("/a")).unwrap().write_all_at(&[2; 2000], 100).unwrap();

    let outcomes = outcomes(&fs);
    for outcome in &outcomes {
        let bytes = outcome[p("/a")].as_ref().unwrap();
        assert_eq!(bytes.len(), 4096);
        for (index, sector) in bytes.chunks(512).enumerate() {
            let written = |at: usize| (100..2100).contains(&(index * 512 + at));
            let new: Vec<u8> = (0..512).map(|at| if written(at) { 2 } else { 1 }).collect();
            assert!(sector == [1; 512] || sector == new, "sector {index} is neither old nor new");
        }
    }
    // Five sectors are touched: all old, all new and much between.
    assert!(outcomes.len() > 10, "only {} outcomes", outcomes.len());
}

#[test]
fn an_unsynced_append_may_leave_zeros() {
    let fs = recording();
    write(&fs, "/a", &[1; 512], true);
    fs.sync_dir(p("/")).unwrap();
    fs.open_write(p("/a")).unwrap().write_all_at(&[2; 1024], 512).unwrap();

    let expected = |length: usize, first: u8, second: u8| {
        let bytes = [&[1; 512][..], &[first; 512], &[second; 512]].concat();
        BTreeMap::from([(PathBuf::from("/a"), Some(bytes[..length].to_vec()))])
    };
    let possible = [
        expected(512, 0, 0),
        expected(1024, 2, 0),
        expected(1536, 0, 0),
        expected(1536, 2, 0),
        expected(1536, 0, 2),
        expected(1536, 2, 2),
    ];
    assert_eq!(outcomes(&fs), BTreeSet::from(possible));
}

#[test]
fn an_unsynced_truncation_may_be_lost() {
    let fs = recording();
    write(&fs, "/a", b"long", true);
    fs.sync_dir(p("/")).unwrap();
    fs.open_write(p("/a")).unwrap().set_len(1).unwrap();

    let found: Vec<_> = outcomes(&fs).into_iter().flat_map(BTreeMap::into_values).flatten().collect();
    assert_eq!(found, [b"l".to_vec(), b"long".to_vec()]);
}

#[test]
fn a_rename_never_loses_both_names_and_never_keeps_both() {
    let fs = recording();
    fs.create_dir(p("/d")).unwrap();
    fs.create_dir(p("/e")).unwrap();
    fs.sync_dir(p("/")).unwrap();
    write(&fs, "/d/a", b"bytes", true);
    fs.sync_dir(p("/d")).unwrap();
    fs.rename(p("/d/a"), p("/d/b")).unwrap();
    assert_eq!(paths(&outcomes(&fs)), BTreeSet::from([vec!["/d", "/d/a", "/e"], vec!["/d", "/d/b", "/e"]]));

    fs.sync_dir(p("/d")).unwrap();
    fs.rename(p("/d/b"), p("/e/c")).unwrap();
    assert_eq!(paths(&outcomes(&fs)), BTreeSet::from([vec!["/d", "/d/b", "/e"], vec!["/d", "/e", "/e/c"]]));

    fs.sync_dir(p("/d")).unwrap();
    assert_eq!(paths(&outcomes(&fs)), BTreeSet::from([vec!["/d", "/e", "/e/c"]]));
}

#[test]
fn names_of_one_directory_are_lost_independently() {
    let fs = recording();
    write(&fs, "/a", b"", true);
    write(&fs, "/b", b"", true);
    fs.sync_dir(p("/")).unwrap();
    fs.remove_file(p("/a")).unwrap();
    fs.remove_file(p("/b")).unwrap();

    let all = [vec![], vec!["/a"], vec!["/b"], vec!["/a", "/b"]];
    assert_eq!(paths(&outcomes(&fs)), BTreeSet::from(all));
    assert_eq!(everything(&at_end(&fs).image(CrashKind::PowerLossMin)).len(), 2);
}

#[test]
fn removing_the_directory_that_a_file_was_moved_out_of_never_loses_the_file() {
    let fs = recording();
    fs.create_dir(p("/d")).unwrap();
    fs.sync_dir(p("/")).unwrap();
    write(&fs, "/d/a", b"bytes", true);
    fs.sync_dir(p("/d")).unwrap();
    fs.rename(p("/d/a"), p("/a")).unwrap();
    fs.remove_dir(p("/d")).unwrap();

    assert_eq!(paths(&outcomes(&fs)), BTreeSet::from([vec!["/a"], vec!["/a", "/d"], vec!["/d", "/d/a"]]));
}

#[test]
fn directories_that_swap_places_never_vanish_into_each_other() {
    let fs = recording();
    fs.create_dir_all(p("/p/q")).unwrap();
    fs.sync_dir(p("/")).unwrap();
    fs.sync_dir(p("/p")).unwrap();
    fs.rename(p("/p/q"), p("/q")).unwrap();
    fs.rename(p("/p"), p("/q/p")).unwrap();

    let all = [vec!["/p", "/p/q"], vec!["/p", "/q"], vec!["/q", "/q/p"]];
    assert_eq!(paths(&outcomes(&fs)), BTreeSet::from(all));
}

#[test]
fn hard_links_are_one_file_in_every_image() {
    let fs = recording();
    write(&fs, "/a", &[1; 2048], true);
    fs.link(p("/a"), p("/b")).unwrap();
    fs.sync_dir(p("/")).unwrap();
    fs.open_write(p("/b")).unwrap().write_all_at(&[2; 2048], 0).unwrap();

    let outcomes = outcomes(&fs);
    assert!(outcomes.len() > 2);
    assert!(outcomes.iter().all(|outcome| outcome[p("/a")] == outcome[p("/b")]));
    let image = at_end(&fs).image(CrashKind::Kill);
    assert_eq!(image.metadata(p("/a")).unwrap().inode, image.metadata(p("/b")).unwrap().inode);
}

#[test]
fn an_open_file_without_a_name_can_get_one_again_through_its_links() {
    let fs = recording();
    let file = fs.create_new(p("/a")).unwrap();
    fs.link(p("/a"), p("/b")).unwrap();
    fs.remove_file(p("/a")).unwrap();
    file.write_all_at(b"bytes", 0).unwrap();
    fs.rename(p("/b"), p("/a")).unwrap();
    fs.rename(p("/a"), p("/a")).unwrap();

    assert_eq!(everything(&at_end(&fs).image(CrashKind::Kill)), everything(&fs));
}

#[test]
fn a_kill_inside_a_write_leaves_a_beginning_of_it() {
    let fs = recording();
    write(&fs, "/a", b"0123456789", false);
    let mut replay = fs.replay();
    replay.advance();
    assert!(matches!(replay.next_op(), Some(Op::Write { .. })));

    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let bytes = read_file(&replay.image(CrashKind::KillTorn { seed }), p("/a"), 100).unwrap();
        assert!(b"0123456789".starts_with(&bytes[..]));
        lengths.insert(bytes.len());
    }
    assert_eq!(lengths, (1..10).collect());

    replay.advance();
    assert_eq!(everything(&replay.image(CrashKind::KillTorn { seed: 0 })), everything(&fs));
}

#[test]
fn permission_bits_are_as_durable_as_contents() {
    let fs = recording();
    write(&fs, "/a", b"", true);
    fs.sync_dir(p("/")).unwrap();
    fs.set_mode(p("/a"), 0o600).unwrap();
    let mode = |kind| at_end(&fs).image(kind).metadata(p("/a")).unwrap().mode;
    assert_eq!((mode(CrashKind::PowerLossMin), mode(CrashKind::Kill)), (0o644, 0o600));

    fs.open_write(p("/a")).unwrap().sync_data().unwrap();
    let mode = |kind| at_end(&fs).image(kind).metadata(p("/a")).unwrap().mode;
    assert_eq!(mode(CrashKind::PowerLossMin), 0o600);
}

#[test]
fn images_are_independent_of_each_other_and_of_the_replay() {
    let fs = recording();
    write(&fs, "/a", b"one", true);
    fs.sync_dir(p("/")).unwrap();
    let replay = at_end(&fs);
    let image = replay.image(CrashKind::Kill);
    image.open_write(p("/a")).unwrap().write_all_at(b"XYZ", 0).unwrap();
    write(&image, "/b", b"new", true);
    assert_ne!(image.metadata(p("/a")).unwrap().inode, image.metadata(p("/b")).unwrap().inode);

    assert_eq!(everything(&replay.image(CrashKind::Kill)), everything(&fs));
    assert_eq!(everything(&replay.image(CrashKind::PowerLossMin)), everything(&fs));
}

/// A crash during the recovery from a crash: the first image is the base of the second record.
#[test]
fn an_image_can_be_the_base_of_the_next_record() {
    let first = recording();
    write(&first, "/a", b"one", true);
    first.sync_dir(p("/")).unwrap();
    let base = at_end(&first).image(CrashKind::PowerLossMin);

    let second = RecordingFs::with_base(Arc::new(base.clone()), &base);
    second.open_write(p("/a")).unwrap().write_all_at(b"two", 0).unwrap();
    write(&second, "/b", b"", false);
    let replay = at_end(&second);
    let min = everything(&replay.image(CrashKind::PowerLossMin));
    assert_eq!(min, BTreeMap::from([(PathBuf::from("/a"), Some(b"one".to_vec()))]));
    assert_eq!(everything(&replay.image(CrashKind::Kill)), everything(&base));
    assert_eq!(everything(&second.replay().image(CrashKind::Kill)), min);
}

#[test]
fn only_what_succeeded_is_recorded_and_marks_keep_their_place() {
    let fs = recording();
    write(&fs, "/a", b"x", false);
    fs.mark(7);
    fs.create_new(p("/a")).unwrap_err();
    fs.rename(p("/b"), p("/c")).unwrap_err();
    fs.create_dir(p("/a")).unwrap_err();
    fs.open_read(p("/a")).unwrap().write_at(b"y", 0).unwrap_err();
    fs.lock(p("/a")).unwrap();
    fs.sync_dir(p("/")).unwrap();
    fs.mark(8);

    let ops = fs.ops();
    let [Op::CreateFile { file, .. }, Op::Write { file: written, .. }, Op::Mark(7), Op::SyncDir { .. }, Op::Mark(8)] = &ops[..]
    else {
        panic!("unexpected record: {ops:?}");
    };
    assert_eq!(file, written);

    let mut replay = fs.replay();
    replay.advance_to(2);
    assert!(replay.marks().is_empty());
    replay.advance_to(3);
    assert_eq!(replay.marks(), [7]);
    assert_eq!(at_end(&fs).marks(), [7, 8]);
}

#[test]
fn a_lock_file_is_part_of_the_record_and_its_lock_is_not() {
    let fs = recording();
    let _lock = fs.lock(p("/LOCK")).unwrap();
    let image = at_end(&fs).image(CrashKind::Kill);
    image.lock(p("/LOCK")).unwrap();
}

#[test]
fn clones_and_copies_are_recorded_as_writes() {
    let fs = recording();
    write(&fs, "/a", b"0123456789", true);
    let (source, target) = (fs.open_read(p("/a")).unwrap(), fs.create_new(p("/b")).unwrap());
    target.clone_range(&*source, 0, 2, 4).unwrap();
    assert_eq!(target.copy_range(&*source, 8, 6, 100).unwrap(), 2);

    let image = at_end(&fs).image(CrashKind::Kill);
    assert_eq!(read_file(&image, p("/b"), 100).unwrap(), b"\0\x000123\x389");
}

/// Only the last writes show in the contents, so there are many short races rather than one long one. Inode numbers are given in
/// the order of effect, so the creations of one race can all be compared.
#[test]
fn threads_are_recorded_in_the_order_of_their_effect() {
    for race in 0..400 {
        let fs = recording();
        let shared = fs.create_new(p("/shared")).unwrap();
        let start = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for thread in 0..3_u8 {
                let (fs, shared, start) = (&fs, &shared, &start);
                scope.spawn(move || {
                    start.wait();
                    for round in 0..8_u8 {
                        // All threads fight for one name; each rename either replaces another's file or is replaced.
                        let own = PathBuf::from(format!("/own-{thread}"));
                        fs.create_new(&own).unwrap().write_all_at(&[thread, round], 0).unwrap();
                        fs.rename(&own, p("/winner")).unwrap();
                        shared.write_all_at(&[thread, round], 0).unwrap();
                    }
                });
            }
        });
        assert_eq!(everything(&at_end(&fs).image(CrashKind::Kill)), everything(&fs), "race {race}");
        let created = fs.ops().into_iter().filter_map(|op| match op {
            Op::CreateFile { file, .. } => Some(file),
            _ => None,
        });
        assert!(created.is_sorted(), "race {race}");
    }
}
