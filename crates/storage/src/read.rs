//! What reads ask for and what they return.

use crate::filter::Filter;
use crate::ids::{Lsn, PointId};
use crate::op::NamedVector;
use crate::payload::{FacetKind, FacetValue, JsonPath, OrderKind, OrderValue};

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

impl Select {
    /// Everything of a point.
    pub const WHOLE: Self = Self { payload: true, vectors: WithVectors::All };
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

/// A scroll in the order of ids.
#[derive(Debug, Clone)]
pub struct Scroll {
    /// The first id that may come; the smallest if there is none.
    pub from: Option<PointId>,
    /// The most points that come.
    pub limit: usize,
    /// Only points that match come.
    pub filter: Option<Filter>,
    /// The parts that come.
    pub select: Select,
}

/// A page of a scroll.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The points in the order of their ids.
    pub records: Vec<Record>,
    /// The id where the next page begins; `None` at the end.
    pub next: Option<PointId>,
}

/// A scroll in the order of values in the payloads.
#[derive(Debug, Clone)]
pub struct OrderedScroll {
    /// Where the values are. A point comes once for each of its different values, and not at all without one.
    pub key: JsonPath,
    /// Which values count; all that can be ordered if there is no kind.
    pub kind: Option<OrderKind>,
    /// Whether the largest values come first. Entries of one value come by their ids, in the same direction (source: Qdrant's merge of
    /// ordered pages).
    pub descending: bool,
    /// The first value that may come.
    pub start_from: Option<OrderValue>,
    /// The most entries that come.
    pub limit: usize,
    /// Only points that match come.
    pub filter: Option<Filter>,
    /// The parts that come.
    pub select: Select,
}

/// How many points have each value of a key.
#[derive(Debug, Clone)]
pub struct Facet {
    /// Where the values are. A point counts once for each of its different values.
    pub key: JsonPath,
    /// Which values count; all that can be counted if there is no kind.
    pub kind: Option<FacetKind>,
    /// The most values that come.
    pub limit: usize,
    /// Only points that match count.
    pub filter: Option<Filter>,
}

/// A value and the number of points that have it.
pub type FacetHit = (FacetValue, u64);
