//! What every store has to pass: one check for each sentence of the contract.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use icecore_archive::{
    ArchiveName, Draft, FileDigest, Hasher, Member, MemberPath, Plan, Progress, Sha256Digest, Sharing, Source,
};
use icecore_io::{File, Fs, MemFs};

use super::{ArchiveInfo, Result, Store, StoreError};
use crate::usecases::naming::Place;

/// Puts an archive of one member.
pub(crate) fn put(store: &dyn Store, place: &Place, name: &str, data: &[u8]) -> Result<ArchiveInfo> {
    store.put(place, &archive_name(name), draft(&plan(data), &source(data)), &())
}

/// The same, of which an equal archive may be made use of.
pub(crate) fn put_sharing(
    store: &dyn Store,
    place: &Place,
    name: &str,
    data: &[u8],
    sharing: Option<Sharing<'_>>,
    progress: &dyn Progress,
) -> Result<ArchiveInfo> {
    store.put(place, &archive_name(name), Draft { sharing, ..draft(&plan(data), &source(data)) }, progress)
}

fn draft<'a>(plan: &'a Plan, source: &'a dyn Source) -> Draft<'a> {
    Draft { plan, source, compression: None, sharing: None }
}

/// Bytes in archives that equal each other: more than what some stores deal with in one go.
const EQUAL_LEN: usize = 100_000;

/// What becomes of an archive that is open while it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenOnes {
    /// They are read on.
    ReadOn,
    /// They are read on as far as they are in memory, or fail.
    MayFail,
}

/// Checks the whole contract on an empty store.
pub(crate) fn check(store: &dyn Store, open_ones: OpenOnes) {
    let places = [
        Place::Storage,
        Place::Collection("a".to_owned()),
        Place::Collection("shards".to_owned()),
        Place::Shard { collection: "a".to_owned(), shard: 0 },
        Place::Shard { collection: "shards".to_owned(), shard: 7 },
    ];
    assert_eq!(store.sweep().unwrap(), 0);
    for place in &places {
        assert_eq!(store.list(place).unwrap(), [], "{place:?}");
    }
    for place in &places {
        round_trip(store, place, open_ones);
        never_overwrites(store, place);
        failed_puts_leave_nothing(store, place);
        missing_ones_are_said_to_be(store, place);
        streams_are_kept_as_they_arrive(store, place);
        for noted in [false, true] {
            equal_ones_are_independent(store, place, noted);
        }
        what_is_noted_of_deleted_ones_leaves_nothing(store, place);
    }
    // One of each is left, and none is seen from another place.
    for place in &places {
        assert_eq!(names(store, place), ["b.snapshot"], "{place:?}");
    }
    let known = store.places().unwrap();
    assert!(known.is_sorted() && places.iter().all(|place| known.contains(place)), "{known:?}");
    assert_eq!(store.sweep().unwrap(), 0);
}

fn round_trip(store: &dyn Store, place: &Place, open_ones: OpenOnes) {
    let later = put(store, place, "b.snapshot", b"later").unwrap();
    let info = put(store, place, "a.snapshot", b"data").unwrap();
    assert_eq!(store.list(place).unwrap(), [info.clone(), later], "{place:?}");

    let open = store.open(place, &archive_name("a.snapshot")).unwrap();
    assert_eq!(open.info, info);
    assert!(open.tag.chars().all(|character| character.is_ascii_graphic() && character != '"'));
    let bytes = read(open.file.as_ref());
    assert_eq!(bytes.len() as u64, info.size);
    assert_eq!(Some(Sha256Digest::of(&bytes)), info.sha256);
    assert!(bytes.windows(4).any(|window| window == b"data"));

    store.delete(place, &archive_name("a.snapshot")).unwrap();
    assert_eq!(names(store, place), ["b.snapshot"]);
    let mut after = vec![0; bytes.len()];
    match open.file.read_exact_at(&mut after, 0) {
        Ok(()) => assert_eq!(after, bytes, "who has it open reads on"),
        Err(error) => assert!(open_ones == OpenOnes::MayFail, "{error}"),
    }
}

fn never_overwrites(store: &dyn Store, place: &Place) {
    let name = archive_name("b.snapshot");
    let before = read(store.open(place, &name).unwrap().file.as_ref());
    assert!(matches!(put(store, place, "b.snapshot", b"other"), Err(StoreError::Exists { .. })));
    assert_eq!(read(store.open(place, &name).unwrap().file.as_ref()), before);
}

fn failed_puts_leave_nothing(store: &dyn Store, place: &Place) {
    let name = archive_name("failed.snapshot");
    let before = store.list(place).unwrap();
    let plan = plan(b"planned");
    let broken = |_| Err(io::Error::from(io::ErrorKind::PermissionDenied));
    assert!(store.put(place, &name, draft(&plan, &broken), &()).is_err());
    assert!(store.put(place, &name, draft(&plan, &source(b"damaged")), &()).is_err());
    assert!(store.put(place, &name, draft(&plan, &source(b"short")), &()).is_err());
    assert!(store.put(place, &name, draft(&plan, &source(b"planned")), &Cancelled).is_err());
    assert_eq!(store.list(place).unwrap(), before);
    // The name is as free as before.
    store.put(place, &name, draft(&plan, &source(b"planned")), &()).unwrap();
    store.delete(place, &name).unwrap();
}

fn missing_ones_are_said_to_be(store: &dyn Store, place: &Place) {
    let name = archive_name("none.snapshot");
    assert!(matches!(store.open(place, &name), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.delete(place, &name), Err(StoreError::NotFound { .. })));
}

fn streams_are_kept_as_they_arrive(store: &dyn Store, place: &Place) {
    let before = store.list(place).unwrap();
    let name = archive_name("kept.snapshot");
    let bytes = b"whatever arrives";
    let keep =
        |mut bytes: &[u8], len: Option<u64>, progress: &dyn Progress| store.put_stream(place, &name, &mut bytes, len, progress);
    for len in [None, Some(bytes.len() as u64)] {
        let info = keep(bytes, len, &()).unwrap();
        assert_eq!((info.size, info.sha256), (bytes.len() as u64, Some(Sha256Digest::of(bytes))));
        assert!(store.list(place).unwrap().contains(&info), "{place:?}");
        assert!(matches!(keep(b"other", None, &()), Err(StoreError::Exists { .. })));
        assert_eq!(read(store.open(place, &name).unwrap().file.as_ref()), bytes);
        store.delete(place, &name).unwrap();
    }
    for len in [bytes.len() as u64 - 1, bytes.len() as u64 + 1] {
        assert!(keep(bytes, Some(len), &()).is_err(), "{len}");
    }
    assert!(keep(bytes, None, &Cancelled).is_err());
    assert!(store.put_stream(place, &name, &mut io::Read::chain(&bytes[..], Broken), None, &()).is_err());
    assert_eq!(store.list(place).unwrap(), before);
    keep(b"", None, &()).unwrap();
    store.delete(place, &name).unwrap();
}

/// Breaks off.
struct Broken;

impl io::Read for Broken {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

/// `noted`: whether the first is known to be sound when the others are made.
fn equal_ones_are_independent(store: &dyn Store, place: &Place, noted: bool) {
    let data = vec![7; EQUAL_LEN];
    let damaged = |error: &icecore_archive::Error| panic!("{error}");
    let reverify_after = if noted { Duration::MAX } else { Duration::ZERO };
    let sharing = Some(Sharing { reverify_after, damaged: &damaged });
    let equal = ["e1.snapshot", "e2.snapshot", "e3.snapshot"].map(archive_name);
    let made = equal.each_ref().map(|name| {
        let made = put_sharing(store, place, name.as_str(), &data, sharing, &()).unwrap();
        if noted && *name == equal[0] {
            store.note_read_back(place, &store.open(place, name).unwrap(), Some(SystemTime::UNIX_EPOCH)).unwrap();
        }
        made
    });
    assert!(!made[0].shared, "there is nothing to share yet");
    let bytes = read(store.open(place, &equal[0]).unwrap().file.as_ref());
    for (name, info) in equal.iter().zip(&made) {
        assert_eq!((info.size, info.sha256), (made[0].size, made[0].sha256));
        assert_eq!(read(store.open(place, name).unwrap().file.as_ref()), bytes);
    }
    for (deleted, left) in [(0, 2), (2, 1)] {
        store.delete(place, &equal[deleted]).unwrap();
        assert_eq!(read(store.open(place, &equal[left]).unwrap().file.as_ref()), bytes);
    }
    assert!(!store.open(place, &equal[1]).unwrap().info.shared, "it is the last one");
    store.delete(place, &equal[1]).unwrap();
}

fn what_is_noted_of_deleted_ones_leaves_nothing(store: &dyn Store, place: &Place) {
    let before = store.list(place).unwrap();
    put(store, place, "gone.snapshot", b"gone").unwrap();
    let gone = store.open(place, &archive_name("gone.snapshot")).unwrap();
    for sound_at in [Some(SystemTime::UNIX_EPOCH), None, Some(SystemTime::UNIX_EPOCH)] {
        store.note_read_back(place, &gone, sound_at).unwrap();
        assert_eq!(store.list(place).unwrap().len(), before.len() + 1, "{sound_at:?}");
    }
    store.delete(place, &gone.info.name).unwrap();
    for sound_at in [Some(SystemTime::UNIX_EPOCH), None] {
        store.note_read_back(place, &gone, sound_at).unwrap();
    }
    assert_eq!(store.list(place).unwrap(), before);
    assert_eq!(store.sweep().unwrap(), 0);
}

/// Asks to stop at once.
struct Cancelled;

impl Progress for Cancelled {
    fn start(&self, _total: u64) {}

    fn advance(&self, _bytes: u64) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}

fn archive_name(name: &str) -> ArchiveName {
    name.parse().unwrap()
}

fn names(store: &dyn Store, place: &Place) -> Vec<String> {
    store.list(place).unwrap().into_iter().map(|info| info.name.to_string()).collect()
}

fn plan(data: &[u8]) -> Plan {
    let mut hasher = Hasher::default();
    hasher.update(data);
    let FileDigest { sha256, crc32c, .. } = hasher.finish();
    let path = MemberPath::new("data").unwrap();
    Plan::new(serde_json::json!({}), vec![Member { path, len: data.len() as u64, sha256, crc32c }]).unwrap()
}

fn source(data: &[u8]) -> impl Source + use<> {
    let file = MemFs::new().create_new("data".as_ref()).unwrap();
    file.write_all_at(data, 0).unwrap();
    move |_| Ok(Arc::clone(&file))
}

fn read(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}
