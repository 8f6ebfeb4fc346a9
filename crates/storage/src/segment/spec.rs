//! What a segment is told of a vector name, and says of it again: the kind of its vectors.

use super::Kind;
use crate::vector::{Datatype, VectorRef};

/// A vector name of the collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VectorSpec {
    /// The name; `""` is the unnamed vector.
    pub(crate) name: String,
    /// What its vectors are.
    pub(crate) kind: VectorKind,
}

/// What the vectors of one name are, as far as it changes how they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VectorKind {
    /// One vector of a fixed length.
    Dense {
        /// Components, at least 1.
        dim: usize,
        /// What its components are stored as.
        datatype: Datatype,
    },
    /// Any number of vectors of one length.
    Multi {
        /// Components of each, at least 1.
        dim: usize,
        /// What their components are stored as.
        datatype: Datatype,
    },
    /// Pairs of index and value, by index.
    Sparse,
}

impl VectorKind {
    /// Checks that a vector is of this kind, with values of its datatype, so that a segment can hold it; the error is the reason.
    pub(crate) fn check(self, vector: &VectorRef<'_>) -> Result<(), String> {
        match (self, vector) {
            (Self::Dense { dim, datatype }, VectorRef::Dense(values)) => {
                if values.len() != dim {
                    return Err(format!("it has {} components, not {dim}", values.len()));
                }
                check_values(datatype, values)
            }
            (Self::Multi { dim, datatype }, VectorRef::Multi(values)) => {
                if !values.len().is_multiple_of(dim) {
                    return Err(format!("it has {} components, not {dim} each", values.len()));
                }
                check_values(datatype, values)
            }
            (Self::Sparse, VectorRef::Sparse { indices, values }) => {
                if indices.len() != values.len() {
                    return Err(format!("it has {} indices and {} values", indices.len(), values.len()));
                }
                match indices.windows(2).find(|pair| pair.is_sorted_by(|a, b| a >= b)) {
                    Some(pair) => Err(format!("its indices do not ascend: {pair:?}")),
                    None => Ok(()),
                }
            }
            (_, VectorRef::Dense(_)) => Err("it is dense".into()),
            (_, VectorRef::Multi(_)) => Err("it is a multi-vector".into()),
            (_, VectorRef::Sparse { .. }) => Err("it is sparse".into()),
        }
    }
}

/// Checks that values are the same when they were stored and read.
fn check_values(datatype: Datatype, values: &[f32]) -> Result<(), String> {
    match values.iter().find(|value| !datatype.keeps(**value)) {
        Some(value) => Err(format!("{value} is not a {}", datatype.name())),
        None => Ok(()),
    }
}

impl Kind {
    /// The section of dense vectors with such components.
    pub(super) fn dense(datatype: Datatype) -> Self {
        match datatype {
            Datatype::Float32 => Self::DenseF32,
            Datatype::Float16 => Self::DenseF16,
            Datatype::Uint8 => Self::DenseU8,
        }
    }

    /// The datatype of a section of dense vectors; `None` for other sections.
    pub(super) fn datatype(self) -> Option<Datatype> {
        match self {
            Self::DenseF32 => Some(Datatype::Float32),
            Self::DenseF16 => Some(Datatype::Float16),
            Self::DenseU8 => Some(Datatype::Uint8),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_a_segment_cannot_hold_are_refused() {
        let (f32, u8) = (Datatype::Float32, Datatype::Uint8);
        let dense = |values: &[f32]| VectorRef::Dense(values.to_vec().into());
        let multi = |values: &[f32]| VectorRef::Multi(values.to_vec().into());
        let sparse = |indices: &[u32], values: &[f32]| VectorRef::Sparse {
            indices: indices.to_vec().into(),
            values: values.to_vec().into(),
        };
        let two = |datatype| VectorKind::Dense { dim: 2, datatype };
        let twos = |datatype| VectorKind::Multi { dim: 2, datatype };
        for (kind, vector, expected) in [
            (two(f32), dense(&[0.1, -1.0]), None),
            (two(f32), dense(&[0.1]), Some("it has 1 components, not 2")),
            (two(f32), multi(&[0.1, 0.2]), Some("it is a multi-vector")),
            (two(u8), dense(&[0.0, 255.0]), None),
            (two(u8), dense(&[0.0, 0.5]), Some("0.5 is not a uint8")),
            (two(u8), dense(&[-0.0, 0.0]), Some("-0 is not a uint8")),
            (two(Datatype::Float16), dense(&[1.0, 0.1]), Some("0.1 is not a float16")),
            (twos(f32), multi(&[1.0, 2.0, 3.0, 4.0]), None),
            (twos(f32), multi(&[1.0, 2.0, 3.0]), Some("it has 3 components, not 2 each")),
            (twos(u8), multi(&[1.0, 256.0]), Some("256 is not a uint8")),
            (twos(f32), dense(&[1.0, 2.0]), Some("it is dense")),
            (VectorKind::Sparse, sparse(&[], &[]), None),
            (VectorKind::Sparse, sparse(&[3, 4], &[0.1, 0.0]), None),
            (VectorKind::Sparse, sparse(&[3, 3], &[0.1, 0.2]), Some("its indices do not ascend: [3, 3]")),
            (VectorKind::Sparse, sparse(&[5, 3], &[0.1, 0.2]), Some("its indices do not ascend: [5, 3]")),
            (VectorKind::Sparse, sparse(&[3], &[]), Some("it has 1 indices and 0 values")),
            (two(f32), sparse(&[3], &[1.0]), Some("it is sparse")),
        ] {
            assert_eq!(kind.check(&vector).err().as_deref(), expected, "{vector:?} as {kind:?}");
        }
    }
}
