//! A live point, wherever it is, and reading its parts.

use std::sync::Arc;

use super::view::LiveSegment;
use crate::error::Result;
use crate::ids::{Lsn, PointId};
use crate::memtable::{Part, Row, RowVectors};
use crate::op::NamedVector;
use crate::read::{Record, Select};

/// Where a live point is.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    InMemory(Arc<Row>),
    InSegment(Arc<LiveSegment>, u32),
}

impl Found {
    /// The record that made the point what it is.
    pub(crate) fn version(&self) -> Result<Lsn> {
        match self {
            Self::InMemory(row) => Ok(row.version),
            Self::InSegment(live, row) => live.segment.version(*row),
        }
    }

    /// The text of the payload; empty if there is none.
    pub(crate) fn payload(&self) -> Result<&str> {
        match self {
            Self::InMemory(row) => row.payload(),
            Self::InSegment(live, row) => live.segment.payload(*row),
        }
    }

    /// Whether the point has a vector of this name.
    pub(crate) fn has_vector(&self, name: &str) -> Result<bool> {
        match self {
            Self::InMemory(row) => row.vectors.has(name),
            Self::InSegment(live, row) => live.segment.has_vector(*row, name),
        }
    }

    /// The vectors whose names are wanted.
    pub(crate) fn vectors(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<NamedVector>> {
        match self {
            Self::InMemory(row) => row.vectors.wanted(wanted),
            Self::InSegment(..) => self.keep_vectors().wanted(wanted),
        }
    }

    /// The payload as it is, for a point whose other parts change.
    pub(super) fn keep_payload(&self) -> Part<String> {
        match self {
            Self::InMemory(row) => row.payload.clone(),
            Self::InSegment(live, row) => Part::InSegment(live.clone(), *row),
        }
    }

    /// The vectors as they are, for a point that changes in part.
    pub(super) fn keep_vectors(&self) -> RowVectors {
        match self {
            Self::InMemory(row) => row.vectors.clone(),
            Self::InSegment(live, row) => RowVectors::Over(live.clone(), *row, Vec::new()),
        }
    }

    /// Reads the parts of the point that are asked for.
    pub(crate) fn load(&self, id: PointId, select: &Select) -> Result<Record> {
        Ok(Record {
            id,
            version: self.version()?,
            vectors: self.vectors(|name| select.vectors.includes(name))?,
            payload: if select.payload { self.payload()?.to_owned() } else { String::new() },
        })
    }
}
