//! The points of the storage that is made: the same for the same arguments, and no easier to compress than real ones.
//!
//! Components have 24 random bits, as many as a float holds; payloads are short words, as texts are. Pure.

use std::ops::Range;

use icecore_io::Rng;
use icecore_storage::{NamedVector, Operation, Point, PointId, Vector};

/// Bytes of vectors and payloads in one request, about.
const REQUEST_LEN: usize = 1 << 20;
/// The most points in one request.
const REQUEST_POINTS_MAX: u64 = 1000;
/// What payloads are made of.
const WORDS: [&str; 16] = [
    "archive", "block", "cold", "digest", "ember", "frost", "glacier", "harbour", "ice", "journal", "kernel", "ledger", "memory",
    "night", "ocean", "page",
];
/// Bits of a random number that make a component.
const COMPONENT_BITS: u32 = 24;

/// Makes upserts.
#[derive(Debug)]
pub(super) struct Points {
    dimensions: usize,
    payload_len: usize,
    rng: Rng,
}

impl Points {
    /// Points of one vector of `dimensions` components, and a payload of `payload_len` bytes.
    pub(super) fn new(dimensions: usize, payload_len: usize) -> Self {
        Self { dimensions, payload_len, rng: Rng::new(1) }
    }

    /// Bytes of vector and payload of one point.
    pub(super) fn len(&self) -> u64 {
        (self.dimensions * size_of::<f32>() + self.payload_len) as u64
    }

    /// The most points that go into one request.
    pub(super) fn per_request(&self) -> u64 {
        (REQUEST_LEN as u64 / self.len().max(1)).clamp(1, REQUEST_POINTS_MAX)
    }

    /// The request for the points of these ids.
    pub(super) fn request(&mut self, ids: Range<u64>) -> Operation {
        Operation::upsert(ids.map(|id| self.point(id)).collect())
    }

    fn point(&mut self, id: u64) -> Point {
        let values = (0..self.dimensions).map(|_| self.component()).collect();
        let vectors = vec![NamedVector { name: String::new(), vector: Vector::Dense(values) }];
        Point { id: PointId::Num(id), vectors, payload: self.payload(id) }
    }

    /// A number from 0 to 1.
    fn component(&mut self) -> f32 {
        let bits = self.rng.next_u64() >> (u64::BITS - COMPONENT_BITS);
        // Both are exact: a float has this many bits.
        bits as f32 / (1_u32 << COMPONENT_BITS) as f32
    }

    /// A JSON object; longer than it should be only if its fields are.
    fn payload(&mut self, id: u64) -> String {
        if self.payload_len == 0 {
            return String::new();
        }
        let (mut text, end) = (format!(r#"{{"number":{id},"text":""#), r#""}"#);
        let len = self.payload_len.saturating_sub(end.len());
        while text.len() < len {
            let word = self.rng.below(WORDS.len() as u64);
            text += usize::try_from(word).ok().and_then(|word| WORDS.get(word)).unwrap_or(&"");
            text.push(' ');
            // The words have one byte a character.
            text.truncate(len.max(1));
        }
        text + end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(operation: Operation) -> Vec<Point> {
        match operation {
            Operation::Upsert { points, .. } => points,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn points_have_the_size_that_was_asked_for() {
        for (dimensions, payload_len) in [(1, 64), (768, 256), (3, 1000)] {
            let mut made = Points::new(dimensions, payload_len);
            let points = points(made.request(10..13));
            assert_eq!(points.iter().map(|point| point.id).collect::<Vec<_>>(), [10, 11, 12].map(PointId::Num));
            for point in points {
                let Vector::Dense(values) = &point.vectors[0].vector else { panic!("{point:?}") };
                assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
                assert_eq!((values.len(), point.payload.len()), (dimensions, payload_len));
                assert!(serde_json::from_str::<serde_json::Value>(&point.payload).unwrap().is_object(), "{}", point.payload);
            }
        }
    }

    #[test]
    fn payloads_can_be_missing_and_are_at_least_an_object() {
        assert_eq!(points(Points::new(1, 0).request(0..1))[0].payload, "");
        assert_eq!(points(Points::new(1, 1).request(7..8))[0].payload, r#"{"number":7,"text":""}"#);
    }

    #[test]
    fn the_same_arguments_make_the_same_points() {
        assert_eq!(Points::new(4, 80).request(0..5), Points::new(4, 80).request(0..5));
    }

    #[test]
    fn requests_are_bounded_in_points_and_bytes() {
        assert_eq!(Points::new(1, 0).per_request(), REQUEST_POINTS_MAX);
        assert_eq!(Points::new(65_536, 1 << 20).per_request(), 1);
        assert_eq!(Points::new(1024, 0).per_request(), 256);
    }
}
