//! Files made to do harm, and files that are something else.

use std::io::Write;
use std::mem::discriminant;
use std::path::Path;
use std::process::{Command, Stdio};

use icecore_archive::{Crc32c, Error, ErrorKind, Foreign, MANIFEST_LEN_MAX, Sha256Digest, verify};

use crate::support::{Files, archive, bytes, files, names, open, plan, store, stream_all, unpack_all};

/// A ustar header with any contents and a right checksum.
fn header(name: &str, typeflag: u8, size_field: &str, link: &str) -> Vec<u8> {
    let mut block = vec![0u8; 512];
    let mut put = |offset: usize, text: &[u8]| block[offset..offset + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\x000000000\x000000000\0");
    put(124, size_field.as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[typeflag]);
    put(157, link.as_bytes());
    put(257, b"ustar\x0000");
    put(329, b"0000000\x000000000\0");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(name, b'0', &format!("{:011o}", data.len()), "");
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An archive with this manifest and its right digest, followed by `rest`.
fn with_manifest(manifest: &str, rest: &[u8]) -> Vec<u8> {
    let digest = Sha256Digest::of(manifest.as_bytes()).to_string();
    [
        file("icecore/manifest.json", manifest.as_bytes()),
        file("icecore/manifest.sha256", digest.as_bytes()),
        rest.to_vec(),
        vec![0; 1024],
    ]
    .concat()
}

fn record(path: &str, len: u64) -> String {
    let path = serde_json::to_string(path).unwrap();
    let (sha256, crc32c) = (Sha256Digest::of(b""), Crc32c::of(b""));
    format!("{{\"path\":{path},\"len\":{len},\"sha256\":\"{sha256}\",\"crc32c\":\"{crc32c}\"}}")
}

fn manifest(records: &[String]) -> String {
    let lines = records.join(",\n");
    let first = if records.is_empty() { "" } else { "\n" };
    format!("{{\"layout\":1,\"members\":[{first}{lines}\n],\"subject\":null}}\n")
}

/// Why a file with these bytes does not open; a stream of them fails in the same way, and leaves nothing.
fn open_error(bytes: &[u8]) -> Error {
    let error = open(bytes).1.expect_err("it must not open");
    let fs = store();
    let announced = stream_all(&fs, bytes, Some(bytes.len() as u64), &()).expect_err("the stream must not open");
    assert_eq!(announced.to_string(), error.to_string());
    let unannounced = stream_all(&fs, bytes, None, &()).expect_err("the stream must not be unpacked");
    // Where a file has the wrong length, a stream goes on until it meets what is wrong there.
    let by_length = matches!(error, Error::Truncated { .. } | Error::TrailingBytes { .. });
    match by_length {
        true => assert_eq!(unannounced.kind(), ErrorKind::Corrupt, "{unannounced}"),
        false => assert_eq!(discriminant(&unannounced), discriminant(&error), "{unannounced}"),
    }
    assert!(names(&fs, "/out").is_empty());
    error
}

#[test]
fn the_helpers_make_what_the_writer_makes() {
    let files: Files = vec![("a".to_owned(), Vec::new())];
    let made = with_manifest(&manifest(&[record("a", 0)]), &file("a", b""));
    assert!(made == crate::support::archive_of(&crate::support::plan_with(serde_json::Value::Null, &files), &files));
}

#[test]
fn paths_that_leave_the_destination_are_refused() {
    let bad =
        ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "a\\..\\b", "", "a/", "icecore/manifest.json", "a\u{0}b", "\u{202e}"];
    for path in bad {
        let error = open_error(&with_manifest(&manifest(&[record(path, 0)]), &file("x", b"")));
        assert!(matches!(error, Error::Manifest { .. }), "{path:?}: {error}");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn members_that_collide_are_refused() {
    let twice = with_manifest(&manifest(&[record("a", 0), record("a", 0)]), &[file("a", b""), file("a", b"")].concat());
    assert!(matches!(open_error(&twice), Error::ManifestRule { source, .. } if matches!(*source, Error::DuplicatePath { .. })));
    let inside = with_manifest(&manifest(&[record("a/b", 0), record("a", 0)]), &[file("a/b", b""), file("a", b"")].concat());
    assert!(
        matches!(open_error(&inside), Error::ManifestRule { source, .. } if matches!(*source, Error::FileAndDirectory { .. }))
    );
}

#[test]
fn anything_but_the_regular_file_of_the_manifest_is_damage() {
    let size = "00000000000";
    let path_record = [header("p", b'x', "00000000012", ""), b"10 path=b\n".to_vec(), vec![0; 502]].concat();
    let other = [
        header("a", b'2', size, "/etc/passwd"),
        header("a", b'1', size, "/etc/passwd"),
        header("a", b'5', size, ""),
        header("a", b'6', size, ""),
        header("a", b'3', size, ""),
        header("../a", b'0', size, ""),
        header("a", 0, size, ""),
        header("a", b'0', "00000000001", ""),
    ];
    for member in other {
        let bytes = with_manifest(&manifest(&[record("a", 0)]), &member);
        assert_damaged(&bytes);
    }
    // A pax header that gives the member another name: the file is longer than its manifest says.
    let bytes = with_manifest(&manifest(&[record("a", 0)]), &[path_record, header("a", b'0', size, "")].concat());
    assert!(matches!(open_error(&bytes), Error::TrailingBytes { .. }));
}

fn assert_damaged(bytes: &[u8]) {
    let (fs, reader) = open(bytes);
    let reader = reader.unwrap();
    assert!(!verify(&fs, &reader, &()).unwrap().is_sound());
    assert!(matches!(unpack_all(&fs, &reader), Err(Error::Damaged { .. })));
    assert!(names(&fs, "/out").is_empty());
    for announced in [None, Some(bytes.len() as u64)] {
        assert!(matches!(stream_all(&fs, bytes, announced, &()), Err(Error::Damaged { .. })));
        assert!(names(&fs, "/out").is_empty());
    }
}

#[test]
fn a_pax_record_that_renames_a_member_is_damage() {
    let name = "p".repeat(120);
    let files: Files = vec![(name.clone(), bytes(1, 100))];
    let mut changed = archive(&files);
    let at = changed.windows(10).position(|window| window == b" path=pppp").unwrap();
    changed[at + 6..at + 9].copy_from_slice(b"../");
    assert_damaged(&changed);
}

#[test]
fn sizes_are_bounded_before_memory_is_taken() {
    for size in ["77777777777", "00001000000"] {
        let bytes = [header("icecore/manifest.json", b'0', size, ""), vec![b'{'; 4096]].concat();
        let error = open_error(&bytes);
        assert!(matches!(error, Error::Truncated { .. } | Error::ManifestRule { .. }), "{error}");
    }
    let huge = format!("{:011o}", MANIFEST_LEN_MAX + 1);
    let bytes = [header("icecore/manifest.json", b'0', &huge, ""), vec![b'{'; 4096]].concat();
    assert!(matches!(open_error(&bytes), Error::ManifestRule { source, .. } if matches!(*source, Error::ManifestTooLong { .. })));

    for len in [u64::MAX, i64::MAX as u64, 1 << 62] {
        let bytes = with_manifest(&manifest(&[record("a", len), record("b", len)]), &file("a", b""));
        assert!(
            matches!(open_error(&bytes), Error::ManifestRule { source, .. } if matches!(*source, Error::ArchiveTooLong { .. }))
        );
    }
    let bytes = with_manifest(&manifest(&[record("a", 1 << 40)]), &file("a", b""));
    assert!(matches!(open_error(&bytes), Error::Truncated { .. }));
}

#[test]
fn json_made_to_do_harm_is_refused() {
    let deep = "[".repeat(200_000);
    let sound = manifest(&[record("a", 0)]);
    let bad = [
        deep.clone(),
        format!("{{\"layout\":1,\"members\":[],\"subject\":{deep}"),
        format!("{{\"layout\":1,\"members\":{deep}"),
        format!("{{\"x\":{deep}"),
        "null".to_owned(),
        String::new(),
        "{\"layout\":-1}".to_owned(),
        sound.replace("\"layout\":1", "\"layout\":1.0"),
        sound.replace("\"layout\":1", "\"layout\":1,\"layout\":1"),
        sound.replace("\"len\":0", "\"len\":-0"),
        sound.replace("\"len\":0", "\"len\":0,\"len\":0"),
        sound.replace("\"subject\"", "\"more\":1,\"subject\""),
        sound.replace("null", "{\"$serde_json::private::RawValue\":\"[1]\"}"),
        sound.replace("null", "{\"a\":1,\"a\":1}"),
        sound.replace("e3b0", "E3B0"),
        sound.replace("e3b0", "e3b"),
    ];
    for text in bad {
        let error = open_error(&with_manifest(&text, &file("a", b"")));
        let beginning: String = text.chars().take(60).collect();
        assert!(matches!(error, Error::Manifest { .. } | Error::ManifestForm { .. }), "{beginning}: {error}");
    }
}

#[test]
fn a_newer_layout_says_so_whatever_else_it_contains() {
    for text in ["{\"layout\":99}", "{\"layout\":2,\"members\":7,\"future\":[1]}"] {
        let error = open_error(&with_manifest(text, b""));
        assert!(matches!(error, Error::Layout { found: 2 | 99, known: 1, .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_wrong_digest_of_the_manifest_comes_before_everything_in_it() {
    let text = "{\"layout\":99}";
    let digest = Sha256Digest::of(b"other");
    let bytes = [
        file("icecore/manifest.json", text.as_bytes()),
        file("icecore/manifest.sha256", digest.to_string().as_bytes()),
        vec![0; 1024],
    ]
    .concat();
    let error = open_error(&bytes);
    assert!(
        matches!(error, Error::ManifestDigest { expected, actual, .. } if expected == digest && actual == Sha256Digest::of(text.as_bytes()))
    );
}

#[test]
fn other_files_are_called_what_they_are() {
    assert!(matches!(open_error(b""), Error::NotTar { len: 0, .. }));
    assert!(matches!(open_error(&bytes(1, 100_000)), Error::NotTar { .. }));
    assert!(matches!(open_error(&[0; 10_240]), Error::NotTar { .. }));
    let foreign = |bytes: &[u8]| match open_error(bytes) {
        Error::Foreign { foreign, .. } => foreign,
        other => panic!("{other}"),
    };
    assert_eq!(foreign(&file("notes.txt", b"hello")), Foreign::Tar);
    let mapping = br#"{"collections_mapping": {"c": "c.snapshot"}}"#;
    let end = vec![0; 1024];
    assert_eq!(
        foreign(&[file("c.snapshot", b"..."), file("config.json", mapping), end.clone()].concat()),
        Foreign::QdrantStorage
    );
    let collection =
        [file("0/wal/open-1", b""), file("0/segments/11.tar", b"x"), file("config.json", b"{}"), end.clone()].concat();
    assert_eq!(foreign(&collection), Foreign::QdrantCollection);
    assert_eq!(foreign(&[file("./0/segments/11.tar", b"x"), end.clone()].concat()), Foreign::QdrantCollection);
    assert_eq!(foreign(&[file("0/segments/11.tar", &bytes(1, 2 << 20)), end.clone()].concat()), Foreign::QdrantCollection);
    let shard = [file("segments/11.tar", b"x"), file("wal/open-1", b""), file("replica_state.json", b"{}"), end].concat();
    assert_eq!(foreign(&shard), Foreign::QdrantShard);
    // A header whose size leads out of the file, or round the address space, ends the search.
    assert_eq!(foreign(&header("notes.txt", b'0', "77777777777", "")), Foreign::Tar);
    let round = "\u{0}\u{0}\u{0}\u{7f}".repeat(3);
    assert_eq!(foreign(&header("notes.txt", b'0', &round, "")), Foreign::Tar);
    assert_eq!(
        foreign(&with_size_field(header("notes.txt", b'0', "", ""), b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff")),
        Foreign::Tar
    );
}

/// Puts any bytes into a header's size field and makes its checksum right again.
fn with_size_field(mut block: Vec<u8>, size: &[u8; 12]) -> Vec<u8> {
    block[124..136].copy_from_slice(size);
    block[148..156].copy_from_slice(b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn an_archive_that_was_unpacked_and_packed_again_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let unpacked = dir.path().join("out");
    std::fs::create_dir(&unpacked).unwrap();
    let mut tar = Command::new("tar").args(["x", "-C"]).arg(&unpacked).stdin(Stdio::piped()).spawn().unwrap();
    // Without the longest file, as of a stream only the beginning is looked at, and nobody knows in which order `.` is packed.
    let files: Files = files().into_iter().filter(|(_, data)| data.len() < 100_000).collect();
    tar.stdin.take().unwrap().write_all(&archive(&files)).unwrap();
    assert!(tar.wait().unwrap().success());
    let entries: [&[&str]; 3] = [&["."], &["icecore", "d0", "d1", "d2"], &["icecore/manifest.json", "d0"]];
    for format in ["--format=pax", "--format=gnu", "--format=ustar"] {
        for names in entries {
            let packed = Command::new("tar").args(["c", format, "-C"]).arg(&unpacked).args(names).output().unwrap();
            assert!(packed.status.success());
            let error = open_error(&packed.stdout);
            assert!(matches!(error, Error::Foreign { foreign: Foreign::Repacked, .. }), "{format} {names:?}: {error}");
            assert!(error.to_string().contains("unpacked and packed again"));
        }
    }
}

#[test]
fn members_in_another_order_or_missing_are_damage() {
    let files = vec![("a".to_owned(), bytes(1, 512)), ("b".to_owned(), bytes(2, 512))];
    let sound = archive(&files);
    let start = usize::try_from(plan(&files).header_offset(0).unwrap()).unwrap();
    let (first, second) = (sound[start..start + 1024].to_vec(), sound[start + 1024..start + 2048].to_vec());
    let mut swapped = sound.clone();
    swapped[start..start + 2048].copy_from_slice(&[second.clone(), first.clone()].concat());
    assert_damaged(&swapped);
    let mut doubled = sound.clone();
    doubled[start + 1024..start + 2048].copy_from_slice(&first);
    assert_damaged(&doubled);
    let missing = [&sound[..start], &second, &sound[start + 2048..]].concat();
    assert!(matches!(open_error(&missing), Error::Truncated { .. }));
}

#[test]
fn a_symbolic_link_is_not_followed_to_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("a.snapshot");
    std::fs::write(&target, archive(&files())).unwrap();
    let link = dir.path().join("b.snapshot");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let fs = icecore_io::OsFs::new();
    assert!(icecore_archive::Reader::open(&fs, &target).is_ok());
    assert!(icecore_archive::Reader::open(&fs, Path::new(&link)).is_err());
}
