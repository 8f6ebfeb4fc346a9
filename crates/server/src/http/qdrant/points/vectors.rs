//! The vectors of points in requests: of one point, unnamed or by name, and in batches, in columns by name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use icecore_storage::NamedVector;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::rows::RequestRows;
use super::vector::AnyVector;
use crate::http::envelope::ApiResult;
use crate::http::openapi::schema::{self, Schemas, any_of, by_name, list, named};

/// The vectors of one point: a list for the unnamed one, or an object of vectors by name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum PointVectors {
    /// The vector `""`.
    Unnamed(AnyVector),
    /// Of a name given twice the last counts.
    Named(BTreeMap<String, AnyVector>),
}

impl PointVectors {
    /// The vectors as the storage takes them; `""` is the unnamed one.
    pub(super) fn into_named(self, rows: &mut RequestRows) -> ApiResult<Vec<NamedVector>> {
        match self {
            Self::Unnamed(vector) => Ok(vec![rows.take(String::new(), vector)?]),
            Self::Named(vectors) => vectors.into_iter().map(|(name, vector)| rows.take(name, vector)).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for PointVectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PointVisitor;

        impl<'de> Visitor<'de> for PointVisitor {
            type Value = PointVectors;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a vector: a list of numbers or of lists of numbers, or an object of vectors by name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<PointVectors, A::Error> {
                AnyVector::from_list(items).map(PointVectors::Unnamed)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<PointVectors, A::Error> {
                let mut vectors = BTreeMap::new();
                while let Some((name, vector)) = entries.next_entry()? {
                    vectors.insert(name, vector);
                }
                Ok(PointVectors::Named(vectors))
            }
        }

        deserializer.deserialize_any(PointVisitor)
    }
}

impl PartialSchema for PointVectors {
    fn schema() -> RefOr<Schema> {
        any_of([named::<AnyVector>(), by_name(named::<AnyVector>())])
    }
}

impl ToSchema for PointVectors {
    fn name() -> Cow<'static, str> {
        "VectorOrVectors".into()
    }

    fn schemas(schemas: &mut Schemas) {
        schema::add::<AnyVector>(schemas);
    }
}

impl PartialSchema for Columns {
    fn schema() -> RefOr<Schema> {
        let column = || list(named::<AnyVector>());
        any_of([column().into(), by_name(column())])
    }
}

impl ToSchema for Columns {
    fn name() -> Cow<'static, str> {
        "VectorColumns".into()
    }

    fn schemas(schemas: &mut Schemas) {
        schema::add::<AnyVector>(schemas);
    }
}

/// The vectors of a batch, in columns: for each name one list of vectors, in the order of the ids.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns(BTreeMap<String, Vec<AnyVector>>);

impl Columns {
    /// The length of a column that has not `count` vectors.
    pub(super) fn other_len(&self, count: usize) -> Option<usize> {
        self.0.values().map(Vec::len).find(|len| *len != count)
    }

    /// Turns columns of `count` vectors each into the vectors of `count` points.
    pub(super) fn into_points(self, count: usize, rows: &mut RequestRows) -> ApiResult<Vec<Vec<NamedVector>>> {
        let mut points: Vec<Vec<NamedVector>> = Vec::new();
        points.resize_with(count, || Vec::with_capacity(self.0.len()));
        for (name, column) in self.0 {
            for (vectors, vector) in points.iter_mut().zip(column) {
                vectors.push(rows.take(name.clone(), vector)?);
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
                while let Some(vector) = items.next_element()? {
                    column.push(vector);
                }
                Ok(Columns(BTreeMap::from([(String::new(), column)])))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Columns, A::Error> {
                let mut columns = BTreeMap::new();
                while let Some((name, column)) = entries.next_entry()? {
                    columns.insert(name, column);
                }
                Ok(Columns(columns))
            }
        }

        deserializer.deserialize_any(ColumnsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::Vector;

    use super::*;

    fn read(json: &str) -> Vec<NamedVector> {
        let vectors: PointVectors = serde_json::from_str(json).unwrap();
        vectors.into_named(&mut RequestRows::default()).unwrap()
    }

    fn named(name: &str, vector: Vector) -> NamedVector {
        NamedVector { name: name.into(), vector }
    }

    fn dense(name: &str, values: &[f32]) -> NamedVector {
        named(name, Vector::Dense(values.into()))
    }

    #[test]
    fn lists_and_objects_by_name_are_vectors() {
        assert_eq!(read("[1, -2, 0.5]"), [dense("", &[1.0, -2.0, 0.5])]);
        assert_eq!(read("[[1], [2]]"), [named("", Vector::Multi(vec![1.0, 2.0]))]);
        assert_eq!(read(r#"{"": [1]}"#), [dense("", &[1.0])]);
        assert_eq!(
            read(r#"{"s": {"indices": [5], "values": [0.5]}, "m": [[2, 3]], "d": [1]}"#),
            [
                dense("d", &[1.0]),
                named("m", Vector::Multi(vec![2.0, 3.0])),
                named("s", Vector::Sparse { indices: vec![5], values: vec![0.5] }),
            ]
        );
        assert_eq!(read("{}"), []);
    }

    #[test]
    fn of_a_name_given_twice_the_last_counts() {
        assert_eq!(read(r#"{"a": [1], "a": [2]}"#), [dense("a", &[2.0])]);
    }

    #[test]
    fn what_is_no_vector_is_refused() {
        for (json, part) in [(r#"{"text": "a", "model": "m"}"#, "a vector"), ("3", "a vector"), (r#"{"a": 1}"#, "a vector")] {
            let error = serde_json::from_str::<PointVectors>(json).unwrap_err().to_string();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn columns_become_points() {
        let columns: Columns = serde_json::from_str(r#"{"a": [[1], [2]], "b": [[[3], [4]], [5]]}"#).unwrap();
        assert_eq!(columns.other_len(2), None);
        assert_eq!(
            columns.into_points(2, &mut RequestRows::default()).unwrap(),
            [vec![dense("a", &[1.0]), named("b", Vector::Multi(vec![3.0, 4.0]))], vec![dense("a", &[2.0]), dense("b", &[5.0])],]
        );
        let columns: Columns = serde_json::from_str("[[1], [2]]").unwrap();
        assert_eq!(columns.other_len(3), Some(2));
    }
}
