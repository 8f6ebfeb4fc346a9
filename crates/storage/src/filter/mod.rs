//! Filters: which points an operation or a read is about.
//!
//! [`Filter`] is the model, read from JSON by `parse` and written back by `write`; `check` evaluates it on one point at a
//! time. The semantics are those of Qdrant's server without payload indexes (its query_checker.rs and condition_checker.rs),
//! compared with its engine. An operation by filter stands in the log with the filter's text and is evaluated again in
//! replay, so evaluation is a pure function of the filter, the id, the payload and the names of the vectors, the same on
//! every machine. Finding the candidates quickly is the caller's work; [`Filter::ids`] and [`Filter::needs_payload`] help.

mod check;
mod geo;
mod model;
mod parse;
mod slice;
#[cfg(test)]
mod tests;
mod text;
mod values;
mod write;

pub use geo::{GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius};
pub use model::{Condition, FieldCondition, Filter, MinShould};
pub use parse::{CONDITIONS_MAX, DEPTH_MAX, InvalidFilter};
pub use slice::Slice;
pub use values::{Bounds, Keywords, Match, Range, Scalar};

use serde_json::{Map, Value};

use crate::error::Result;
use crate::ids::PointId;

/// A point that a filter is evaluated on. What is expensive to get is only asked for if a condition needs it.
pub trait Candidate {
    /// Its id.
    fn id(&self) -> PointId;

    /// Its payload; the empty object if it has none.
    ///
    /// # Errors
    /// If it cannot be read.
    fn payload(&self) -> Result<&Map<String, Value>>;

    /// Whether it has a vector of this name; `""` is the unnamed one.
    ///
    /// # Errors
    /// If that cannot be read.
    fn has_vector(&self, name: &str) -> Result<bool>;
}
