//! The body of a log record: an [`Operation`] in the bincode encoding (little-endian, fixed-width integers, 64-bit lengths,
//! 32-bit variant numbers).
//!
//! The only place that knows the encoding's library. Lengths are bounded before anything is allocated, by what the body's own
//! length can justify, and every byte of a body must be used.

use wincode::config::Configuration;

use crate::error::{Error, Result};
use crate::ids::PointId;
use crate::op::{NamedVector, Operation, Point};

/// The most bytes that a body may have, and the most that any one of its sequences may need in memory.
pub const BODY_LEN_MAX: usize = 256 * 1024 * 1024;

/// Memory that a sequence can need for each of its bytes in a body: what the decoder takes for a count before it has seen the elements.
const MEMORY_PER_BYTE: usize = 3;
// The elements of sequences with the fewest bytes that one has: an id of 12, lengths of 8, a variant of 4. Numbers and text need
// as much memory as bytes.
const _: () = assert!(size_of::<PointId>() <= MEMORY_PER_BYTE * 12);
const _: () = assert!(size_of::<NamedVector>() <= MEMORY_PER_BYTE * (8 + 4 + 8));
const _: () = assert!(size_of::<Point>() <= MEMORY_PER_BYTE * (12 + 8 + 8));

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
    use crate::op::Vector;

    fn upsert() -> Operation {
        Operation::Upsert {
            points: vec![Point {
                id: PointId::Uuid([7; 16]),
                vectors: vec![NamedVector { name: "a".into(), vector: Vector::Dense(vec![1.0, -2.5]) }],
                payload: r#"{"k":1}"#.into(),
            }],
        }
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
        assert_eq!(encode(&upsert()).unwrap(), expected);

        let mut expected = Vec::new();
        expected.extend(1u32.to_le_bytes()); // Delete
        expected.extend(1u64.to_le_bytes());
        expected.extend(0u32.to_le_bytes()); // Num
        expected.extend(9u64.to_le_bytes());
        assert_eq!(encode(&Operation::Delete { ids: vec![PointId::Num(9)] }).unwrap(), expected);

        let set = Operation::SetPayload { ids: vec![PointId::Num(9)], payload: "{}".into() };
        expected[0] = 2; // SetPayload
        expected.extend(2u64.to_le_bytes());
        expected.extend(b"{}");
        assert_eq!(encode(&set).unwrap(), expected);
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
            let operation = Operation::Upsert { points: vec![empty.clone(); count] };
            let body = encode(&operation).unwrap();
            assert!(decode(&body) == Ok(operation), "{count} points");
        }
    }
}
