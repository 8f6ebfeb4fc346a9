//! What reads ask for and what they return.

use crate::ids::{Lsn, PointId};
use crate::op::NamedVector;

/// Which vectors a read returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WithVectors {
    /// None.
    None,
    /// All that the point has.
    All,
    /// Those of these names that the point has.
    Named(Vec<String>),
}

impl WithVectors {
    /// Whether the vector of this name is asked for.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Named(names) => names.iter().any(|asked| asked == name),
        }
    }
}

/// Which parts of a point a read returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// Whether the payload is returned.
    pub payload: bool,
    /// Which vectors are returned.
    pub vectors: WithVectors,
}

/// A point as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: PointId,
    /// The log record that last changed it.
    pub version: Lsn,
    /// The vectors that were asked for.
    pub vectors: Vec<NamedVector>,
    /// The text of its payload, a JSON object; empty if there is none or it was not asked for.
    pub payload: String,
}

/// A page of a scroll.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The points in the order of their ids.
    pub records: Vec<Record>,
    /// The id where the next page begins; `None` at the end.
    pub next: Option<PointId>,
}
