//! `icecore inspect`: a storage directory or an archive as tables, or as JSON.

use std::io::{self, Write};
use std::path::Path;

use icecore_archive::{DIRECTORY_KIND, DirectorySubject, Reader};
use icecore_io::{FileKind, Fs};
use icecore_storage::Subject;
use icecore_storage::inspect::{CollectionReport, SectionReport, ShardReport, StorageReport, Totals, inspect, is_storage};
use serde_json::{Value, json};

use super::table::{Table, printable};
use super::{ToolError, resolve};
use crate::error::one_line;

/// What an archive is of.
enum Content {
    /// A shard, a collection or a storage.
    Storage(StorageReport),
    /// A directory that was not ours.
    Directory(DirectorySubject),
    /// Whatever its maker says.
    Other,
}

/// Reports on what is at `path`.
pub(super) fn run(fs: &dyn Fs, path: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let target = resolve(path)?;
    let looked = |source| ToolError::Io { operation: "look at", path: path.to_owned(), source };
    if fs.metadata(&target).map_err(looked)?.kind != FileKind::Dir {
        return archive(&Reader::open(fs, &target)?, path, json, out);
    }
    if !is_storage(fs, &target).map_err(looked)? {
        return Err(ToolError::NotStorage { path: path.to_owned() });
    }
    let report = inspect(fs, &target)?;
    if json {
        writeln!(out, "{}", object(json!({ "path": path.to_string_lossy(), "kind": "storage" }), Some(&report))?)?;
    } else {
        let generation = report.generation.map_or("none".to_owned(), |generation| generation.0.to_string());
        writeln!(out, "storage {}, catalog generation {generation}", path.display())?;
        print(&report, out)?;
    }
    verdict(path, &report)
}

fn archive(reader: &Reader, path: &Path, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    let (plan, manifest) = (reader.plan(), reader.manifest());
    let kind = manifest.subject().get("kind").and_then(Value::as_str);
    let content = match kind {
        Some(DIRECTORY_KIND) => DirectorySubject::of(manifest)?.map_or(Content::Other, Content::Directory),
        Some(_) => match serde_json::from_value::<Subject>(manifest.subject().clone()) {
            Ok(subject) => {
                let len = |path: &str| Some(manifest.get(manifest.find(path)?)?.len);
                Content::Storage(StorageReport::of_archive(subject, len))
            }
            Err(_) => Content::Other,
        },
        None => Content::Other,
    };
    let report = if let Content::Storage(report) = &content { Some(report) } else { None };
    if json {
        let head = json!({
            "path": path.to_string_lossy(),
            "kind": "archive",
            "of": kind,
            "bytes": plan.archive_len(),
            "data_bytes": plan.data_len(),
            "members": manifest.len(),
            "manifest_sha256": plan.manifest_sha256().to_string(),
        });
        let mut object = object(head, report)?;
        if let Content::Directory(subject) = &content {
            object["executables"] = subject.executables.len().into();
            object["empty_directories"] = subject.directories.len().into();
        }
        writeln!(out, "{object}")?;
    } else {
        let of = printable(kind.unwrap_or("something unknown"));
        let (members, data, bytes) = (manifest.len(), plan.data_len(), plan.archive_len());
        writeln!(out, "archive {} of: {of}", path.display())?;
        writeln!(out, "{members} members, {data} bytes of data, {bytes} bytes in all")?;
        if let Content::Directory(DirectorySubject { executables, directories }) = &content {
            writeln!(out, "{} executables, {} empty directories", executables.len(), directories.len())?;
        }
        if let Some(report) = report {
            print(report, out)?;
        }
    }
    report.map_or(Ok(()), |report| verdict(path, report))
}

/// The fields of `head` and of the report, in one object.
fn object(mut head: Value, report: Option<&StorageReport>) -> io::Result<Value> {
    if let Some(report) = report
        && let (Some(head), Value::Object(report)) = (head.as_object_mut(), serde_json::to_value(report)?)
    {
        // No field of the one has the name of a field of the other.
        head.extend(report);
    }
    Ok(head)
}

fn verdict(path: &Path, report: &StorageReport) -> Result<(), ToolError> {
    match report.problems.len() {
        0 => Ok(()),
        count => Err(ToolError::Damaged { path: path.to_owned(), count }),
    }
}

fn print(report: &StorageReport, out: &mut dyn Write) -> io::Result<()> {
    let Totals { segments, points, dead, records, bytes } = report.totals;
    writeln!(out, "{points} points in {segments} segments ({dead} more are dead), {records} records in the log, {bytes} bytes")?;
    let sections = [
        ("collections", collections(report)),
        ("aliases", aliases(report)),
        ("shards", shards(report)),
        ("segments", segments_of(report)),
        ("log files", log(report)),
    ];
    for (title, table) in sections {
        if !table.is_empty() {
            writeln!(out, "\n{title}")?;
            table.write(out)?;
        }
    }
    for problem in &report.problems {
        writeln!(out, "\nproblem: {}", printable(&one_line(problem)))?;
    }
    Ok(())
}

fn collections(report: &StorageReport) -> Table {
    let mut table = Table::new(&["name", "shards#", "points#", "dead#", "records#", "bytes#", "vectors"]);
    for CollectionReport { name, config, shards, totals, .. } in &report.collections {
        let Totals { points, dead, records, bytes, .. } = totals;
        let numbers = [shards.len() as u64, *points, *dead, *records, *bytes].map(|number| number.to_string());
        table.row([name.clone()].into_iter().chain(numbers).chain([vectors(config)]));
    }
    table
}

/// What the configuration says of vectors, whatever their kinds: everything but what has a place of its own or is the server's.
fn vectors(config: &icecore_storage::CollectionConfig) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(config) else {
        return String::new();
    };
    let fields = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "shard_number" | "settings"));
    fields.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn aliases(report: &StorageReport) -> Table {
    let mut table = Table::new(&["alias", "collection"]);
    for (alias, collection) in &report.aliases {
        table.row([alias.clone(), collection.clone()]);
    }
    table
}

/// Every shard with the name of its collection.
fn all_shards(report: &StorageReport) -> impl Iterator<Item = (&str, &ShardReport)> {
    let named = report.collections.iter().flat_map(|collection| {
        let name = collection.name.as_str();
        collection.shards.iter().map(move |shard| (name, shard))
    });
    named.chain(report.unnamed.iter().map(|shard| ("?", shard)))
}

fn shards(report: &StorageReport) -> Table {
    let mut table = Table::new(&[
        "collection",
        "shard#",
        "directory#",
        "generation#",
        "flushed LSN#",
        "last LSN#",
        "segments#",
        "points#",
        "dead#",
        "records#",
        "bytes#",
    ]);
    for (name, shard) in all_shards(report) {
        let Totals { segments, points, dead, records, bytes } = shard.totals;
        let known = [
            shard.number.map(u64::from),
            shard.directory.map(|id| id.0),
            shard.generation.map(|generation| generation.0),
            shard.flushed_lsn.map(|lsn| lsn.0),
            shard.last_lsn.map(|lsn| lsn.0),
        ];
        let sums = [segments, points, dead, records, bytes].map(Some);
        table.row([name.to_owned()].into_iter().chain(known.into_iter().chain(sums).map(number)));
    }
    table
}

fn segments_of(report: &StorageReport) -> Table {
    let mut table = Table::new(&["collection", "shard#", "segment#", "rows#", "dead#", "bytes#", "vectors"]);
    for (name, shard) in all_shards(report) {
        for segment in &shard.segments {
            let numbers = [segment.id.0, u64::from(segment.rows), u64::from(segment.dead), segment.bytes].map(Some);
            let numbers = [shard.number.map(u64::from)].into_iter().chain(numbers).map(number);
            let vectors: Vec<String> = segment.sections.iter().flatten().filter_map(vector_section).collect();
            table.row([name.to_owned()].into_iter().chain(numbers).chain([vectors.join(", ")]));
        }
    }
    table
}

/// A section that belongs to a vector name: `"name" DENSE_F32 2400×256`.
fn vector_section(section: &SectionReport) -> Option<String> {
    let dim = if section.dim == 0 { String::new() } else { format!("\u{d7}{}", section.dim) };
    let SectionReport { kind, vector, count, .. } = section;
    Some(format!("{:?} {kind} {count}{dim}", vector.as_ref()?))
}

fn log(report: &StorageReport) -> Table {
    let mut table = Table::new(&["collection", "shard#", "first LSN#", "records#", "bytes#", "end"]);
    for (name, shard) in all_shards(report) {
        for file in &shard.log {
            let numbers = [shard.number.map(u64::from), Some(file.first_lsn.0), Some(file.records), Some(file.bytes)].map(number);
            let end = file.tail.as_ref().map_or("whole".to_owned(), |tail| {
                format!("{} bytes at {} are no record (being written, or torn): {}", tail.len, tail.offset, tail.reason)
            });
            table.row([name.to_owned()].into_iter().chain(numbers).chain([end]));
        }
    }
    table
}

fn number(number: Option<u64>) -> String {
    number.map_or("-".to_owned(), |number| number.to_string())
}
