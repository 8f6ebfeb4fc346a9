//! The three structures that say what is where in a segment: header, trailer and footer.
//!
//! An input is the beginning of a header (up to its reserved bytes), a trailer without its checksum, and a footer. Sections themselves are
//! not looked at here: their blocks are checked where they are read.

use icecore_storage::segment::{
    HEADER_LEN, Header, Layout, RawFooter, RawHeader, RawTrailer, Section, TRAILER_LEN, VectorSections,
};
use icecore_storage::{Crc32c, SegmentId};

/// Bytes of an input that are the beginning of a header: all its fields.
pub const HEADER_FIELDS_LEN: usize = 24;
/// Bytes of an input that are a trailer, all but its checksum.
pub const TRAILER_FIELDS_LEN: usize = TRAILER_LEN - CRC_LEN;

const CRC_LEN: usize = 4;
/// Where headers and trailers have the number of their segment (FORMAT.md).
const SEGMENT_ID_OFFSET: usize = 16;
/// Where trailers have the length of the file.
const FILE_LEN_OFFSET: usize = 24;

/// The header, trailer and footer of a segment. Accepted if they are, and fit each other.
pub fn segment_header(data: &[u8]) -> bool {
    // As they are, these bytes may be any of the three; what is said of an error is not looked at, only that it is one.
    drop(RawHeader::parse(data));
    drop(RawTrailer::parse(data));
    drop(RawFooter::parse(data));

    let Some((header_fields, rest)) = data.split_at_checked(HEADER_FIELDS_LEN) else { return false };
    let Some((trailer_fields, footer)) = rest.split_at_checked(TRAILER_FIELDS_LEN) else { return false };
    let Ok(raw_header) = RawHeader::parse(&sealed(header_fields, HEADER_LEN)) else { return false };
    let segment = SegmentId(u64_at(header_fields, SEGMENT_ID_OFFSET));
    let Ok(header) = raw_header.check(segment) else { return false };
    assert!(raw_header.check(SegmentId(!segment.0)).is_err(), "a header fits two segments");

    let Ok(raw_trailer) = RawTrailer::parse(&sealed(trailer_fields, TRAILER_LEN)) else { return false };
    let Ok(trailer) = raw_trailer.check(segment, u64_at(trailer_fields, FILE_LEN_OFFSET)) else { return false };
    let footer_end = trailer.footer_offset.checked_add(trailer.footer_len);
    assert!(footer_end.is_some_and(|end| end < trailer.file_len), "the footer of {trailer:?} is not inside");

    let Ok(raw_footer) = RawFooter::parse(footer) else { return false };
    let layout = raw_footer.check(&header, trailer.footer_offset);
    layout.map(|layout| check_layout(&header, &layout, trailer.footer_offset)).is_ok()
}

/// Sections that are accepted lie one behind the other, between header and footer.
fn check_layout(header: &Header, layout: &Layout, footer_offset: u64) {
    let vectors = layout.vectors.iter().flat_map(VectorSections::sections);
    let sections: Vec<&Section> = [&layout.ids_num, &layout.ids_uuid, &layout.versions]
        .into_iter()
        .chain(vectors)
        .chain([&layout.payload_offsets, &layout.payload_data])
        .collect();
    let mut end = HEADER_LEN as u64;
    for section in sections {
        assert!(section.offset >= end, "{section:?} begins before {end}");
        let Some(section_end) = section.offset.checked_add(section.len) else { panic!("{section:?} has no end") };
        end = section_end;
    }
    assert!(end <= footer_offset, "the sections end at {end}, behind the beginning of the footer at {footer_offset}");
    assert_eq!(layout.ids_num.count + layout.ids_uuid.count, u64::from(header.rows));
}

/// `fields`, zeros, and the checksum of both: `len` bytes.
fn sealed(fields: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = fields.to_vec();
    bytes.resize(len - CRC_LEN, 0);
    let crc = Crc32c::of(&bytes);
    bytes.extend(crc.0.to_le_bytes());
    bytes
}

/// The number at `offset`, 0 if there is none.
fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
