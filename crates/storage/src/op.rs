//! What a write says: the operations that stand in the log and are applied in its order.

use wincode::{SchemaRead, SchemaWrite};

use crate::ids::PointId;

/// The values of one vector. Each kind of vector is a variant; the number of a variant in the log never changes.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub enum Vector {
    /// A dense vector. Components of the datatypes float16 and uint8 are numbers that these can hold exactly.
    Dense(Vec<f32>),
    /// The components that are not zero, by ascending index, none twice.
    Sparse {
        /// Their indices.
        indices: Vec<u32>,
        /// Their values, as many as indices.
        values: Vec<f32>,
    },
    /// Several dense vectors of one length, one behind the other.
    Multi(Vec<f32>),
}

/// A vector and the name of the collection's vector parameters that it belongs to; `""` is the unnamed one.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct NamedVector {
    /// The name.
    pub name: String,
    /// The values.
    pub vector: Vector,
}

/// A whole point.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct Point {
    /// Its id.
    pub id: PointId,
    /// Its vectors, each name at most once; any of the collection's may be missing.
    pub vectors: Vec<NamedVector>,
    /// The text of a JSON object without insignificant white space; empty for no payload.
    pub payload: String,
}

/// One request's part for one shard: applied wholly or not at all.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub enum Operation {
    /// Puts whole points, each replacing the point of the same id.
    Upsert {
        /// The points.
        points: Vec<Point>,
    },
    /// Removes points; those that do not exist are no error.
    Delete {
        /// Their ids.
        ids: Vec<PointId>,
    },
    /// Sets the top-level keys of `payload` in the payload of each point and leaves its other keys.
    SetPayload {
        /// The points.
        ids: Vec<PointId>,
        /// The text of a JSON object.
        payload: String,
    },
}

impl Vector {
    /// Bytes that the values take in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Dense(values) | Self::Multi(values) => size_of_val(values.as_slice()),
            Self::Sparse { indices, values } => size_of_val(indices.as_slice()) + size_of_val(values.as_slice()),
        }
    }
}

impl Operation {
    /// Makes one operation of the parts that it was split into; `None` if there are none.
    ///
    /// # Panics
    /// If the parts are of different kinds: then they were never one.
    pub(crate) fn join(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        parts.into_iter().reduce(|whole, part| match (whole, part) {
            (Self::Upsert { mut points }, Self::Upsert { points: more }) => {
                points.extend(more);
                Self::Upsert { points }
            }
            (Self::Delete { mut ids }, Self::Delete { ids: more }) => {
                ids.extend(more);
                Self::Delete { ids }
            }
            (Self::SetPayload { mut ids, payload }, Self::SetPayload { ids: more, .. }) => {
                ids.extend(more);
                Self::SetPayload { ids, payload }
            }
            (whole, part) => panic!("parts of different operations: {whole:?} and {part:?}"),
        })
    }
}
