//! Opens the database of jobs: its settings, its schema and the check that it is whole.
//!
//! The version of the schema is `user_version`; `application_id` says that the file is ours. A file of another program, of a later
//! version or with damage is refused before anything is written to it. Commits are durable when they return: WAL mode with
//! `synchronous = FULL` syncs the log at each. That one process has the file is the storage's lock on the directory.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::jobs::JobsError;

/// `icjb`, the mark of our databases of jobs.
const APPLICATION_ID: i64 = 0x6963_6a62;
/// The version of the schema after all [`STEPS`].
const VERSION: i64 = 2;
/// How long a statement waits for whoever looks at the database with a tool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests may be confidential; SQLite gives its side files the mode of the database.
const FILE_MODE: u32 = 0o600;

/// `sequence` is the order of submission and never used twice. A job has a `finished_ms` (like all times in milliseconds since
/// 1970) exactly when it is completed, failed or cancelled. `attempts` counts its beginnings, `interruptions` those that the process
/// did not survive.
const FIRST: &str = "
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE jobs (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        target TEXT NOT NULL,
        request TEXT NOT NULL CHECK (json_valid(request)),
        on_restart TEXT NOT NULL CHECK (on_restart IN ('again', 'fail')),
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
        attempts INTEGER NOT NULL DEFAULT 0,
        interruptions INTEGER NOT NULL DEFAULT 0,
        error TEXT,
        result TEXT CHECK (json_valid(result)),
        checkpoint TEXT CHECK (json_valid(checkpoint)),
        bytes_done INTEGER NOT NULL DEFAULT 0,
        bytes_total INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL,
        started_ms INTEGER,
        finished_ms INTEGER,
        CHECK ((finished_ms IS NULL) = (state IN ('pending', 'running')))
    ) STRICT;
    CREATE INDEX jobs_unfinished ON jobs (sequence) WHERE finished_ms IS NULL;
    CREATE INDEX jobs_finished ON jobs (finished_ms) WHERE finished_ms IS NOT NULL;
";
/// `retries` counts how often somebody has asked for a job again. The index has the jobs that are shown in the order of their list, with
/// what they are filtered by; its condition is that of [`describe`](super::describe), word for word.
const SECOND: &str = "
    ALTER TABLE jobs ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX jobs_shown ON jobs (created_ms, sequence, kind, state)
        WHERE kind IN ('backup', 'restore', 'shard_backup', 'shard_restore', 'verify');
";
/// What makes each version of the one before, from an empty database on. Steps that were released never change.
const STEPS: [&str; 2] = [FIRST, SECOND];

/// Opens the database in the file `path`, which is made if there is none; without a path, an empty one in memory.
pub(super) fn open(path: Option<&Path>) -> Result<(Connection, PathBuf), JobsError> {
    let shown = path.unwrap_or(Path::new(":memory:")).to_owned();
    let failed = |operation| {
        let path = shown.clone();
        move |source| JobsError::of(path, operation, source)
    };
    let mut connection = match path {
        Some(path) => {
            make_file(path)?;
            // Without `SQLITE_OPEN_URI`: a path is a path, whatever it looks like.
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags).map_err(failed("open"))?
        }
        None => Connection::open_in_memory().map_err(failed("open"))?,
    };
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed("set the time-out"))?;
    let age = examine(&connection, &shown)?;
    if path.is_some() {
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(failed("switch to write-ahead logging"))?;
        if mode != "wal" {
            return Err(JobsError::Journal { path: shown, mode });
        }
    }
    connection.pragma_update(None, "synchronous", "full").map_err(failed("switch to durable commits"))?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed("switch to checked references"))?;
    if age > 0 {
        check(&connection, &shown)?;
    }
    if age < STEPS.len() {
        upgrade(&mut connection, age).map_err(failed("create the tables"))?;
    }
    Ok((connection, shown))
}

/// Opens a database that [`open`] has opened once more, to be read only: readers do not wait for commits.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JobsError> {
    let failed = |source| JobsError::of(path.to_owned(), "open for reading", source);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    Ok(connection)
}

/// Makes an empty file, which is an empty database, unless there is a file.
fn make_file(path: &Path) -> Result<(), JobsError> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
    opened.map(drop).map_err(|source| JobsError::Create { path: path.to_owned(), source })
}

/// Reads what the database says of itself: how many of the [`STEPS`] it has. Changes nothing.
fn examine(connection: &Connection, path: &Path) -> Result<usize, JobsError> {
    let read = |pragma| {
        let failed = |source| JobsError::of(path.to_owned(), "read the header", source);
        connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map_err(failed)
    };
    let tables = || connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    match (read("application_id")?, read("user_version")?) {
        (APPLICATION_ID, found @ 1..=VERSION) => Ok(usize::try_from(found).unwrap_or(STEPS.len())),
        (APPLICATION_ID, found) if found > VERSION => Err(JobsError::Newer { path: path.to_owned(), found, known: VERSION }),
        (0, 0) if tables().map_err(|source| JobsError::of(path.to_owned(), "read the schema", source))? == 0 => Ok(0),
        _ => Err(JobsError::Foreign { path: path.to_owned() }),
    }
}

/// Brings a database with so many of the [`STEPS`] to the present version in one commit: a crash leaves it as it was or whole.
fn upgrade(connection: &mut Connection, age: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    STEPS.iter().skip(age).try_for_each(|step| transaction.execute_batch(step))?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Looks for damage in all pages.
fn check(connection: &Connection, path: &Path) -> Result<(), JobsError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| JobsError::of(path.to_owned(), "check", source))?;
    match found.as_str() {
        "ok" => Ok(()),
        _ => Err(JobsError::Damaged { path: path.to_owned(), reason: found }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Opens `control.db` in a new directory after `prepare` had its way with the path.
    fn after(prepare: impl FnOnce(&Path)) -> Result<Connection, JobsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.db");
        prepare(&path);
        let opened = open(Some(&path)).map(|(connection, _)| connection);
        if let Err(error) = &opened {
            assert!(error.to_string().contains("control.db"), "{error}");
        }
        opened
    }

    #[test]
    fn commits_are_durable_and_requests_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file:control.db?mode=memory");
        let (connection, _) = open(Some(&path)).unwrap();
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("synchronous"), pragma("foreign_keys"), pragma("user_version")), (2, 1, VERSION));
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        for entry in dir.path().read_dir().unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, FILE_MODE);
        }
    }

    #[test]
    fn an_empty_file_becomes_a_database_and_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.db");
        std::fs::write(&path, b"").unwrap();
        for _ in 0..2 {
            let (connection, _) = open(Some(&path)).unwrap();
            let tables: i64 = connection.query_row("SELECT count(*) FROM jobs", [], |row| row.get(0)).unwrap();
            assert_eq!(tables, 0);
        }
    }

    #[test]
    fn each_step_is_a_version() {
        assert_eq!(i64::try_from(STEPS.len()), Ok(VERSION));
    }

    #[test]
    fn an_older_database_is_brought_up_to_date_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.db");
        let first = Connection::open(&path).unwrap();
        first.execute_batch(FIRST).unwrap();
        first.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        first.pragma_update(None, "user_version", 1).unwrap();
        let insert = "INSERT INTO meta VALUES ('peer_id', '7');
            INSERT INTO jobs (id, kind, target, request, on_restart, state, created_ms)
            VALUES ('x', 'snapshot_create', 'storage', '{}', 'again', 'pending', 5)";
        first.execute_batch(insert).unwrap();
        drop(first);
        for _ in 0..2 {
            let (connection, _) = open(Some(&path)).unwrap();
            let found: (String, i64, i64, String) = connection
                .query_row("SELECT id, created_ms, retries, value FROM jobs, meta", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
                })
                .unwrap();
            assert_eq!(found, ("x".to_owned(), 5, 0, "7".to_owned()));
            assert_eq!(connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap(), VERSION);
        }
    }

    #[test]
    fn a_later_schema_is_refused_and_left_as_it_is() {
        let error = after(|path| open(Some(path)).unwrap().0.pragma_update(None, "user_version", 99).unwrap()).unwrap_err();
        assert!(matches!(error, JobsError::Newer { found: 99, known: VERSION, .. }), "{error}");
    }

    #[test]
    fn other_databases_are_refused() {
        let error = after(|path| Connection::open(path).unwrap().execute_batch("CREATE TABLE a (b)").unwrap()).unwrap_err();
        assert!(matches!(error, JobsError::Foreign { .. }), "{error}");
        let error = after(|path| Connection::open(path).unwrap().pragma_update(None, "user_version", 1).unwrap()).unwrap_err();
        assert!(matches!(error, JobsError::Foreign { .. }), "{error}");
    }

    #[test]
    fn garbage_is_damage() {
        for garbage in [vec![0xa5; 600], vec![0xa5; 5000]] {
            let error = after(|path| std::fs::write(path, garbage).unwrap()).unwrap_err();
            assert!(matches!(error, JobsError::Damaged { .. }), "{error}");
        }
    }

    #[test]
    fn a_damaged_page_is_found_when_the_database_is_opened() {
        let error = after(|path| {
            drop(open(Some(path)).unwrap());
            let mut bytes = std::fs::read(path).unwrap();
            assert!(bytes.len() > 8192);
            bytes[4096..].fill(0xa5);
            std::fs::write(path, bytes).unwrap();
        })
        .unwrap_err();
        assert!(matches!(error, JobsError::Damaged { .. }), "{error}");
    }

    #[test]
    fn what_is_no_file_cannot_be_opened() {
        let error = after(|path| std::fs::create_dir(path).unwrap()).unwrap_err();
        assert!(matches!(error, JobsError::Create { .. }), "{error}");
    }
}
