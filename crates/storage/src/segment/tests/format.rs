//! The tables of the format's document say what the constants say.

use crate::format_doc::{check, numbers};
use crate::segment::{Kind, fields, footer, header, section, trailer};
use crate::tombstones;

const FRAME: [(usize, &str); 2] = [(fields::MAGIC_OFFSET, "MAGIC"), (fields::VERSION_OFFSET, "VERSION")];

#[test]
fn header_and_trailer() {
    use header::{HEADER_CRC_OFFSET, HEADER_LEN, RESERVED_OFFSET, ROW_COUNT_OFFSET, SEGMENT_ID_OFFSET};
    let own = [
        (ROW_COUNT_OFFSET, "ROW_COUNT"),
        (SEGMENT_ID_OFFSET, "SEGMENT_ID"),
        (RESERVED_OFFSET, "RESERVED"),
        (HEADER_CRC_OFFSET, "HEADER_CRC"),
    ];
    check("### Segment header", HEADER_LEN, &[&FRAME[..], &own].concat());

    let own = [
        (trailer::FOOTER_CRC_OFFSET, "FOOTER_CRC"),
        (trailer::SEGMENT_ID_OFFSET, "SEGMENT_ID"),
        (trailer::FILE_LEN_OFFSET, "FILE_LEN"),
        (trailer::FOOTER_OFFSET_OFFSET, "FOOTER_OFFSET"),
        (trailer::FOOTER_LEN_OFFSET, "FOOTER_LEN"),
        (trailer::RESERVED_OFFSET, "RESERVED"),
        (trailer::TRAILER_CRC_OFFSET, "TRAILER_CRC"),
    ];
    check("### Segment trailer", trailer::TRAILER_LEN, &[&FRAME[..], &own].concat());
}

#[test]
fn footer_and_section_table() {
    use footer::{BLOCK_COUNT_OFFSET, FOOTER_HEAD_LEN, NAMES_LEN_OFFSET, SECTION_COUNT_OFFSET};
    let head = [(SECTION_COUNT_OFFSET, "SECTION_COUNT"), (NAMES_LEN_OFFSET, "NAMES_LEN"), (BLOCK_COUNT_OFFSET, "BLOCK_COUNT")];
    check("### Segment footer", FOOTER_HEAD_LEN, &head);

    let entry = [
        (section::KIND_OFFSET, "KIND"),
        (section::DIM_OFFSET, "DIM"),
        (section::SECTION_OFFSET_OFFSET, "SECTION_OFFSET"),
        (section::SECTION_LEN_OFFSET, "SECTION_LEN"),
        (section::COUNT_OFFSET, "COUNT"),
        (section::NAME_LEN_OFFSET, "NAME_LEN"),
        (section::RESERVED_OFFSET, "RESERVED"),
    ];
    check("### Section table entry", section::ENTRY_LEN, &entry);
}

#[test]
fn kinds_of_sections() {
    // `DenseF32` is `DENSE_F32`.
    let upper = |kind: Kind| {
        let mut name = String::new();
        for letter in format!("{kind:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    };
    let expected: Vec<(u32, String)> = Kind::ALL.into_iter().map(|kind| (kind as u32, upper(kind))).collect();
    assert_eq!(numbers("### Sections"), expected);
}

#[test]
fn tombstone_file() {
    let own = [
        (tombstones::BITMAP_CRC_OFFSET, "BITMAP_CRC"),
        (tombstones::SEGMENT_ID_OFFSET, "SEGMENT_ID"),
        (tombstones::GENERATION_OFFSET, "GENERATION"),
        (tombstones::ROW_COUNT_OFFSET, "ROW_COUNT"),
        (tombstones::MARKED_COUNT_OFFSET, "MARKED_COUNT"),
        (tombstones::RESERVED_OFFSET, "RESERVED"),
        (tombstones::HEADER_CRC_OFFSET, "HEADER_CRC"),
    ];
    check("### Tombstone file", tombstones::TOMBSTONES_HEADER_LEN, &[&FRAME[..], &own].concat());
}
