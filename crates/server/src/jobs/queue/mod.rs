//! The durable side of the queue: rows in a SQLite database, one a job. All SQL of jobs stands here, in [`describe`] and in [`schema`].
//!
//! What a function has changed is durable when it returns. Which job runs when is decided elsewhere: this only remembers, so that
//! whatever was submitted is found again after the process has ended in any way.

mod describe;
mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::Type;
use rusqlite::{Connection, Row, TransactionBehavior, params};
use serde_json::Value;
use uuid::{Builder, Uuid};

use super::control::Bytes;
use super::model::{Ended, JobId, JobKind, NewJob, OnRestart, StoredJob};
use super::{JobsError, Millis};

const INSERT: &str = "INSERT INTO jobs (id, kind, target, request, on_restart, state, created_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6)";
const START: &str = "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_ms = ?2, bytes_done = 0, bytes_total = 0
    WHERE sequence = ?1 RETURNING attempts";
const CHECKPOINT: &str = "UPDATE jobs SET checkpoint = ?2 WHERE sequence = ?1";
const PROGRESS: &str = "UPDATE jobs SET bytes_done = ?2, bytes_total = ?3 WHERE sequence = ?1 AND state = 'running'";
const FINISH: &str = "UPDATE jobs SET state = ?2, error = ?3, result = ?4, finished_ms = ?5, bytes_done = ?6, bytes_total = ?7
    WHERE sequence = ?1";
const PUT_BACK: &str = "UPDATE jobs SET state = 'pending', interruptions = interruptions + ?2 WHERE sequence = ?1";
const UNFINISHED: &str =
    "SELECT sequence, id, kind, target, request, attempts, checkpoint, on_restart, state = 'running', interruptions
    FROM jobs WHERE finished_ms IS NULL AND sequence <= ?1 ORDER BY sequence";
/// Only of what has ended, and not well.
const RETRY: &str = "UPDATE jobs SET state = 'pending', retries = retries + 1, error = NULL, result = NULL, checkpoint = NULL,
    interruptions = 0, bytes_done = 0, bytes_total = 0, started_ms = NULL, finished_ms = NULL
    WHERE sequence = ?1 AND state IN ('failed', 'cancelled')";
const LAST: &str = "SELECT coalesce(max(sequence), 0) FROM jobs";
const PRUNE_OLD: &str = "DELETE FROM jobs WHERE finished_ms < ?1";
const PRUNE_MANY: &str = "DELETE FROM jobs WHERE sequence IN (
    SELECT sequence FROM jobs WHERE finished_ms IS NOT NULL ORDER BY finished_ms DESC, sequence DESC LIMIT -1 OFFSET ?1)";
/// From 1 to 2^53, which every JSON reader holds exactly.
const MAKE_PEER_ID: &str = "INSERT INTO meta (key, value)
    VALUES ('peer_id', CAST(abs(random() % 9007199254740992) + 1 AS TEXT)) ON CONFLICT DO NOTHING";
const PEER_ID: &str = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'peer_id'";

/// The place of a job in the order of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Sequence(i64);

/// The rows.
pub(super) struct Queue {
    path: PathBuf,
    /// For questions, which do not wait for commits. A database in memory has only the one connection. It is closed before that one,
    /// because the last to be closed empties the log.
    reader: Option<Slot>,
    connection: Slot,
    peer_id: u64,
}

/// A connection, until it is closed.
type Slot = Mutex<Option<Connection>>;

/// How a job has ended.
#[derive(Debug, PartialEq)]
pub(super) struct End {
    /// In which way.
    pub(super) state: Ended,
    /// Why it has not been completed.
    pub(super) error: Option<String>,
    /// What it has returned.
    pub(super) result: Option<Value>,
    /// How far it was.
    pub(super) bytes: Bytes,
}

impl End {
    /// The end of a job that does not run.
    pub(super) fn not_run(state: Ended, reason: String) -> Self {
        Self { state, error: Some(reason), result: None, bytes: Bytes::default() }
    }
}

/// A job that a former process has left.
#[derive(Debug)]
pub(super) struct Unfinished {
    /// Its place.
    pub(super) sequence: Sequence,
    /// What it is.
    pub(super) job: StoredJob,
    /// What was to become of it now.
    pub(super) on_restart: OnRestart,
    /// Whether it had begun and nothing was noted of its end.
    pub(super) interrupted: bool,
    /// How often that has happened to it before.
    pub(super) interruptions: u32,
}

/// All jobs that a former process has left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Those that this version knows, in the order of submission.
    pub(super) known: Vec<Unfinished>,
    /// Kinds that this version does not know, with the number of their jobs.
    pub(super) unknown: BTreeMap<String, usize>,
}

/// What becomes of a job of a former process.
#[derive(Debug)]
pub(super) enum Fate {
    /// It waits again.
    Again {
        /// Whether it was running, which is counted.
        interrupted: bool,
    },
    /// It ends here.
    Ended(End),
}

impl Queue {
    /// Opens the database in the file, or an empty one in memory.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, JobsError> {
        let (file, (connection, path)) = (path, schema::open(path)?);
        let reader = file.map(schema::open_reader).transpose()?.map(|reader| Mutex::new(Some(reader)));
        let peer_id = || {
            connection.execute(MAKE_PEER_ID, [])?;
            connection.query_row(PEER_ID, [], |row| row.get::<_, i64>(0))
        };
        let stored = peer_id().map_err(|source| JobsError::of(path.clone(), "read the id of this node", source))?;
        match u64::try_from(stored) {
            Ok(peer_id) if peer_id > 0 => Ok(Self { path, connection: Mutex::new(Some(connection)), reader, peer_id }),
            _ => Err(JobsError::Damaged { path, reason: format!("the id of this node is {stored}") }),
        }
    }

    /// Moves what is in the log beside the database into it and removes the log. What comes later fails with [`JobsError::Closed`].
    ///
    /// After an error the log stays, and the next to open the database does that.
    pub(super) fn close(&self) -> Result<(), JobsError> {
        for slot in self.reader.iter().chain([&self.connection]) {
            let connection = lock(slot).take();
            if let Some(Err((_connection, source))) = connection.map(Connection::close) {
                return Err(JobsError::of(self.path.clone(), "close", source));
            }
        }
        Ok(())
    }

    /// The number of this node, made when the database was.
    pub(super) fn peer_id(&self) -> u64 {
        self.peer_id
    }

    /// Adds a job that waits.
    pub(super) fn insert(&self, job: &NewJob, now: Millis) -> Result<(Sequence, JobId), JobsError> {
        let NewJob { kind, target, request, on_restart, .. } = job;
        self.with("add a job", |connection| {
            let random: [u8; 16] = connection.query_row("SELECT randomblob(16)", [], |row| row.get(0))?;
            let id = match kind.is_managed() {
                true => Builder::from_random_bytes(random),
                false => {
                    let [random @ .., _, _, _, _, _, _] = random;
                    Builder::from_unix_timestamp_millis(now.0.unsigned_abs(), &random)
                }
            };
            let id = id.into_uuid();
            let values = params![id.to_string(), kind.as_str(), target, request.to_string(), on_restart.as_str(), now.0];
            connection.execute(INSERT, values)?;
            Ok((Sequence(connection.last_insert_rowid()), JobId(id)))
        })
    }

    /// Notes that the job begins, and tells how often it has.
    pub(super) fn start(&self, job: Sequence, now: Millis) -> Result<u32, JobsError> {
        self.with("note the beginning of a job", |connection| {
            // Not `query_row`, which does not look whether the commit succeeds.
            connection.query_one(START, params![job.0, now.0], |row| row.get(0))
        })
    }

    /// Keeps what the next run of the job has to know.
    pub(super) fn checkpoint(&self, job: Sequence, checkpoint: &Value) -> Result<(), JobsError> {
        self.with("keep the checkpoint of a job", |connection| {
            connection.execute(CHECKPOINT, params![job.0, checkpoint.to_string()]).map(drop)
        })
    }

    /// Notes how far running jobs are, all in one commit.
    pub(super) fn progress(&self, jobs: &[(Sequence, Bytes)]) -> Result<(), JobsError> {
        self.with("note the progress of jobs", |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (job, Bytes { done, total }) in jobs {
                transaction.execute(PROGRESS, params![job.0, integer(*done), integer(*total)])?;
            }
            transaction.commit()
        })
    }

    /// Lets a job that failed or was cancelled wait once more, as if it had not run. Returns false if it is no such job (any more).
    pub(super) fn retry(&self, job: Sequence) -> Result<bool, JobsError> {
        self.with("let a job be done again", |connection| Ok(connection.execute(RETRY, [job.0])? == 1))
    }

    /// Notes how the job has ended.
    pub(super) fn finish(&self, job: Sequence, end: &End, now: Millis) -> Result<(), JobsError> {
        self.with("note the end of a job", |connection| finish(connection, job, end, now))
    }

    /// Lets the job wait again.
    pub(super) fn put_back(&self, job: Sequence) -> Result<(), JobsError> {
        self.with("put a job back", |connection| connection.execute(PUT_BACK, params![job.0, 0]).map(drop))
    }

    /// The last job that there is.
    pub(super) fn last(&self) -> Result<Sequence, JobsError> {
        self.with("find the last job", |connection| connection.query_row(LAST, [], |row| row.get(0).map(Sequence)))
    }

    /// The jobs up to a place that have no end.
    pub(super) fn unfinished(&self, last: Sequence) -> Result<Left, JobsError> {
        self.with("read the jobs that are not done", |connection| {
            let mut left = Left::default();
            let mut statement = connection.prepare(UNFINISHED)?;
            let mut rows = statement.query([last.0])?;
            while let Some(row) = rows.next()? {
                let kind: String = row.get(2)?;
                match JobKind::of(&kind) {
                    Some(kind) => left.known.push(unfinished(row, kind)?),
                    None => *left.unknown.entry(kind).or_default() += 1,
                }
            }
            Ok(left)
        })
    }

    /// Settles what becomes of the jobs of a former process, of all or of none.
    pub(super) fn settle(&self, fates: &[(Sequence, Fate)], now: Millis) -> Result<(), JobsError> {
        self.with("settle the jobs that were not done", |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (job, fate) in fates {
                match fate {
                    Fate::Again { interrupted } => transaction.execute(PUT_BACK, params![job.0, interrupted]).map(drop)?,
                    Fate::Ended(end) => finish(&transaction, *job, end, now)?,
                }
            }
            transaction.commit()
        })
    }

    /// Forgets the jobs that ended before `oldest`, and all but the `count_max` that ended last.
    pub(super) fn prune(&self, oldest: Millis, count_max: u32) -> Result<usize, JobsError> {
        self.with("forget old jobs", |connection| {
            let old = connection.execute(PRUNE_OLD, [oldest.0])?;
            Ok(old + connection.execute(PRUNE_MANY, [count_max])?)
        })
    }

    fn with<T>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JobsError> {
        self.on(&self.connection, operation, work)
    }

    fn on<T>(
        &self,
        slot: &Slot,
        operation: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, JobsError> {
        match lock(slot).as_mut() {
            Some(connection) => work(connection).map_err(|source| JobsError::of(self.path.clone(), operation, source)),
            None => Err(JobsError::Closed { operation }),
        }
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Connection>> {
    // A panic leaves at worst a transaction that its guard has rolled back.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finish(connection: &Connection, job: Sequence, end: &End, now: Millis) -> rusqlite::Result<()> {
    let End { state, error, result, bytes: Bytes { done, total } } = end;
    let result = result.as_ref().map(Value::to_string);
    connection.execute(FINISH, params![job.0, state.as_str(), error, result, now.0, integer(*done), integer(*total)]).map(drop)
}

fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A row of [`UNFINISHED`].
fn unfinished(row: &Row<'_>, kind: JobKind) -> rusqlite::Result<Unfinished> {
    let on_restart: String = row.get(7)?;
    let job = StoredJob {
        id: JobId(read(1, &row.get::<_, String>(1)?, Uuid::try_parse)?),
        kind,
        target: row.get(3)?,
        request: read(4, &row.get::<_, String>(4)?, serde_json::from_str)?,
        attempts: row.get(5)?,
        checkpoint: row.get::<_, Option<String>>(6)?.map(|text| read(6, &text, serde_json::from_str)).transpose()?,
    };
    Ok(Unfinished {
        sequence: Sequence(row.get(0)?),
        job,
        on_restart: read(7, &on_restart, |name| OnRestart::of(name).ok_or("neither `again` nor `fail`"))?,
        interrupted: row.get(8)?,
        interruptions: row.get(9)?,
    })
}

/// Reads the text of a column.
fn read<'a, T, E>(column: usize, text: &'a str, parse: impl FnOnce(&'a str) -> Result<T, E>) -> rusqlite::Result<T>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    parse(text).map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into()))
}

/// What only tests look at or do.
#[cfg(test)]
impl Queue {
    /// Does whatever a test wants to the database.
    pub(super) fn execute(&self, sql: &str) {
        self.with("test", |connection| connection.execute_batch(sql)).unwrap();
    }

    /// The texts of a column, in the order of submission; `-` for none.
    pub(super) fn column(&self, expression: &str) -> Vec<String> {
        let sql = format!("SELECT coalesce(CAST({expression} AS TEXT), '-') FROM jobs ORDER BY sequence");
        self.with("test", |connection| connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()).unwrap()
    }
}

#[cfg(test)]
impl Sequence {
    pub(super) fn of(number: i64) -> Self {
        Self(number)
    }
}
