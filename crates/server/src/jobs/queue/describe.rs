//! Reads jobs for those who ask about them: one, or a page of those that the manager's API shows.
//!
//! Only rows that hold what this program writes are described; anything else is damage of the database. Nothing is changed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{JobsError, Queue, Sequence, read};
use crate::jobs::control::Bytes;
use crate::jobs::model::{Description, Filter, JobId, JobKind, OnRestart, State, StoredJob};

/// What is read of a row, in the order of [`description`].
macro_rules! columns {
    () => {
        "sequence, id, kind, state, request, checkpoint, error, retries, bytes_done, bytes_total, created_ms, started_ms, finished_ms"
    };
}

/// The condition of the index `jobs_shown`, word for word, so that it is used; then what the request adds.
macro_rules! shown {
    () => {
        "kind IN ('backup', 'restore', 'shard_backup', 'shard_restore', 'verify') AND (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR kind = ?2)"
    };
}

const ONE: &str = concat!("SELECT ", columns!(), " FROM jobs WHERE id = ?1");
const COUNT: &str = concat!("SELECT count(*) FROM jobs INDEXED BY jobs_shown WHERE ", shown!());
/// The page is chosen in the index alone; only its rows are read.
const PAGE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM jobs WHERE sequence IN (SELECT sequence FROM jobs INDEXED BY jobs_shown WHERE ",
    shown!(),
    " ORDER BY created_ms DESC, sequence DESC LIMIT ?3 OFFSET ?4) ORDER BY created_ms DESC, sequence DESC"
);
const STORED: &str = "SELECT sequence, id, kind, target, request, attempts, on_restart FROM jobs WHERE id = ?1 AND state IN ('failed', 'cancelled')";

/// A job that has ended without success, to be done once more.
#[derive(Debug)]
pub(in crate::jobs) struct Ended {
    /// Its place.
    pub(in crate::jobs) sequence: Sequence,
    /// What it is; without a checkpoint, because it begins anew.
    pub(in crate::jobs) job: StoredJob,
    /// What becomes of it at a restart.
    pub(in crate::jobs) on_restart: OnRestart,
}

impl Queue {
    /// The job of this name, with its place.
    pub(in crate::jobs) fn describe(&self, id: JobId) -> Result<Option<(Sequence, Description)>, JobsError> {
        self.ask("look up a job", |connection| connection.query_row(ONE, [id.to_string()], description).optional())
    }

    /// The shown jobs that `filter` lets through, the newest first, from the one at `offset` on; and how many there are in all.
    pub(in crate::jobs) fn list(
        &self,
        filter: Filter,
        offset: u64,
        limit: u32,
    ) -> Result<(Vec<(Sequence, Description)>, u64), JobsError> {
        self.ask("list jobs", |connection| {
            // Both see the same state.
            let transaction = connection.unchecked_transaction()?;
            let (state, kind) = (filter.state.map(State::as_str), filter.kind.map(JobKind::as_str));
            let total: i64 = transaction.query_row(COUNT, params![state, kind], |row| row.get(0))?;
            let offset = i64::try_from(offset).unwrap_or(i64::MAX);
            let mut statement = transaction.prepare(PAGE)?;
            let page = statement.query_map(params![state, kind, limit, offset], description)?.collect::<Result<_, _>>()?;
            Ok((page, total.unsigned_abs()))
        })
    }

    /// The job of this name, if it has failed or was cancelled and this version knows its kind.
    pub(in crate::jobs) fn ended(&self, id: JobId) -> Result<Option<Ended>, JobsError> {
        self.ask("look up a job to be done again", |connection| connection.query_row(STORED, [id.to_string()], ended).optional())
    }

    fn ask<T>(&self, operation: &'static str, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, JobsError> {
        let connection = self.reader.as_ref().unwrap_or(&self.connection);
        self.on(connection, operation, work)
    }
}

fn description(row: &Row<'_>) -> rusqlite::Result<(Sequence, Description)> {
    let described = Description {
        id: id(row, 1)?,
        kind: kind(row, 2)?,
        state: read(3, &row.get::<_, String>(3)?, |name| State::of(name).ok_or("no state"))?,
        request: read(4, &row.get::<_, String>(4)?, serde_json::from_str)?,
        checkpoint: row.get::<_, Option<String>>(5)?.map(|text| read(5, &text, serde_json::from_str)).transpose()?,
        error: row.get(6)?,
        retries: row.get(7)?,
        bytes: Bytes { done: row.get::<_, i64>(8)?.unsigned_abs(), total: row.get::<_, i64>(9)?.unsigned_abs() },
        pace: None,
        created: time(row.get(10)?),
        started: row.get::<_, Option<i64>>(11)?.map(time),
        finished: row.get::<_, Option<i64>>(12)?.map(time),
    };
    Ok((Sequence(row.get(0)?), described))
}

/// A row of [`STORED`].
fn ended(row: &Row<'_>) -> rusqlite::Result<Ended> {
    let job = StoredJob {
        id: id(row, 1)?,
        kind: kind(row, 2)?,
        target: row.get(3)?,
        request: read(4, &row.get::<_, String>(4)?, serde_json::from_str)?,
        attempts: row.get(5)?,
        checkpoint: None,
    };
    let on_restart = read(6, &row.get::<_, String>(6)?, |name| OnRestart::of(name).ok_or("neither `again` nor `fail`"))?;
    Ok(Ended { sequence: Sequence(row.get(0)?), job, on_restart })
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<JobId> {
    Ok(JobId(read(column, &row.get::<_, String>(column)?, Uuid::try_parse)?))
}

fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<JobKind> {
    read(column, &row.get::<_, String>(column)?, |name| JobKind::of(name).ok_or("no kind of job"))
}

/// Milliseconds since 1970.
fn time(ms: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::queue::schema;

    #[test]
    fn the_condition_of_the_index_is_that_of_the_kinds_that_are_shown() {
        let names: Vec<String> = JobKind::MANAGED.iter().map(|kind| format!("'{kind}'")).collect();
        let condition = format!("kind IN ({})", names.join(", "));
        for text in [shown!(), COUNT, PAGE] {
            assert!(text.contains(&condition), "{text}");
        }
    }

    /// Without the index a list took as long as the history is.
    #[test]
    fn lists_are_answered_out_of_the_index() {
        let (connection, _) = schema::open(None).unwrap();
        for (sql, parameters) in [(COUNT, 2), (PAGE, 4)] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = (0..parameters).map(|_| Option::<i64>::None);
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(values), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            let plan = plan.join("; ");
            assert!(plan.contains("USING COVERING INDEX jobs_shown"), "{plan}");
            assert!(!plan.contains("SCAN jobs;") && !plan.ends_with("SCAN jobs"), "{plan}");
        }
    }
}
