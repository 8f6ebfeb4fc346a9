//! Vectors in requests: a list of numbers for the unnamed one, or an object of lists by name; and columns of them in batches.
//!
//! Numbers are read as 32-bit floats directly, so that what a client prints of such a float comes back as the same bits.
//! Other kinds of vectors (sparse ones, lists of lists, texts to embed) are refused by what they are.

use std::collections::BTreeMap;
use std::fmt;

use icecore_storage::{NamedVector, Vector};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A dense vector. Its JSON is a list of numbers.
#[derive(Debug, Clone, PartialEq)]
struct Dense(Vec<f32>);

/// One component, for an error that says more than "expected f32".
struct Component(f32);

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ComponentVisitor;

        impl Visitor<'_> for ComponentVisitor {
            type Value = Component;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, the component of a dense vector (multi-vectors are not supported yet)")
            }

            #[expect(clippy::cast_possible_truncation, reason = "the deserializer was asked for an f32: the value is one")]
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Component, E> {
                Ok(Component(value as f32))
            }
        }

        deserializer.deserialize_f32(ComponentVisitor)
    }
}

impl<'de> Deserialize<'de> for Dense {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DenseVisitor;

        impl<'de> Visitor<'de> for DenseVisitor {
            type Value = Dense;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a dense vector: a list of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Dense, A::Error> {
                components(items).map(Dense)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Dense, A::Error> {
                let first: Option<String> = entries.next_key()?;
                Err(de::Error::custom(match first.as_deref() {
                    Some("indices" | "values") => "sparse vectors are not supported yet by this version of icecore",
                    _ => {
                        "expected a dense vector, a list of numbers; \
                          inference of vectors from texts, images or objects is not supported"
                    }
                }))
            }
        }

        deserializer.deserialize_any(DenseVisitor)
    }
}

/// Reads a list of numbers.
fn components<'de, A: SeqAccess<'de>>(mut items: A) -> Result<Vec<f32>, A::Error> {
    let mut components = Vec::new();
    while let Some(Component(component)) = items.next_element()? {
        components.push(component);
    }
    Ok(components)
}

/// The vectors of one point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PointVectors(BTreeMap<String, Dense>);

impl PointVectors {
    /// The vectors as the storage takes them; `""` is the unnamed one.
    pub(super) fn into_named(self) -> Vec<NamedVector> {
        self.0.into_iter().map(|(name, vector)| NamedVector { name, vector: Vector::Dense(vector.0) }).collect()
    }
}

impl<'de> Deserialize<'de> for PointVectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PointVisitor;

        impl<'de> Visitor<'de> for PointVisitor {
            type Value = PointVectors;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a vector: a list of numbers, or an object of such lists by name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<PointVectors, A::Error> {
                let unnamed = components(items)?;
                Ok(PointVectors(BTreeMap::from([(String::new(), Dense(unnamed))])))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<PointVectors, A::Error> {
                let mut vectors = BTreeMap::new();
                while let Some((name, vector)) = entries.next_entry::<String, Dense>()? {
                    vectors.insert(name, vector);
                }
                Ok(PointVectors(vectors))
            }
        }

        deserializer.deserialize_any(PointVisitor)
    }
}

/// The vectors of a batch, in columns: for each name one list of vectors, in the order of the ids.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns(BTreeMap<String, Vec<Dense>>);

impl Columns {
    /// Turns columns into the vectors of `count` points; the error is the length of a column that has another one.
    pub(super) fn into_points(self, count: usize) -> Result<Vec<Vec<NamedVector>>, usize> {
        let mut points: Vec<Vec<NamedVector>> = Vec::new();
        points.resize_with(count, || Vec::with_capacity(self.0.len()));
        for (name, column) in self.0 {
            if column.len() != count {
                return Err(column.len());
            }
            for (vectors, vector) in points.iter_mut().zip(column) {
                vectors.push(NamedVector { name: name.clone(), vector: Vector::Dense(vector.0) });
            }
        }
        Ok(points)
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ColumnsVisitor;

        impl<'de> Visitor<'de> for ColumnsVisitor {
            type Value = Columns;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of vectors, or an object of such lists by name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Columns, A::Error> {
                let mut column = Vec::new();
                while let Some(vector) = items.next_element::<Dense>()? {
                    column.push(vector);
                }
                Ok(Columns(BTreeMap::from([(String::new(), column)])))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Columns, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some(name) = entries.next_key::<String>()? {
                    columns.insert(name, entries.next_value::<Vec<Dense>>()?);
                }
                Ok(Columns(columns))
            }
        }

        deserializer.deserialize_any(ColumnsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<NamedVector>, String> {
        serde_json::from_str(json).map(PointVectors::into_named).map_err(|error| error.to_string())
    }

    fn named(name: &str, values: &[f32]) -> NamedVector {
        NamedVector { name: name.into(), vector: Vector::Dense(values.into()) }
    }

    #[test]
    fn lists_and_objects_of_lists_are_vectors() {
        assert_eq!(read("[1, -2, 0.5]"), Ok(vec![named("", &[1.0, -2.0, 0.5])]));
        assert_eq!(read(r#"{"": [1]}"#), Ok(vec![named("", &[1.0])]));
        assert_eq!(read(r#"{"b": [2], "a": [1]}"#), Ok(vec![named("a", &[1.0]), named("b", &[2.0])]));
        assert_eq!(read("{}"), Ok(vec![]));
    }

    #[test]
    fn of_a_name_given_twice_the_last_counts() {
        assert_eq!(read(r#"{"a": [1], "a": [2]}"#), Ok(vec![named("a", &[2.0])]));
    }

    #[test]
    fn other_kinds_of_vectors_are_refused_by_what_they_are() {
        for (given, part) in [
            ("[[1, 2], [3, 4]]", "multi-vectors"),
            (r#"{"t": [[1]]}"#, "multi-vectors"),
            (r#"{"t": {"indices": [1], "values": [1.0]}}"#, "sparse vectors"),
            (r#"{"t": {"text": "a", "model": "m"}}"#, "inference"),
            (r#"{"text": "a", "model": "m"}"#, "expected a dense vector"),
            ("[\"a\"]", "a number"),
            ("[null]", "a number"),
            ("[1e39]", "number out of range"),
            ("3", "a vector"),
        ] {
            let error = read(given).unwrap_err();
            assert!(error.contains(part), "{given}: {error}");
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
        let read: Dense = serde_json::from_str(&text).unwrap();
        for (given, back) in values.iter().zip(&read.0) {
            assert_eq!(given.to_bits(), back.to_bits(), "{given}");
        }
        assert_eq!(read.0.len(), values.len());
    }

    #[test]
    fn columns_become_points() {
        let columns: Columns = serde_json::from_str(r#"{"a": [[1], [2]], "b": [[3], [4]]}"#).unwrap();
        assert_eq!(
            columns.into_points(2),
            Ok(vec![vec![named("a", &[1.0]), named("b", &[3.0])], vec![named("a", &[2.0]), named("b", &[4.0])]])
        );
        let columns: Columns = serde_json::from_str("[[1], [2]]").unwrap();
        assert_eq!(columns.into_points(3), Err(2));
    }
}
