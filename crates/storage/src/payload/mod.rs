//! Payloads: paths into them, edits, and the values that points are ordered and counted by.
//!
//! A stored payload is the text of a JSON object without insignificant white space; no text and an object without keys are
//! the same thing, no payload. Everything here is pure: the same text and the same arguments give the same result on every
//! machine, because operations are applied again when the log is replayed. What a payload means to a condition is
//! [`crate::filter`]'s.

pub mod datetime;
pub mod edit;
pub mod facet;
pub mod order;
pub mod path;
pub mod select;
mod walk;

pub use datetime::Datetime;
pub use edit::EditError;
pub use facet::{FacetKind, FacetValue, facet_value};
pub use order::{OrderKind, OrderValue, order_value};
pub use path::{InvalidPath, JsonPath, Step};

use serde_json::{Map, Value};

/// The most levels of objects and lists that [`parse`] follows.
pub const DEPTH_MAX: usize = 127;

/// The object of a payload's text; `None` if the text is none. Empty text is the empty object.
pub fn parse(text: &str) -> Option<Map<String, Value>> {
    if text.is_empty() { Some(Map::new()) } else { serde_json::from_str(text).ok() }
}

/// The text of a payload; empty for an object without keys.
pub fn to_text(object: &Map<String, Value>) -> String {
    // A map with string keys and finite numbers always has a JSON form, so the fallback is never taken.
    if object.is_empty() { String::new() } else { serde_json::to_string(object).unwrap_or_default() }
}
