//! A point in a response.
//!
//! Payloads are written as the text that is stored, unless a part of them was asked for. What was not asked for is left out;
//! a payload that was asked for and is empty is `{}`, and so are vectors.

use icecore_storage::{NamedVector, Record, Vector};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::id::Id;
use super::select::WithPayload;
use crate::http::envelope::{ApiError, ApiResult};

/// A point as it is rendered.
#[derive(Debug, Serialize)]
pub(super) struct RenderedRecord {
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Vectors>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Payload {
    Whole(Box<RawValue>),
    Part(Value),
}

#[derive(Debug)]
struct Vectors(Vec<NamedVector>);

impl RenderedRecord {
    /// Renders a point that was read with the same selectors.
    pub(super) fn new(record: Record, with_payload: &WithPayload, with_vectors: bool) -> ApiResult<Self> {
        let payload = match with_payload {
            WithPayload::Whole(false) => None,
            selector => Some(payload(record.payload, selector).map_err(|error| {
                tracing::error!("the stored payload of point {} is not a JSON object: {error}", record.id);
                ApiError::internal()
            })?),
        };
        Ok(Self { id: Id(record.id), payload, vector: with_vectors.then_some(Vectors(record.vectors)) })
    }
}

fn payload(text: String, selector: &WithPayload) -> Result<Payload, serde_json::Error> {
    let text = if text.is_empty() { "{}".to_owned() } else { text };
    match selector.part_of(&text)? {
        Some(part) => Ok(Payload::Part(part)),
        None => RawValue::from_string(text).map(Payload::Whole),
    }
}

impl Serialize for Vectors {
    /// Only the unnamed vector: its list. Otherwise an object by name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let [NamedVector { name, vector: Vector::Dense(components) }] = self.0.as_slice()
            && name.is_empty()
        {
            return components.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for named in &self.0 {
            let Vector::Dense(components) = &named.vector;
            map.serialize_entry(&named.name, components)?;
        }
        map.end()
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
        serde_json::to_string(&RenderedRecord::new(record, with_payload, with_vectors).unwrap()).unwrap()
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
    fn a_part_of_the_payload_is_selected() {
        let selector: WithPayload = serde_json::from_value(json!(["a"])).unwrap();
        assert_eq!(render(record(&[], r#"{"a":1,"b":2}"#), &selector, false), r#"{"id":7,"payload":{"a":1}}"#);
        assert_eq!(render(record(&[], ""), &selector, false), r#"{"id":7,"payload":{}}"#);
    }
}
