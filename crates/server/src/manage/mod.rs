//! `icecore backup …`, `icecore jobs …` and `icecore stores …`: the backup manager's API from the command line, for this machine's
//! server or another one.
//!
//! Everything is done by the server; this is one of its clients and reads no file of it. Results go to standard output, as text or as
//! the JSON that the server has sent; progress and errors go to standard error. A command that waits for a job fails if the job does.

mod args;
mod backup;
mod client;
mod error;
mod jobs;
mod stores;
mod watch;

use std::io::{self, Write};

use serde_json::Value;

use self::error::Result;

pub(crate) use args::{BackupCommand, JobsCommand, StoresCommand};
pub(crate) use error::ManageError;

/// Runs `icecore backup …`.
pub(crate) fn backup(command: BackupCommand) -> Result<()> {
    backup::run(command, &mut io::stdout().lock())
}

/// Runs `icecore jobs …`.
pub(crate) fn jobs(command: JobsCommand) -> Result<()> {
    jobs::run(command, &mut io::stdout().lock())
}

/// Runs `icecore stores …`.
pub(crate) fn stores(command: StoresCommand) -> Result<()> {
    stores::run(command, &mut io::stdout().lock())
}

/// Prints what the server has sent as one JSON document.
fn print_json(out: &mut dyn Write, value: &Value) -> Result<()> {
    writeln!(out, "{value:#}").map_err(ManageError::Output)
}

/// A field of an answer as a cell of a table: texts as they are, nothing for what is missing.
fn cell(value: &Value, field: &str) -> String {
    match value.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
