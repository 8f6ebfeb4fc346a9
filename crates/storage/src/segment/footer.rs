//! The footer: the section table, the names of vectors, and the checksum of every block of every section.
//!
//! Decodes and encodes only; whether the sections fit each other and the file is [`super::layout`]'s to say. Counts are
//! compared with the bytes that are there before anything is allocated.
#![warn(clippy::indexing_slicing)]

use super::Violation;
use super::fields::{u32_at, u64_at};
use super::section::{ENTRY_LEN, RawEntry, Section};

/// Bytes before the section table.
pub(crate) const FOOTER_HEAD_LEN: usize = 16;

/// Offset of the number of sections.
pub(crate) const SECTION_COUNT_OFFSET: usize = 0;
const SECTION_COUNT_SIZE: usize = 4;
/// Offset of the length of all names.
pub(crate) const NAMES_LEN_OFFSET: usize = SECTION_COUNT_OFFSET + SECTION_COUNT_SIZE;
const NAMES_LEN_SIZE: usize = 4;
/// Offset of the number of block checksums.
pub(crate) const BLOCK_COUNT_OFFSET: usize = NAMES_LEN_OFFSET + NAMES_LEN_SIZE;
const BLOCK_COUNT_SIZE: usize = 8;

/// Bytes of one block checksum.
pub(crate) const BLOCK_CRC_LEN: usize = 4;

const _: () = assert!(FOOTER_HEAD_LEN == BLOCK_COUNT_OFFSET + BLOCK_COUNT_SIZE);

/// One entry of the section table as read: nothing is compared with anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSection {
    /// The number of the kind.
    pub kind: u32,
    /// The vector name.
    pub name: String,
    /// Components of a vector.
    pub dim: u32,
    /// Where it starts in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Elements.
    pub count: u64,
}

/// A footer as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFooter {
    /// The section table.
    pub sections: Vec<RawSection>,
    /// The CRC32C of each block: of the first section's blocks in order, then of the second's, and so on.
    pub block_crcs: Vec<u32>,
}

impl RawFooter {
    /// Reads a whole footer, whose checksum the caller has compared. Every byte must be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, Violation> {
        let section_count = u32_at(bytes, SECTION_COUNT_OFFSET)?;
        let names_len = u32_at(bytes, NAMES_LEN_OFFSET)?;
        let block_count = u64_at(bytes, BLOCK_COUNT_OFFSET)?;
        let (table, names, crcs) = split(bytes, section_count, names_len, block_count).ok_or_else(|| {
            let reason = format!(
                "{section_count} sections, {names_len} bytes of names and {block_count} blocks do not make {} bytes",
                bytes.len()
            );
            Violation::rule(SECTION_COUNT_OFFSET, reason)
        })?;
        let names_offset = FOOTER_HEAD_LEN + table.len();
        let mut rest = names;
        let mut sections = Vec::with_capacity(table.len() / ENTRY_LEN);
        for (index, entry) in table.chunks_exact(ENTRY_LEN).enumerate() {
            let RawEntry { kind, dim, offset, len, count, name_len } =
                RawEntry::parse(entry).map_err(|violation| violation.shifted(entry_offset(index)))?;
            let name = usize::try_from(name_len).ok().and_then(|name_len| rest.split_at_checked(name_len));
            let Some((name, behind)) = name else {
                let reason = format!("a vector name of {name_len} bytes, there are only {}", rest.len());
                return Err(Violation::rule(entry_offset(index), reason));
            };
            rest = behind;
            let Ok(name) = str::from_utf8(name) else {
                return Err(Violation::rule(entry_offset(index), "a vector name that is not UTF-8"));
            };
            sections.push(RawSection { kind, name: name.to_owned(), dim, offset, len, count });
        }
        if !rest.is_empty() {
            return Err(Violation::rule(names_offset, format!("{} bytes of names belong to no section", rest.len())));
        }
        let (crcs, _) = crcs.as_chunks::<BLOCK_CRC_LEN>();
        Ok(Self { sections, block_crcs: crcs.iter().copied().map(u32::from_le_bytes).collect() })
    }
}

/// Where the entry of section `index` starts in the footer.
pub(crate) fn entry_offset(index: usize) -> u64 {
    (FOOTER_HEAD_LEN + index * ENTRY_LEN) as u64
}

/// The table, the names and the checksums, if they are exactly what the counts say.
fn split(bytes: &[u8], section_count: u32, names_len: u32, block_count: u64) -> Option<(&[u8], &[u8], &[u8])> {
    let table_len = usize::try_from(section_count).ok()?.checked_mul(ENTRY_LEN)?;
    let crcs_len = usize::try_from(block_count).ok()?.checked_mul(BLOCK_CRC_LEN)?;
    let (table, rest) = bytes.get(FOOTER_HEAD_LEN..)?.split_at_checked(table_len)?;
    let (names, crcs) = rest.split_at_checked(usize::try_from(names_len).ok()?)?;
    (crcs.len() == crcs_len).then_some((table, names, crcs))
}

/// A footer as it stands in the file.
pub(crate) fn encode(sections: &[Section], block_crcs: &[u32]) -> Vec<u8> {
    let names_len: usize = sections.iter().map(|section| section.name.len()).sum();
    let (Ok(section_count), Ok(names_len)) = (u32::try_from(sections.len()), u32::try_from(names_len)) else {
        unreachable!("4 GiB of vector names")
    };
    let mut bytes = section_count.to_le_bytes().to_vec();
    bytes.extend(names_len.to_le_bytes());
    bytes.extend((block_crcs.len() as u64).to_le_bytes());
    sections.iter().for_each(|section| bytes.extend(section.encode()));
    sections.iter().for_each(|section| bytes.extend(section.name.as_bytes()));
    block_crcs.iter().for_each(|crc| bytes.extend(crc.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn footer() -> Vec<u8> {
        let section = |kind, name: &str, dim, offset, len, count| Section { kind, name: name.into(), dim, offset, len, count };
        let sections = [section(Kind::VectorRows, "é", 0, 4096, 8, 2), section(Kind::DenseF32, "b", 2, 4160, 8, 1)];
        encode(&sections, &[0x0102_0304, 5])
    }

    #[test]
    fn the_encoding_never_changes() {
        let mut expected = vec![2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        expected.extend([4, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0]);
        expected.resize(16 + 64, 0);
        expected.extend([5, 0, 0, 0, 2, 0, 0, 0, 0x40, 0x10, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        expected.resize(16 + 128, 0);
        expected.extend("éb".bytes());
        expected.extend([4, 3, 2, 1, 5, 0, 0, 0]);
        assert_eq!(footer(), expected);

        let parsed = RawFooter::parse(&expected).unwrap();
        assert_eq!(parsed.block_crcs, [0x0102_0304, 5]);
        assert_eq!(parsed.sections[0].name, "é");
        let (kind, dim, offset, len, count) = (5, 2, 4160, 8, 1);
        assert_eq!(parsed.sections[1], RawSection { kind, name: "b".into(), dim, offset, len, count });
    }

    #[test]
    fn every_prefix_and_every_surplus_byte_is_refused() {
        let bytes = footer();
        for len in 0..bytes.len() {
            assert!(RawFooter::parse(&bytes[..len]).is_err(), "prefix of {len} bytes");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(RawFooter::parse(&longer).is_err());
    }

    #[test]
    fn hostile_counts_allocate_nothing() {
        for (offset, len) in [(SECTION_COUNT_OFFSET, 4), (NAMES_LEN_OFFSET, 4), (BLOCK_COUNT_OFFSET, 8)] {
            let mut bytes = footer();
            bytes[offset..offset + len].fill(0xff);
            assert!(RawFooter::parse(&bytes).is_err());
        }
        let mut name_too_long = footer();
        name_too_long[16 + 32] = 4;
        assert!(RawFooter::parse(&name_too_long).is_err());
        let mut name_too_short = footer();
        name_too_short[16 + 64 + 32] = 0;
        assert!(RawFooter::parse(&name_too_short).is_err());
        let mut not_utf8 = footer();
        not_utf8[16 + 128] = 0xff;
        assert!(RawFooter::parse(&not_utf8).is_err());
    }
}
