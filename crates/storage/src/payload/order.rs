//! The values that a scroll with `order_by` orders points by.
//!
//! A point occurs once for each of its different values, and not at all without one; the order is by value, then by id. Which
//! values count depends on the kind of the key's index: Qdrant refuses to order by a key without an index of ranges.

use std::cmp::Ordering;

use serde_json::Value;

use super::datetime::Datetime;

/// The kinds of values that points can be ordered by: those of Qdrant's indexes with ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderKind {
    /// Integers within 64 bits with sign.
    Integer,
    /// All numbers, as 64-bit floats.
    Float,
    /// Texts that are datetimes, as microseconds.
    Datetime,
}

/// A value to order by. An integer and a float that are the same number are equal.
#[derive(Debug, Clone, Copy)]
pub enum OrderValue {
    /// An integer, or a datetime's microseconds since 1970.
    Int(i64),
    /// A finite float.
    Float(f64),
}

impl OrderValue {
    /// Exact also between an integer and a float: neither is rounded.
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            // A negative zero and a zero are the same number.
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right).unwrap_or_else(|| left.total_cmp(right)),
            (Self::Int(left), Self::Float(right)) => compare_mixed(*left, *right),
            (Self::Float(left), Self::Int(right)) => compare_mixed(*right, *left).reverse(),
        }
    }
}

/// Compares an integer with a float of any size.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the float is within the range of the integer, and only its whole part is wanted"
)]
fn compare_mixed(integer: i64, float: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if float >= LIMIT {
        Ordering::Less
    } else if float < -LIMIT {
        Ordering::Greater
    } else {
        let floor = float.floor();
        integer.cmp(&(floor as i64)).then(if float > floor { Ordering::Less } else { Ordering::Equal })
    }
}

impl PartialEq for OrderValue {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal
    }
}

impl Eq for OrderValue {}

impl PartialOrd for OrderValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderValue {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}

/// The value that a payload's value is ordered by; `None` if it is not of the kind. Without a kind, any of them: integers
/// stay integers, other numbers are floats, texts are datetimes.
///
/// A list is no value: its elements are asked for one by one, and those that are lists are none either.
pub fn order_value(value: &Value, kind: Option<OrderKind>) -> Option<OrderValue> {
    match (value, kind) {
        (Value::Number(number), Some(OrderKind::Integer)) => number.as_i64().map(OrderValue::Int),
        (Value::Number(number), Some(OrderKind::Float)) => number.as_f64().map(OrderValue::Float),
        (Value::Number(number), None) => number.as_i64().map(OrderValue::Int).or(number.as_f64().map(OrderValue::Float)),
        (Value::String(text), Some(OrderKind::Datetime) | None) => {
            text.parse::<Datetime>().ok().map(|datetime| OrderValue::Int(datetime.micros()))
        }
        _ => None,
    }
}

/// The different values that a point with these values at the key is ordered by, ascending.
pub fn order_values(values: &[&Value], kind: Option<OrderKind>) -> Vec<OrderValue> {
    let mut found: Vec<OrderValue> = values
        .iter()
        .flat_map(|value| match value {
            Value::Array(list) => list.as_slice(),
            single => std::slice::from_ref(*single),
        })
        .filter_map(|value| order_value(value, kind))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn which_values_count_depends_on_the_kind() {
        // Source: scrolls of the engine of qdrant-edge with an index of each kind.
        let list = json!([3, 1, 1, 1.5, "x", null, [0], true, "2020-03-01", 18_446_744_073_709_551_615_u64]);
        let of = |kind| order_values(&[&list], kind);
        assert_eq!(of(Some(OrderKind::Integer)), [OrderValue::Int(1), OrderValue::Int(3)]);
        assert_eq!(of(Some(OrderKind::Float)), [1.0, 1.5, 3.0, 18_446_744_073_709_551_615.0].map(OrderValue::Float));
        assert_eq!(of(Some(OrderKind::Datetime)), [OrderValue::Int(1_583_020_800_000_000)]);
        assert_eq!(of(None).len(), 5);
    }

    /// Once the derived equality told an integer from the float of the same number, the order did not, and a point with both
    /// came twice.
    #[test]
    fn a_number_in_both_forms_is_one_value_in_its_first_form() {
        for (list, first) in
            [(json!([0, 0.0, 0]), "[Int(0)]"), (json!([-1.0, -1]), "[Float(-1.0)]"), (json!([-0.0, 0.0]), "[Float(-0.0)]")]
        {
            assert_eq!(format!("{:?}", order_values(&[&list], None)), first);
        }
    }

    #[test]
    fn integers_and_floats_are_compared_exactly() {
        let ascending = [
            OrderValue::Float(-1e300),
            OrderValue::Int(i64::MIN),
            OrderValue::Float(-1.5),
            OrderValue::Int(-1),
            OrderValue::Float(0.5),
            OrderValue::Float(9_007_199_254_740_992.0),
            OrderValue::Int(9_007_199_254_740_993),
            OrderValue::Int(i64::MAX),
            OrderValue::Float(9_223_372_036_854_775_808.0),
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(left.cmp(right), at.cmp(&other), "{left:?} and {right:?}");
            }
        }
        assert_eq!(OrderValue::Int(2).cmp(&OrderValue::Float(2.0)), Ordering::Equal);
        assert_eq!(OrderValue::Float(-0.0).cmp(&OrderValue::Float(0.0)), Ordering::Equal);
    }
}
