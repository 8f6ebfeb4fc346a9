//! Conditions on a single value: matches and ranges.
//!
//! A list is never one value here: `check` asks for its elements. Source: Qdrant's condition_checker.rs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::text;
use crate::payload::Datetime;

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// This value.
    Value(Scalar),
    /// One of these; of none is never true.
    Any(Keywords),
    /// Anything but these and null: a value of another type is not one of them.
    Except(Keywords),
    /// A text with all words of this one.
    Text(String),
    /// A text with at least one word of this one.
    TextAny(String),
    /// A text with the words of this one next to each other and in their order.
    Phrase(String),
    /// A text that begins with this one, byte by byte.
    Prefix(String),
    /// A text that has this one in it, byte by byte.
    Substring(String),
}

/// A value that another can be equal to. A float equals none, not even `1.0` the integer 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// A text.
    Keyword(String),
}

/// Values of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keywords {
    /// Texts. A list without elements is one of texts.
    Texts(BTreeSet<String>),
    /// Integers.
    Integers(BTreeSet<i64>),
}

/// Limits; those that are missing do not limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds<T> {
    /// Below it.
    pub lt: Option<T>,
    /// Above it.
    pub gt: Option<T>,
    /// Above it or equal.
    pub gte: Option<T>,
    /// Below it or equal.
    pub lte: Option<T>,
}

/// A range of values of one type; values of other types are never in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Range {
    /// Numbers, compared as 64-bit floats as Qdrant does: integers beyond 2^53 are rounded first.
    Numbers(Bounds<f64>),
    /// Instants: texts that are no datetimes are never in it.
    Datetimes(Bounds<Datetime>),
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether the value keeps to all limits.
    pub fn hold(&self, value: &T) -> bool {
        self.lt.as_ref().is_none_or(|limit| value < limit)
            && self.gt.as_ref().is_none_or(|limit| value > limit)
            && self.lte.as_ref().is_none_or(|limit| value <= limit)
            && self.gte.as_ref().is_none_or(|limit| value >= limit)
    }
}

impl Match {
    /// Whether the value is what is wanted.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Value(Scalar::Bool(wanted)), Value::Bool(flag)) => wanted == flag,
            (Self::Value(Scalar::Integer(wanted)), Value::Number(number)) => number.as_i64() == Some(*wanted),
            (Self::Value(Scalar::Keyword(wanted)), Value::String(text)) => wanted == text,
            (Self::Any(wanted), value) => wanted.contain(value),
            (Self::Except(unwanted), value) => !value.is_null() && !unwanted.contain(value),
            (Self::Text(query), Value::String(text)) => text::has_all(text, query),
            (Self::TextAny(query), Value::String(text)) => text::has_any(text, query),
            (Self::Phrase(query), Value::String(text)) => text::has_phrase(text, query),
            (Self::Prefix(prefix), Value::String(text)) => text.starts_with(prefix),
            (Self::Substring(part), Value::String(text)) => text.contains(part),
            _ => false,
        }
    }
}

impl Keywords {
    fn contain(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Texts(texts), Value::String(text)) => texts.contains(text),
            (Self::Integers(integers), Value::Number(number)) => {
                number.as_i64().is_some_and(|integer| integers.contains(&integer))
            }
            _ => false,
        }
    }
}

impl Range {
    /// Whether the value lies in the range.
    pub fn holds(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Numbers(bounds), Value::Number(number)) => number.as_f64().is_some_and(|number| bounds.hold(&number)),
            (Self::Datetimes(bounds), Value::String(text)) => text.parse().is_ok_and(|datetime| bounds.hold(&datetime)),
            _ => false,
        }
    }
}
