//! What was written is read back.

use icecore_io::{Fault, FaultFs, Operation};

use super::*;
use crate::checksum::Hasher;
use crate::error::Error;
use crate::segment::BLOCK_LEN;

/// What the segment says of vector names.
fn names(segment: &Segment) -> Vec<VectorSpec> {
    segment.vectors().map(|(name, kind)| spec(name, kind)).collect()
}

#[test]
fn every_kind_of_row_comes_back() {
    let (vectors, rows) = mixed();
    let written = write(&vectors, &rows);
    let segment = open(&written.fs).unwrap();
    assert_eq!((segment.segment_id(), segment.rows()), (ID, 5));
    assert_eq!(names(&segment), vectors);
    for (index, expected) in (0..).zip(&rows) {
        assert_eq!(read_row(&segment, index).unwrap(), *expected);
        assert_eq!(segment.payload_len(index).unwrap(), expected.payload.len() as u64);
        for (name, present) in [("", true), ("audio", true), ("text", true), ("unknown", false)] {
            let present = present && expected.vectors.contains_key(name);
            assert_eq!(segment.has_vector(index, name).unwrap(), present, "{name:?} of row {index}");
        }
        assert_eq!(segment.vector(index, "unknown").unwrap(), None);
    }
    assert!(scrub(&written.fs, &segment).is_empty());
}

#[test]
fn every_kind_of_vector_comes_back_bit_for_bit() {
    let (vectors, rows) = kinds();
    let written = write(&vectors, &rows);
    let segment = open(&written.fs).unwrap();
    assert_eq!(names(&segment), vectors);
    let bits = |vector: &Vector| match vector.clone() {
        Vector::Dense(values) | Vector::Multi(values) => (Vec::new(), values.iter().map(|value| value.to_bits()).collect()),
        Vector::Sparse { indices, values } => (indices, values.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
    };
    for (index, expected) in (0..).zip(&rows) {
        let row = read_row(&segment, index).unwrap();
        assert_eq!(row, *expected);
        for VectorSpec { name, .. } in &vectors {
            let (read, expected) = (row.vectors.get(name), expected.vectors.get(name));
            assert_eq!(read.map(bits), expected.map(bits), "{name:?} of row {index}: also the sign of zero");
            assert_eq!(segment.has_vector(index, name).unwrap(), expected.is_some(), "{name:?} of row {index}");
            let count = expected.map(|vector| vector.as_ref().component_count());
            assert_eq!(segment.component_count(index, name).unwrap(), count, "{name:?} of row {index}");
        }
    }
    assert_eq!(segment.vector(1, "sparse").unwrap(), Some(sparse(&[], &[]).as_ref()), "empty, and there");
    assert_eq!(segment.vector(2, "sparse").unwrap(), None);
    assert!(scrub(&written.fs, &segment).is_empty());
}

#[test]
fn what_is_stored_as_it_is_in_memory_is_used_in_place() {
    let (vectors, rows) = kinds();
    let segment = open(&write(&vectors, &rows).fs).unwrap();
    assert!(matches!(segment.vector(0, "multi").unwrap(), Some(VectorRef::Multi(Cow::Borrowed(_)))));
    let sparse = segment.vector(0, "sparse").unwrap();
    assert!(matches!(sparse, Some(VectorRef::Sparse { indices: Cow::Borrowed(_), values: Cow::Borrowed(_) })));
    let (vectors, rows) = mixed();
    let segment = open(&write(&vectors, &rows).fs).unwrap();
    assert!(matches!(segment.vector(0, "").unwrap(), Some(VectorRef::Dense(Cow::Borrowed(_)))));
}

#[test]
fn sections_of_many_blocks_come_back_for_every_kind() {
    // 8192 offsets fill a block; the vectors of each row have another length, and every third row has none.
    let (dim, datatype) = (3, Datatype::Float16);
    let kinds = [
        ("half", VectorKind::Dense { dim, datatype }),
        ("multi", VectorKind::Multi { dim, datatype }),
        ("sparse", VectorKind::Sparse),
    ];
    let specs = kinds.map(|(name, kind)| spec(name, kind));
    let rows: Vec<Row> = (0..12_300u16)
        .map(|number| {
            let mut row = row(num(number.into()), 1, &[], "");
            let len = u32::from(number % 13);
            if number % 3 > 0 {
                let values = |count: u32| (0..count).map(|value| f32::from(number % 1000) + value as f32).collect::<Vec<_>>();
                row.vectors.insert("half".into(), Vector::Dense(values(3)));
                row.vectors.insert("multi".into(), Vector::Multi(values(3 * len)));
                row.vectors.insert("sparse".into(), sparse(&(0..len).map(|index| 1000 - 50 * len + index).collect::<Vec<_>>(), &values(len)));
            }
            row
        })
        .collect();
    let written = write(&specs, &rows);
    let segment = open(&written.fs).unwrap();
    assert!(segment.sections().filter(|(blocks, _)| blocks.section().block_count() > 1).count() >= 8);
    for (index, expected) in (0..).zip(&rows) {
        assert_eq!(read_row(&segment, index).unwrap(), *expected);
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
    let written = write(&specs(&[("", 128)]), &vec![row(num(1), 1, &[("", &[0.5; 128])], r#"{"key":"value"}"#)]);
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
fn rows_that_were_read_from_a_segment_make_an_equal_file() {
    let (vectors, rows) = kinds();
    let first = write(&vectors, &rows);
    let segment = open(&first.fs).unwrap();
    let fs = MemFs::new();
    let digest = write_segment(&fs, path(), ID, &vectors, &Copied(&segment)).unwrap();
    assert_eq!(digest, first.digest);
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
    let (vectors, rows) = kinds();
    let digest = write(&vectors, &rows).digest;
    assert_eq!(digest.len, 12_288);
    assert_eq!(digest.sha256.to_string(), "GOLDEN", "the format changed");
}

#[test]
fn an_existing_file_is_neither_overwritten_nor_removed() {
    let fs = holding(b"mine");
    let (vectors, rows) = mixed();
    let error = write_segment(&fs, path(), ID, &vectors, &rows).unwrap_err();
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
        let error = write_segment(&fs, path(), ID, &vectors, &rows).unwrap_err();
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
        let error = write_segment(&fs, path(), ID, &vectors, &rows).unwrap_err();
        assert!(matches!(&error, Error::Io { .. }), "{operation:?}: {error}");
        assert!(!fs.exists(path()).unwrap(), "{operation:?}");
    }
    // Write-back is a hint: the sync has the last word.
    let fs = FaultFs::new(Arc::new(MemFs::new()));
    fs.faults().inject(Fault::on(Operation::StartWriteback));
    assert_eq!(write_segment(&fs, path(), ID, &vectors, &rows).unwrap(), write(&vectors, &rows).digest);
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
    let problems = segment.scrub(&*fs.open_read(path()).unwrap());
    assert!(!problems.is_empty());
    assert!(problems.iter().all(|error| matches!(error, Error::Io { operation: "read", .. })), "{problems:?}");
}

/// The rows of a segment, as a compaction gives them.
struct Copied<'a>(&'a Segment);

impl Rows for Copied<'_> {
    fn len(&self) -> usize {
        self.0.rows() as usize
    }

    fn id(&self, row: usize) -> PointId {
        self.0.id(row as u32).unwrap()
    }

    fn version(&self, row: usize) -> Result<Lsn> {
        self.0.version(row as u32)
    }

    fn vector<'a>(&'a self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>> {
        self.0.vector(row as u32, name)
    }

    fn payload<'a>(&'a self, row: usize) -> Result<Cow<'a, str>> {
        Ok(self.0.payload(row as u32)?.into())
    }

    fn component_count(&self, row: usize, name: &str) -> Result<Option<u64>> {
        self.0.component_count(row as u32, name)
    }
}

/// Rows of which one has a payload that cannot be read.
struct Unreadable(Vec<Row>);

impl Rows for Unreadable {
    fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    fn id(&self, row: usize) -> PointId {
        self.0[row].id
    }

    fn version(&self, row: usize) -> Result<Lsn> {
        self.0.version(row)
    }

    fn vector<'a>(&'a self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>> {
        self.0.vector(row, name)
    }

    fn payload<'a>(&'a self, row: usize) -> Result<Cow<'a, str>> {
        if row == 3 { Err(Error::Closed) } else { self.0.payload(row) }
    }
}

#[test]
fn a_row_that_cannot_be_read_leaves_no_file() {
    let (vectors, rows) = mixed();
    let fs = MemFs::new();
    let error = write_segment(&fs, path(), ID, &vectors, &Unreadable(rows)).unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert!(!fs.exists(path()).unwrap());
}

#[test]
#[should_panic(expected = "a segment of 0 rows")]
fn a_segment_without_rows_is_a_mistake_of_the_caller() {
    write(&[], &Vec::new());
}

#[test]
#[should_panic(expected = "does not come after the one before")]
fn rows_out_of_order_are_a_mistake_of_the_caller() {
    write(&[], &vec![row(uuid(0), 1, &[], ""), row(num(1), 1, &[], "")]);
}

#[test]
#[should_panic(expected = "components of the vector \"v\" of row 0")]
fn a_vector_of_the_wrong_length_is_a_mistake_of_the_caller() {
    write(&specs(&[("v", 2)]), &vec![row(num(1), 1, &[("v", &[1.0])], "")]);
}

#[test]
#[should_panic(expected = "3 components of the vectors \"m\" of row 0, not of 2 each")]
fn half_a_vector_of_several_is_a_mistake_of_the_caller() {
    let mut row = row(num(1), 1, &[], "");
    row.vectors.insert("m".into(), Vector::Multi(vec![1.0; 3]));
    write(&[spec("m", VectorKind::Multi { dim: 2, datatype: Datatype::Float32 })], &vec![row]);
}

#[test]
#[should_panic(expected = "for the sparse vector \"s\"")]
fn a_vector_of_another_kind_is_a_mistake_of_the_caller() {
    write(&[spec("s", VectorKind::Sparse)], &vec![row(num(1), 1, &[("s", &[1.0])], "")]);
}

#[test]
#[should_panic(expected = "the indices of the vector \"s\" of row 0 do not ascend")]
fn indices_out_of_order_are_a_mistake_of_the_caller() {
    let mut row = row(num(1), 1, &[], "");
    row.vectors.insert("s".into(), sparse(&[1, 1], &[1.0, 2.0]));
    write(&[spec("s", VectorKind::Sparse)], &vec![row]);
}

#[test]
#[should_panic(expected = "are not values of the datatype Float16")]
fn values_that_were_not_rounded_are_a_mistake_of_the_caller() {
    let half = VectorKind::Dense { dim: 1, datatype: Datatype::Float16 };
    write(&[spec("h", half)], &vec![row(num(1), 1, &[("h", &[0.1])], "")]);
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
