//! One vector in a request: a list of numbers (dense), a list of such lists (multi), or an object of indices and values (sparse).
//!
//! Numbers are read as 32-bit floats directly, so that what a client prints of such a float comes back as the same bits. Texts,
//! images and objects to embed are refused by what they are. Whether the collection has such a vector is not known here.

use std::borrow::Cow;
use std::fmt;

use icecore_storage::Vector;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::http::openapi::schema::{any_of, float, list, object, small_count};

/// A vector of any kind, with what its stored form does not say any more.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AnyVector {
    /// The vector.
    pub(super) vector: Vector,
    /// How the lists in it fit together.
    pub(super) shape: Shape,
}

/// The lists of a multi-vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// There are none: another kind of vector.
    Flat,
    /// They all have so many numbers.
    Rows(usize),
    /// They make no vector, for this reason.
    Broken(String),
}

impl AnyVector {
    /// Reads the elements of a list, of which the first decides what it is: a dense vector or a multi-vector.
    pub(super) fn from_list<'de, A: SeqAccess<'de>>(mut items: A) -> Result<Self, A::Error> {
        let mut values = Vec::new();
        let Some(first) = items.next_element::<Box<RawValue>>()? else {
            return Ok(Self { vector: Vector::Dense(values), shape: Shape::Flat });
        };
        if first.get().starts_with('[') {
            let mut shape = Shape::Flat;
            shape.add(nested(&first, Row(&mut values))?);
            while let Some(len) = items.next_element_seed(Row(&mut values))? {
                shape.add(len);
            }
            values.shrink_to_fit();
            return Ok(Self { vector: Vector::Multi(values), shape });
        }
        values.push(nested(&first, Number)?);
        append(&mut values, items)?;
        values.shrink_to_fit();
        Ok(Self { vector: Vector::Dense(values), shape: Shape::Flat })
    }
}

impl Shape {
    /// Counts another list.
    fn add(&mut self, len: usize) {
        *self = match self {
            _ if len == 0 => Self::Broken("all vectors must be non-empty".into()),
            Self::Flat => Self::Rows(len),
            Self::Rows(first) if *first != len => {
                Self::Broken(format!("all vectors must have the same dimension, found vector with dimension {len}"))
            }
            Self::Rows(_) | Self::Broken(_) => return,
        }
    }
}

/// Reads an element that was only cut out.
fn nested<'de, S: DeserializeSeed<'de>, E: de::Error>(text: &'de RawValue, seed: S) -> Result<S::Value, E> {
    let mut deserializer = serde_json::Deserializer::from_str(text.get());
    seed.deserialize(&mut deserializer).map_err(|error| {
        // The place is one inside of the element; the caller adds the one inside of the request.
        let text = error.to_string();
        E::custom(text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason))
    })
}

/// Appends the numbers of a list.
fn append<'de, A: SeqAccess<'de>>(values: &mut Vec<f32>, mut items: A) -> Result<(), A::Error> {
    while let Some(value) = items.next_element_seed(Number)? {
        values.push(value);
    }
    Ok(())
}

/// Appends one list of a multi-vector and returns its length.
struct Row<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of numbers, one of the vectors of a multi-vector")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<usize, A::Error> {
        let before = self.0.len();
        append(self.0, items)?;
        Ok(self.0.len() - before)
    }
}

/// One number, for an error that says more than "expected f32".
struct Number;

impl<'de> DeserializeSeed<'de> for Number {
    type Value = f32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<f32, D::Error> {
        deserializer.deserialize_f32(self)
    }
}

impl Visitor<'_> for Number {
    type Value = f32;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, the component of a vector")
    }

    #[expect(clippy::cast_possible_truncation, reason = "the deserializer was asked for an f32: the value is one")]
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f32, E> {
        Ok(value as f32)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f32, E> {
        Ok(value as f32)
    }
}

/// The values of a sparse vector.
struct Values(Vec<f32>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = Vec::new();
        deserializer.deserialize_seq(Row(&mut values))?;
        Ok(Self(values))
    }
}

impl<'de> Deserialize<'de> for AnyVector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VectorVisitor)
    }
}

impl PartialSchema for AnyVector {
    fn schema() -> RefOr<Schema> {
        let row = || list(float());
        let sparse = object()
            .property("indices", list(small_count()))
            .required("indices")
            .property("values", row())
            .required("values")
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        any_of([row().into(), list(row().min_items(Some(1))).into(), sparse.into()])
    }
}

impl ToSchema for AnyVector {
    fn name() -> Cow<'static, str> {
        "Vector".into()
    }
}

struct VectorVisitor;

impl<'de> Visitor<'de> for VectorVisitor {
    type Value = AnyVector;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a vector: a list of numbers, a list of such lists, or an object with `indices` and `values`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<AnyVector, A::Error> {
        AnyVector::from_list(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<AnyVector, A::Error> {
        let (mut indices, mut values) = (None, None);
        while let Some(field) = entries.next_key::<String>()? {
            match field.as_str() {
                "indices" => indices = Some(entries.next_value::<Vec<u32>>()?),
                "values" => values = Some(entries.next_value::<Values>()?.0),
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    return Err(de::Error::custom(format_args!(
                        "unknown field `{field}` in a vector, expected `indices` and `values`; \
                         inference of vectors from texts, images or objects is not supported"
                    )));
                }
            }
        }
        let indices = indices.ok_or_else(|| de::Error::missing_field("indices"))?;
        let values = values.ok_or_else(|| de::Error::missing_field("values"))?;
        Ok(AnyVector { vector: Vector::Sparse { indices, values }, shape: Shape::Flat })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<AnyVector, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    fn multi(values: &[f32], shape: Shape) -> AnyVector {
        AnyVector { vector: Vector::Multi(values.into()), shape }
    }

    #[test]
    fn a_list_of_numbers_is_dense() {
        for (json, values) in [("[]", vec![]), ("[1, -2, 0.5]", vec![1.0, -2.0, 0.5]), ("[ 7 ]", vec![7.0])] {
            assert_eq!(read(json), Ok(AnyVector { vector: Vector::Dense(values), shape: Shape::Flat }));
        }
    }

    #[test]
    fn a_list_of_lists_is_a_multi_vector() {
        assert_eq!(read("[[1, 2], [3, 4]]"), Ok(multi(&[1.0, 2.0, 3.0, 4.0], Shape::Rows(2))));
        assert_eq!(read("[ [1] ]"), Ok(multi(&[1.0], Shape::Rows(1))));
    }

    #[test]
    fn lists_that_do_not_fit_together_are_said_to() {
        for (json, part) in [("[[1, 2], [3]]", "with dimension 1"), ("[[]]", "non-empty"), ("[[1], [], [2, 3]]", "non-empty")] {
            let Ok(AnyVector { shape: Shape::Broken(reason), .. }) = read(json) else { panic!("{json} is broken") };
            assert!(reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn indices_and_values_are_sparse() {
        let vector = Vector::Sparse { indices: vec![7, u32::MAX], values: vec![0.5, -1.0] };
        for json in
            [r#"{"indices": [7, 4294967295], "values": [0.5, -1]}"#, r#"{"values": [0.5, -1], "indices": [7, 4294967295]}"#]
        {
            assert_eq!(read(json), Ok(AnyVector { vector: vector.clone(), shape: Shape::Flat }));
        }
    }

    #[test]
    fn what_is_no_vector_is_refused_by_what_it_is() {
        for (json, part) in [
            (r#"{"text": "a", "model": "m"}"#, "inference"),
            (r#"{"indices": [1]}"#, "missing field `values`"),
            (r#"{"indices": [4294967296], "values": [1]}"#, "4294967296"),
            (r#"{"indices": [-1], "values": [1]}"#, "-1"),
            (r#"{"indices": [1], "values": ["a"]}"#, "a number"),
            ("[\"a\"]", "a number"),
            ("[null]", "a number"),
            ("[1, [2]]", "a number"),
            ("[[1], 2]", "a list of numbers"),
            ("[1e39]", "number out of range"),
            ("[1, 1e39]", "number out of range"),
            ("[[[1]]]", "a number"),
            ("3", "a vector"),
            ("null", "a vector"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
            assert_eq!(error.matches(" at line ").count(), 1, "{json}: {error}");
        }
    }

    #[test]
    fn the_shortest_text_of_a_float_is_read_as_its_bits() {
        // A fixed sequence over the whole range of exponents (Marsaglia's xorshift32), with the extremes.
        let mut state = 0x9e37_79b9_u32;
        let mut values = vec![f32::MIN_POSITIVE, f32::MAX, f32::MIN, f32::from_bits(1), -0.0, 16_777_217.0];
        for _ in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            values.push(f32::from_bits(state));
        }
        values.retain(|value| value.is_finite());
        let text = serde_json::to_string(&values).unwrap();
        let Ok(AnyVector { vector: Vector::Dense(read), .. }) = read(&text) else { panic!("a list of numbers") };
        assert_eq!(read.len(), values.len());
        for (given, back) in values.iter().zip(&read) {
            assert_eq!(given.to_bits(), back.to_bits(), "{given}");
        }
    }
}
