//! What a segment is told of a vector name, and says of it again: the kind of its vectors.

use super::Kind;
use crate::vector::Datatype;

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
