//! Equal archives: which of them the server copies and which are sent, and that either is whole, whatever is in the way.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use icecore_archive::{Sha256Digest, Sharing};

use super::double::{Copies, Fate, Seen};
use super::*;

/// Bytes of the archives' member: several parts, the last of them short.
pub(super) const LEN: usize = 2 * PART_LEN + 7;
/// The first archive.
const FIRST: &str = "p/first.snapshot";
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(super) fn data() -> Vec<u8> {
    (0..=250).cycle().take(LEN).collect()
}

/// Makes an archive, for whom a verification counts for a week.
pub(super) fn make(store: &S3Store, name: &str, data: &[u8]) -> Result<ArchiveInfo> {
    let damaged = |error: &icecore_archive::Error| panic!("{error}");
    let sharing = Some(Sharing { reverify_after: WEEK, damaged: &damaged });
    conformance::put_sharing(store, &Place::Storage, name, data, sharing, &())
}

fn open(store: &S3Store, name: &str) -> StoredArchive {
    store.open(&Place::Storage, &name.parse().unwrap()).unwrap()
}

fn note(store: &S3Store, name: &str, sound_at: Option<u64>) {
    let sound_at = sound_at.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    store.note_read_back(&Place::Storage, &open(store, name), sound_at).unwrap();
}

/// Makes the first archive and notes that it is sound.
pub(super) fn original(store: &S3Store) -> ArchiveInfo {
    let info = make(store, "first.snapshot", &data()).unwrap();
    note(store, "first.snapshot", Some(1_000));
    info
}

/// Keys of what the server was asked to copy since the last time, each once, and whether all of the archive was sent.
fn asked(double: &Double) -> (Vec<String>, bool) {
    let seen = double.seen();
    let mut copied: Vec<String> = seen.iter().filter_map(|seen| seen.copied.clone()).collect();
    copied.dedup();
    let sent: usize = seen.iter().filter(|seen| seen.method == Method::PUT).map(|seen| seen.len).sum();
    (copied, sent > LEN)
}

/// The archive of this name is what the first one was, and nothing else is in the bucket but what belongs to these names.
fn check(double: &Double, bytes: &Bytes, made: &ArchiveInfo, others: &[&str]) {
    assert!(double.read(&format!("p/{}", made.name)).as_ref() == Some(bytes));
    assert_eq!((made.size, made.sha256), (bytes.len() as u64, Some(Sha256Digest::of(bytes))));
    assert!(!made.shared);
    let mut expected: Vec<String> = ["", ".checksum", ".meta.json"].map(|suffix| format!("p/{}{suffix}", made.name)).into();
    expected.extend(others.iter().map(|key| (*key).to_owned()));
    expected.sort();
    assert_eq!((double.keys(), double.uploads()), (expected, 0));
}

const OF_FIRST: [&str; 4] =
    ["p/first.snapshot", "p/first.snapshot.checksum", "p/first.snapshot.meta.json", "p/first.snapshot.verified.json"];

#[test]
fn what_was_found_sound_is_copied_and_the_copy_is_on_its_own() {
    let double = Double::start();
    let store = store(&double);
    original(&store);
    let bytes = double.read(FIRST).unwrap();
    double.seen();
    let second = make(&store, "second.snapshot", &data()).unwrap();
    assert_eq!(asked(&double), (vec![FIRST.to_owned()], false));
    check(&double, &bytes, &second, &OF_FIRST);
    assert_eq!(store.records.after_restart().left_over().unwrap(), []);
    assert_eq!(store.list(&Place::Storage).unwrap().len(), 2);

    // Nobody has read the copy back, so that there is nothing to be copied once the first is gone.
    store.delete(&Place::Storage, &"first.snapshot".parse().unwrap()).unwrap();
    check(&double, &bytes, &second, &[]);
    make(&store, "third.snapshot", &data()).unwrap();
    assert_eq!(asked(&double), (vec![], true));
}

#[test]
fn those_that_may_not_be_copied_do_not_hide_one_that_may() {
    let double = Double::start();
    let store = store(&double);
    for (name, sound_at) in [("a.snapshot", Some(1_001)), ("b.snapshot", Some(1_000)), ("c.snapshot", Some(1_002))] {
        make(&store, name, &data()).unwrap();
        note(&store, name, sound_at);
    }
    double.seen();
    make(&store, "d.snapshot", &data()).unwrap();
    assert_eq!(asked(&double), (vec!["p/b.snapshot".to_owned()], false));
}

#[test]
fn what_is_not_known_to_be_sound_is_sent() {
    type Change = fn(&Double, &S3Store);
    let cases: [(&str, Change); 9] = [
        ("it was verified by nobody", |double, _| double.remove("p/first.snapshot.verified.json")),
        ("it was damaged when it was read last", |_, store| note(store, "first.snapshot", None)),
        ("that is still to come", |_, store| note(store, "first.snapshot", Some(1_001))),
        ("the note is none", |double, _| double.write("p/first.snapshot.verified.json", b"{}")),
        ("somebody has replaced it", |double, _| {
            let mut bytes = double.read(FIRST).unwrap().to_vec();
            bytes[LEN] ^= 1;
            double.write(FIRST, &bytes);
        }),
        ("it is shorter", |double, _| double.write(FIRST, b"x")),
        ("it is listed no more", |double, _| double.remove("p/first.snapshot.meta.json")),
        ("the note is about another that had its name", |double, _| {
            let text = String::from_utf8(double.read("p/first.snapshot.meta.json").unwrap().to_vec()).unwrap();
            let mut meta = Meta::parse(text.as_bytes()).unwrap();
            meta.attempt = id::Id::random().unwrap();
            double.write("p/first.snapshot.meta.json", &serde_json::to_vec(&meta).unwrap());
        }),
        ("it was kept as it arrived", |double, _| {
            let mut meta = Meta::parse(&double.read("p/first.snapshot.meta.json").unwrap()).unwrap();
            meta.manifest_sha256 = None;
            double.write("p/first.snapshot.meta.json", &serde_json::to_vec(&meta).unwrap());
        }),
    ];
    for (why, change) in cases {
        let double = Double::start();
        let store = store(&double);
        original(&store);
        let bytes = double.read(FIRST).unwrap();
        change(&double, &store);
        double.seen();
        let made = make(&store, "second.snapshot", &data()).unwrap();
        assert_eq!(asked(&double), (vec![], true), "{why}");
        assert!(double.read("p/second.snapshot") == Some(bytes), "{why}");
        assert_eq!(made.size, double.read("p/second.snapshot").unwrap().len() as u64, "{why}");
    }
}

#[test]
fn what_is_asked_for_decides_too() {
    let double = Double::start();
    let store = store(&double);
    original(&store);
    double.seen();
    let damaged = |error: &icecore_archive::Error| panic!("{error}");
    let sharing = |reverify_after| Some(Sharing { reverify_after, damaged: &damaged });
    let mut other = data();
    other[7] ^= 1;
    // A full one is asked for; no verification counts; one byte is another.
    for (number, (data, sharing)) in
        [(data(), None), (data(), sharing(Duration::ZERO)), (other, sharing(WEEK))].iter().enumerate()
    {
        let name = format!("{number}.snapshot");
        conformance::put_sharing(&store, &Place::Storage, &name, data, *sharing, &()).unwrap();
        assert_eq!(asked(&double), (vec![], true), "{number}");
    }
    // It would be one request to send.
    make(&store, "small-1.snapshot", b"small").unwrap();
    note(&store, "small-1.snapshot", Some(1_000));
    make(&store, "small-2.snapshot", b"small").unwrap();
    assert_eq!(asked(&double), (vec![], false));
    // Another place.
    let place = Place::Collection("c".to_owned());
    conformance::put_sharing(&store, &place, "a.snapshot", &data(), sharing(WEEK), &()).unwrap();
    assert_eq!(asked(&double), (vec![], true));
}

#[test]
fn an_archive_with_another_manifest_than_noted_is_told_of_and_not_copied() {
    let double = Double::start();
    let store = store(&double);
    original(&store);
    // Of the same length, and whoever put it there has adapted everything beside it.
    let mut other = data();
    other[7] ^= 1;
    make(&store, "other.snapshot", &other).unwrap();
    note(&store, "other.snapshot", Some(1_000));
    let first = Meta::parse(&double.read("p/first.snapshot.meta.json").unwrap()).unwrap();
    let mut meta = Meta::parse(&double.read("p/other.snapshot.meta.json").unwrap()).unwrap();
    meta.manifest_sha256 = first.manifest_sha256;
    double.write("p/other.snapshot.meta.json", &serde_json::to_vec(&meta).unwrap());
    double.remove(OF_FIRST[3]);
    double.seen();
    let told = Mutex::new(Vec::new());
    let damaged = |error: &icecore_archive::Error| told.lock().unwrap().push(error.to_string());
    let sharing = Some(Sharing { reverify_after: WEEK, damaged: &damaged });
    conformance::put_sharing(&store, &Place::Storage, "second.snapshot", &data(), sharing, &()).unwrap();
    assert_eq!(asked(&double), (vec![], true));
    let told = told.into_inner().unwrap();
    assert!(matches!(told.as_slice(), [one] if one.contains("s3://archives/p/other.snapshot")), "{told:?}");
}

#[test]
fn a_server_that_cannot_copy_gets_the_bytes() {
    type Hand = fn(&Seen) -> Fate;
    let refuse: Hand = |seen| if seen.copied.is_some() { Fate::Refuse(StatusCode::NOT_IMPLEMENTED) } else { Fate::Answer };
    let stumble: Hand = |seen| if seen.copied.is_some() { Fate::Refuse(StatusCode::SERVICE_UNAVAILABLE) } else { Fate::Answer };
    let answer: Hand = |_| Fate::Answer;
    for (copies, hand) in
        [(Copies::Made, refuse), (Copies::Made, stumble), (Copies::Unknown, answer), (Copies::Disguised, answer)]
    {
        let double = Double::start();
        double.copy_as(copies);
        let store = store(&double);
        original(&store);
        let bytes = double.read(FIRST).unwrap();
        double.seen();
        double.decide(hand);
        let made = make(&store, "second.snapshot", &data()).unwrap();
        assert_eq!(asked(&double), (vec![FIRST.to_owned()], true), "{copies:?}");
        check(&double, &bytes, &made, &OF_FIRST);
        assert_eq!(store.records.after_restart().left_over().unwrap(), []);
        // Where no copy can be known for one, none is made again.
        make(&store, "third.snapshot", &data()).unwrap();
        assert_eq!(asked(&double).0.is_empty(), copies == Copies::Disguised, "{copies:?}");
    }
}

#[test]
fn a_part_that_fails_once_is_copied_all_the_same() {
    let double = Double::start();
    let store = store(&double);
    original(&store);
    let bytes = double.read(FIRST).unwrap();
    double.seen();
    let mut failures = 2;
    double.decide(move |seen| match seen.copied.is_some() && failures > 0 {
        true => {
            failures -= 1;
            Fate::Refuse(StatusCode::SERVICE_UNAVAILABLE)
        }
        false => Fate::Answer,
    });
    let made = make(&store, "second.snapshot", &data()).unwrap();
    assert_eq!(asked(&double), (vec![FIRST.to_owned()], false));
    check(&double, &bytes, &made, &OF_FIRST);
}

/// The server heeds no condition, so it copies parts of whatever is there.
#[test]
fn an_original_that_is_replaced_or_deleted_under_the_copy_is_not_taken() {
    for deleted in [false, true] {
        let double = Arc::new(Double::start());
        let store = store(&double);
        original(&store);
        let bytes = double.read(FIRST).unwrap();
        double.seen();
        let part = AtomicUsize::new(0);
        let other = vec![9; bytes.len()];
        double.decide_with(move |seen, objects| {
            if seen.copied.is_some() && part.fetch_add(1, Ordering::Relaxed) == 1 {
                match deleted {
                    true => drop(objects.remove(FIRST)),
                    false => drop(objects.insert(FIRST.to_owned(), Bytes::from(other.clone()))),
                }
            }
            Fate::Answer
        });
        let made = make(&store, "second.snapshot", &data()).unwrap();
        assert_eq!(asked(&double), (vec![FIRST.to_owned()], true), "{deleted}");
        let left: Vec<&str> = OF_FIRST.into_iter().filter(|key| !deleted || *key != FIRST).collect();
        check(&double, &bytes, &made, &left);
        // That says nothing about copies of others.
        assert!(store.copies.load(Ordering::Relaxed));
    }
}

#[test]
fn whoever_stops_a_copy_leaves_nothing() {
    /// Goes on so many times.
    struct Stops(AtomicUsize);
    impl Progress for Stops {
        fn start(&self, _total: u64) {}

        fn advance(&self, _bytes: u64) -> ControlFlow<()> {
            match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
                Ok(_) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        }
    }
    let double = Double::start();
    let store = store(&double);
    original(&store);
    let before = double.keys();
    let damaged = |error: &icecore_archive::Error| panic!("{error}");
    let sharing = Some(Sharing { reverify_after: WEEK, damaged: &damaged });
    // Before and between parts that a server copies at once, and while it hangs.
    let mut begun = 0;
    for (times, hangs) in [(0, false), (1, false), (2, false), (2, true), (3, true), (4, true), (5, true)] {
        double.seen();
        double.hold(move |seen| hangs && seen.copied.is_some());
        let stops = Stops(AtomicUsize::new(times));
        let made = conformance::put_sharing(&store, &Place::Storage, "second.snapshot", &data(), sharing, &stops);
        assert!(matches!(made, Err(StoreError::Archive(icecore_archive::Error::Cancelled))), "{made:?}");
        let parts = asked(&double).0.len();
        assert!(parts <= times, "{parts} of {times}");
        begun += parts;
        assert_eq!((double.keys(), double.uploads()), (before.clone(), 0), "{times}");
        assert_eq!(store.records.after_restart().left_over().unwrap(), []);
    }
    assert!(begun > 0, "the server has been asked for parts");
}

/// The archive is deleted by somebody while it is noted that it was verified: the note goes too.
#[test]
fn a_note_does_not_outlive_its_archive() {
    for cut in [false, true] {
        let double = Double::start();
        let store = store(&double);
        make(&store, "first.snapshot", &data()).unwrap();
        let noted = AtomicUsize::new(0);
        double.decide_with(move |seen, objects| {
            let is_note = seen.key.ends_with(".verified.json") && seen.method == Method::PUT;
            if is_note && noted.fetch_add(1, Ordering::Relaxed) == 0 {
                objects.clear();
                return Fate::Answer;
            }
            match cut && noted.load(Ordering::Relaxed) > 0 {
                true => Fate::Refuse(StatusCode::BAD_REQUEST),
                false => Fate::Answer,
            }
        });
        note(&store, "first.snapshot", Some(1_000));
        double.answer_all();
        assert_eq!(double.keys().len(), usize::from(cut));
        // What could not be done then is done by the next run.
        assert_eq!(after_restart(&store).sweep().unwrap(), usize::from(cut));
        assert_eq!(double.keys(), [] as [String; 0]);
        assert_eq!(store.records.after_restart().left_over().unwrap(), []);
    }
}
