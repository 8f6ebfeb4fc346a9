//! Whole segment files: what was written is read back, and whatever happens to a file is an error and never other data.

#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

mod damage;
mod format;
mod hostile;
mod round_trip;
mod rows;
mod vectors;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use icecore_io::{Fs, MemFs};

use vectors::kinds;

use super::{RowReader, Rows, Segment, VectorKind, VectorSpec, write_segment};
use crate::checksum::FileDigest;
use crate::error::Result;
use crate::ids::{Lsn, PointId, SegmentId};
use crate::op::Vector;
use crate::vector::{Datatype, VectorRef};

const ID: SegmentId = SegmentId(7);

/// One row as a test knows it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    id: PointId,
    version: Lsn,
    vectors: BTreeMap<String, Vector>,
    payload: String,
}

/// A row with the dense vectors that are given.
fn row(id: PointId, version: u64, vectors: &[(&str, &[f32])], payload: &str) -> Row {
    let vectors = vectors.iter().map(|(name, vector)| ((*name).to_owned(), Vector::Dense(vector.to_vec()))).collect();
    Row { id, version: Lsn(version), vectors, payload: payload.to_owned() }
}

fn num(number: u64) -> PointId {
    PointId::Num(number)
}

fn uuid(number: u128) -> PointId {
    PointId::Uuid(number.to_be_bytes())
}

impl Rows for Vec<Row> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn id(&mut self, row: usize) -> Result<PointId> {
        Ok(self[row].id)
    }

    fn version(&mut self, row: usize) -> Result<Lsn> {
        Ok(self[row].version)
    }

    fn vector<'a>(&'a mut self, row: usize, name: &str) -> Result<Option<VectorRef<'a>>> {
        Ok(self[row].vectors.get(name).map(Vector::as_ref))
    }

    fn payload<'a>(&'a mut self, row: usize) -> Result<Cow<'a, str>> {
        Ok(self[row].payload.as_str().into())
    }
}

/// Names of dense vectors of 32-bit floats.
fn specs(specs: &[(&str, usize)]) -> Vec<VectorSpec> {
    let dense = |dim| VectorKind::Dense { dim, datatype: Datatype::Float32 };
    specs.iter().map(|&(name, dim)| spec(name, dense(dim))).collect()
}

fn spec(name: &str, kind: VectorKind) -> VectorSpec {
    VectorSpec { name: name.to_owned(), kind }
}

/// A file system with one segment file.
struct Written {
    fs: MemFs,
    digest: FileDigest,
}

fn path() -> &'static Path {
    Path::new("00000000000000000007.seg")
}

fn write(vectors: &[VectorSpec], rows: &[Row]) -> Written {
    let fs = MemFs::new();
    let digest = write_segment(&fs, path(), ID, vectors, &mut rows.to_vec()).unwrap();
    Written { fs, digest }
}

/// A file system with these bytes in place of a segment file.
fn holding(bytes: &[u8]) -> MemFs {
    let fs = MemFs::new();
    fs.create_new(path()).unwrap().write_all_at(bytes, 0).unwrap();
    fs
}

fn bytes_of(fs: &MemFs) -> Vec<u8> {
    icecore_io::read_file(fs, path(), u64::MAX).unwrap()
}

fn open(fs: &MemFs) -> Result<Segment> {
    let len = fs.metadata(path()).unwrap().len;
    Segment::open(fs, path(), ID, len)
}

/// What the segment says of a row, of the names that it knows.
fn read_row(segment: &Segment, row: u32) -> Result<Row> {
    let mut vectors = BTreeMap::new();
    for (name, _) in segment.vectors() {
        if let Some(vector) = segment.vector(row, name)? {
            vectors.insert(name.to_owned(), vector.into_owned());
        }
    }
    Ok(Row { id: segment.id(row)?, version: segment.version(row)?, vectors, payload: segment.payload(row)?.to_owned() })
}

/// What the segment says of vector names.
fn names(segment: &Segment) -> Vec<VectorSpec> {
    segment.vectors().map(|(name, kind)| spec(name, kind)).collect()
}

fn scrub(fs: &dyn Fs, segment: &Segment) -> Vec<crate::Error> {
    let file: Arc<dyn icecore_io::File> = fs.open_read(path()).unwrap();
    segment.pieces().iter().flat_map(|piece| segment.scrub_piece(&*file, piece)).collect()
}

/// A few rows with everything that a row can have and lack; two pages and a header long.
fn mixed() -> (Vec<VectorSpec>, Vec<Row>) {
    let rows = vec![
        row(num(0), 3, &[("", &[1.0, 2.0]), ("image", &[0.5])], r#"{"city":"Zürich"}"#),
        row(num(5), 1, &[("image", &[-0.0])], ""),
        row(num(u64::MAX), 2, &[("", &[3.0, f32::MIN_POSITIVE]), ("image", &[1e30])], "{}"),
        row(uuid(0), u64::MAX, &[("image", &[7.0])], r#"{"emoji":"🧊"}"#),
        row(uuid(u128::MAX), 4, &[("", &[5.0, 6.0]), ("image", &[8.0]), ("text", &[1.0, 2.0, 3.0])], ""),
    ];
    (specs(&[("", 2), ("audio", 4), ("image", 1), ("text", 3)]), rows)
}
