//! `icecore jobs …`.

use std::io::Write;

use serde_json::Value;

use super::args::JobsCommand;
use super::client::Client;
use super::error::{ManageError, Result};
use super::{cell, print_json, watch};
use crate::tools::Table;

pub(super) fn run(command: JobsCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        JobsCommand::List { server, status, kind, page, limit } => {
            let (page, limit) = (page.to_string(), limit.to_string());
            let mut query = vec![("page", page.as_str()), ("limit", limit.as_str())];
            query.extend(status.as_deref().map(|status| ("status", status)));
            query.extend(kind.as_deref().map(|kind| ("type", kind)));
            let found = Client::new(&server)?.get(&["jobs"], &query)?;
            if server.json { print_json(out, &found) } else { list(&found, out) }
        }
        JobsCommand::Watch { server, id } => {
            let client = Client::new(&server)?;
            let job = client.get(&["jobs", &id], &[])?;
            watch::finish(&client, &job, true, server.json, out)
        }
        JobsCommand::Cancel { server, id } => act(&Client::new(&server)?, &id, "cancel", server.json, out),
        JobsCommand::Retry { server, id } => act(&Client::new(&server)?, &id, "retry", server.json, out),
    }
}

fn act(client: &Client, id: &str, verb: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    let job = client.post(&["jobs", id, verb], None)?;
    if json { print_json(out, &job) } else { writeln!(out, "job {id} {}", cell(&job, "status")).map_err(ManageError::Output) }
}

fn list(found: &Value, out: &mut dyn Write) -> Result<()> {
    let mut table = Table::new(&["id", "type", "status", "%#", "collection", "shard#", "snapshot", "created", "error"]);
    let fields = ["id", "type", "status", "progress", "collection_name", "shard_id", "snapshot_name", "created_at", "error"];
    let items = found["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    for job in items {
        table.row(fields.map(|field| cell(job, field)));
    }
    table.write(out).map_err(ManageError::Output)?;
    let total = found["total"].as_u64().unwrap_or(0);
    writeln!(out, "{} of {total} jobs", items.len()).map_err(ManageError::Output)
}
