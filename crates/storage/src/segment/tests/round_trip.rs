//! What was written is read back.

use icecore_io::{Fault, FaultFs, Operation};

use super::*;
use crate::checksum::Hasher;
use crate::error::Error;
use crate::segment::BLOCK_LEN;

#[test]
fn every_kind_of_row_comes_back() {
    let (vectors, rows) = mixed();
    let written = write(&vectors, &rows);
    let segment = open(&written.fs).unwrap();
    assert_eq!((segment.segment_id(), segment.rows()), (ID, 5));
    assert_eq!(names(&segment), vectors);
    for (index, expected) in (0..).zip(&rows) {
        assert_eq!(read_row(&segment, index).unwrap(), *expected);
        for (name, present) in [("", true), ("audio", true), ("text", true), ("unknown", false)] {
            let present = present && expected.vectors.contains_key(name);
            assert_eq!(segment.has_vector(index, name).unwrap(), present, "{name:?} of row {index}");
        }
        assert_eq!(segment.vector(index, "unknown").unwrap(), None);
    }
    assert!(scrub(&written.fs, &segment).is_empty());
}

#[test]
fn ids_are_found_and_so_are_their_neighbours() {
    let ids = [num(2), num(4), num(u64::MAX), uuid(3), uuid(1 << 100)];
    for ids in [&ids[..], &ids[..3], &ids[3..], &ids[..1], &ids[4..]] {
        let rows: Vec<Row> = ids.iter().map(|id| row(*id, 1, &[], "")).collect();
        let segment = open(&write(&[], &rows).fs).unwrap();
        for id in [0, 2, 3, 4, 5, u64::MAX].map(num).into_iter().chain([0, 3, 4, 1 << 100, u128::MAX].map(uuid)) {
            let bound = ids.partition_point(|other| *other < id) as u32;
            assert_eq!(segment.lower_bound(id).unwrap(), bound, "{id} in {ids:?}");
            let found = ids.contains(&id).then_some(bound);
            assert_eq!(segment.find(id).unwrap(), found, "{id} in {ids:?}");
        }
    }
}

#[test]
fn sections_of_many_blocks_come_back() {
    // Sections that end just before, at and just after the end of a block: 8192 ids of 8 bytes fill one.
    for count in [8191, 8192, 8193] {
        let rows: Vec<Row> = (0..count)
            .map(|number| {
                let vector = [number as f32; 3];
                let vectors: &[(&str, &[f32])] = if number % 3 == 0 { &[] } else { &[("v", &vector)] };
                row(num(number * 2), number, vectors, &format!("{{\"number\":{number}}}"))
            })
            .collect();
        let written = write(&specs(&[("v", 3)]), &rows);
        let segment = open(&written.fs).unwrap();
        for (index, expected) in (0..).zip(&rows) {
            assert_eq!(read_row(&segment, index).unwrap(), *expected);
            assert_eq!(segment.find(expected.id).unwrap(), Some(index));
        }
        assert!(scrub(&written.fs, &segment).is_empty());
    }
}

#[test]
fn one_value_can_be_longer_than_a_block_and_than_the_buffer() {
    let text = format!("{{\"long\":\"{}\"}}", "ü".repeat(900_000));
    let vector = vec![0.25; 30_000];
    let rows = vec![row(num(1), 1, &[("", &vector)], "{}"), row(num(2), 2, &[("", &vector)], &text)];
    let written = write(&specs(&[("", 30_000)]), &rows);
    assert!(written.digest.len > 20 * BLOCK_LEN);
    let segment = open(&written.fs).unwrap();
    assert_eq!(read_row(&segment, 0).unwrap(), rows[0]);
    assert_eq!(read_row(&segment, 1).unwrap(), rows[1]);
    assert!(scrub(&written.fs, &segment).is_empty());
}

#[test]
fn a_segment_of_one_row_has_two_pages() {
    let written = write(&specs(&[("", 128)]), &[row(num(1), 1, &[("", &[0.5; 128])], r#"{"key":"value"}"#)]);
    assert_eq!(written.digest.len, 8192);
}

#[test]
fn equal_rows_make_equal_files_and_the_digest_is_that_of_the_file() {
    for (vectors, rows) in [mixed(), kinds()] {
        let (first, second) = (write(&vectors, &rows), write(&vectors, &rows));
        let bytes = bytes_of(&first.fs);
        assert_eq!(bytes, bytes_of(&second.fs));
        assert_eq!(bytes.len() % 4096, 0);
        let mut hasher = Hasher::default();
        hasher.update(&bytes);
        assert_eq!(hasher.finish(), first.digest);
    }
}

#[test]
fn the_file_of_these_rows_never_changes() {
    let (vectors, rows) = mixed();
    let digest = write(&vectors, &rows).digest;
    assert_eq!(digest.len, 8192);
    assert_eq!(
        digest.sha256.to_string(),
        "0541a5cda5a6ae3980f2fbfb93c1d052a1e9000b182fb4e53000a48b2225804d",
        "the format changed"
    );
}

#[test]
fn an_existing_file_is_neither_overwritten_nor_removed() {
    let fs = holding(b"mine");
    let (vectors, rows) = mixed();
    let error = write_segment(&fs, path(), ID, &vectors, &mut rows.clone()).unwrap_err();
    assert!(matches!(&error, Error::Io { operation: "create", .. }), "{error}");
    assert_eq!(bytes_of(&fs), b"mine");
}

#[test]
fn a_full_disk_leaves_no_file() {
    let rows: Vec<Row> = (0..100_000).map(|number| row(num(number), 1, &[("v", &[1.0; 8])], "{}")).collect();
    let vectors = specs(&[("v", 8)]);
    let len = write(&vectors, &rows).digest.len;
    for space in [0, 4096, 1024 * 1024, 3 * 1024 * 1024, len - 1] {
        let fs = MemFs::new();
        fs.set_free_space(space);
        let error = write_segment(&fs, path(), ID, &vectors, &mut rows.clone()).unwrap_err();
        assert!(matches!(&error, Error::Io { operation: "write", .. }), "{space} bytes: {error}");
        assert_eq!(error.kind(), crate::ErrorKind::Unavailable);
        assert!(!fs.exists(path()).unwrap(), "{space} bytes");
    }
}

#[test]
fn a_call_that_fails_leaves_no_file_but_write_back_is_only_a_hint() {
    let (vectors, rows) = mixed();
    for operation in [Operation::WriteAt, Operation::SyncData] {
        let fs = FaultFs::new(Arc::new(MemFs::new()));
        fs.faults().inject(Fault::on(operation));
        let error = write_segment(&fs, path(), ID, &vectors, &mut rows.clone()).unwrap_err();
        assert!(matches!(&error, Error::Io { .. }), "{operation:?}: {error}");
        assert!(!fs.exists(path()).unwrap(), "{operation:?}");
    }
    // Write-back is a hint: the sync has the last word.
    let fs = FaultFs::new(Arc::new(MemFs::new()));
    fs.faults().inject(Fault::on(Operation::StartWriteback));
    assert_eq!(write_segment(&fs, path(), ID, &vectors, &mut rows.clone()).unwrap(), write(&vectors, &rows).digest);
}

#[test]
fn a_read_that_fails_is_not_called_damage() {
    let (vectors, rows) = mixed();
    let inner = write(&vectors, &rows).fs;
    let segment = open(&inner).unwrap();
    let fs = FaultFs::new(Arc::new(inner));
    fs.faults().inject(Fault::on(Operation::ReadAt).from_then_on());
    let error = Segment::open(&fs, path(), ID, 8192).unwrap_err();
    assert!(matches!(&error, Error::Io { operation: "read", .. }), "{error}");
    let problems = scrub(&fs, &segment);
    assert!(!problems.is_empty());
    assert!(problems.iter().all(|error| matches!(error, Error::Io { operation: "read", .. })), "{problems:?}");
}

/// Rows of which one has a payload that cannot be read.
struct Unreadable(Vec<Row>);

impl Rows for Unreadable {
    fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    fn id(&mut self, row: usize) -> Result<PointId> {
        Ok(self.0[row].id)
    }

    fn version(&mut self, row: usize) -> Result<Lsn> {
        self.0.version(row)
    }

    fn vector<'a>(&'a mut self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>> {
        self.0.vector(row, name)
    }

    fn payload<'a>(&'a mut self, row: usize) -> Result<Cow<'a, str>> {
        if row == 3 { Err(Error::Closed) } else { self.0.payload(row) }
    }
}

#[test]
fn a_row_that_cannot_be_read_leaves_no_file() {
    let (vectors, rows) = mixed();
    let fs = MemFs::new();
    let error = write_segment(&fs, path(), ID, &vectors, &mut Unreadable(rows)).unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert!(!fs.exists(path()).unwrap());
}

#[test]
#[should_panic(expected = "a segment of 0 rows")]
fn a_segment_without_rows_is_a_mistake_of_the_caller() {
    write(&[], &[]);
}

#[test]
#[should_panic(expected = "does not come after the one before")]
fn rows_out_of_order_are_a_mistake_of_the_caller() {
    write(&[], &[row(uuid(0), 1, &[], ""), row(num(1), 1, &[], "")]);
}

#[test]
#[should_panic(expected = "components of the vector \"v\" of row 0")]
fn a_vector_of_the_wrong_length_is_a_mistake_of_the_caller() {
    write(&specs(&[("v", 2)]), &[row(num(1), 1, &[("v", &[1.0])], "")]);
}

#[test]
fn many_threads_can_read_at_once() {
    let rows: Vec<Row> = (0..20_000).map(|number| row(num(number), number, &[("v", &[number as f32])], "{}")).collect();
    let segment = open(&write(&specs(&[("v", 1)]), &rows).fs).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (segment, rows) = (&segment, &rows);
            scope.spawn(move || {
                for index in (thread * 1000..20_000).step_by(97) {
                    assert_eq!(read_row(segment, index as u32).unwrap(), rows[index]);
                }
            });
        }
    });
}
