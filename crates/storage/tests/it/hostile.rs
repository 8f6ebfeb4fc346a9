//! Archives whose description lies: each is refused, and nothing of the storage changes.

use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fs, MemFs};
use icecore_storage::{
    AdoptedShard, Adoption, CollectionConfig, ErrorKind, Generation, Lsn, Scope, SegmentId, Snapshot, Storage, SubjectCollection,
    SubjectTombstones,
};

use crate::disk::files;
use crate::recorded::ROOT;
use crate::state::observe;
use crate::support::{adoption, config, every_kind, open, snapshot, stage, upsert_of};

/// A collection of two shards, each with segments, tombstones and a log.
fn filled() -> (Arc<dyn Fs>, Storage) {
    let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
    let storage = open(&fs, Path::new(ROOT)).unwrap();
    storage.create_collection("c", config(2, 2)).unwrap();
    storage.create_collection("plain", config(2, 2)).unwrap();
    for tag in 0..2 {
        storage.write("c", upsert_of(0..20 - tag * 14, tag), icecore_storage::Durability::Synced).unwrap();
        storage.flush().unwrap();
    }
    storage.write("c", upsert_of(4..9, 2), icecore_storage::Durability::Synced).unwrap();
    storage.write("plain", upsert_of(0..20, 2), icecore_storage::Durability::Synced).unwrap();
    (fs, storage)
}

type Lie = fn(&mut SubjectCollection);

fn first_tombstones(from: &mut SubjectCollection) -> &mut SubjectTombstones {
    from.shards[0].segments[0].tombstones.as_mut().unwrap()
}

const LIES: [(&str, Lie); 38] = [
    ("path up", |from| from.shards[0].path = "../../shards/00000000000000000001".into()),
    ("path up inside", |from| from.shards[0].path = "collections/../../../x".into()),
    ("absolute path", |from| from.shards[0].path = "/db/shards/00000000000000000001".into()),
    ("empty path", |from| from.shards[0].path = String::new()),
    ("dot path", |from| from.shards[0].path = ".".into()),
    ("backslashes", |from| from.shards[0].path = "..\\..\\x".into()),
    ("double slash", |from| from.shards[0].path = "collections//x".into()),
    ("trailing slash", |from| from.shards[0].path.push('/')),
    ("NUL in the path", |from| from.shards[0].path.push('\0')),
    ("another path", |from| from.shards[0].path = "collections/0000/shards/7".into()),
    ("two shards at one path", |from| from.shards[1].path = from.shards[0].path.clone()),
    ("a shard inside another", |from| from.shards[1].path = format!("{}/segments", from.shards[0].path)),
    ("the same shard twice", |from| from.shards[1] = from.shards[0].clone()),
    ("swapped shards", |from| from.shards.swap(0, 1)),
    ("a shard too few", |from| drop(from.shards.pop())),
    ("a shard too many", |from| from.shards.push(from.shards[0].clone())),
    ("wrong number", |from| from.shards[1].number = 5),
    ("shard number 0", |from| from.config.shard_number = 0),
    ("more rows", |from| from.shards[0].segments[0].rows += 1),
    ("fewer rows", |from| from.shards[0].segments[0].rows -= 1),
    ("no rows", |from| from.shards[0].segments[0].rows = 0),
    ("a segment that is not there", |from| from.shards[0].segments[0].id = SegmentId(77)),
    ("segments in another order", |from| from.shards[0].segments.reverse()),
    ("a segment twice", |from| {
        let again = from.shards[0].segments[0].clone();
        from.shards[0].segments.insert(0, again);
    }),
    ("more tombstones", |from| first_tombstones(from).marked += 1),
    ("no tombstones", |from| first_tombstones(from).marked = 0),
    ("all tombstones", |from| from.shards[0].segments[0].tombstones.as_mut().unwrap().marked = u32::MAX),
    ("another generation of tombstones", |from| first_tombstones(from).generation = Generation(99)),
    ("a later cut", |from| from.shards[0].lsn = from.shards[0].lsn.next()),
    ("an earlier cut", |from| from.shards[0].lsn.0 -= 1),
    ("flushed further", |from| from.shards[0].flushed_lsn = from.shards[0].flushed_lsn.next()),
    ("flushed less", |from| from.shards[0].flushed_lsn.0 -= 1),
    ("flushed without end", |from| from.shards[0].flushed_lsn = Lsn(u64::MAX)),
    ("nothing flushed", |from| from.shards[0].flushed_lsn = Lsn(0)),
    ("the next segment's id is taken", |from| from.shards[0].next_segment_id = SegmentId(1)),
    ("no id is left for the next segment", |from| from.shards[0].next_segment_id = SegmentId(u64::MAX)),
    ("another log file", |from| from.shards[0].wal[0] = Lsn(1)),
    ("a log file too few", |from| from.shards[0].wal.clear()),
];

#[test]
fn a_description_that_lies_is_refused_without_any_change() {
    let (fs, storage) = filled();
    let cut = snapshot(&storage, "c");
    let (seen, disk) = (observe(&storage), files(fs.as_ref(), Path::new(ROOT)));
    for (name, lie) in LIES {
        let staging = stage(&fs, &cut, &storage).unwrap();
        let mut adoption = adoption(&cut, &staging, |_| "c".into(), true);
        lie(&mut adoption.collections[0].from);
        drop(staging);
        let error = storage.adopt(adoption).err().unwrap_or_else(|| panic!("{name}: adopted"));
        // The archive is at fault, not the storage.
        assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::InvalidInput), "{name}: {error}");
        assert_eq!(observe(&storage), seen, "{name}: {error}");
        assert!(files(fs.as_ref(), Path::new(ROOT)) == disk, "{name}: files changed: {error}");
    }
}

/// Shards are opened at once, and whoever came first moved the files away: what the other found was a matter of luck.
#[test]
fn shards_of_the_same_files_are_refused_as_damage() {
    let (fs, storage) = filled();
    let cut = snapshot(&storage, "c");
    let seen = observe(&storage);
    for inside in ["", "/segments"] {
        let staging = stage(&fs, &cut, &storage).unwrap();
        let mut adoption = adoption(&cut, &staging, |_| "c".into(), true);
        let shards = &mut adoption.collections[0].from.shards;
        shards[1].path = format!("{}{inside}", shards[0].path);
        let error = storage.adopt(adoption).unwrap_err();
        assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("the same files"), "{inside:?}: {error}");
        assert_eq!(observe(&storage), seen);
    }
}

#[test]
fn names_that_cannot_be_are_refused_without_any_change() {
    let (fs, storage) = filled();
    let cut = snapshot(&storage, "c");
    let (seen, disk) = (observe(&storage), files(fs.as_ref(), Path::new(ROOT)));
    let refuse = |name: &str, change: &dyn Fn(&mut Adoption)| {
        let staging = stage(&fs, &cut, &storage).unwrap();
        let mut adoption = adoption(&cut, &staging, |_| "new".into(), true);
        change(&mut adoption);
        drop(staging);
        assert!(storage.adopt(adoption).is_err(), "{name}");
        assert_eq!(observe(&storage), seen, "{name}");
        assert!(files(fs.as_ref(), Path::new(ROOT)) == disk, "{name}");
    };
    for name in ["", ".", "..", "../x", "a/b", "a\0"] {
        refuse(name, &|adoption| adoption.collections[0].name = name.into());
        refuse(name, &|adoption| drop(adoption.aliases.insert(name.into(), "new".into())));
    }
    refuse("twice", &|adoption| adoption.collections.push(adoption.collections[0].clone()));
    refuse("alias of a collection's name", &|adoption| drop(adoption.aliases.insert("plain".into(), "new".into())));
    refuse("alias of the new name", &|adoption| drop(adoption.aliases.insert("new".into(), "new".into())));
    refuse("alias to nothing", &|adoption| drop(adoption.aliases.insert("x".into(), "nothing".into())));
}

#[test]
fn a_single_shard_must_fit_its_collection() {
    let (fs, storage) = filled();
    storage.create_collection("wide", config(2, 3)).unwrap();
    storage.create_collection("many", config(3, 2)).unwrap();
    storage.create_collection("sparse", CollectionConfig { vectors: config(2, 2).vectors, ..every_kind(2, 2) }).unwrap();
    let cut = storage.snapshot(&Scope::Shard { collection: "c".into(), shard: 1 }).unwrap();
    let (seen, disk) = (observe(&storage), files(fs.as_ref(), Path::new(ROOT)));
    let cases: [(&str, &str, Lie); 6] = [
        ("other vectors", "wide", |_| {}),
        // It was adopted, and the next start refused its segments.
        ("other sparse vectors", "sparse", |_| {}),
        ("other shards", "many", |_| {}),
        ("no collection", "missing", |_| {}),
        ("no such shard", "plain", |from| from.shards[0].number = 2),
        ("two shards", "plain", |from| from.shards.push(from.shards[0].clone())),
    ];
    for (name, into, lie) in cases {
        assert!(adopt_shard(&fs, &storage, &cut, into, lie).is_err(), "{name}");
        assert_eq!(observe(&storage), seen, "{name}");
        assert!(files(fs.as_ref(), Path::new(ROOT)) == disk, "{name}");
    }
    adopt_shard(&fs, &storage, &cut, "plain", |_| {}).unwrap();
    let after = observe(&storage);
    assert_eq!(after.collections["plain"].shards[1], seen.collections["c"].shards[1]);
    assert_eq!(after.collections["plain"].shards[0], seen.collections["plain"].shards[0]);
}

fn adopt_shard(fs: &Arc<dyn Fs>, storage: &Storage, cut: &Snapshot, into: &str, lie: Lie) -> icecore_storage::Result<()> {
    let mut from = cut.subject.collections[0].clone();
    lie(&mut from);
    let staging = stage(fs, cut, storage)?;
    let shards = vec![AdoptedShard { collection: into.into(), from, staging }];
    storage.adopt(Adoption { shards, ..Adoption::default() })
}

/// A member that the description names but that was not unpacked, or is cut, is noticed.
#[test]
fn members_that_are_missing_or_cut_are_refused() {
    let (fs, storage) = filled();
    let cut = snapshot(&storage, "c");
    let (seen, disk) = (observe(&storage), files(fs.as_ref(), Path::new(ROOT)));
    for file in &cut.files {
        for keep in [None, Some(0), Some(file.digest.len / 2), Some(file.digest.len - 1)] {
            let staging = stage(&fs, &cut, &storage).unwrap();
            let path = staging.path().join(&file.member);
            match keep {
                None => fs.remove_file(&path).unwrap(),
                Some(len) => fs.open_write(&path).unwrap().set_len(len).unwrap(),
            }
            let adoption = adoption(&cut, &staging, |_| "c".into(), true);
            drop(staging);
            let error = storage.adopt(adoption).err().unwrap_or_else(|| panic!("{} cut to {keep:?}", file.member));
            assert_eq!(observe(&storage), seen, "{error}");
            assert!(files(fs.as_ref(), Path::new(ROOT)) == disk, "{error}");
        }
    }
}

/// The vectors of records in the log were never compared with the configuration: a flush then met vectors that its segment
/// could not have, and panicked.
#[test]
fn records_that_do_not_fit_the_configuration_are_refused() {
    let (fs, storage) = filled();
    // Everything of this one is in its log.
    let cut = snapshot(&storage, "plain");
    assert!(cut.files.iter().all(|file| file.member.ends_with(".wal")));
    let (seen, disk) = (observe(&storage), files(fs.as_ref(), Path::new(ROOT)));
    let lies: [(&str, Lie); 2] = [
        ("longer vectors", |from| from.config.vectors.get_mut("").unwrap().size = 3),
        ("other names", |from| {
            let params = from.config.vectors.remove("").unwrap();
            from.config.vectors.insert("other".into(), params);
        }),
    ];
    for (name, lie) in lies {
        let staging = stage(&fs, &cut, &storage).unwrap();
        let mut adoption = adoption(&cut, &staging, |_| "new".into(), false);
        lie(&mut adoption.collections[0].from);
        drop(staging);
        assert!(storage.adopt(adoption).is_err(), "{name}");
        assert_eq!(observe(&storage), seen, "{name}");
        assert!(files(fs.as_ref(), Path::new(ROOT)) == disk, "{name}");
    }
}
