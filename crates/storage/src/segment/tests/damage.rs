//! Damage of any kind to a file is found at open, at the use of what is damaged, or by the scrub; it is never served as data.

use super::*;
use crate::error::Error;
use crate::segment::BLOCK_LEN;

/// Reads everything; what is not an error must be what was written. Whether anything was an error.
fn errors_but_no_other_data(fs: &MemFs, rows: &[Row], what: &str) -> bool {
    let segment = match open(fs) {
        Ok(segment) => segment,
        Err(error) => {
            assert!(error.is_corrupt(), "{what}: {error}");
            return true;
        }
    };
    let mut damaged = false;
    for (index, expected) in (0..).zip(rows) {
        let read = read_row(&segment, index).map(|row| assert_eq!(row, *expected, "{what}"));
        let found = segment.find(expected.id).map(|found| assert_eq!(found, Some(index), "{what}"));
        for error in read.err().into_iter().chain(found.err()) {
            assert!(error.is_corrupt(), "{what}: {error}");
            damaged = true;
        }
    }
    let problems = scrub(fs, &segment);
    assert!(problems.iter().all(Error::is_corrupt), "{what}: {problems:?}");
    assert!(!damaged || !problems.is_empty(), "{what}: the scrub found nothing");
    damaged || !problems.is_empty()
}

#[test]
fn every_flipped_bit_of_a_file_is_found() {
    for (vectors, rows) in [mixed(), kinds()] {
        let good = bytes_of(&write(&vectors, &rows).fs);
        assert!(!errors_but_no_other_data(&holding(&good), &rows, "the good file"));
        let fs = holding(&good);
        let file = fs.open_write(path()).unwrap();
        for (offset, &byte) in good.iter().enumerate() {
            for mask in (0..8).map(|bit| 1 << bit) {
                file.write_all_at(&[byte ^ mask], offset as u64).unwrap();
                let what = format!("byte {offset} with mask {mask:#x}");
                assert!(errors_but_no_other_data(&fs, &rows, &what), "{what}: nobody found it");
            }
            file.write_all_at(&[byte], offset as u64).unwrap();
        }
    }
}

#[test]
fn damage_of_one_block_leaves_the_others_readable() {
    let rows: Vec<Row> = (0..20_000).map(|number| row(num(number), 1, &[("v", &[number as f32; 4])], "")).collect();
    let fs = write(&specs(&[("v", 4)]), &rows).fs;
    let vectors = open(&fs).unwrap().sections().map(|(blocks, _)| blocks.section().clone()).nth(3).unwrap();
    assert_eq!(vectors.offset % 4096, 0);
    let damaged = vectors.offset + BLOCK_LEN;
    fs.open_write(path()).unwrap().write_all_at(&[0xff], damaged + 5).unwrap();

    let segment = open(&fs).unwrap();
    // A block has the vectors of 4096 rows.
    for row in [0, 4095, 8192, 19_999] {
        assert_eq!(segment.vector(row, "v").unwrap(), Some(VectorRef::Dense(vec![row as f32; 4].into())));
    }
    for row in [4096, 8191, 4096] {
        let error = segment.vector(row, "v").unwrap_err();
        assert!(matches!(error, Error::BlockChecksum { segment: ID, offset, .. } if offset == damaged), "{error}");
        assert_eq!(segment.id(row).unwrap(), num(row.into()));
        assert_eq!(segment.payload(row).unwrap(), "");
    }
    let problems = scrub(&fs, &segment);
    assert!(matches!(problems[..], [Error::BlockChecksum { offset, .. }] if offset == damaged), "{problems:?}");
}

#[test]
fn the_scrub_reports_every_problem_and_sees_damage_after_the_first_use() {
    let rows: Vec<Row> = (0..40_000).map(|number| row(num(number), 1, &[], "")).collect();
    let fs = write(&[], &rows).fs;
    let segment = open(&fs).unwrap();
    assert_eq!(read_row(&segment, 0).unwrap(), rows[0]);
    let file = fs.open_write(path()).unwrap();
    let offsets = [100, 4096, 4096 + 2 * BLOCK_LEN + 1, segment.len - 1];
    for offset in offsets {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[!byte[0]], offset).unwrap();
    }
    let problems = scrub(&fs, &segment);
    // The frame is checked as one: its first problem is that of the header.
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(matches!(problems[0], Error::Malformed { .. }), "{problems:?}");
    assert!(matches!(problems[1], Error::BlockChecksum { offset: 4096, .. }), "{problems:?}");
    assert!(matches!(problems[2], Error::BlockChecksum { offset, .. } if offset == 4096 + 2 * BLOCK_LEN), "{problems:?}");
}

/// Sections of more than a piece, and of more than is read at once.
#[test]
fn damage_in_any_piece_of_a_large_section_is_found_by_that_piece_alone() {
    let payload = "x".repeat(9 * 1024 * 1024);
    let rows: Vec<Row> = (0..2).map(|number| row(num(number), 1, &[], &payload)).collect();
    let fs = write(&[], &rows).fs;
    let segment = open(&fs).unwrap();
    assert_eq!(scrub(&fs, &segment).len(), 0);
    let data = segment.section_table().last().unwrap().clone();
    assert_eq!(data.len, 2 * payload.len() as u64);
    let file = fs.open_write(path()).unwrap();
    let blocks = [0, 15, 16, 200, 255, 256, 287];
    for block in blocks {
        file.write_all_at(b"y", data.offset + block * BLOCK_LEN + 7).unwrap();
    }
    let found = |error: &Error| match error {
        Error::BlockChecksum { offset, .. } => (offset - data.offset) / BLOCK_LEN,
        other => panic!("{other}"),
    };
    let pieces = segment.pieces();
    let by_piece: Vec<Vec<u64>> =
        pieces.iter().map(|piece| segment.scrub_piece(&*file, piece).iter().map(found).collect()).collect();
    let (before, of_data) = by_piece.split_at(pieces.len() - 2);
    assert!(before.iter().all(Vec::is_empty));
    assert_eq!(of_data, [&blocks[..5], &blocks[5..]]);
}

#[test]
fn every_cut_and_every_surplus_byte_is_found_whatever_the_manifest_says() {
    let (vectors, rows) = mixed();
    let good = bytes_of(&write(&vectors, &rows).fs);
    for len in (0..good.len()).step_by(512).chain([1, 63, 64, good.len() - 1]) {
        let fs = holding(&good[..len]);
        let error = Segment::open(&fs, path(), ID, good.len() as u64).unwrap_err();
        assert!(matches!(error, Error::FileLength { .. }), "cut at {len}: {error}");
        let error = open(&fs).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "cut at {len}, as the manifest says: {error}");
    }
    for surplus in [1, 64, 4096] {
        let fs = holding(&[&good[..], &vec![0; surplus]].concat());
        assert!(open(&fs).is_err());
    }
}

#[test]
fn a_file_of_another_segment_is_refused() {
    let (vectors, rows) = mixed();
    let written = write(&vectors, &rows);
    let error = Segment::open(&written.fs, path(), SegmentId(8), written.digest.len).unwrap_err();
    assert!(matches!(&error, Error::Malformed { .. }), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_the_file_system() {
    let error = Segment::open(&MemFs::new(), path(), ID, 8192).unwrap_err();
    assert!(matches!(error, Error::Io { operation: "open", .. }), "{error}");
}
