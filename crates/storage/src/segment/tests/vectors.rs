//! Vectors of every kind: dense ones of each datatype, several of a row, sparse ones.

use super::*;
use crate::segment::Kind;

fn sparse(indices: &[u32], values: &[f32]) -> Vector {
    Vector::Sparse { indices: indices.to_vec(), values: values.to_vec() }
}

/// Every kind of vector, with rows that have all of them, some and none; the last three are those that no row has.
pub(super) fn kinds() -> (Vec<VectorSpec>, Vec<Row>) {
    let (half, byte) = (Datatype::Float16, Datatype::Uint8);
    let vectors = vec![
        spec("", VectorKind::Dense { dim: 3, datatype: half }),
        spec("byte", VectorKind::Dense { dim: 3, datatype: byte }),
        spec("multi", VectorKind::Multi { dim: 2, datatype: Datatype::Float32 }),
        spec("multi byte", VectorKind::Multi { dim: 1, datatype: byte }),
        spec("multi half", VectorKind::Multi { dim: 2, datatype: half }),
        spec("sparse", VectorKind::Sparse),
        spec("z dense", VectorKind::Dense { dim: 5, datatype: byte }),
        spec("z multi", VectorKind::Multi { dim: 4, datatype: half }),
        spec("z sparse", VectorKind::Sparse),
    ];
    let with = |id, version, vectors: &[(&str, Vector)], payload: &str| {
        let vectors = vectors.iter().map(|(name, vector)| ((*name).to_owned(), vector.clone())).collect();
        Row { id, version: Lsn(version), vectors, payload: payload.to_owned() }
    };
    let rows = vec![
        with(
            num(1),
            1,
            &[
                ("", Vector::Dense(vec![0.5, -65_504.0, 2f32.powi(-24)])),
                ("byte", Vector::Dense(vec![0.0, 1.0, 255.0])),
                ("multi", Vector::Multi(vec![1.0, 2.0, 3.0, 4.0, 1e-30, -1.0])),
                ("multi byte", Vector::Multi(vec![7.0, 8.0])),
                ("multi half", Vector::Multi(vec![0.25, 0.125])),
                ("sparse", sparse(&[0, 7, u32::MAX], &[0.5, -1.5, 1e30])),
            ],
            "{}",
        ),
        with(num(2), 2, &[("byte", Vector::Dense(vec![9.0, 9.0, 9.0])), ("sparse", sparse(&[], &[]))], ""),
        with(num(3), 3, &[("byte", Vector::Dense(vec![3.0, 2.0, 1.0]))], r#"{"a":1}"#),
        with(
            uuid(4),
            4,
            &[
                ("", Vector::Dense(vec![-0.0, 1.0, 2.0])),
                ("byte", Vector::Dense(vec![0.0, 0.0, 0.0])),
                ("multi", Vector::Multi(vec![5.0, 6.0])),
                ("sparse", sparse(&[3], &[0.25])),
            ],
            "",
        ),
        with(
            uuid(5),
            5,
            &[
                ("byte", Vector::Dense(vec![4.0, 5.0, 6.0])),
                ("multi byte", Vector::Multi(vec![1.0])),
                ("sparse", sparse(&[2, 3], &[1.0, 2.0])),
            ],
            "",
        ),
    ];
    (vectors, rows)
}

#[test]
fn every_kind_of_vector_comes_back_bit_for_bit() {
    let (vectors, rows) = kinds();
    let written = write(&vectors, &rows);
    let segment = open(&written.fs).unwrap();
    assert_eq!(names(&segment), vectors);
    let bits = |vector: &Vector| match vector.clone() {
        Vector::Dense(values) | Vector::Multi(values) => (Vec::new(), values.iter().map(|value| value.to_bits()).collect()),
        Vector::Sparse { indices, values } => (indices, values.iter().map(|value| value.to_bits()).collect::<Vec<_>>()),
    };
    for (index, expected) in (0..).zip(&rows) {
        let row = read_row(&segment, index).unwrap();
        assert_eq!(row, *expected);
        for VectorSpec { name, .. } in &vectors {
            let (read, expected) = (row.vectors.get(name), expected.vectors.get(name));
            assert_eq!(read.map(bits), expected.map(bits), "{name:?} of row {index}: also the sign of zero");
            assert_eq!(segment.has_vector(index, name).unwrap(), expected.is_some(), "{name:?} of row {index}");
        }
    }
    assert_eq!(segment.vector(1, "sparse").unwrap(), Some(sparse(&[], &[]).as_ref()), "empty, and there");
    assert_eq!(segment.vector(2, "sparse").unwrap(), None);
    assert!(scrub(&written.fs, &segment).is_empty());
}

#[test]
fn what_is_stored_as_it_is_in_memory_is_used_in_place() {
    let (vectors, rows) = kinds();
    let segment = open(&write(&vectors, &rows).fs).unwrap();
    assert!(matches!(segment.vector(0, "multi").unwrap(), Some(VectorRef::Multi(Cow::Borrowed(_)))));
    let sparse = segment.vector(0, "sparse").unwrap();
    assert!(matches!(sparse, Some(VectorRef::Sparse { indices: Cow::Borrowed(_), values: Cow::Borrowed(_) })));
    let (vectors, rows) = mixed();
    let segment = open(&write(&vectors, &rows).fs).unwrap();
    assert!(matches!(segment.vector(0, "").unwrap(), Some(VectorRef::Dense(Cow::Borrowed(_)))));
}

#[test]
fn sections_of_many_blocks_come_back_for_every_kind() {
    // 8192 offsets fill a block; the vectors of each row have another length, and every third row has none.
    let (dim, datatype) = (3, Datatype::Float16);
    let kinds = [
        ("half", VectorKind::Dense { dim, datatype }),
        ("multi", VectorKind::Multi { dim, datatype }),
        ("sparse", VectorKind::Sparse),
    ];
    let specs = kinds.map(|(name, kind)| spec(name, kind));
    let rows: Vec<Row> = (0..12_300u16)
        .map(|number| {
            let mut row = row(num(number.into()), 1, &[], "");
            let len = u32::from(number % 13);
            if number % 3 > 0 {
                let values = |count: u32| (0..count).map(|value| f32::from(number % 1000) + value as f32).collect::<Vec<_>>();
                row.vectors.insert("half".into(), Vector::Dense(values(3)));
                row.vectors.insert("multi".into(), Vector::Multi(values(3 * len)));
                row.vectors.insert(
                    "sparse".into(),
                    sparse(&(0..len).map(|index| 1000 - 50 * len + index).collect::<Vec<_>>(), &values(len)),
                );
            }
            row
        })
        .collect();
    let written = write(&specs, &rows);
    let segment = open(&written.fs).unwrap();
    assert!(segment.sections().filter(|(blocks, _)| blocks.section().block_count() > 1).count() >= 8);
    for (index, expected) in (0..).zip(&rows) {
        assert_eq!(read_row(&segment, index).unwrap(), *expected);
    }
    assert!(scrub(&written.fs, &segment).is_empty());
}

#[test]
fn the_sections_of_each_kind_never_change() {
    let (vectors, rows) = kinds();
    let written = write(&vectors, &rows);
    let file = bytes_of(&written.fs);
    let segment = open(&written.fs).unwrap();
    let sections = segment.sections().map(|(blocks, _)| blocks.section().clone()).filter(|section| section.kind.is_named());
    let found: Vec<(String, Kind, &[u8])> =
        sections.map(|section| (section.name, section.kind, &file[section.offset as usize..][..section.len as usize])).collect();
    let u32s = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let u64s = |values: &[u64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let f32s = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
    let none = u32::MAX;
    let expected = [
        ("", Kind::VectorRows, u32s(&[0, none, none, 1, none])),
        ("", Kind::DenseF16, vec![0, 0x38, 0xff, 0xfb, 1, 0, 0, 0x80, 0, 0x3c, 0, 0x40]),
        ("byte", Kind::DenseU8, vec![0, 1, 255, 9, 9, 9, 3, 2, 1, 0, 0, 0, 4, 5, 6]),
        ("multi", Kind::VectorRows, u32s(&[0, none, none, 1, none])),
        ("multi", Kind::MultiOffsets, u64s(&[0, 3, 4])),
        ("multi", Kind::DenseF32, f32s(&[1.0, 2.0, 3.0, 4.0, 1e-30, -1.0, 5.0, 6.0])),
        ("multi byte", Kind::VectorRows, u32s(&[0, none, none, none, 1])),
        ("multi byte", Kind::MultiOffsets, u64s(&[0, 2, 3])),
        ("multi byte", Kind::DenseU8, vec![7, 8, 1]),
        ("multi half", Kind::VectorRows, u32s(&[0, none, none, none, none])),
        ("multi half", Kind::MultiOffsets, u64s(&[0, 1])),
        ("multi half", Kind::DenseF16, vec![0, 0x34, 0, 0x30]),
        ("sparse", Kind::VectorRows, u32s(&[0, 1, none, 2, 3])),
        ("sparse", Kind::SparseOffsets, u64s(&[0, 3, 3, 4, 6])),
        ("sparse", Kind::SparseIndices, u32s(&[0, 7, u32::MAX, 3, 2, 3])),
        ("sparse", Kind::SparseValues, f32s(&[0.5, -1.5, 1e30, 0.25, 1.0, 2.0])),
        ("z dense", Kind::VectorRows, u32s(&[none; 5])),
        ("z dense", Kind::DenseU8, vec![]),
        ("z multi", Kind::VectorRows, u32s(&[none; 5])),
        ("z multi", Kind::MultiOffsets, u64s(&[0])),
        ("z multi", Kind::DenseF16, vec![]),
        ("z sparse", Kind::VectorRows, u32s(&[none; 5])),
        ("z sparse", Kind::SparseOffsets, u64s(&[0])),
        ("z sparse", Kind::SparseIndices, vec![]),
        ("z sparse", Kind::SparseValues, vec![]),
    ];
    assert_eq!(found.len(), expected.len());
    for (found, (name, kind, bytes)) in found.iter().zip(&expected) {
        assert_eq!(*found, ((*name).to_owned(), *kind, bytes.as_slice()));
    }
}

#[test]
fn the_file_of_every_kind_never_changes() {
    let (vectors, rows) = kinds();
    let digest = write(&vectors, &rows).digest;
    assert_eq!(digest.len, 8192);
    assert_eq!(
        digest.sha256.to_string(),
        "97a5024210e4debdbd0b704b7ebb21dd6b30f9e7c85a5f8c2033de11b1a9e2df",
        "the format changed"
    );
}

#[test]
#[should_panic(expected = "3 components of the vectors \"m\" of row 0, not of 2 each")]
fn half_a_vector_of_several_is_a_mistake_of_the_caller() {
    let mut row = row(num(1), 1, &[], "");
    row.vectors.insert("m".into(), Vector::Multi(vec![1.0; 3]));
    write(&[spec("m", VectorKind::Multi { dim: 2, datatype: Datatype::Float32 })], &[row]);
}

#[test]
#[should_panic(expected = "for the sparse vector \"s\"")]
fn a_vector_of_another_kind_is_a_mistake_of_the_caller() {
    write(&[spec("s", VectorKind::Sparse)], &[row(num(1), 1, &[("s", &[1.0])], "")]);
}

#[test]
#[should_panic(expected = "the indices of the vector \"s\" of row 0 do not ascend")]
fn indices_out_of_order_are_a_mistake_of_the_caller() {
    let mut row = row(num(1), 1, &[], "");
    row.vectors.insert("s".into(), sparse(&[1, 1], &[1.0, 2.0]));
    write(&[spec("s", VectorKind::Sparse)], &[row]);
}

#[test]
#[should_panic(expected = "are not values of the datatype Float16")]
fn values_that_were_not_rounded_are_a_mistake_of_the_caller() {
    let half = VectorKind::Dense { dim: 1, datatype: Datatype::Float16 };
    write(&[spec("h", half)], &[row(num(1), 1, &[("h", &[0.1])], "")]);
}
