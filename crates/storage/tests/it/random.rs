//! Random parts of requests: ids that come again and again, points with any of their vectors, payloads, filters, operations.
//!
//! Components are numbers that the datatypes hold exactly, so that what is read must be what was written.

use icecore_io::Rng;
use icecore_storage::{NamedVector, Operation, Point, PointId, PointVectors, Target, UpsertMode, Vector};

use crate::plain::{among, number_at, other_than, with_vector};
use crate::state::MULTI;

/// The names of the vectors of `every_kind`.
pub(crate) const NAMES: [&str; 5] = ["", "half", "byte", MULTI, "sparse"];

/// Numbers at the key `a`, few enough that a filter on one finds points.
const NUMBERS: u64 = 4;

/// Ids of both kinds, close together.
pub(crate) fn id(rng: &mut Rng) -> PointId {
    let number = rng.below(60);
    match rng.below(3) {
        0 => {
            let mut bytes = [0; 16];
            bytes[15] = u8::try_from(number).unwrap();
            bytes[0] = bytes[15] % 4 * 85;
            PointId::Uuid(bytes)
        }
        1 if number > 57 => PointId::Num(u64::MAX - number),
        _ => PointId::Num(number),
    }
}

pub(crate) fn ids(rng: &mut Rng) -> Vec<PointId> {
    (0..rng.below(8)).map(|_| id(rng)).collect()
}

/// The text of an object, or no payload.
fn payload(rng: &mut Rng) -> String {
    let (value, few) = (rng.below(1000), rng.below(NUMBERS));
    match rng.below(7) {
        0 => String::new(),
        1 => "{}".into(),
        2 => format!(r#"{{"a":{few},"n":{{"x":[{few},null,"ü\n"]}}}}"#),
        3 => format!(r#"{{"b":"{}"}}"#, "é".repeat(usize::try_from(value).unwrap())),
        4 => format!(r#"{{"a":[{few},{value}],"n":{{"x":{few}}}}}"#),
        5 => format!(r#"{{"a":{value}.5,"c":false}}"#),
        _ => format!(r#"{{"a":{few}}}"#),
    }
}

/// What a payload is changed by: its nulls remove keys.
fn keys(rng: &mut Rng) -> String {
    let few = rng.below(NUMBERS);
    match rng.below(4) {
        0 => r#"{"a":null,"x":null}"#.into(),
        1 => format!(r#"{{"x":{few},"y":[]}}"#),
        _ => payload(rng),
    }
}

fn path(rng: &mut Rng) -> String {
    ["a", "n", "n.x", "b", "new.deep", "c.x"][usize::try_from(rng.below(6)).unwrap()].into()
}

pub(crate) fn filter(rng: &mut Rng) -> String {
    let few = rng.below(NUMBERS);
    match rng.below(6) {
        0 => among(&ids(rng)),
        1 => with_vector(name(rng)),
        2 => other_than("a", few),
        3 => number_at("n.x", few),
        _ => number_at("a", few),
    }
}

pub(crate) fn name(rng: &mut Rng) -> &'static str {
    NAMES[usize::try_from(rng.below(5)).unwrap()]
}

/// Any of the vectors of `every_kind` with three unnamed components.
fn vectors(rng: &mut Rng, percent: u64) -> Vec<NamedVector> {
    let mut vectors = Vec::new();
    for name in NAMES {
        if rng.chance(percent) {
            vectors.push(NamedVector { name: name.into(), vector: vector(rng, name) });
        }
    }
    vectors
}

fn vector(rng: &mut Rng, name: &str) -> Vector {
    // Of eleven significant bits, with zeros of both signs.
    let halves = |rng: &mut Rng, count: u64| -> Vec<f32> {
        (0..count).map(|_| (rng.below(2047) as f32 - 1023.0) * if rng.chance(50) { -0.0 } else { 0.125 }).collect()
    };
    match name {
        "half" => Vector::Dense(halves(rng, 2)),
        "byte" => Vector::Dense((0..3).map(|_| rng.below(256) as f32).collect()),
        MULTI if rng.chance(20) => Vector::Dense(halves(rng, 2)),
        MULTI => {
            let count = 2 * (1 + rng.below(4));
            Vector::Multi(halves(rng, count))
        }
        "sparse" => {
            // Not in order, none twice; sometimes none at all.
            let first = rng.below(1 << 32);
            let indices: Vec<u32> = (0..rng.below(6)).map(|step| (first + step * 0x9E37_79B9) as u32).collect();
            let values = indices.iter().map(|_| rng.below(2000) as f32 / 7.0 - 100.0).collect();
            Vector::Sparse { indices, values }
        }
        _ => Vector::Dense((0..3).map(|_| rng.below(2000) as f32 / 7.0 - 100.0).collect()),
    }
}

fn target(rng: &mut Rng) -> Target {
    if rng.chance(40) { Target::Filter(filter(rng)) } else { Target::Ids(ids(rng)) }
}

fn condition(rng: &mut Rng) -> Option<String> {
    rng.chance(25).then(|| filter(rng))
}

/// Any operation on a collection of `every_kind`.
pub(crate) fn operation(rng: &mut Rng) -> Operation {
    match rng.below(100) {
        0..40 => {
            let point = |rng: &mut Rng| Point { id: id(rng), vectors: vectors(rng, 70), payload: payload(rng) };
            let points = (0..rng.below(12)).map(|_| point(rng)).collect();
            let mode = match rng.below(6) {
                0 => UpsertMode::InsertOnly,
                1 => UpsertMode::UpdateOnly,
                _ => UpsertMode::Upsert,
            };
            Operation::Upsert { points, mode, condition: condition(rng) }
        }
        40..48 => Operation::Delete { target: Target::Ids(ids(rng)) },
        48..52 => Operation::Delete { target: Target::Filter(filter(rng)) },
        52..65 => {
            let key = rng.chance(40).then(|| path(rng));
            Operation::SetPayload { target: target(rng), payload: keys(rng), key }
        }
        65..69 => Operation::OverwritePayload { target: target(rng), payload: payload(rng) },
        69..76 => {
            let keys = (0..rng.below(3)).map(|_| path(rng)).collect();
            Operation::DeletePayload { target: target(rng), keys }
        }
        76..79 => Operation::ClearPayload { target: target(rng) },
        79..92 => {
            let points = (0..rng.below(8)).map(|_| PointVectors { id: id(rng), vectors: vectors(rng, 40) }).collect();
            Operation::UpdateVectors { points, condition: condition(rng) }
        }
        _ => {
            let names = (0..rng.below(3)).map(|_| name(rng).to_owned()).collect();
            Operation::DeleteVectors { target: target(rng), names }
        }
    }
}
