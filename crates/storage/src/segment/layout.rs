//! Which sections a segment has, in which order, and that they fit each other and the file.
//!
//! The place of every section follows from the lengths of those before it. The table says it too, and here the two are
//! compared: so nothing overlaps, leaves a gap or lies outside, and a writer that changes the rule shows at once.
#![warn(clippy::indexing_slicing)]

use super::footer::entry_offset;
use super::{ALIGNMENT, HEADER_LEN, Header, Kind, RawFooter, RawSection, Section, VectorSections, Violation};

/// The checked contents of a footer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// [`Kind::IdsNum`]
    pub ids_num: Section,
    /// [`Kind::IdsUuid`]
    pub ids_uuid: Section,
    /// [`Kind::Versions`]
    pub versions: Section,
    /// The vectors, sorted by name.
    pub vectors: Vec<VectorSections>,
    /// [`Kind::PayloadOffsets`]
    pub payload_offsets: Section,
    /// [`Kind::PayloadData`]
    pub payload_data: Section,
    /// The CRC32C of each block, section after section in the order of the file.
    pub block_crcs: Vec<u32>,
}

impl RawFooter {
    /// Checks the sections against each other, against the header, and against the place of the footer in the file.
    pub fn check(self, header: &Header, footer_offset: u64) -> Result<Layout, Violation> {
        let mut table = Table { sections: Vec::with_capacity(self.sections.len()), next: 0 };
        let mut end = HEADER_LEN as u64;
        for (index, raw) in self.sections.into_iter().enumerate() {
            let section = known(raw, end).map_err(|reason| Violation::rule(entry_offset(index), reason))?;
            end = section.offset + section.len;
            table.sections.push(section);
        }
        let blocks: u64 = table.sections.iter().map(Section::block_count).sum();
        if blocks != self.block_crcs.len() as u64 {
            let reason = format!("{} block checksums, the sections have {blocks} blocks", self.block_crcs.len());
            return Err(Violation::rule(0u64, reason));
        }
        if end.checked_next_multiple_of(ALIGNMENT) != Some(footer_offset) {
            return Err(Violation::rule(0u64, format!("the sections end at {end}, the footer starts at {footer_offset}")));
        }

        let rows = u64::from(header.rows);
        let ids_num = table.take(Kind::IdsNum, None)?;
        let Some(uuids) = rows.checked_sub(ids_num.count) else {
            return Err(table.wrong(format!("{} ids, the header says {rows} rows", ids_num.count)));
        };
        Ok(Layout {
            ids_num,
            ids_uuid: table.take(Kind::IdsUuid, Some(uuids))?,
            versions: table.take(Kind::Versions, Some(rows))?,
            vectors: table.vectors(rows)?,
            payload_offsets: table.take(Kind::PayloadOffsets, Some(rows + 1))?,
            payload_data: table.last(Kind::PayloadData)?,
            block_crcs: self.block_crcs,
        })
    }
}

/// One section by itself: a known kind, and parameters, length and place that follow from the others. `end` is where the
/// section before it ends. The error is the reason.
fn known(raw: RawSection, end: u64) -> Result<Section, String> {
    let RawSection { kind, name, dim, offset, len, count } = raw;
    let Some(kind) = Kind::from_number(kind) else {
        return Err(format!("a section of kind {kind}, which this program does not know; use a newer icecore"));
    };
    if kind.datatype().is_some() != (dim != 0) {
        return Err(format!("a section of kind {kind:?} for vectors of {dim} components"));
    }
    if !kind.is_named() && !name.is_empty() {
        return Err(format!("a section of kind {kind:?} with the vector name {name:?}"));
    }
    if kind.element_len(dim).checked_mul(count) != Some(len) {
        return Err(format!("a section of kind {kind:?} with {count} elements has {len} bytes"));
    }
    let place = Section::place(end, len);
    if place != Some(offset) || offset.checked_add(len).is_none() {
        return Err(format!("a section of {len} bytes at {offset}; it must follow the one before, which ends at {end}"));
    }
    Ok(Section { kind, name, dim, offset, len, count })
}

/// The section table, read from the front.
pub(super) struct Table {
    sections: Vec<Section>,
    next: usize,
}

impl Table {
    pub(super) fn wrong(&self, reason: impl Into<String>) -> Violation {
        // The entry taken last is the one that is wrong.
        Violation::rule(entry_offset(self.next.saturating_sub(1)), reason)
    }

    pub(super) fn peek(&self) -> Option<&Section> {
        self.sections.get(self.next)
    }

    /// The next section, which must be of this kind, with this many elements if the number is known.
    pub(super) fn take(&mut self, kind: Kind, count: Option<u64>) -> Result<Section, Violation> {
        let section = self.peek().cloned();
        self.next += 1;
        match section {
            Some(section) if section.kind == kind => match count {
                Some(count) if count != section.count => {
                    Err(self.wrong(format!("{} elements of kind {kind:?}, there must be {count}", section.count)))
                }
                _ => Ok(section),
            },
            Some(section) => Err(self.wrong(format!("a section of kind {:?} where {kind:?} belongs", section.kind))),
            None => Err(self.wrong(format!("the section of kind {kind:?} is missing"))),
        }
    }

    fn last(&mut self, kind: Kind) -> Result<Section, Violation> {
        let section = self.take(kind, None)?;
        match self.sections.len() - self.next {
            0 => Ok(section),
            more => Err(self.wrong(format!("{more} sections follow the last"))),
        }
    }
}
