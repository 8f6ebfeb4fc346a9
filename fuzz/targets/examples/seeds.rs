//! Writes the seeds of all corpora: valid inputs, each with a few copies that are cut or have a bit flipped.
//!
//! The valid ones are taken from files that the storage engine and the archive writer have written into memory, so a new version of a format
//! shows in the seeds when this is run again: `cargo run -p icecore-fuzz-targets --example seeds`. Names begin with
//! `seed-`; what fuzzers found has other names and is left alone.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use icecore_archive::{Member, MemberPath, Plan, WriteSink, write_archive};
use icecore_fuzz_targets::{HEADER_FIELDS_LEN, TRAILER_FIELDS_LEN};
use icecore_io::{Fs, ManualClock, MemFs, read_file};
use icecore_storage::segment::{RawTrailer, TRAILER_LEN};
use icecore_storage::wal::file::HEADER_LEN as WAL_HEADER_LEN;
use icecore_storage::wal::record::{RECORD_HEADER_LEN, RecordHeader};
use icecore_storage::{
    CollectionConfig, Datatype, DenseParams, Distance, Durability, NamedVector, Operation, Options, Point, PointId, PointVectors,
    SegmentId, SparseParams, Storage, Target, UpsertMode, Vector,
};
use serde_json::json;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Input = Vec<u8>;

/// The longest file of which anything is taken, in bytes.
const FILE_LEN_MAX: u64 = 1 << 20;

fn main() -> Result<()> {
    let (records, segments) = storage_inputs()?;
    write_seeds("wal_record", &records)?;
    write_seeds("segment_header", &segments)?;
    let archives = [archive(0)?, archive(1)?, archive(3)?];
    write_seeds("archive_file", &archives.iter().map(|(bytes, _)| bytes.clone()).collect::<Vec<_>>())?;
    write_seeds("archive_manifest", &archives.map(|(_, manifest)| manifest))
}

/// The records of a log, and the structures of the segments that were made of it.
fn storage_inputs() -> Result<(Vec<Input>, Vec<Input>)> {
    let fs: Arc<dyn Fs> = Arc::new(MemFs::new());
    let path = Path::new("/storage");
    let options = Options { background: false, ..Options::default() };
    let storage = Storage::open(fs.clone(), Arc::new(ManualClock::new(Duration::ZERO)), path, options)?;
    storage.create_collection("seeds", every_kind())?;

    let both = |seed: f32| {
        vec![
            dense("", &[seed, -0.0]),
            dense("other", &[f32::MIN_POSITIVE, seed, 1e30]),
            dense("half", &[seed, -0.0]),
            dense("byte", &[0.0, 255.0]),
            vector("multi", Vector::Multi(vec![seed, 1.0, 0.5, -seed])),
            vector("sparse", Vector::Sparse { indices: vec![0, 7, u32::MAX], values: vec![seed, -0.0, 1.0] }),
        ]
    };
    let points = vec![
        point(PointId::Num(1), both(1.5), r#"{"city":"Zürich","n":[1,2.5,null]}"#),
        point(PointId::Num(u64::MAX), vec![dense("", &[0.25, 0.5])], ""),
        point(PointId::Uuid([7; 16]), Vec::new(), "{}"),
    ];
    let all_num = (10..14).map(|id| point(PointId::Num(id), both(0.125), r#"{"k":1}"#)).collect();
    let ids = vec![PointId::Num(1), PointId::Uuid([7; 16])];
    let mut segments = Vec::new();
    let mut records = Vec::new();
    let named = || Target::Ids(ids.clone());
    let filter = || r#"{"must":[{"key":"k","match":{"value":1}}]}"#.to_owned();
    let few = |vectors| vec![PointVectors { id: PointId::Num(1), vectors }];
    let empty = Vector::Sparse { indices: Vec::new(), values: Vec::new() };
    for operations in [
        vec![
            Operation::upsert(points),
            Operation::set_payload(ids.clone(), r#"{"k":"v"}"#),
            Operation::SetPayload { target: named(), payload: r#"{"x":null}"#.into(), key: Some("a.b".into()) },
            Operation::UpdateVectors { points: few(both(-2.0)), condition: None },
            Operation::DeletePayload { target: named(), keys: vec!["k".into(), "a.b[0].c".into()] },
        ],
        vec![
            Operation::Upsert { points: all_num, mode: UpsertMode::InsertOnly, condition: Some(filter()) },
            Operation::SetPayload { target: Target::Filter(filter()), payload: r#"{"k":2}"#.into(), key: None },
            Operation::OverwritePayload { target: named(), payload: r#"{"n":[]}"#.into() },
            Operation::UpdateVectors { points: few(vec![vector("sparse", empty)]), condition: Some(filter()) },
            Operation::DeleteVectors { target: named(), names: vec!["multi".into(), String::new()] },
            Operation::ClearPayload { target: Target::Filter(filter()) },
            Operation::Delete { target: Target::Filter(filter()) },
            Operation::delete(ids.clone()),
        ],
    ] {
        for operation in operations {
            storage.write("seeds", operation, Durability::Synced)?;
        }
        for log in files_below(fs.as_ref(), path, "wal")? {
            records.extend(log_records(&log)?);
        }
        storage.flush()?;
    }
    for segment in files_below(fs.as_ref(), path, "seg")? {
        segments.push(segment_structures(&segment)?);
    }
    records.dedup();
    Ok((records, segments))
}

/// A collection with every kind of vector.
fn every_kind() -> CollectionConfig {
    let params = |size, datatype| DenseParams { datatype, ..DenseParams::new(size, Distance::Dot) };
    let vectors = [
        ("", params(2, Datatype::Float32)),
        ("other", params(3, Datatype::Float32)),
        ("half", params(2, Datatype::Float16)),
        ("byte", params(2, Datatype::Uint8)),
        ("multi", DenseParams { multi: true, ..params(2, Datatype::Float16) }),
    ];
    CollectionConfig {
        shard_number: 1,
        vectors: vectors.map(|(name, params)| (name.to_owned(), params)).into(),
        sparse_vectors: BTreeMap::from([("sparse".to_owned(), SparseParams {})]),
        settings: json!(null),
    }
}

fn dense(name: &str, values: &[f32]) -> NamedVector {
    vector(name, Vector::Dense(values.to_vec()))
}

fn vector(name: &str, vector: Vector) -> NamedVector {
    NamedVector { name: name.into(), vector }
}

fn point(id: PointId, vectors: Vec<NamedVector>, payload: &str) -> Point {
    Point { id, vectors, payload: payload.into() }
}

/// The contents of all files with this extension, in the order of their paths.
fn files_below(fs: &dyn Fs, dir: &Path, extension: &str) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in fs.list(dir)? {
        if fs.metadata(&entry.path)?.kind == icecore_io::FileKind::Dir {
            found.extend(files_below(fs, &entry.path, extension)?);
        } else if entry.path.extension().is_some_and(|found| found == extension) {
            found.push(read_file(fs, &entry.path, FILE_LEN_MAX)?);
        }
    }
    Ok(found)
}

/// The records of a log file, without their padding.
fn log_records(file: &[u8]) -> Result<Vec<Input>> {
    let mut rest = file.get(WAL_HEADER_LEN..).unwrap_or_default();
    let mut records = Vec::new();
    while !rest.is_empty() {
        let header = RecordHeader::parse(rest)?;
        let (record, behind) = rest.split_at(header.record_len());
        records.push(record[..RECORD_HEADER_LEN + usize::try_from(header.body_len)?].to_vec());
        rest = behind;
    }
    Ok(records)
}

/// A segment without its sections, as the target wants it.
fn segment_structures(file: &[u8]) -> Result<Input> {
    let header = &file[..HEADER_FIELDS_LEN];
    let trailer = &file[file.len() - TRAILER_LEN..];
    let segment = SegmentId(u64::from_le_bytes(header[16..24].try_into()?));
    let places = RawTrailer::parse(trailer)
        .and_then(|raw| raw.check(segment, file.len() as u64))
        .map_err(|violation| format!("{violation:?}"))?;
    let footer_offset = usize::try_from(places.footer_offset)?;
    let footer = &file[footer_offset..][..usize::try_from(places.footer_len)?];
    Ok([header, &trailer[..TRAILER_FIELDS_LEN], footer].concat())
}

/// An archive of `count` members, and its manifest.
fn archive(count: usize) -> Result<(Input, Input)> {
    let fs = MemFs::new();
    let mut members = Vec::new();
    let deep = ["d"; 60].join("/");
    for index in 0..count {
        // The second has a path that needs a pax record, the third is empty.
        let name = ["plain.bin", deep.as_str(), "empty"][index % 3];
        let data = vec![b'x'; [600, 3, 0][index % 3]];
        fs.create_new(Path::new(&format!("/{index}")))?.write_all_at(&data, 0)?;
        let (sha256, crc32c) = (icecore_archive::Sha256Digest::of(&data), icecore_archive::Crc32c::of(&data));
        members.push(Member { path: MemberPath::new(name)?, len: data.len() as u64, sha256, crc32c });
    }
    let subject = [json!(null), json!({"kind": "collection", "config": {"a": [1, -2.5, "\u{7}é"]}})][count.min(1)].clone();
    let plan = Plan::new(subject, members)?;
    let mut bytes = Vec::new();
    let source = |index: usize| fs.open_read(Path::new(&format!("/{index}")));
    write_archive(&plan, &source, &mut WriteSink(&mut bytes), &())?;
    Ok((bytes, plan.manifest_bytes().to_vec()))
}

/// Writes each input, the beginning of it, and two copies with one bit flipped.
fn write_seeds(target: &str, inputs: &[Input]) -> Result<()> {
    let dir: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    std::fs::create_dir_all(&dir)?;
    for (number, input) in inputs.iter().enumerate() {
        let write = |variant: &str, bytes: &[u8]| std::fs::write(dir.join(format!("seed-{number}-{variant}")), bytes);
        write("valid", input)?;
        write("cut", &input[..input.len() * 2 / 3])?;
        for part in [2, 4] {
            let mut flipped = input.clone();
            flipped[input.len() / part] ^= 1 << part;
            write(&format!("flipped-{part}"), &flipped)?;
        }
    }
    println!("{target}: {} inputs", inputs.len() * 4);
    Ok(())
}
