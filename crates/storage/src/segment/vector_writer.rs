//! Writes the sections of the vectors of one name.
//!
//! As everything of a segment it asks for the rows once a section, and for lengths before it asks for what has them.

use super::writer::{Rows, Writer};
use super::{Kind, VectorKind, VectorSpec};
use crate::error::Result;
use crate::vector::{Datatype, VectorRef};

impl Writer {
    /// Writes the sections of one vector name.
    pub(super) fn vectors(&mut self, spec: &VectorSpec, rows: &mut dyn Rows) -> Result<()> {
        let VectorSpec { name, kind } = spec;
        let mut count = 0u64;
        for row in 0..rows.len() {
            count += u64::from(rows.has_vector(row, name)?);
        }
        if count < rows.len() as u64 {
            self.vector_rows(name, rows)?;
        }
        match *kind {
            VectorKind::Dense { dim, datatype } => self.dense(name, dim, datatype, count, rows),
            VectorKind::Multi { dim, datatype } => {
                let vectors = self.offsets(Kind::MultiOffsets, name, dim, count, rows)?;
                self.multi(name, dim, datatype, vectors, rows)
            }
            VectorKind::Sparse => {
                let elements = self.offsets(Kind::SparseOffsets, name, 1, count, rows)?;
                self.sparse(name, elements, rows)
            }
        }
    }

    fn vector_rows(&mut self, name: &str, rows: &mut dyn Rows) -> Result<()> {
        self.section(Kind::VectorRows, name, 0, rows.len() as u64, |section| {
            let mut next = 0u32;
            (0..rows.len()).try_for_each(|row| {
                let present = rows.has_vector(row, name)?;
                section.write(&if present { next } else { u32::MAX }.to_le_bytes())?;
                next += u32::from(present);
                Ok(())
            })
        })
    }

    /// Writes where the vector of each row that has one starts, counted in elements of `dim` components; returns where the last ends.
    fn offsets(&mut self, kind: Kind, name: &str, dim: usize, count: u64, rows: &mut dyn Rows) -> Result<u64> {
        let (mut end, dim) = (0u64, dim as u64);
        self.section(kind, name, 0, count + 1, |section| {
            section.write(&end.to_le_bytes())?;
            (0..rows.len()).try_for_each(|row| {
                let Some(components) = rows.component_count(row, name)? else { return Ok(()) };
                assert!(
                    components.is_multiple_of(dim),
                    "{components} components of the vectors {name:?} of row {row}, not of {dim} each"
                );
                end += components / dim;
                section.write(&end.to_le_bytes())
            })
        })?;
        Ok(end)
    }

    fn dense(&mut self, name: &str, dim: usize, datatype: Datatype, count: u64, rows: &mut dyn Rows) -> Result<()> {
        self.section(Kind::dense(datatype), name, section_dim(dim), count, |section| {
            each(name, rows, |row, vector| {
                let VectorRef::Dense(values) = &vector else { panic!("row {row} has {vector:?} for the dense vector {name:?}") };
                assert_eq!(values.len(), dim, "components of the vector {name:?} of row {row}");
                section.write(&encode(datatype, values))
            })
        })
    }

    fn multi(&mut self, name: &str, dim: usize, datatype: Datatype, count: u64, rows: &mut dyn Rows) -> Result<()> {
        self.section(Kind::dense(datatype), name, section_dim(dim), count, |section| {
            each(name, rows, |row, vector| {
                let VectorRef::Multi(values) = &vector else { panic!("row {row} has {vector:?} for the multi-vector {name:?}") };
                section.write(&encode(datatype, values))
            })
        })
    }

    fn sparse(&mut self, name: &str, count: u64, rows: &mut dyn Rows) -> Result<()> {
        self.section(Kind::SparseIndices, name, 0, count, |section| {
            each(name, rows, |row, vector| {
                let VectorRef::Sparse { indices, values } = &vector else {
                    panic!("row {row} has {vector:?} for the sparse vector {name:?}")
                };
                assert_eq!(indices.len(), values.len(), "indices and values of the vector {name:?} of row {row}");
                assert!(indices.is_sorted_by(|a, b| a < b), "the indices of the vector {name:?} of row {row} do not ascend");
                section.write(bytemuck::cast_slice(indices))
            })
        })?;
        self.section(Kind::SparseValues, name, 0, count, |section| {
            each(name, rows, |_, vector| match vector {
                VectorRef::Sparse { values, .. } => section.write(bytemuck::cast_slice(&values)),
                VectorRef::Dense(_) | VectorRef::Multi(_) => Ok(()),
            })
        })
    }
}

/// Calls `write` for the vector of each row that has one.
fn each(name: &str, rows: &mut dyn Rows, mut write: impl FnMut(usize, VectorRef<'_>) -> Result<()>) -> Result<()> {
    (0..rows.len()).try_for_each(|row| rows.vector(row, name)?.map_or(Ok(()), |vector| write(row, vector)))
}

fn section_dim(dim: usize) -> u32 {
    match u32::try_from(dim) {
        Ok(dim @ 1..) => dim,
        _ => panic!("vectors of {dim} components"),
    }
}

/// The components as they stand in the file; they were rounded before they were logged, so nothing changes here.
fn encode(datatype: Datatype, values: &[f32]) -> std::borrow::Cow<'_, [u8]> {
    debug_assert!(values.iter().all(|value| datatype.keeps(*value)), "{values:?} are not values of the datatype {datatype:?}");
    datatype.encode(values)
}
