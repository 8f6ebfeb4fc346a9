//! The body of a log record: an [`Operation`] in the bincode encoding (little-endian, fixed-width integers, 64-bit lengths,
//! 32-bit variant numbers).
//!
//! The only place that knows the encoding's library. Lengths are bounded before anything is allocated, by what the body's own
//! length can justify, and every byte of a body must be used.

use wincode::config::Configuration;

use crate::error::{Error, Result};
use crate::ids::PointId;
use crate::op::{NamedVector, Operation, Point, PointVectors};

/// The most bytes that a body may have, and the most that any one of its sequences may need in memory.
pub const BODY_LEN_MAX: usize = 256 * 1024 * 1024;

/// Memory that a sequence can need for each of its bytes in a body: what the decoder takes for a count before it has seen the elements.
const MEMORY_PER_BYTE: usize = 4;
// The elements of sequences with the fewest bytes that one has: an id of 12, lengths of 8, a variant of 4. Numbers and text need
// as much memory as bytes.
const _: () = assert!(size_of::<PointId>() <= MEMORY_PER_BYTE * 12);
const _: () = assert!(size_of::<NamedVector>() <= MEMORY_PER_BYTE * (8 + 4 + 8));
const _: () = assert!(size_of::<Point>() <= MEMORY_PER_BYTE * (12 + 8 + 8));
const _: () = assert!(size_of::<PointVectors>() <= MEMORY_PER_BYTE * (12 + 8));

const CONFIG: Configuration<true, BODY_LEN_MAX> = limited();

/// The encoding, with so many bytes of memory at most for any one sequence.
const fn limited<const BYTES_MAX: usize>() -> Configuration<true, BYTES_MAX> {
    Configuration::default().with_preallocation_size_limit::<BYTES_MAX>()
}

/// Encodes an operation; [`Error::OperationTooLarge`] if it needs more than [`BODY_LEN_MAX`] bytes.
pub fn encode(operation: &Operation) -> Result<Vec<u8>> {
    let too_large = |len| Error::OperationTooLarge { len, max: BODY_LEN_MAX as u64 };
    let len = wincode::config::serialized_size(operation, CONFIG).map_err(|_| too_large(u64::MAX))?;
    if len > BODY_LEN_MAX as u64 {
        return Err(too_large(len));
    }
    wincode::config::serialize(operation, CONFIG).map_err(|_| too_large(len))
}

/// Decodes an operation; the error is the reason, without the place, which the caller knows.
pub fn decode(body: &[u8]) -> Result<Operation, String> {
    if body.len() > BODY_LEN_MAX {
        return Err(format!("a body of {} bytes, more than the {BODY_LEN_MAX} that are allowed", body.len()));
    }
    // The library takes its limit as a constant: the smallest of a few that no valid body of this length can need more than.
    const SMALL: usize = 64 * 1024;
    const MEDIUM: usize = 1024 * 1024;
    const LARGE: usize = 16 * 1024 * 1024;
    let decoded = match body.len() * MEMORY_PER_BYTE {
        memory if memory <= SMALL => wincode::config::deserialize_exact(body, limited::<SMALL>()),
        memory if memory <= MEDIUM => wincode::config::deserialize_exact(body, limited::<MEDIUM>()),
        memory if memory <= LARGE => wincode::config::deserialize_exact(body, limited::<LARGE>()),
        _ => wincode::config::deserialize_exact(body, CONFIG),
    };
    decoded.map_err(|error| format!("an operation that cannot be decoded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Target, UpsertMode, Vector};

    fn upsert() -> Operation {
        Operation::upsert(vec![Point {
            id: PointId::Uuid([7; 16]),
            vectors: vec![NamedVector { name: "a".into(), vector: Vector::Dense(vec![1.0, -2.5]) }],
            payload: r#"{"k":1}"#.into(),
        }])
    }

    #[test]
    fn encodings_never_change() {
        let mut expected = Vec::new();
        expected.extend(0u32.to_le_bytes()); // Upsert
        expected.extend(1u64.to_le_bytes()); // one point
        expected.extend(1u32.to_le_bytes()); // Uuid
        expected.extend([7; 16]);
        expected.extend(1u64.to_le_bytes()); // one vector
        expected.extend(1u64.to_le_bytes());
        expected.extend(b"a");
        expected.extend(0u32.to_le_bytes()); // Dense
        expected.extend(2u64.to_le_bytes());
        expected.extend(1.0f32.to_le_bytes());
        expected.extend((-2.5f32).to_le_bytes());
        expected.extend(7u64.to_le_bytes());
        expected.extend(br#"{"k":1}"#);
        expected.extend(0u32.to_le_bytes()); // the mode: Upsert
        expected.push(0); // no condition
        assert_eq!(encode(&upsert()).unwrap(), expected);
    }

    /// An operation's bytes, a piece after the other.
    fn pieces(pieces: &[&[u8]]) -> Vec<u8> {
        pieces.concat()
    }

    fn number(value: u32) -> [u8; 4] {
        value.to_le_bytes()
    }

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn encodings_of_operations_by_target_never_change() {
        let id = pieces(&[&number(0), &9u64.to_le_bytes()]);
        let ids = pieces(&[&number(0), &1u64.to_le_bytes(), &id]);
        let filter = pieces(&[&number(1), &text("{}")]);
        let target = || Target::Ids(vec![PointId::Num(9)]);
        let keys = || vec!["a".to_owned()];
        let (a, one) = (text("a"), 1u64.to_le_bytes());
        let cases = [
            (Operation::Delete { target: target() }, pieces(&[&number(1), &ids])),
            (Operation::Delete { target: Target::Filter("{}".into()) }, pieces(&[&number(1), &filter])),
            (
                Operation::SetPayload { target: target(), payload: "{}".into(), key: Some("a".into()) },
                pieces(&[&number(2), &ids, &text("{}"), &[1], &a]),
            ),
            (Operation::OverwritePayload { target: target(), payload: "{}".into() }, pieces(&[&number(3), &ids, &text("{}")])),
            (Operation::DeletePayload { target: target(), keys: keys() }, pieces(&[&number(4), &ids, &one, &a])),
            (Operation::ClearPayload { target: target() }, pieces(&[&number(5), &ids])),
            (Operation::DeleteVectors { target: target(), names: keys() }, pieces(&[&number(7), &ids, &one, &a])),
        ];
        for (operation, expected) in cases {
            assert_eq!(encode(&operation).unwrap(), expected, "{operation:?}");
            assert_eq!(decode(&expected), Ok(operation));
        }
    }

    #[test]
    fn encodings_of_conditions_and_partial_points_never_change() {
        let points = vec![PointVectors { id: PointId::Num(9), vectors: Vec::new() }];
        let operation = Operation::UpdateVectors { points, condition: Some("{}".into()) };
        let expected =
            pieces(&[&number(6), &1u64.to_le_bytes(), &number(0), &9u64.to_le_bytes(), &0u64.to_le_bytes(), &[1], &text("{}")]);
        assert_eq!(encode(&operation).unwrap(), expected);
        for (number_of, mode) in (0..).zip([UpsertMode::Upsert, UpsertMode::InsertOnly, UpsertMode::UpdateOnly]) {
            let operation = Operation::Upsert { points: Vec::new(), mode, condition: None };
            assert_eq!(encode(&operation).unwrap(), pieces(&[&number(0), &0u64.to_le_bytes(), &number(number_of), &[0]]));
        }
    }

    #[test]
    fn encodings_of_vectors_never_change() {
        let vector = |vector| {
            let points = vec![Point {
                id: PointId::Num(9),
                vectors: vec![NamedVector { name: String::new(), vector }],
                payload: String::new(),
            }];
            let operation = Operation::upsert(points);
            let body = encode(&operation).unwrap();
            assert_eq!(decode(&body), Ok(operation));
            // Behind variant, count, id, count and an empty name, in front of an empty payload, the mode and no condition.
            body[4 + 8 + 12 + 8 + 8..body.len() - 8 - 4 - 1].to_vec()
        };
        let mut expected = 1u32.to_le_bytes().to_vec(); // Sparse
        expected.extend(2u64.to_le_bytes());
        expected.extend([3u32, u32::MAX].iter().flat_map(|index| index.to_le_bytes()));
        expected.extend(2u64.to_le_bytes());
        expected.extend([0.5f32, -1.0].iter().flat_map(|value| value.to_le_bytes()));
        assert_eq!(vector(Vector::Sparse { indices: vec![3, u32::MAX], values: vec![0.5, -1.0] }), expected);

        let mut expected = 2u32.to_le_bytes().to_vec(); // Multi
        expected.extend(1u64.to_le_bytes());
        expected.extend(0.5f32.to_le_bytes());
        assert_eq!(vector(Vector::Multi(vec![0.5])), expected);
    }

    #[test]
    fn every_prefix_and_every_surplus_byte_is_refused() {
        let body = encode(&upsert()).unwrap();
        assert_eq!(decode(&body), Ok(upsert()));
        for len in 0..body.len() {
            assert!(decode(&body[..len]).is_err(), "prefix of {len} bytes");
        }
        let mut longer = body;
        longer.push(0);
        assert!(decode(&longer).is_err());
    }

    #[test]
    fn a_hostile_length_allocates_nothing() {
        // The second is a count whose points would take 216 MB: less than a body may need, far more than this one can.
        for count in [u64::MAX, 3_000_000] {
            let mut body = 0u32.to_le_bytes().to_vec();
            body.extend(count.to_le_bytes());
            let reason = decode(&body).unwrap_err();
            assert!(reason.contains("preallocation limit"), "{reason}");
        }
    }

    #[test]
    fn what_needs_the_most_memory_for_its_length_is_decoded_at_every_length() {
        let empty = Point { id: PointId::Num(1), vectors: Vec::new(), payload: String::new() };
        for count in [700, 800, 12_000, 13_000, 199_000, 200_000, 210_000] {
            let operation = Operation::upsert(vec![empty.clone(); count]);
            let body = encode(&operation).unwrap();
            assert!(decode(&body) == Ok(operation), "{count} points");
        }
    }
}
