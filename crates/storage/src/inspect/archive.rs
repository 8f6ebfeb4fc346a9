//! The same report for an archive, from what its manifest says. No member is read.

use std::path::PathBuf;

use super::report::{CollectionReport, LogReport, SegmentReport, ShardReport, StorageReport, Totals};
use crate::error::Error;
use crate::ids::Lsn;
use crate::shard::{SEGMENTS, TOMBSTONES, WAL, segment_name, tombstones_name};
use crate::subject::{Subject, SubjectCollection, SubjectSegment, SubjectShard};
use crate::wal::file::file_name;

impl StorageReport {
    /// Reports what an archive with this subject consists of; `member_len` gives the lengths of its members in bytes.
    pub fn of_archive(subject: Subject, member_len: impl Fn(&str) -> Option<u64>) -> Self {
        let mut report = Self { aliases: subject.aliases, ..Self::default() };
        let mut members = Members { len: &member_len, problems: Vec::new() };
        for SubjectCollection { name, config, payload_schema, shards } in subject.collections {
            members.problems.extend(config.validate().err());
            let shards = shards.iter().map(|described| shard(described, &mut members)).collect();
            report.collections.push(CollectionReport { name, config, payload_schema, shards, totals: Totals::default() });
        }
        report.problems = members.problems;
        report.sum_up()
    }
}

/// The members of an archive by their paths.
struct Members<'a> {
    len: &'a dyn Fn(&str) -> Option<u64>,
    problems: Vec<Error>,
}

impl Members<'_> {
    /// The length of a member that the subject names; 0 and a problem if there is none.
    fn len(&mut self, path: String) -> u64 {
        (self.len)(&path).unwrap_or_else(|| {
            self.wrong(path, "the archive has no such member, which its description names".to_owned());
            0
        })
    }

    fn wrong(&mut self, path: String, reason: String) {
        self.problems.push(Error::Malformed { path: PathBuf::from(path), offset: 0, reason });
    }
}

fn shard(described: &SubjectShard, members: &mut Members<'_>) -> ShardReport {
    let path = &described.path;
    if let Err(reason) = described.check_log() {
        members.wrong(format!("{path}/{WAL}"), reason);
    }
    let segment = |SubjectSegment { id, rows, tombstones }: &SubjectSegment| {
        let mut bytes = members.len(format!("{path}/{SEGMENTS}/{}", segment_name(*id)));
        if let Some(named) = tombstones {
            let len = members.len(format!("{path}/{TOMBSTONES}/{}", tombstones_name(*id, named.generation)));
            bytes = bytes.saturating_add(len);
        }
        let dead = tombstones.map_or(0, |named| named.marked);
        SegmentReport { id: *id, rows: *rows, dead, bytes, sections: None }
    };
    let segments = described.segments.iter().map(segment).collect();
    // Each file ends where the next begins, the last with the cut.
    let ends = described.wal.iter().skip(1).copied().chain([Lsn(described.lsn.0.saturating_add(1))]);
    let log = described.wal.iter().zip(ends).map(|(first, end)| LogReport {
        first_lsn: *first,
        records: end.0.saturating_sub(first.0),
        bytes: members.len(format!("{path}/{WAL}/{}", file_name(*first))),
        tail: None,
    });
    ShardReport {
        number: Some(described.number),
        flushed_lsn: Some(described.flushed_lsn),
        last_lsn: Some(described.lsn),
        log: log.collect(),
        segments,
        ..ShardReport::default()
    }
}
