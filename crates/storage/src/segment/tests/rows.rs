//! Rows read from the file: the same as those of the memory map, in bounded memory, and errors where a read fails or a block is damaged.

use icecore_io::{Fault, FaultFs, Operation};

use super::*;
use crate::error::Error;
use crate::segment::BLOCK_LEN;

/// What the reader says of a row, of the names that the segment knows. Short answers are compared with the long ones.
fn read_from_file(segment: &Segment, reader: &mut RowReader, row: u32) -> Result<Row> {
    let mut vectors = BTreeMap::new();
    for (name, _) in segment.vectors() {
        let vector = reader.vector(row, name)?.map(VectorRef::into_owned);
        let count = vector.as_ref().map(|vector| vector.as_ref().component_count());
        assert_eq!(reader.component_count(row, name)?, count, "{name:?} of row {row}");
        assert_eq!(reader.has_vector(row, name)?, count.is_some(), "{name:?} of row {row}");
        vectors.extend(vector.map(|vector| (name.to_owned(), vector)));
    }
    let payload = reader.payload(row)?.to_owned();
    assert_eq!(reader.payload_len(row)?, payload.len() as u64, "row {row}");
    Ok(Row { id: reader.id(row)?, version: reader.version(row)?, vectors, payload })
}

fn reader(fs: &dyn Fs, segment: &Arc<Segment>, bytes_max: u64) -> RowReader {
    RowReader::open(fs, path(), segment.clone(), bytes_max).unwrap()
}

/// Rows whose vectors lie across the ends of blocks, and some of whose parts are longer than any window.
fn large() -> (Vec<VectorSpec>, Vec<Row>) {
    let vectors = vec![
        spec("", VectorKind::Dense { dim: 33, datatype: Datatype::Float32 }),
        spec("half", VectorKind::Dense { dim: 7, datatype: Datatype::Float16 }),
        spec("multi", VectorKind::Multi { dim: 3, datatype: Datatype::Uint8 }),
        spec("sparse", VectorKind::Sparse),
    ];
    let rows = (0..6000u64).map(|number| {
        let value = number as f32;
        let long = number.is_multiple_of(1999);
        let few = if long { 40_000 } else { number as usize % 5 };
        let sparse = Vector::Sparse { indices: (0..few as u32).collect(), values: vec![value; few] };
        let mut vectors = BTreeMap::from([
            (String::new(), Vector::Dense(vec![value; 33])),
            ("half".to_owned(), Vector::Dense(vec![(number % 2048) as f32; 7])),
            ("multi".to_owned(), Vector::Multi(vec![(number % 256) as f32; 3 * few])),
            ("sparse".to_owned(), sparse),
        ]);
        vectors.retain(|name, _| name.len() as u64 % 4 != number % 4 || long);
        let id = if number < 3000 { num(number) } else { uuid(number.into()) };
        Row { id, version: Lsn(number), vectors, payload: "x".repeat(if long { 150_000 } else { number as usize % 90 }) }
    });
    (vectors, rows.collect())
}

#[test]
fn rows_from_the_file_are_those_of_the_map() {
    for (vectors, rows) in [mixed(), kinds()] {
        let written = write(&vectors, &rows);
        let segment = Arc::new(open(&written.fs).unwrap());
        let mut reader = reader(&written.fs, &segment, 1 << 20);
        for (index, expected) in (0..).zip(&rows) {
            assert_eq!(read_from_file(&segment, &mut reader, index).unwrap(), *expected);
            assert_eq!(reader.vector(index, "unknown").unwrap(), None);
        }
    }
}

#[test]
fn windows_of_any_size_give_all_rows_in_any_order() {
    let (vectors, rows) = large();
    let written = write(&vectors, &rows);
    let segment = Arc::new(open(&written.fs).unwrap());
    for bytes_max in [0, 1 << 20, u64::MAX] {
        let mut reader = reader(&written.fs, &segment, bytes_max);
        // Forwards, some backwards, and far apart.
        let order = (0..6000).chain((1900..2100).rev()).chain((0..6000).step_by(1700));
        for index in order {
            let row = read_from_file(&segment, &mut reader, index).unwrap();
            assert!(row == rows[index as usize], "row {index} with {bytes_max} bytes");
        }
    }
}

/// Each section is read once from its start to its end, whatever lies across the ends of windows.
#[test]
fn a_pass_over_a_section_reads_no_byte_twice_and_memory_is_bounded() {
    let rows: Vec<Row> = (0..20_000).map(|number| row(num(number), 1, &[("v", &[number as f32; 33])], "")).collect();
    let fs = FaultFs::new(Arc::new(write(&specs(&[("v", 33)]), &rows).fs));
    let segment = Arc::new(Segment::open(&fs, path(), ID, fs.metadata(path()).unwrap().len).unwrap());
    let mut reader = reader(&fs, &segment, 0);
    let before = fs.faults().calls(Operation::ReadAt);
    for index in 0..20_000 {
        assert_eq!(reader.vector(index, "v").unwrap(), Some(VectorRef::Dense(vec![index as f32; 33].into())));
        // No window is longer than it has to be.
        reader.trim();
    }
    let blocks = (20_000 * 33 * 4u64).div_ceil(BLOCK_LEN);
    assert_eq!(fs.faults().calls(Operation::ReadAt) - before, blocks, "one read a block, with the smallest windows");
    assert!(reader.memory() <= 2 * BLOCK_LEN, "{} bytes", reader.memory());
}

#[test]
fn what_a_long_element_took_is_given_back() {
    let (vectors, rows) = large();
    let written = write(&vectors, &rows);
    let segment = Arc::new(open(&written.fs).unwrap());
    let mut reader = reader(&written.fs, &segment, 0);
    read_from_file(&segment, &mut reader, 1999).unwrap();
    let before = reader.memory();
    reader.trim();
    // The payload and the values of the sparse vector have three blocks at least, each.
    assert!(before - reader.memory() >= 6 * BLOCK_LEN, "{before} bytes, then {}", reader.memory());
    assert!(read_from_file(&segment, &mut reader, 1999).unwrap() == rows[1999]);
}

/// Every block is damaged in turn; the map, which has seen all of them before, would not notice.
#[test]
fn a_damaged_block_is_named_at_each_read_of_it_and_others_are_read() {
    let (vectors, rows) = large();
    let written = write(&vectors, &rows);
    let segment = Arc::new(open(&written.fs).unwrap());
    for index in 0..6000 {
        read_row(&segment, index).unwrap();
    }
    let file = written.fs.open_write(path()).unwrap();
    let sections: Vec<_> = segment.section_table().cloned().collect();
    let blocks = sections
        .iter()
        .flat_map(|section| (0..section.block_count()).map(move |block| (section, section.offset + block * BLOCK_LEN)));
    for (section, offset) in blocks {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[!byte[0]], offset).unwrap();
        let mut reader = reader(&written.fs, &segment, 0);
        let (mut failed, mut tested) = (0, 0);
        // Every third, and those that have blocks for themselves.
        for (index, expected) in (0..).zip(&rows).filter(|(index, _)| index % 3 == 0 || index % 1999 == 0) {
            tested += 1;
            match read_from_file(&segment, &mut reader, index) {
                Ok(row) => assert!(row == *expected, "row {index} with damage at {offset}"),
                Err(Error::BlockChecksum { segment: ID, offset: found, .. }) => {
                    assert_eq!(found, offset);
                    failed += 1;
                }
                Err(error) => panic!("row {index} with damage at {offset}: {error}"),
            }
        }
        assert!(failed > 0, "nobody noticed the damage at {offset}, in {section:?}");
        assert!(failed < tested || section.block_count() == 1, "no row is readable with damage at {offset}, in {section:?}");
        file.write_all_at(&byte, offset).unwrap();
    }
}

#[test]
fn a_read_that_fails_is_an_error_and_the_next_one_may_work() {
    let (vectors, rows) = mixed();
    let fs = FaultFs::new(Arc::new(write(&vectors, &rows).fs));
    let segment = Arc::new(Segment::open(&fs, path(), ID, fs.metadata(path()).unwrap().len).unwrap());
    for nth in 1.. {
        let mut reader = reader(&fs, &segment, 0);
        let fired = fs.faults().fired();
        fs.faults().inject(Fault::on(Operation::ReadAt).nth(nth));
        let outcome = read_from_file(&segment, &mut reader, 0);
        fs.faults().clear();
        if fs.faults().fired() == fired {
            assert!(nth > 5, "only {} reads", nth - 1);
            break;
        }
        let error = outcome.unwrap_err();
        assert!(matches!(&error, Error::Io { operation: "read", path: named, .. } if named == path()), "{error}");
        assert_eq!(read_from_file(&segment, &mut reader, 0).unwrap(), rows[0], "after read {nth} has failed");
    }
    fs.faults().inject(Fault::on(Operation::OpenRead));
    let error = RowReader::open(&fs, path(), segment, 0).unwrap_err();
    assert!(matches!(&error, Error::Io { operation: "open", .. }), "{error}");
}
