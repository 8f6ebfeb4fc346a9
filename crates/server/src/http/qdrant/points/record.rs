//! A point in a response.
//!
//! Payloads are written as the text that is stored, unless a part of them was asked for. What was not asked for is left out;
//! a payload that was asked for and is empty is `{}`, and so are vectors.

use std::borrow::Cow;

use icecore_storage::payload::OrderValue;
use icecore_storage::{NamedVector, Record, Vector};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::id::Id;
use super::rows::RowLens;
use super::select::WithPayload;
use super::vectors::PointVectors;
use crate::http::envelope::{ApiError, ApiResult};
use crate::http::openapi::schema::{self, Schemas, named, number, object};

/// A point as it is rendered.
#[derive(Debug, Serialize)]
pub(super) struct RenderedRecord {
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vectors>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_value: Option<Ordinal>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Payload {
    Whole(Box<RawValue>),
    Part(Value),
}

/// What a point was ordered by.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Ordinal {
    Int(i64),
    Float(f64),
}

#[derive(Debug)]
struct Vectors(Vec<(String, Rendered)>);

/// A vector as it is rendered.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Rendered {
    Dense(Vec<f32>),
    Sparse { indices: Vec<u32>, values: Vec<f32> },
    Multi(Rows),
}

/// The numbers of a multi-vector, and how many make one vector.
#[derive(Debug)]
struct Rows {
    values: Vec<f32>,
    len: usize,
}

impl PartialSchema for RenderedRecord {
    fn schema() -> RefOr<Schema> {
        object()
            .description(Some("A point, as far as it was asked for."))
            .property("id", named::<Id>())
            .required("id")
            .property("payload", object())
            .property("vector", named::<PointVectors>())
            .property("order_value", number())
            .into()
    }
}

impl ToSchema for RenderedRecord {
    fn name() -> Cow<'static, str> {
        "Record".into()
    }

    fn schemas(schemas: &mut Schemas) {
        schema::add::<Id>(schemas);
        schema::add::<PointVectors>(schemas);
    }
}

impl RenderedRecord {
    /// Renders a point that was read with the same selectors; `rows` has the lengths of its multi-vectors.
    pub(super) fn new(record: Record, with_payload: &WithPayload, with_vectors: bool, rows: &RowLens) -> ApiResult<Self> {
        let payload = match with_payload {
            WithPayload::Whole(false) => None,
            selector => Some(payload(record.payload, selector).map_err(|error| {
                tracing::error!("the stored payload of point {} is not a JSON object: {error}", record.id);
                ApiError::damaged()
            })?),
        };
        let vector = with_vectors.then(|| Vectors::new(record.vectors, rows));
        Ok(Self { id: Id(record.id), payload, vector, order_value: None })
    }

    /// The point with what it was ordered by.
    #[must_use]
    pub(super) fn ordered_by(mut self, value: OrderValue) -> Self {
        self.order_value = Some(match value {
            OrderValue::Int(value) => Ordinal::Int(value),
            OrderValue::Float(value) => Ordinal::Float(value),
        });
        self
    }
}

fn payload(text: String, selector: &WithPayload) -> Result<Payload, serde_json::Error> {
    let text = if text.is_empty() { "{}".to_owned() } else { text };
    match selector.part_of(&text)? {
        Some(part) => Ok(Payload::Part(part)),
        None => RawValue::from_string(text).map(Payload::Whole),
    }
}

impl Vectors {
    fn new(vectors: Vec<NamedVector>, rows: &RowLens) -> Self {
        let rendered = |NamedVector { name, vector }| {
            let vector = match vector {
                Vector::Dense(values) => Rendered::Dense(values),
                Vector::Sparse { indices, values } => Rendered::Sparse { indices, values },
                Vector::Multi(values) => {
                    let len = rows.get(&name).copied().unwrap_or(values.len()).max(1);
                    Rendered::Multi(Rows { values, len })
                }
            };
            (name, vector)
        };
        Self(vectors.into_iter().map(rendered).collect())
    }
}

impl Serialize for Vectors {
    /// Only the unnamed vector: its list. Otherwise an object by name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let [(name, vector)] = self.0.as_slice()
            && name.is_empty()
        {
            return vector.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, vector) in &self.0 {
            map.serialize_entry(name, vector)?;
        }
        map.end()
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.values.chunks(self.len))
    }
}

#[cfg(test)]
mod tests {
    use icecore_storage::{Lsn, PointId};
    use serde_json::json;

    use super::*;

    fn record(vectors: &[(&str, &[f32])], payload: &str) -> Record {
        let vectors = vectors
            .iter()
            .map(|(name, values)| NamedVector { name: (*name).into(), vector: Vector::Dense(values.to_vec()) })
            .collect();
        Record { id: PointId::Num(7), version: Lsn(1), vectors, payload: payload.into() }
    }

    fn render(record: Record, with_payload: &WithPayload, with_vectors: bool) -> String {
        serde_json::to_string(&RenderedRecord::new(record, with_payload, with_vectors, &RowLens::new()).unwrap()).unwrap()
    }

    #[test]
    fn the_stored_text_is_the_payload() {
        let text = r#"{"b":18446744073709551615,"a":[1.0,null]}"#;
        assert_eq!(
            render(record(&[("", &[1.0, 0.1])], text), &WithPayload::Whole(true), true),
            format!(r#"{{"id":7,"payload":{text},"vector":[1.0,0.1]}}"#)
        );
    }

    #[test]
    fn what_was_not_asked_for_is_left_out_and_what_is_empty_is_an_object() {
        assert_eq!(render(record(&[], ""), &WithPayload::Whole(false), false), r#"{"id":7}"#);
        assert_eq!(render(record(&[], ""), &WithPayload::Whole(true), true), r#"{"id":7,"payload":{},"vector":{}}"#);
    }

    #[test]
    fn named_vectors_are_an_object_even_if_there_is_one() {
        assert_eq!(render(record(&[("a", &[2.0])], ""), &WithPayload::Whole(false), true), r#"{"id":7,"vector":{"a":[2.0]}}"#);
        assert_eq!(
            render(record(&[("", &[1.0]), ("a", &[2.0])], ""), &WithPayload::Whole(false), true),
            r#"{"id":7,"vector":{"":[1.0],"a":[2.0]}}"#
        );
    }

    #[test]
    fn every_kind_of_vector_has_its_form() {
        let vectors = vec![
            NamedVector { name: "d".into(), vector: Vector::Dense(vec![1.5]) },
            NamedVector { name: "m".into(), vector: Vector::Multi(vec![1.0, 2.0, 3.0, 4.0]) },
            NamedVector { name: "s".into(), vector: Vector::Sparse { indices: vec![3, 9], values: vec![0.5, 0.1] } },
        ];
        let rows = RowLens::from([("m".into(), 2)]);
        let record = Record { vectors, ..record(&[], "") };
        let rendered = RenderedRecord::new(record, &WithPayload::Whole(false), true, &rows).unwrap();
        assert_eq!(
            serde_json::to_string(&rendered).unwrap(),
            r#"{"id":7,"vector":{"d":[1.5],"m":[[1.0,2.0],[3.0,4.0]],"s":{"indices":[3,9],"values":[0.5,0.1]}}}"#
        );
        let multi = vec![NamedVector { name: String::new(), vector: Vector::Multi(vec![1.0, 2.0]) }];
        let rows = RowLens::from([(String::new(), 1)]);
        let rendered = Vectors::new(multi, &rows);
        assert_eq!(serde_json::to_string(&rendered).unwrap(), "[[1.0],[2.0]]");
    }

    #[test]
    fn what_a_point_was_ordered_by_is_said() {
        for (value, text) in [(OrderValue::Int(-5), "-5"), (OrderValue::Float(0.5), "0.5")] {
            let rendered = RenderedRecord::new(record(&[], ""), &WithPayload::Whole(false), false, &RowLens::new());
            let text = format!(r#"{{"id":7,"order_value":{text}}}"#);
            assert_eq!(serde_json::to_string(&rendered.unwrap().ordered_by(value)).unwrap(), text);
        }
    }

    #[test]
    fn a_part_of_the_payload_is_selected() {
        let selector: WithPayload = serde_json::from_value(json!(["a"])).unwrap();
        assert_eq!(render(record(&[], r#"{"a":1,"b":2}"#), &selector, false), r#"{"id":7,"payload":{"a":1}}"#);
        assert_eq!(render(record(&[], ""), &selector, false), r#"{"id":7,"payload":{}}"#);
    }
}
