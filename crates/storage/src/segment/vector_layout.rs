//! Which sections the vectors of one name have, and that they fit each other.
//!
//! Their kinds say what the vectors are, also where no row has one. A row table is there exactly if some row has no vector, so
//! that equal rows have one form only.
#![warn(clippy::indexing_slicing)]

use super::layout::Table;
use super::{Kind, Section, VectorKind, Violation};

/// The sections of one vector name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VectorSections {
    /// Which vector each row has; `None` if vector `i` is that of row `i`.
    pub rows: Option<Section>,
    /// The vectors.
    pub values: ValueSections,
}

/// The sections that hold vectors, by what these are. Each names its vectors from 0 in the order of their rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSections {
    /// One dense vector each.
    Dense {
        /// A kind of dense vectors.
        data: Section,
    },
    /// Several dense vectors each.
    Multi {
        /// [`Kind::MultiOffsets`]
        offsets: Section,
        /// A kind of dense vectors.
        data: Section,
    },
    /// One sparse vector each.
    Sparse {
        /// [`Kind::SparseOffsets`]
        offsets: Section,
        /// [`Kind::SparseIndices`]
        indices: Section,
        /// [`Kind::SparseValues`]
        values: Section,
    },
}

impl VectorSections {
    /// What the vectors are.
    pub(super) fn kind(&self) -> VectorKind {
        let dense = |data: &Section| match data.kind.datatype() {
            Some(datatype) => (data.dim as usize, datatype),
            None => unreachable!("{data:?} where dense vectors belong"),
        };
        match &self.values {
            ValueSections::Dense { data } => {
                let (dim, datatype) = dense(data);
                VectorKind::Dense { dim, datatype }
            }
            ValueSections::Multi { data, .. } => {
                let (dim, datatype) = dense(data);
                VectorKind::Multi { dim, datatype }
            }
            ValueSections::Sparse { .. } => VectorKind::Sparse,
        }
    }

    /// All of them, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        let values = match &self.values {
            ValueSections::Dense { data } => [Some(data), None, None],
            ValueSections::Multi { offsets, data } => [Some(offsets), Some(data), None],
            ValueSections::Sparse { offsets, indices, values } => [Some(offsets), Some(indices), Some(values)],
        };
        self.rows.iter().chain(values.into_iter().flatten())
    }
}

impl Table {
    /// The sections of all vector names, sorted by name.
    pub(super) fn vectors(&mut self, rows: u64) -> Result<Vec<VectorSections>, Violation> {
        let mut vectors = Vec::new();
        let mut before: Option<String> = None;
        while let Some(first) = self.peek().filter(|section| section.kind.is_named()) {
            let name = first.name.clone();
            vectors.push(self.vector(&name, rows)?);
            if let Some(before) = before.filter(|before| *before >= name) {
                return Err(self.wrong(format!("the vectors of {name:?} follow those of {before:?}")));
            }
            before = Some(name);
        }
        Ok(vectors)
    }

    fn vector(&mut self, name: &str, rows: u64) -> Result<VectorSections, Violation> {
        let index = match self.peek_kind() {
            Some(Kind::VectorRows) => Some(self.take(Kind::VectorRows, Some(rows))?),
            _ => None,
        };
        let (count, values) = match self.peek_kind() {
            Some(Kind::MultiOffsets) => {
                let (count, offsets) = self.take_offsets(name, Kind::MultiOffsets)?;
                (count, ValueSections::Multi { offsets, data: self.take_dense(name)? })
            }
            Some(Kind::SparseOffsets) => {
                let (count, offsets) = self.take_offsets(name, Kind::SparseOffsets)?;
                let indices = self.take_named(name, Kind::SparseIndices, None)?;
                let values = self.take_named(name, Kind::SparseValues, Some(indices.count))?;
                (count, ValueSections::Sparse { offsets, indices, values })
            }
            _ => {
                let data = self.take_dense(name)?;
                (data.count, ValueSections::Dense { data })
            }
        };
        if count > rows || index.is_some() != (count < rows) {
            let with = if index.is_some() { "with" } else { "without" };
            return Err(self.wrong(format!("{count} vectors of {name:?} {with} a row table for {rows} rows")));
        }
        Ok(VectorSections { rows: index, values })
    }

    /// A section of offsets, and how many vectors they are for.
    fn take_offsets(&mut self, name: &str, kind: Kind) -> Result<(u64, Section), Violation> {
        let offsets = self.take_named(name, kind, None)?;
        match offsets.count.checked_sub(1) {
            Some(count) => Ok((count, offsets)),
            None => Err(self.wrong(format!("no element of kind {kind:?}, there must be one more than vectors"))),
        }
    }

    fn take_dense(&mut self, name: &str) -> Result<Section, Violation> {
        let kind = self.peek_kind().filter(|kind| kind.datatype().is_some()).unwrap_or(Kind::DenseF32);
        self.take_named(name, kind, None)
    }

    fn take_named(&mut self, name: &str, kind: Kind, count: Option<u64>) -> Result<Section, Violation> {
        let section = self.take(kind, count)?;
        if section.name != name {
            return Err(self.wrong(format!("the vectors of {:?} follow the rows of {name:?}", section.name)));
        }
        Ok(section)
    }

    fn peek_kind(&self) -> Option<Kind> {
        self.peek().map(|section| section.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ALIGNMENT, HEADER_LEN, Header, RawFooter, RawSection};
    use super::*;
    use crate::ids::SegmentId;
    use crate::vector::Datatype;

    /// Kind, name, components, elements.
    type Entry = (Kind, &'static str, u32, u64);

    const ROWS: u32 = 3;

    /// What is said of a segment of three rows with these sections of vectors, all sections in their places.
    fn check(vectors: &[Entry]) -> Result<Vec<VectorKind>, String> {
        let ids = [(Kind::IdsNum, "", 0, 3), (Kind::IdsUuid, "", 0, 0), (Kind::Versions, "", 0, 3)];
        let payloads = [(Kind::PayloadOffsets, "", 0, 4), (Kind::PayloadData, "", 0, 0)];
        let (mut sections, mut end, mut blocks) = (Vec::new(), HEADER_LEN as u64, 0);
        for (kind, name, dim, count) in ids.iter().chain(vectors).chain(&payloads).copied() {
            let len = count * kind.element_len(dim);
            let offset = Section::place(end, len).unwrap();
            sections.push(RawSection { kind: kind as u32, name: name.into(), dim, offset, len, count });
            end = offset + len;
            blocks += usize::from(len > 0);
        }
        let footer = RawFooter { sections, block_crcs: vec![0; blocks] };
        match footer.check(&Header { segment: SegmentId(1), rows: ROWS }, end.next_multiple_of(ALIGNMENT)) {
            Ok(layout) => Ok(layout.vectors.iter().map(VectorSections::kind).collect()),
            Err(Violation::Rule { reason, .. }) => Err(reason),
            Err(version) => panic!("{version:?}"),
        }
    }

    #[test]
    fn the_sections_say_what_the_vectors_are() {
        let (f32, f16, u8) = (Datatype::Float32, Datatype::Float16, Datatype::Uint8);
        assert_eq!(check(&[]), Ok(vec![]));
        assert_eq!(check(&[(Kind::DenseF32, "", 2, 3)]), Ok(vec![VectorKind::Dense { dim: 2, datatype: f32 }]));
        let all = [
            (Kind::VectorRows, "a", 0, 3),
            (Kind::DenseF16, "a", 5, 0),
            (Kind::MultiOffsets, "b", 0, 4),
            (Kind::DenseU8, "b", 7, 100),
            (Kind::VectorRows, "c", 0, 3),
            (Kind::SparseOffsets, "c", 0, 3),
            (Kind::SparseIndices, "c", 0, 9),
            (Kind::SparseValues, "c", 0, 9),
        ];
        let dense = VectorKind::Dense { dim: 5, datatype: f16 };
        assert_eq!(check(&all), Ok(vec![dense, VectorKind::Multi { dim: 7, datatype: u8 }, VectorKind::Sparse]));
    }

    #[test]
    fn sections_that_do_not_fit_each_other_are_refused() {
        let offsets = |count| (Kind::SparseOffsets, "v", 0, count);
        let (indices, values) = ((Kind::SparseIndices, "v", 0, 9), (Kind::SparseValues, "v", 0, 9));
        let table = (Kind::VectorRows, "v", 0, 3);
        let cases: [(&[Entry], &str); 17] = [
            (&[(Kind::DenseU8, "v", 2, 4)], "4 vectors of \"v\" without a row table for 3 rows"),
            (&[(Kind::DenseU8, "v", 2, 2)], "2 vectors of \"v\" without"),
            (&[table, (Kind::DenseU8, "v", 2, 3)], "3 vectors of \"v\" with a row table"),
            (&[(Kind::VectorRows, "v", 0, 2), (Kind::DenseU8, "v", 2, 1)], "2 elements of kind VectorRows, there must be 3"),
            (&[table], "a section of kind PayloadOffsets where DenseF32 belongs"),
            (&[table, table, (Kind::DenseU8, "v", 2, 1)], "a section of kind VectorRows where"),
            (&[(Kind::MultiOffsets, "v", 0, 0), (Kind::DenseU8, "v", 2, 0)], "no element of kind MultiOffsets"),
            (&[(Kind::MultiOffsets, "v", 0, 5), (Kind::DenseU8, "v", 2, 9)], "4 vectors of \"v\" without"),
            (&[table, (Kind::MultiOffsets, "v", 0, 4), (Kind::DenseU8, "v", 2, 9)], "3 vectors of \"v\" with a row table"),
            (&[(Kind::MultiOffsets, "v", 0, 4), indices], "a section of kind SparseIndices where DenseF32 belongs"),
            (&[(Kind::MultiOffsets, "v", 0, 4), (Kind::DenseU8, "w", 2, 9)], "the vectors of \"w\" follow the rows of \"v\""),
            (&[offsets(4), values, values], "a section of kind SparseValues where SparseIndices belongs"),
            (&[offsets(4), indices, (Kind::SparseValues, "v", 0, 8)], "8 elements of kind SparseValues, there must be 9"),
            (&[offsets(4), indices, (Kind::SparseValues, "w", 0, 9)], "the vectors of \"w\" follow the rows of \"v\""),
            (&[offsets(0), indices, values], "no element of kind SparseOffsets"),
            (&[offsets(3), indices, values], "2 vectors of \"v\" without"),
            (&[(Kind::DenseF16, "v", 1, 3), offsets(4), indices, values], "the vectors of \"v\" follow those of \"v\""),
        ];
        assert_eq!(check(&[offsets(4), indices, values]), Ok(vec![VectorKind::Sparse]));
        for (entries, expected) in cases {
            let reason = check(entries).expect_err(expected);
            assert!(reason.contains(expected), "{reason}, not {expected}");
        }
        for (kind, dim) in [(Kind::DenseF16, 0), (Kind::DenseU8, 0), (Kind::SparseValues, 1), (Kind::MultiOffsets, 1)] {
            let reason = check(&[(kind, "v", dim, 3)]).expect_err("components");
            assert_eq!(reason, format!("a section of kind {kind:?} for vectors of {dim} components"));
        }
    }
}
