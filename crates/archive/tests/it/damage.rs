//! No byte of an archive can change without being noticed.

use std::path::Path;
use std::sync::Arc;

use icecore_archive::{
    Error, ErrorKind, Plan, Problem, Reader, Report, Sha256Digest, VerifyOptions, WholeDigest, verify, verify_with,
};
use icecore_io::{Fault, FaultFs, Fs, Operation};

use crate::support::{Files, THREADS, archive, bytes, create_in, files, get, names, open, plan, put, store, unpack_all};

fn small() -> Files {
    vec![
        ("a".to_owned(), bytes(1, 700)),
        ("d/aligned".to_owned(), bytes(2, 64 << 10)),
        ("d/empty".to_owned(), Vec::new()),
        ("p".repeat(120), bytes(3, 512)),
        ("z".to_owned(), bytes(4, 1)),
    ]
}

/// Members on several threads, and the digest of the whole only if it has to be compared.
const IN_PARTS: VerifyOptions = VerifyOptions { threads: THREADS, whole: WholeDigest::IfNeeded };

/// What verifying says, or the error of opening. It says the same in order and in parts.
fn examine(bytes: &[u8]) -> Result<Report, Error> {
    let (fs, reader) = open(bytes);
    let reader = reader?;
    let report = verify(&fs, &reader, &())?;
    let in_parts = verify_with(&fs, &reader, IN_PARTS, &())?;
    assert_eq!(format!("{:?}", report.problems), format!("{:?}", in_parts.problems));
    assert_eq!((report.sha256, in_parts.sha256), (Some(Sha256Digest::of(bytes)), None));
    Ok(report)
}

/// Unpacking fails and leaves nothing.
fn assert_not_unpacked(bytes: &[u8], what: &str) {
    let (fs, reader) = open(bytes);
    let Ok(reader) = reader else { return };
    let error = unpack_all(&fs, &reader).expect_err(what);
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    assert!(names(&fs, "/out").is_empty(), "{what}");
}

/// Every byte of everything around the data, and some of the data.
fn offsets(plan: &Plan) -> Vec<usize> {
    let mut offsets = Vec::new();
    for (offset, bytes) in plan.frame() {
        let start = usize::try_from(offset).unwrap();
        // Headers are long and alike: of a long piece one byte in three will do, and its ends.
        let step = if bytes.len() > 1200 { 3 } else { 1 };
        offsets.extend((start..start + bytes.len()).step_by(step));
        offsets.push(start + bytes.len() - 1);
    }
    for index in 0..plan.manifest().len() {
        let start = usize::try_from(plan.data_offset(index).unwrap()).unwrap();
        let len = usize::try_from(plan.manifest().get(index).unwrap().len).unwrap();
        offsets.extend((start..start + len).step_by(4999));
        offsets.extend((len > 0).then(|| start + len - 1));
    }
    offsets
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let sound = archive(&small());
    let offsets = offsets(&plan(&small()));
    assert!(offsets.len() > 4000, "{}", offsets.len());
    for (round, offset) in offsets.into_iter().enumerate() {
        let mut damaged = sound.clone();
        damaged[offset] ^= 1 << (round % 8);
        match examine(&damaged) {
            Ok(report) => assert!(!report.is_sound(), "byte {offset}"),
            Err(error) => {
                let expected = [ErrorKind::Corrupt, ErrorKind::Unsupported, ErrorKind::InvalidInput];
                assert!(expected.contains(&error.kind()), "byte {offset}: {error}");
            }
        }
        assert_not_unpacked(&damaged, &format!("byte {offset}"));
    }
}

#[test]
fn a_cut_anywhere_is_an_error_that_names_both_lengths() {
    let sound = archive(&small());
    let cuts = (0..sound.len()).step_by(512).chain([sound.len() - 1, 1, 511, 513]);
    for cut in cuts {
        match examine(&sound[..cut]) {
            Err(Error::Truncated { expected, actual, .. }) => {
                assert!(
                    actual == cut as u64 && expected > actual && expected <= sound.len() as u64,
                    "{cut}: {expected} {actual}"
                );
            }
            Err(Error::NotTar { len, .. }) => assert!(len == cut as u64 && cut < 21, "{cut}"),
            other => panic!("{cut}: {other:?}"),
        }
    }
}

#[test]
fn bytes_after_the_end_are_an_error() {
    let sound = archive(&small());
    for more in [1, 512, 10_240] {
        let longer = [sound.clone(), vec![0; more]].concat();
        let expected = sound.len() as u64;
        assert!(
            matches!(examine(&longer), Err(Error::TrailingBytes { expected: len, actual, .. }) if len == expected && actual == expected + more as u64)
        );
    }
}

#[test]
fn the_report_has_every_problem_and_not_the_first() {
    let plan = plan(&small());
    let mut damaged = archive(&small());
    let at = |offset: u64| usize::try_from(offset).unwrap();
    damaged[at(plan.header_offset(0).unwrap())] ^= 1;
    damaged[at(plan.data_offset(0).unwrap() + 9)] ^= 1;
    damaged[at(plan.data_offset(0).unwrap() + 701)] ^= 1;
    damaged[at(plan.data_offset(4).unwrap())] ^= 1;
    damaged[at(plan.archive_len() - 1)] ^= 1;
    let (fs, reader) = open(&damaged);
    put(&fs, "/store/a.snapshot.checksum", "ab".repeat(32).as_bytes());
    let report = verify(&fs, &reader.unwrap(), &()).unwrap();
    let kinds: Vec<_> = report
        .problems
        .iter()
        .map(|problem| match problem {
            Problem::Header { member, .. } => ("header", member.as_str()),
            Problem::Sha256 { member, .. } => ("sha256", member.as_str()),
            Problem::Crc32c { member, .. } => ("crc32c", member.as_str()),
            Problem::Padding { member, .. } => ("padding", member.as_str()),
            Problem::Trailer { .. } => ("trailer", ""),
            Problem::Checksum { .. } => ("checksum", ""),
            other => panic!("{other}"),
        })
        .collect();
    let expected = [
        ("header", "a"),
        ("sha256", "a"),
        ("crc32c", "a"),
        ("padding", "a"),
        ("sha256", "z"),
        ("crc32c", "z"),
        ("trailer", ""),
        ("checksum", ""),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn a_digest_file_is_compared_and_may_end_in_a_newline() {
    let report = |text: &[u8]| {
        let (fs, reader) = open(&archive(&small()));
        put(&fs, "/store/a.snapshot.checksum", text);
        verify(&fs, &reader.unwrap(), &()).unwrap().problems
    };
    let digest = examine(&archive(&small())).unwrap().sha256.unwrap();
    assert!(report(digest.to_string().as_bytes()).is_empty());
    assert!(report(format!("{digest}\n").as_bytes()).is_empty());
    assert!(matches!(report(b"nonsense").as_slice(), [Problem::ChecksumFile { .. }]));
    assert!(matches!(report("0".repeat(64).as_bytes()).as_slice(), [Problem::Checksum { actual, .. }] if *actual == digest));
}

#[test]
fn a_stretch_that_cannot_be_read_is_a_problem_and_the_rest_is_still_verified() {
    let mem = store();
    let mut damaged = archive(&files());
    let last = plan(&files()).data_offset(files().len() - 1).unwrap();
    let end = damaged.len();
    damaged[end - 1] ^= 1;
    assert!(last < 1 << 20, "the last member lies in the first two buffers");
    put(&mem, "/store/a.snapshot", &damaged);
    let fs = FaultFs::new(Arc::new(mem));
    let reader = Reader::open(&fs, Path::new("/store/a.snapshot")).unwrap();
    fs.faults().inject(Fault::on(Operation::ReadAt).path_contains("a.snapshot"));
    let report = verify(&fs, &reader, &()).unwrap();
    assert_eq!(report.sha256, None);
    assert!(
        matches!(report.problems.as_slice(), [Problem::Read { offset: 0, .. }, Problem::Trailer { .. }]),
        "{:?}",
        report.problems
    );
}

/// Every member of some length, several to a run, damaged in turn.
#[test]
fn a_damaged_member_of_any_run_is_found_in_parts() {
    let sound = archive(&files());
    let plan = plan(&files());
    assert!(examine(&sound).unwrap().is_sound());
    for index in (0..files().len()).filter(|index| !files()[*index].1.is_empty()) {
        let mut damaged = sound.clone();
        damaged[usize::try_from(plan.data_offset(index).unwrap()).unwrap()] ^= 1;
        let problems = examine(&damaged).unwrap().problems;
        let path = &files()[index].0;
        assert!(matches!(problems.as_slice(), [Problem::Sha256 { member, .. }, Problem::Crc32c { .. }] if member == path));
    }
}

/// The index file tells by the manifest's digest which archive it is about, and no digest of the whole is needed.
#[test]
fn the_noted_digest_is_that_of_the_archive_with_the_noted_manifest() {
    let fs = FaultFs::new(Arc::new(store()));
    let created = create_in(&fs, "a.snapshot", &small()).unwrap();
    let verified = || {
        let reader = Reader::open(&fs, &created.path).unwrap();
        let before = fs.faults().calls(Operation::ReadAt);
        let report = verify_with(&fs, &reader, IN_PARTS, &()).unwrap();
        (report, fs.faults().calls(Operation::ReadAt) - before)
    };
    let (report, reads) = verified();
    assert_eq!((report.is_sound(), report.sha256), (true, Some(created.sha256)));

    // Without the index file there is a digest to be computed and compared.
    let meta_path = Path::new("/store/a.snapshot.meta.json");
    let meta = get(&fs, meta_path);
    fs.remove_file(meta_path).unwrap();
    let (report, reads_in_order) = verified();
    assert_eq!((report.is_sound(), report.sha256), (true, Some(created.sha256)));
    assert!(reads_in_order < reads, "prelude, members and trailer apart against one pass: {reads_in_order} and {reads}");

    // Files that do not agree about the digest show nothing: which of them is right is found out.
    let wrong = String::from_utf8(meta.clone()).unwrap().replace(&created.sha256.to_string(), &"ab".repeat(32));
    put(&fs, "/store/a.snapshot.meta.json", wrong.as_bytes());
    let (report, _) = verified();
    assert_eq!((report.is_sound(), report.sha256), (true, Some(created.sha256)));

    fs.remove_file(meta_path).unwrap();
    put(&fs, "/store/a.snapshot.meta.json", &meta);
    fs.remove_file(Path::new("/store/a.snapshot.checksum")).unwrap();
    put(&fs, "/store/a.snapshot.checksum", "ab".repeat(32).as_bytes());
    let (report, _) = verified();
    assert!(matches!(report.problems.as_slice(), [Problem::Checksum { actual, .. }] if *actual == created.sha256));
}

#[test]
fn another_archive_of_the_same_length_is_not_the_one_that_was_noted() {
    let fs = store();
    let other = vec![("a".to_owned(), bytes(9, 700))];
    create_in(&fs, "a.snapshot", &vec![("a".to_owned(), bytes(1, 700))]).unwrap();
    fs.remove_file(Path::new("/store/a.snapshot")).unwrap();
    put(&fs, "/store/a.snapshot", &archive(&other));
    let reader = Reader::open(&fs, Path::new("/store/a.snapshot")).unwrap();
    let kinds = |fs: &dyn Fs| {
        let report = verify_with(fs, &reader, IN_PARTS, &()).unwrap();
        report
            .problems
            .iter()
            .map(|problem| match problem {
                Problem::Checksum { .. } => "checksum",
                Problem::NotedManifest { actual, .. } if *actual == reader.plan().manifest_sha256() => "manifest",
                other => panic!("{other}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(&fs), ["checksum", "manifest"]);
    fs.remove_file(Path::new("/store/a.snapshot.checksum")).unwrap();
    assert_eq!(kinds(&fs), ["manifest"]);
}

/// What is noted of a sound archive is not said of a damaged one.
#[test]
fn a_damaged_archive_has_no_noted_digest() {
    let fs = store();
    let created = create_in(&fs, "a.snapshot", &small()).unwrap();
    let at = usize::try_from(plan(&small()).data_offset(0).unwrap()).unwrap();
    let mut damaged = get(&fs, &created.path);
    damaged[at] ^= 1;
    fs.remove_file(&created.path).unwrap();
    put(&fs, "/store/a.snapshot", &damaged);
    let report = verify(&fs, &Reader::open(&fs, &created.path).unwrap(), &()).unwrap();
    assert_eq!((report.problems.len(), report.sha256), (2, None));
}

#[test]
fn damage_of_a_source_is_found_while_the_archive_is_made() {
    let fs = store();
    let sound = small();
    let mut damaged = sound.clone();
    damaged[1].1[40_000] ^= 4;
    let clock = icecore_io::ManualClock::new(std::time::Duration::ZERO);
    let attempt = |files: &Files| {
        let source = crate::support::source(files);
        icecore_archive::create(
            &fs,
            &clock,
            Path::new("/store"),
            &crate::support::name("a.snapshot"),
            &plan(&sound),
            &source,
            &(),
        )
    };
    let error = attempt(&damaged).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt { member, expected, actual } if member == "d/aligned" && expected != actual),
        "{error}"
    );
    damaged[1].1.truncate(65_000);
    let error = attempt(&damaged).unwrap_err();
    assert!(matches!(&error, Error::SourceLength { expected: 65_536, actual: 65_000, .. }), "{error}");
    assert!(names(&fs, "/store").is_empty());
    assert!(create_in(&fs, "a.snapshot", &sound).is_ok());
    assert!(fs.exists(Path::new("/store/a.snapshot")).unwrap());
}
