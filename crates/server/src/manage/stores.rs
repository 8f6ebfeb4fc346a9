//! `icecore stores …`.

use std::io::Write;

use serde_json::Value;

use super::args::StoresCommand;
use super::client::Client;
use super::error::{ManageError, Result};
use super::{cell, print_json};
use crate::tools::Table;

pub(super) fn run(command: StoresCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        StoresCommand::List { server } => {
            let found = Client::new(&server)?.get(&["storage", "config"], &[])?;
            if server.json { print_json(out, &found) } else { list(&found, out) }
        }
        StoresCommand::Add { server, name, place, default } => {
            let made = Client::new(&server)?.post(&["storage", "config"], Some(&place.described(&name, default)?))?;
            match server.json {
                true => print_json(out, &made),
                false => writeln!(out, "added {name}: {}", cell(&made, "id")).map_err(ManageError::Output),
            }
        }
        StoresCommand::Test { server, store, place } => {
            let client = Client::new(&server)?;
            let result = match (client.store_id(store.as_deref())?, place) {
                (Some(id), _) => client.post(&["storage", "config", &id, "test"], None)?,
                (None, Some(place)) => client.post(&["storage", "test"], Some(&place.described("test", false)?))?,
                (None, None) => unreachable!("the arguments require one of them"),
            };
            if server.json {
                print_json(out, &result)?;
            }
            let message = cell(&result, "message");
            match (result["success"] == true, server.json) {
                (false, _) => Err(ManageError::Store(message)),
                (true, true) => Ok(()),
                (true, false) => writeln!(out, "{message}").map_err(ManageError::Output),
            }
        }
    }
}

fn list(found: &Value, out: &mut dyn Write) -> Result<()> {
    let mut table = Table::new(&["id", "name", "type", "place", "default"]);
    for store in found.as_array().map(Vec::as_slice).unwrap_or_default() {
        let place = match cell(store, "type").as_str() {
            "local" => cell(store, "path"),
            _ => format!("{} {}", cell(store, "s3_bucket"), cell(store, "s3_endpoint")).trim_end().to_owned(),
        };
        let default = if store["is_default"] == true { "yes" } else { "" };
        table.row([cell(store, "id"), cell(store, "name"), cell(store, "type"), place, default.to_owned()]);
    }
    table.write(out).map_err(ManageError::Output)
}
