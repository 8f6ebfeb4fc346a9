//! One shard of a storage directory, as its newest manifest and its log have it.

use std::path::Path;

use icecore_io::Fs;

use super::ATTEMPTS_MAX;
use super::report::{LogReport, SectionReport, SegmentReport, ShardReport, TailReport};
use crate::error::{Error, Result, on};
use crate::ids::{Lsn, ShardDirId};
use crate::manifest::{self, SegmentEntry, ShardManifest};
use crate::segment::{Section, Segment};
use crate::shard::{self, SEGMENTS, TOMBSTONES, WAL};
use crate::tombstones::{Tombstones, TombstonesId};
use crate::wal::survey::{SurveyedFile, Tail, survey};

/// Reports on the shard in `dir`; what is wrong goes to `problems`. Sums are left to the caller.
pub(super) fn look(fs: &dyn Fs, dir: &Path, id: ShardDirId, problems: &mut Vec<Error>) -> ShardReport {
    let mut attempt = 1;
    loop {
        let before = stamp(fs, dir);
        let mut found = Vec::new();
        let report = look_once(fs, dir, id, &mut found);
        // A flush or a compaction removes what the manifest named that was read; that is no damage.
        let settled = stamp(fs, dir).ok() == before.ok();
        if found.is_empty() || settled || attempt == ATTEMPTS_MAX {
            problems.extend(found);
            return report;
        }
        attempt += 1;
    }
}

/// What differs after every publication, and after every write that makes the log longer: the names of the manifests, and the names and
/// lengths of the log files. A write into the room of the last file is for [`survey`] to notice.
fn stamp(fs: &dyn Fs, dir: &Path) -> Result<Vec<(String, u64)>> {
    let mut stamp = Vec::new();
    for (name, with_len) in [(manifest::DIR, false), (WAL, true)] {
        let dir = dir.join(name);
        for entry in fs.list(&dir).map_err(on("list", &dir))? {
            let len = if with_len { fs.metadata(&entry.path).map_err(on("look at", &entry.path))?.len } else { 0 };
            stamp.push((entry.name, len));
        }
    }
    Ok(stamp)
}

fn look_once(fs: &dyn Fs, dir: &Path, id: ShardDirId, problems: &mut Vec<Error>) -> ShardReport {
    let mut report = ShardReport { directory: Some(id), ..ShardReport::default() };
    let ShardManifest { generation, flushed_lsn, segments, .. } = match manifest::newest(fs, &dir.join(manifest::DIR)) {
        Ok(manifest) => manifest,
        Err(error) => {
            problems.push(error);
            return report;
        }
    };
    report.generation = Some(generation);
    report.flushed_lsn = Some(flushed_lsn);
    report.segments = segments.iter().map(|entry| segment(fs, dir, entry, problems)).collect();
    let log = survey(fs, &dir.join(WAL), id, flushed_lsn, problems);
    let last = log.last().map(|file| Lsn((file.first_lsn.0 - 1).saturating_add(file.records)));
    report.last_lsn = Some(last.unwrap_or(flushed_lsn));
    report.log = log.into_iter().map(log_report).collect();
    report
}

/// A segment as its manifest has it, with the tables of its file.
fn segment(fs: &dyn Fs, dir: &Path, entry: &SegmentEntry, problems: &mut Vec<Error>) -> SegmentReport {
    let path = dir.join(SEGMENTS).join(shard::segment_name(entry.id));
    let sections = match Segment::open(fs, &path, entry.id, entry.digest.len) {
        Ok(segment) => {
            if segment.rows() != entry.rows {
                let reason = format!("it has {} rows, its manifest says {}", segment.rows(), entry.rows);
                problems.push(Error::Malformed { path, offset: 0, reason });
            }
            Some(segment.section_table().map(section_report).collect())
        }
        Err(error) => {
            problems.push(error);
            None
        }
    };
    let (mut dead, mut bytes) = (0, entry.digest.len);
    if let Some(named) = &entry.tombstones {
        dead = named.marked;
        bytes = bytes.saturating_add(named.digest.len);
        let path = dir.join(TOMBSTONES).join(shard::tombstones_name(entry.id, named.generation));
        let id = TombstonesId { segment: entry.id, generation: named.generation };
        match Tombstones::read(fs, &path, named.digest, id, entry.rows) {
            Ok(marks) if marks.count() != named.marked => {
                let reason = format!("it marks {} rows, its manifest says {}", marks.count(), named.marked);
                problems.push(Error::Malformed { path, offset: 0, reason });
            }
            Ok(_) => {}
            Err(error) => problems.push(error),
        }
    }
    SegmentReport { id: entry.id, rows: entry.rows, dead, bytes, sections }
}

fn section_report(section: &Section) -> SectionReport {
    let vector = section.kind.is_named().then(|| section.name.clone());
    let kind = upper_snake(&format!("{:?}", section.kind));
    SectionReport { kind, vector, dim: section.dim, count: section.count, bytes: section.len }
}

/// The name of a kind as FORMAT.md writes it: `DenseF32` is `DENSE_F32`.
fn upper_snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, character) in name.char_indices() {
        if index > 0 && character.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(character.to_ascii_uppercase());
    }
    snake
}

fn log_report(SurveyedFile { first_lsn, records, bytes, tail }: SurveyedFile) -> LogReport {
    let tail = tail.map(|Tail { offset, len, reason }| TailReport { offset, len, reason });
    LogReport { first_lsn, records, bytes, tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Kind;

    #[test]
    fn kinds_are_called_as_the_description_calls_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../FORMAT.md");
        let text = icecore_io::read_file(&icecore_io::OsFs, Path::new(path), 1 << 30).unwrap();
        let text = String::from_utf8(text).unwrap();
        let kinds: Vec<Kind> = (0..100).filter_map(Kind::from_number).collect();
        assert!(kinds.len() >= 7);
        for kind in kinds {
            let row = format!("| {} | `{}` |", kind as u32, upper_snake(&format!("{kind:?}")));
            assert!(text.contains(&row), "{row}");
        }
    }
}
