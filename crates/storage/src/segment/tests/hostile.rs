//! Files whose checksums are all right and whose contents are not: what a faulty or hostile writer could make.

use super::*;
use crate::checksum::Crc32c;
use crate::error::Error;
use crate::segment::footer::entry_offset;
use crate::segment::section::{
    COUNT_OFFSET, DIM_OFFSET, KIND_OFFSET, NAME_LEN_OFFSET, SECTION_LEN_OFFSET, SECTION_OFFSET_OFFSET,
};
use crate::segment::{Kind, RawFooter, RawTrailer, TRAILER_LEN, Trailer};

/// A good file's parts.
struct Forge {
    file: Vec<u8>,
    trailer: Trailer,
}

impl Forge {
    fn new(vectors: &[VectorSpec], rows: &[Row]) -> Self {
        let file = bytes_of(&write(vectors, rows).fs);
        let len = file.len();
        let trailer = RawTrailer::parse(&file[len - TRAILER_LEN..]).unwrap().check(ID, len as u64).unwrap();
        Self { file, trailer }
    }

    fn footer(&self) -> Vec<u8> {
        let start = self.trailer.footer_offset as usize;
        self.file[start..start + self.trailer.footer_len as usize].to_vec()
    }

    /// The file with another footer and a trailer that fits it.
    fn with_footer(&self, footer: &[u8]) -> Vec<u8> {
        let Trailer { segment, footer_offset, .. } = self.trailer;
        let footer_len = footer.len() as u64;
        let file_len = Trailer::file_len_for(footer_offset, footer_len).unwrap();
        let mut file = self.file[..footer_offset as usize].to_vec();
        file.extend(footer);
        file.resize(file_len as usize - TRAILER_LEN, 0);
        file.extend(Trailer { segment, file_len, footer_offset, footer_len, footer_crc: Crc32c::of(footer) }.encode());
        file
    }

    /// The file with other bytes at `start` of a section, and a footer that fits them. Sections have one block each.
    fn with_bytes(&self, kind: Kind, start: usize, bytes: &[u8]) -> Vec<u8> {
        let mut footer = self.footer();
        let parsed = RawFooter::parse(&footer).unwrap();
        let blocks = parsed.block_crcs.len();
        let mut block = 0;
        for section in &parsed.sections {
            if section.kind == kind as u32 {
                let mut file = self.file.clone();
                let offset = section.offset as usize;
                file[offset + start..][..bytes.len()].copy_from_slice(bytes);
                let crc = Crc32c::of(&file[offset..offset + section.len as usize]);
                let place = footer.len() - 4 * (blocks - block);
                footer[place..place + 4].copy_from_slice(&crc.0.to_le_bytes());
                return Self { file, trailer: self.trailer }.with_footer(&footer);
            }
            block += usize::from(section.len > 0);
        }
        panic!("no section of kind {kind:?}")
    }
}

fn refused(file: &[u8], what: &str) -> String {
    let error = open(&holding(file)).expect_err(what);
    let Error::Malformed { reason, .. } = error else { panic!("{what}: {error}") };
    reason
}

fn with(mut footer: Vec<u8>, section: usize, field: usize, value: &[u8]) -> Vec<u8> {
    let start = entry_offset(section) as usize + field;
    footer[start..start + value.len()].copy_from_slice(value);
    footer
}

#[test]
fn every_number_of_the_section_table_is_compared() {
    let fields = [
        (KIND_OFFSET, 4),
        (DIM_OFFSET, 4),
        (SECTION_OFFSET_OFFSET, 8),
        (SECTION_LEN_OFFSET, 8),
        (COUNT_OFFSET, 8),
        (NAME_LEN_OFFSET, 4),
    ];
    for (vectors, rows) in [mixed(), kinds()] {
        let forge = Forge::new(&vectors, &rows);
        let footer = forge.footer();
        assert!(open(&holding(&forge.with_footer(&footer))).is_ok(), "the forge itself makes good files");
        for (index, section) in RawFooter::parse(&footer).unwrap().sections.iter().enumerate() {
            for (field, bit) in fields.into_iter().flat_map(|(field, len)| (0..8 * len).map(move |bit| (field, bit))) {
                let mut bad = footer.clone();
                bad[entry_offset(index) as usize + field + bit / 8] ^= 1 << (bit % 8);
                let kind = u32::from_le_bytes(*bad[entry_offset(index) as usize..].first_chunk().unwrap());
                // What vectors are that nobody has is nowhere else in the file; the shard compares it with its configuration.
                if section.count == 0
                    && [section.kind, kind].iter().all(|kind| is_dense(*kind))
                    && [KIND_OFFSET, DIM_OFFSET].contains(&field)
                {
                    continue;
                }
                refused(&forge.with_footer(&bad), &format!("section {index}, field at {field}, bit {bit}"));
            }
        }
    }
}

fn is_dense(kind: u32) -> bool {
    Kind::from_number(kind).is_some_and(|kind| kind.datatype().is_some())
}

#[test]
fn overlaps_gaps_and_places_outside_are_refused() {
    let (vectors, rows) = mixed();
    let forge = Forge::new(&vectors, &rows);
    for offset in [0, 4096, 4100, 1 << 20, u64::MAX, u64::MAX - 63] {
        let footer = with(forge.footer(), 1, SECTION_OFFSET_OFFSET, &offset.to_le_bytes());
        let reason = refused(&forge.with_footer(&footer), "a wrong place");
        assert!(reason.contains("must follow"), "{reason}");
    }
}

#[test]
fn huge_counts_allocate_nothing() {
    let (vectors, rows) = mixed();
    let forge = Forge::new(&vectors, &rows);
    for (field, count) in [(0, u32::MAX.to_le_bytes().to_vec()), (4, vec![0xff; 4]), (8, vec![0xff; 8])] {
        let mut footer = forge.footer();
        footer[field..field + count.len()].copy_from_slice(&count);
        let reason = refused(&forge.with_footer(&footer), "a huge count");
        assert!(reason.contains("do not make"), "{reason}");
    }
    // A section that says it has 2^61 ids of 8 bytes, so that the product overflows.
    let footer = with(forge.footer(), 0, COUNT_OFFSET, &(1u64 << 61).to_le_bytes());
    refused(&forge.with_footer(&footer), "a product that overflows");
}

#[test]
fn an_unknown_kind_refuses_the_file_and_says_so() {
    let (vectors, rows) = mixed();
    let forge = Forge::new(&vectors, &rows);
    let footer = with(forge.footer(), 3, KIND_OFFSET, &99u32.to_le_bytes());
    let reason = refused(&forge.with_footer(&footer), "an unknown kind");
    assert_eq!(reason, "a section of kind 99, which this program does not know; use a newer icecore");
}

#[test]
fn vector_names_are_sorted_and_unique() {
    let rows = vec![row(num(1), 1, &[("a", &[1.0]), ("b", &[2.0])], "")];
    let forge = Forge::new(&specs(&[("a", 1), ("b", 1)]), &rows);
    let footer = forge.footer();
    let names = footer.windows(2).position(|pair| pair == b"ab").unwrap();
    for wrong in [b"aa", b"ba"] {
        let mut footer = footer.clone();
        footer[names..names + 2].copy_from_slice(wrong);
        let reason = refused(&forge.with_footer(&footer), "wrong names");
        assert!(reason.contains("follow those of"), "{reason}");
    }
}

/// The file opens; `use_it` fails on the damage, and the scrub reports one problem.
fn opens_but(file: &[u8], use_it: impl Fn(&Segment) -> Result<()>) -> String {
    let fs = holding(file);
    let segment = open(&fs).unwrap();
    let Error::Malformed { reason, .. } = use_it(&segment).unwrap_err() else { panic!("another error") };
    let problems = scrub(&fs, &segment);
    assert!(matches!(problems[..], [Error::Malformed { .. }]), "{problems:?}");
    reason
}

#[test]
fn payloads_outside_their_section_are_refused_at_their_use() {
    let (vectors, rows) = mixed();
    let forge = Forge::new(&vectors, &rows);
    for end in [u64::MAX, 1000] {
        let file = forge.with_bytes(Kind::PayloadOffsets, 8, &end.to_le_bytes());
        let reason = opens_but(&file, |segment| segment.payload(0).map(drop));
        assert!(reason.starts_with("the payload of row 0 is 0.."), "{reason}");
        // The row after starts there and is not readable either; the others are.
        let segment = open(&holding(&file)).unwrap();
        assert!(segment.payload(1).is_err());
        assert_eq!(segment.payload(2).unwrap(), rows[2].payload);
    }
}

#[test]
fn payloads_that_are_not_utf_8_are_refused_at_their_use() {
    let (vectors, rows) = mixed();
    let forge = Forge::new(&vectors, &rows);
    let fs = holding(&forge.with_bytes(Kind::PayloadData, 0, &[0xff]));
    let segment = open(&fs).unwrap();
    let error = segment.payload(0).unwrap_err();
    assert!(matches!(&error, Error::Malformed { reason, .. } if reason == "the payload of row 0 is not UTF-8"), "{error}");
    assert_eq!(segment.payload(2).unwrap(), rows[2].payload);
}

#[test]
fn vectors_that_do_not_exist_are_refused_at_their_use() {
    let (vectors, rows) = mixed();
    let forge = Forge::new(&vectors, &rows);
    let file = forge.with_bytes(Kind::VectorRows, 0, &3u32.to_le_bytes());
    let reason = opens_but(&file, |segment| segment.vector(0, "").map(drop));
    assert_eq!(reason, "row 0 has vector 3 of 3");
}

#[test]
fn ids_out_of_order_are_found_by_the_scrub() {
    let (vectors, rows) = mixed();
    let forge = Forge::new(&vectors, &rows);
    for (kind, bytes) in [(Kind::IdsNum, 9u64.to_le_bytes().to_vec()), (Kind::IdsUuid, vec![0xff; 16])] {
        let fs = holding(&forge.with_bytes(kind, 0, &bytes));
        let problems = scrub(&fs, &open(&fs).unwrap());
        assert!(matches!(&problems[..], [Error::Malformed { reason, .. }] if reason.contains("follows")), "{problems:?}");
    }
}

#[test]
fn offsets_of_vectors_outside_their_sections_are_refused_at_their_use() {
    let (vectors, rows) = kinds();
    let forge = Forge::new(&vectors, &rows);
    for (kind, name, count) in [(Kind::MultiOffsets, "multi", 4), (Kind::SparseOffsets, "sparse", 6)] {
        for end in [u64::MAX, 1 << 61, 1000] {
            let file = forge.with_bytes(kind, 8, &end.to_le_bytes());
            let reason = opens_but(&file, |segment| segment.vector(0, name).map(drop));
            assert_eq!(reason, format!("the vector {name:?} of row 0 is 0..{end} of {count}"));
            let segment = open(&holding(&file)).unwrap();
            // Whether a row has a vector is known, and others are read.
            assert!(segment.has_vector(0, name).unwrap());
            assert_eq!(segment.vector(0, "byte").unwrap(), rows[0].vectors.get("byte").map(Vector::as_ref));
        }
    }
}

#[test]
fn offsets_of_vectors_that_leave_a_gap_are_found_by_the_scrub() {
    let (vectors, rows) = kinds();
    let forge = Forge::new(&vectors, &rows);
    // The first section of each kind has the offsets 0, 3, 4 and 0, 3, 3, 4, 6.
    for (kind, element, offset, expected) in [
        (Kind::MultiOffsets, 0, 1u64, "the first vector starts at 1"),
        (Kind::MultiOffsets, 2, 3, "the vectors end at 3, their section at 4"),
        (Kind::MultiOffsets, 1, 5, "a vector starts at 5 and ends at 4"),
        (Kind::SparseOffsets, 0, 1, "the first vector starts at 1"),
        (Kind::SparseOffsets, 4, 5, "the vectors end at 5, their section at 6"),
        (Kind::SparseOffsets, 4, 3, "a vector starts at 4 and ends at 3"),
    ] {
        let fs = holding(&forge.with_bytes(kind, 8 * element, &offset.to_le_bytes()));
        let problems = scrub(&fs, &open(&fs).unwrap());
        assert!(matches!(&problems[..], [Error::Malformed { reason, .. }] if reason == expected), "{expected}: {problems:?}");
    }
}

#[test]
fn vectors_of_every_kind_that_do_not_exist_are_refused_at_their_use() {
    let (vectors, rows) = kinds();
    let forge = Forge::new(&vectors, &rows);
    let fs = holding(&forge.with_bytes(Kind::VectorRows, 0, &2u32.to_le_bytes()));
    let error = open(&fs).unwrap().vector(0, "").unwrap_err();
    assert!(matches!(&error, Error::Malformed { reason, .. } if reason == "row 0 has vector 2 of 2"), "{error}");
}

#[test]
fn indices_out_of_order_are_found_by_the_scrub() {
    let (vectors, rows) = kinds();
    let forge = Forge::new(&vectors, &rows);
    // Elements 0 to 2 are those of one vector, 3 that of another, 4 and 5 of a third.
    for (element, index, found) in [
        (0, 7u32, Some("the index 7 of a sparse vector follows 7")),
        (2, 6, Some("the index 6 of a sparse vector follows 7")),
        (3, 0, None),
        (3, u32::MAX, None),
        (5, 1, Some("the index 1 of a sparse vector follows 2")),
    ] {
        let fs = holding(&forge.with_bytes(Kind::SparseIndices, 4 * element, &index.to_le_bytes()));
        let problems = scrub(&fs, &open(&fs).unwrap());
        match (&problems[..], found) {
            ([], None) => {}
            ([Error::Malformed { reason, .. }], Some(found)) => assert_eq!(reason, found),
            _ => panic!("{problems:?}, not {found:?}"),
        }
    }
}

#[test]
fn what_is_refused_at_its_use_is_refused_of_rows_from_the_file() {
    let (vectors, rows) = kinds();
    let forge = Forge::new(&vectors, &rows);
    let reader_of = |kind, start, bytes: &[u8]| {
        let fs = holding(&forge.with_bytes(kind, start, bytes));
        let segment = Arc::new(open(&fs).unwrap());
        RowReader::open(&fs, path(), segment, 0).unwrap()
    };
    let beyond = 1000u64.to_le_bytes();
    for (kind, name) in [(Kind::MultiOffsets, "multi"), (Kind::SparseOffsets, "sparse")] {
        let mut reader = reader_of(kind, 8, &beyond);
        assert!(reader.component_count(0, name).unwrap_err().is_corrupt());
        assert!(reader.vector(0, name).unwrap_err().is_corrupt());
        assert!(reader.has_vector(0, name).unwrap());
    }
    let mut reader = reader_of(Kind::VectorRows, 0, &2u32.to_le_bytes());
    assert!(reader.vector(0, "").unwrap_err().is_corrupt());
    let mut reader = reader_of(Kind::PayloadOffsets, 8, &beyond);
    assert!(reader.payload_len(0).unwrap_err().is_corrupt());
    let mut reader = reader_of(Kind::PayloadData, 0, &[0xff]);
    let error = reader.payload(0).unwrap_err();
    assert!(matches!(&error, Error::Malformed { reason, .. } if reason == "the payload of row 0 is not UTF-8"), "{error}");
}
