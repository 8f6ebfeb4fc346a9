//! What a filter says, as a tree.

use std::collections::BTreeSet;

use super::geo::{GeoBoundingBox, GeoPolygon, GeoRadius};
use super::slice::Slice;
use super::values::{Bounds, Match, Range};
use crate::ids::PointId;
use crate::payload::JsonPath;

/// Clauses that a point must all satisfy. A clause that is `None` is satisfied; whether one without conditions is depends on
/// the clause.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// At least one must hold. Without conditions it is satisfied, except inside of [`Condition::Nested`].
    pub should: Option<Vec<Condition>>,
    /// So many must hold.
    pub min_should: Option<MinShould>,
    /// All must hold.
    pub must: Option<Vec<Condition>>,
    /// None may hold.
    pub must_not: Option<Vec<Condition>>,
}

/// At least `min_count` of the conditions must hold; of no conditions that is never so.
#[derive(Debug, Clone, PartialEq)]
pub struct MinShould {
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// How many, at least 1.
    pub min_count: u64,
}

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// On the values at a path of the payload.
    Field(Box<FieldCondition>),
    /// Nothing but nulls and empty lists at a path, or nothing at all.
    IsEmpty(JsonPath),
    /// A null, or a list with one, at a path.
    IsNull(JsonPath),
    /// The point's id is one of these.
    HasId(BTreeSet<PointId>),
    /// The point has a vector of this name.
    HasVector(String),
    /// The point's id is in one part of all ids.
    Slice(Slice),
    /// One element of the list at a path, an object, satisfies the filter by itself.
    Nested {
        /// The list. Whether `[]` stands at its end makes no difference.
        key: JsonPath,
        /// What the element must satisfy; ids and vectors are unknown in it.
        filter: Filter,
    },
    /// A filter in a filter.
    Filter(Filter),
}

/// Conditions on the values at one path.
///
/// Of several, the first of `values_count`, `is_empty` and `is_null` decides alone; of the others one that holds is enough.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldCondition {
    /// The path.
    pub key: JsonPath,
    /// A value is one of, or not one of, given ones; or a text has words.
    pub matching: Option<Match>,
    /// A number or a datetime lies in a range.
    pub range: Option<Range>,
    /// A position lies in a rectangle.
    pub geo_bounding_box: Option<GeoBoundingBox>,
    /// A position lies in a circle.
    pub geo_radius: Option<GeoRadius>,
    /// A position lies in a polygon.
    pub geo_polygon: Option<GeoPolygon>,
    /// So many values are there.
    pub values_count: Option<Bounds<u64>>,
    /// There is, or is not, a value.
    pub is_empty: Option<bool>,
    /// There is, or is not, a null.
    pub is_null: Option<bool>,
}

impl FieldCondition {
    /// A condition on a path that says nothing yet.
    pub fn on(key: JsonPath) -> Self {
        Self {
            key,
            matching: None,
            range: None,
            geo_bounding_box: None,
            geo_radius: None,
            geo_polygon: None,
            values_count: None,
            is_empty: None,
            is_null: None,
        }
    }
}

impl Filter {
    /// The ids that can satisfy the filter at all, if it names them in a condition that must hold: the others need not be
    /// looked at. `None` if any id can.
    pub fn ids(&self) -> Option<BTreeSet<PointId>> {
        let mut found: Option<BTreeSet<PointId>> = None;
        for condition in self.must.iter().flatten() {
            let ids = match condition {
                Condition::HasId(ids) => Some(ids.clone()),
                Condition::Filter(filter) => filter.ids(),
                _ => None,
            };
            found = match (found, ids) {
                (Some(found), Some(ids)) => Some(&found & &ids),
                (found, ids) => found.or(ids),
            };
        }
        found
    }

    /// Whether a payload has to be read to evaluate the filter.
    pub fn needs_payload(&self) -> bool {
        self.conditions().any(|condition| match condition {
            Condition::Field(_) | Condition::IsEmpty(_) | Condition::IsNull(_) | Condition::Nested { .. } => true,
            Condition::HasId(_) | Condition::HasVector(_) | Condition::Slice(_) => false,
            Condition::Filter(filter) => filter.needs_payload(),
        })
    }

    /// Whether the filter has no condition in any clause, so that every point satisfies it.
    pub fn is_empty(&self) -> bool {
        self.min_should.is_none() && self.conditions().next().is_none()
    }

    /// The conditions of all clauses, without those inside of them.
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let listed = [&self.must, &self.must_not, &self.should].into_iter().flatten().flatten();
        listed.chain(self.min_should.iter().flat_map(|clause| &clause.conditions))
    }
}
