//! What a write says: the operations that stand in the log and are applied in its order.
//!
//! Filters stand in the log as the text of their JSON. They are evaluated when the operation is applied, against the points as they
//! are at its place in the order, and again when it is replayed.

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

/// Some vectors of a point.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub struct PointVectors {
    /// The point.
    pub id: PointId,
    /// The vectors that replace those of the same names.
    pub vectors: Vec<NamedVector>,
}

/// Which points an operation is for.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub enum Target {
    /// These.
    Ids(Vec<PointId>),
    /// Those that match this filter when the operation is applied.
    Filter(String),
}

/// What an upsert does with points that exist already, and with those that do not (source: Qdrant's `update_mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, SchemaWrite, SchemaRead)]
pub enum UpsertMode {
    /// Replaces the first and inserts the others.
    #[default]
    Upsert,
    /// Leaves the first and inserts the others.
    InsertOnly,
    /// Replaces the first and drops the others.
    UpdateOnly,
}

/// One request's part for one shard: applied wholly or not at all.
#[derive(Debug, Clone, PartialEq, SchemaWrite, SchemaRead)]
pub enum Operation {
    /// Puts whole points, each replacing the point of the same id.
    Upsert {
        /// The points.
        points: Vec<Point>,
        /// What is done with existing and missing points.
        mode: UpsertMode,
        /// An existing point is only replaced if it matches this filter.
        condition: Option<String>,
    },
    /// Removes points; those that do not exist are no error.
    Delete {
        /// The points.
        target: Target,
    },
    /// Sets keys in payloads and leaves the others.
    SetPayload {
        /// The points.
        target: Target,
        /// The text of a JSON object: its top-level keys are set.
        payload: String,
        /// The path of the object inside the payload whose keys are set; the payload itself if there is none.
        key: Option<String>,
    },
    /// Replaces payloads as a whole.
    OverwritePayload {
        /// The points.
        target: Target,
        /// The text of a JSON object; empty for no payload.
        payload: String,
    },
    /// Removes what is at these paths in payloads.
    DeletePayload {
        /// The points.
        target: Target,
        /// The paths.
        keys: Vec<String>,
    },
    /// Removes payloads.
    ClearPayload {
        /// The points.
        target: Target,
    },
    /// Replaces some vectors of points and leaves the others.
    UpdateVectors {
        /// The points and their vectors.
        points: Vec<PointVectors>,
        /// A point is only changed if it matches this filter.
        condition: Option<String>,
    },
    /// Removes some vectors of points.
    DeleteVectors {
        /// The points.
        target: Target,
        /// The names of the vectors.
        names: Vec<String>,
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
    /// An upsert of all points, whatever exists.
    pub fn upsert(points: Vec<Point>) -> Self {
        Self::Upsert { points, mode: UpsertMode::Upsert, condition: None }
    }

    /// A deletion of these points.
    pub fn delete(ids: Vec<PointId>) -> Self {
        Self::Delete { target: Target::Ids(ids) }
    }

    /// Sets the top-level keys of `payload`, the text of a JSON object, in these points.
    pub fn set_payload(ids: Vec<PointId>, payload: impl Into<String>) -> Self {
        Self::SetPayload { target: Target::Ids(ids), payload: payload.into(), key: None }
    }
}
