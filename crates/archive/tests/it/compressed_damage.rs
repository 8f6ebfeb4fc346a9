//! No byte of a compressed archive can change without being noticed, and the damage is named with its place.

use std::path::Path;
use std::sync::Arc;

use icecore_archive::{Error, ErrorKind, FRAME_LEN, Problem, Reader, Report, Sha256Digest, verify};
use icecore_io::{Fault, FaultFs, Fs, Operation};

use crate::compressed::{frames, mixed};
use crate::support::{Files, bytes, compressed, names, open, plan, put, repeated, store, stream_all, unpack_all};

/// Small enough to try every byte, with something to compress.
fn tiny() -> Files {
    vec![
        ("p".repeat(120), bytes(1, 70)),
        ("d/empty".to_owned(), Vec::new()),
        ("d/repeated".to_owned(), repeated(2, 5000)),
        ("z".to_owned(), bytes(3, 1)),
    ]
}

fn examine(bytes: &[u8]) -> Result<Report, Error> {
    let (fs, reader) = open(bytes);
    verify(&fs, &reader?, &())
}

/// Nobody takes it, and nothing is left.
fn assert_refused(damaged: &[u8], what: &str) {
    let expected = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::InvalidInput];
    let (fs, reader) = open(damaged);
    match reader {
        Ok(reader) => {
            let report = verify(&fs, &reader, &()).unwrap();
            assert!(!report.is_sound(), "{what}");
            assert_eq!(report.sha256, Some(Sha256Digest::of(damaged)), "{what}");
            let error = unpack_all(&fs, &reader).expect_err(what);
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
            assert!(names(&fs, "/out").is_empty(), "{what}");
        }
        Err(error) => assert!(expected.contains(&error.kind()), "{what}: {error}"),
    }
    let fs = store();
    let error = stream_all(&fs, damaged, None, &()).expect_err(what);
    assert!(expected.contains(&error.kind()), "{what}: {error}");
    assert!(names(&fs, "/out").is_empty(), "{what}");
}

#[test]
fn a_flipped_bit_at_any_byte_is_found() {
    let sound = compressed(&tiny());
    assert!(sound.len() < 5000, "{}", sound.len());
    for offset in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[offset] ^= 1 << (offset % 8);
        assert_refused(&damaged, &format!("byte {offset} of {}", sound.len()));
    }
}

#[test]
fn a_flipped_bit_in_any_of_several_frames_is_found() {
    let files = vec![("a".to_owned(), repeated(1, 2 * FRAME_LEN as usize)), ("b".to_owned(), bytes(2, 100))];
    let sound = compressed(&files);
    let starts = frames(&sound);
    let around = starts.iter().flat_map(|start| [start.saturating_sub(5), start.saturating_sub(1), *start, start + 4, start + 6]);
    let tables = starts[starts.len() - 1]..sound.len();
    for offset in around.chain(tables.step_by(5)) {
        let mut damaged = sound.clone();
        damaged[offset] ^= 0x10;
        assert_refused(&damaged, &format!("byte {offset} of {}", sound.len()));
    }
}

#[test]
fn frames_in_another_order_or_twice_are_damage() {
    let files = vec![("a".to_owned(), repeated(1, 3 * FRAME_LEN as usize))];
    let sound = compressed(&files);
    let starts = frames(&sound);
    let frame = |index: usize| &sound[starts[index]..starts[index + 1]];
    let rest = &sound[starts[3]..];
    for order in [[0, 2, 1], [0, 1, 1], [2, 1, 0]] {
        let mut damaged: Vec<u8> = order.iter().flat_map(|index| frame(*index)).copied().collect();
        damaged.extend_from_slice(rest);
        assert_refused(&damaged, &format!("{order:?}"));
    }
}

#[test]
fn a_cut_anywhere_is_an_error() {
    let sound = compressed(&tiny());
    let end_of_frames = frames(&sound)[1];
    for cut in 0..sound.len() {
        let refused = examine(&sound[..cut]).unwrap_err();
        assert!(matches!(refused, Error::Foreign { .. } | Error::NotTar { .. }), "{cut}: {refused}");
        let fs = store();
        match stream_all(&fs, &sound[..cut], None, &()) {
            Err(Error::Truncated { expected, actual, .. }) => assert!(expected > actual && actual == cut as u64, "{cut}"),
            Err(Error::NotTar { .. }) => assert!(cut < 4, "{cut}"),
            // All of the tar is there, and other programs write no tables.
            Ok(streamed) => assert_eq!((cut, streamed.unpacked.files), (end_of_frames, 4)),
            other => panic!("{cut}: {other:?}"),
        }
        assert!(cut == end_of_frames || names(&fs, "/out").is_empty(), "{cut}");
        let fs = store();
        let announced = stream_all(&fs, &sound[..cut], Some(sound.len() as u64), &()).unwrap_err();
        let is_cut = matches!(announced, Error::Truncated { expected, actual, .. } if (expected, actual) == (sound.len() as u64, cut as u64));
        assert!(is_cut || cut < 4, "{cut}: {announced}");
        assert!(names(&fs, "/out").is_empty(), "{cut}");
    }
}

#[test]
fn bytes_after_the_end_are_named() {
    let sound = compressed(&tiny());
    let len = sound.len() as u64;
    for more in [1, 4, 512, 60_000] {
        let longer = [sound.as_slice(), &bytes(1, more)].concat();
        let actual = len + more as u64;
        let error = examine(&longer).unwrap_err();
        assert!(
            matches!(error, Error::TrailingBytes { expected, actual: found, .. } if (expected, found) == (len, actual)),
            "{error}"
        );
        for announced in [None, Some(len), Some(actual)] {
            let fs = store();
            let error = stream_all(&fs, longer.as_slice(), announced, &()).unwrap_err();
            assert!(matches!(error, Error::TrailingBytes { expected, .. } if expected == len), "{more} {announced:?}: {error}");
            assert!(names(&fs, "/out").is_empty());
        }
    }
    // Too much to search through: it says what it sees.
    let error = examine(&[sound.as_slice(), &vec![0; 100_000]].concat()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let error = stream_all(&store(), sound.as_slice(), Some(len - 1), &()).unwrap_err();
    assert!(matches!(error, Error::TrailingBytes { expected, actual, .. } if (expected, actual) == (len - 1, len)), "{error}");
}

#[test]
fn the_report_names_each_damaged_frame_and_goes_on() {
    let files = mixed();
    let mut damaged = compressed(&files);
    let starts = frames(&damaged);
    for index in [1, 3] {
        damaged[starts[index] + 30] ^= 1;
    }
    let (fs, reader) = open(&damaged);
    put(&fs, "/store/a.snapshot.checksum", "ab".repeat(32).as_bytes());
    let report = verify(&fs, &reader.unwrap(), &()).unwrap();
    let at = |index: usize| starts[index] as u64;
    assert!(
        matches!(
            report.problems.as_slice(),
            [
                Problem::Frame { frame: 1, offset: first, .. },
                Problem::Frame { frame: 3, offset: second, .. },
                Problem::Checksum { .. }
            ] if (*first, *second) == (at(1), at(3))
        ),
        "{:?}",
        report.problems
    );
    assert_eq!(report.sha256, Some(Sha256Digest::of(&damaged)));
    let text = report.problems[0].to_string();
    assert!(text.contains(&format!("at its byte {}", at(1))), "{text}");
}

/// Sound frames of a tar that is not: the damage was there before it was compressed.
#[test]
fn damage_inside_sound_frames_is_found_where_it_is_in_the_tar() {
    let files = mixed();
    let plan = plan(&files);
    let mut tar = crate::support::archive(&files);
    let at = usize::try_from(plan.data_offset(900).unwrap()).unwrap() + 9_000_000;
    tar[at] ^= 1;
    let damaged = crate::compressed_hostile::seekable(&tar, FRAME_LEN as usize);
    let report = examine(&damaged).unwrap();
    assert!(
        matches!(report.problems.as_slice(), [Problem::Sha256 { member, .. }, Problem::Crc32c { .. }] if member == "large/one"),
        "{:?}",
        report.problems
    );
    assert_refused(&damaged, "the data");
}

#[test]
fn a_frame_that_cannot_be_read_is_a_problem_and_the_rest_is_still_verified() {
    let files = mixed();
    let mem = store();
    put(&mem, "/store/a.snapshot", &compressed(&files));
    let fs = FaultFs::new(Arc::new(mem));
    let reader = Reader::open(&fs, Path::new("/store/a.snapshot")).unwrap();
    // The second frame, and then the tables.
    let count = frames(&compressed(&files)).len() as u64;
    for (nth, place) in [(2, "frame"), (count, "tables")] {
        fs.faults().inject(Fault::on(Operation::ReadAt).path_contains("a.snapshot").nth(nth));
        let report = verify(&fs, &reader, &()).unwrap();
        assert_eq!(report.sha256, None, "{place}");
        assert!(matches!(report.problems.as_slice(), [Problem::Read { .. }]), "{place}: {:?}", report.problems);
    }
    assert!(verify(&fs, &reader, &()).unwrap().is_sound());
}

#[test]
fn an_unpacking_whose_reads_fail_leaves_nothing_and_can_be_tried_again() {
    let files = mixed();
    let mem = store();
    put(&mem, "/store/a.snapshot", &compressed(&files));
    let fs = FaultFs::new(Arc::new(mem));
    let reader = Reader::open(&fs, Path::new("/store/a.snapshot")).unwrap();
    for nth in 1..=3 {
        fs.faults().inject(Fault::on(Operation::ReadAt).path_contains("a.snapshot").nth(nth));
        let error = unpack_all(&fs, &reader).unwrap_err();
        assert!(matches!(error, Error::Io { action: "read", .. }), "{nth}: {error}");
        assert!(names(&fs, "/out").is_empty());
    }
    assert_eq!(unpack_all(&fs, &reader).unwrap().files, files.len() as u64);
    assert!(fs.exists(Path::new("/out/large/one")).unwrap());
}
