//! Waits for a job's end and shows on the way how far it is.
//!
//! Jobs survive a restart of the server, so a server that does not answer for a while is waited for.

use std::io::{IsTerminal, Write};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use super::client::Client;
use super::error::{ManageError, Result};
use super::{cell, print_json};

/// Time between two looks at a job.
const INTERVAL: Duration = Duration::from_millis(200);
/// Looks in a row that may go without an answer: about half a minute.
const MISSED_MAX: u32 = 150;

/// Prints a job once it has ended, or at once if nobody waits. A job that did not end well is an error.
pub(super) fn finish(client: &Client, job: &Value, wait: bool, json: bool, out: &mut dyn Write) -> Result<()> {
    let ended = match wait {
        true => until_end(client, job)?,
        false => job.clone(),
    };
    if json {
        print_json(out, &ended)?;
    }
    let (id, status) = (cell(&ended, "id"), cell(&ended, "status"));
    match status.as_str() {
        "failed" | "cancelled" => Err(ManageError::Job { id, status, error: cell(&ended, "error") }),
        _ if json => Ok(()),
        _ => {
            let name = cell(&ended, "snapshot_name");
            let line = format!("job {id} {status}{}{name}", if name.is_empty() { "" } else { ": " });
            writeln!(out, "{line}").map_err(ManageError::Output)
        }
    }
}

fn until_end(client: &Client, job: &Value) -> Result<Value> {
    let id = cell(job, "id");
    let mut job = job.clone();
    let mut missed = 0;
    let bar = std::io::stderr().is_terminal().then(bar);
    while matches!(job["status"].as_str(), Some("pending" | "running")) {
        if let Some(bar) = &bar {
            bar.set_prefix(format!("{} {}", cell(&job, "type"), cell(&job, "status")));
            bar.set_length(job["bytes_total"].as_u64().unwrap_or(0));
            bar.set_position(job["bytes_done"].as_u64().unwrap_or(0));
        }
        thread::sleep(INTERVAL);
        match client.get(&["jobs", &id], &[]) {
            Ok(found) => (job, missed) = (found, 0),
            Err(ManageError::NoAnswer { .. }) if missed < MISSED_MAX => missed += 1,
            Err(error) => return Err(error),
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(job)
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    // A template that does not parse is a bar without a template, not a reason to fail.
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}")
    {
        bar.set_style(style);
    }
    bar
}
