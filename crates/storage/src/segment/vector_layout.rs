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
