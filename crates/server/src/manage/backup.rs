//! `icecore backup …`.

use std::io::Write;

use serde_json::{Value, json};

use super::args::{BackupCommand, Of};
use super::client::Client;
use super::error::{ManageError, Result};
use super::{cell, print_json, watch};
use crate::tools::Table;

pub(super) fn run(command: BackupCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        BackupCommand::Create { server, of, zstd, level, no_wait } => {
            let client = Client::new(&server)?;
            let mut metadata = json!({});
            if zstd {
                metadata["compression"] = json!("zstd");
            }
            if let Some(level) = level {
                metadata["level"] = json!(level);
            }
            let job = job(&client, &of, ("backup", "shard_backup"), None, metadata)?;
            watch::finish(&client, &client.start(job)?, !no_wait, server.json, out)
        }
        BackupCommand::Restore { server, of, name, from_url, checksum, no_wait } => {
            let client = Client::new(&server)?;
            let mut metadata = match &from_url {
                Some(url) => json!({"source": "url", "url": url}),
                None => json!({"source": "existing"}),
            };
            if let Some(checksum) = checksum {
                metadata["checksum"] = json!(checksum);
            }
            let job = job(&client, &of, ("restore", "shard_restore"), name, metadata)?;
            watch::finish(&client, &client.start(job)?, !no_wait, server.json, out)
        }
        BackupCommand::Verify { server, of, name, no_wait } => {
            let client = Client::new(&server)?;
            let job = job(&client, &of, ("verify", "verify"), Some(name), json!({}))?;
            watch::finish(&client, &client.start(job)?, !no_wait, server.json, out)
        }
        BackupCommand::List { server, collection, store } => {
            let client = Client::new(&server)?;
            let store = client.store_id(store.as_deref())?;
            let found = client.get(&["backups"], &query(store.as_deref(), collection.as_deref(), None))?;
            if server.json { print_json(out, &found) } else { list(&found, out) }
        }
        BackupCommand::Delete { server, of, name } => {
            let client = Client::new(&server)?;
            let store = client.store_id(of.store.as_deref())?;
            let shard = of.shard.map(|shard| shard.to_string());
            let query = query(store.as_deref(), Some(of.collection_name()), shard.as_deref());
            let answer = client.delete(&["backups", &name], &query)?;
            if server.json { print_json(out, &answer) } else { writeln!(out, "deleted {name}").map_err(ManageError::Output) }
        }
    }
}

/// A job of the first kind, or of the second if it is about a shard.
fn job(client: &Client, of: &Of, kinds: (&str, &str), name: Option<String>, metadata: Value) -> Result<Value> {
    let kind = if of.shard.is_some() { kinds.1 } else { kinds.0 };
    let mut job = json!({"type": kind, "collection_name": of.collection_name(), "metadata": metadata});
    if let Some(shard) = of.shard {
        job["shard_id"] = json!(shard);
    }
    if let Some(name) = name {
        job["snapshot_name"] = json!(name);
    }
    if let Some(store) = client.store_id(of.store.as_deref())? {
        job["storage_id"] = json!(store);
    }
    Ok(job)
}

fn query<'a>(store: Option<&'a str>, collection: Option<&'a str>, shard: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let all = [("storage_id", store), ("collection_name", collection), ("shard_id", shard)];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn list(found: &Value, out: &mut dyn Write) -> Result<()> {
    let mut table = Table::new(&["cluster", "collection", "shard#", "name", "created", "bytes#", "sha256"]);
    for backup in found.as_array().map(Vec::as_slice).unwrap_or_default() {
        let fields = ["cluster", "collection_name", "shard_id", "name", "creation_time", "size", "checksum"];
        table.row(fields.map(|field| cell(backup, field)));
    }
    table.write(out).map_err(ManageError::Output)
}
