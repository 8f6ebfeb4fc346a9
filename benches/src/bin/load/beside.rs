//! What goes on beside the load: nothing, the plain copy that is the measure, a snapshot of everything, or writes that keep flushes busy.
//!
//! Each is done again and again until a phase has lasted long enough, and what it has made is removed before the next time, archives
//! and copies alike.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use icecore_io::{OsFs, Rng};

use crate::Outcome;
use crate::client::Client;
use crate::open_loop::Pauses;
use crate::process::Server;

/// The collection that is loaded and archived.
pub(crate) const POINTS: &str = "points";
/// The collection of the writes that keep flushes busy.
const FLUSHED: &str = "flushed";
/// Where the archives of the first are.
const SNAPSHOTS: &str = "/collections/points/snapshots";
/// Batches that are written again and again.
const FLUSHED_BATCHES: u64 = 100;
/// Components of a vector.
pub(crate) const DIM: usize = 64;
/// Bytes of a payload: most of a point, because text passes JSON faster than numbers do.
const PAYLOAD_LEN: u64 = 8000;
/// Points of one request.
const BATCH: u64 = 200;

/// What goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Beside {
    Nothing,
    Copy,
    Snapshot,
    /// With a limit that was set before.
    SlowSnapshot,
    Flushes,
}

impl Beside {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Copy => "a plain copy",
            Self::Snapshot => "a snapshot",
            Self::SlowSnapshot => "a snapshot at a quarter",
            Self::Flushes => "bulk writes",
        }
    }

    /// Does it for `phase` at least; how fast each time was, in 10^6 bytes a second, without the removal of what it has made.
    pub(crate) fn run(
        self,
        server: &Server,
        pauses: &Pauses,
        home: &Path,
        files: &[PathBuf],
        phase: Duration,
    ) -> Outcome<Vec<f64>> {
        if let Self::Nothing = self {
            thread::sleep(phase);
            return Ok(Vec::new());
        }
        let mut client = server.client()?;
        let (begun, mut rates) = (Instant::now(), Vec::new());
        while begun.elapsed() < phase {
            let once = Instant::now();
            let len = self.make(&mut client, home, files)?;
            rates.push(len as f64 / 1e6 / once.elapsed().as_secs_f64());
            if !matches!(self, Self::Flushes) {
                pauses.beside(|| self.remove(&mut client, home))?;
            }
        }
        if let Self::Flushes = self {
            client.send("DELETE", &format!("/collections/{FLUSHED}"), "")?;
        }
        Ok(rates)
    }

    /// How many bytes it has written.
    fn make(self, client: &mut Client, home: &Path, files: &[PathBuf]) -> Outcome<u64> {
        match self {
            Self::Nothing => Ok(0),
            Self::Copy => {
                icecore_benches::copy(&OsFs, files, &home.join("copy"))?;
                Ok(home.join("copy").metadata()?.len())
            }
            Self::Snapshot | Self::SlowSnapshot => {
                let answer: serde_json::Value = serde_json::from_slice(&client.send("POST", SNAPSHOTS, "")?)?;
                Ok(answer.pointer("/result/size").and_then(serde_json::Value::as_u64).ok_or("a snapshot without a size")?)
            }
            Self::Flushes => {
                create(client, FLUSHED)?;
                // The same points each time, so that there is something to compact.
                upsert(client, FLUSHED, 0..FLUSHED_BATCHES)?;
                Ok(FLUSHED_BATCHES * BATCH * PAYLOAD_LEN)
            }
        }
    }

    fn remove(self, client: &mut Client, home: &Path) -> Outcome<()> {
        match self {
            Self::Copy => fs::remove_file(home.join("copy"))?,
            Self::Snapshot | Self::SlowSnapshot => {
                let answer: serde_json::Value = serde_json::from_slice(&client.send("GET", SNAPSHOTS, "")?)?;
                for made in answer.pointer("/result").and_then(serde_json::Value::as_array).into_iter().flatten() {
                    let name = made.pointer("/name").and_then(serde_json::Value::as_str).ok_or("a snapshot without a name")?;
                    client.send("DELETE", &format!("{SNAPSHOTS}/{name}"), "")?;
                }
            }
            Self::Nothing | Self::Flushes => {}
        }
        Ok(())
    }
}

/// Makes a collection with `megabytes` of points, durably.
pub(crate) fn fill(client: &mut Client, collection: &str, megabytes: u64) -> Outcome<()> {
    create(client, collection)?;
    upsert(client, collection, 0..(megabytes * 1_000_000).div_ceil(BATCH * PAYLOAD_LEN))
}

/// Creates a collection unless it is there.
fn create(client: &mut Client, collection: &str) -> Outcome<()> {
    let path = format!("/collections/{collection}");
    let answer: serde_json::Value = serde_json::from_slice(&client.send("GET", &format!("{path}/exists"), "")?)?;
    if answer.pointer("/result/exists") != Some(&true.into()) {
        client.send("PUT", &path, &format!(r#"{{"vectors":{{"size":{DIM},"distance":"Dot"}}}}"#))?;
    }
    Ok(())
}

/// Writes batches of points; those of one batch have its ids, whatever is there already.
fn upsert(client: &mut Client, collection: &str, batches: std::ops::Range<u64>) -> Outcome<()> {
    let vector = vector(DIM);
    let mut body = String::new();
    for batch in batches {
        let mut rng = Rng::new(batch);
        body.clear();
        for id in batch * BATCH..(batch + 1) * BATCH {
            body.push_str(if body.is_empty() { r#"{"points":["# } else { "," });
            write!(body, r#"{{"id":{id},"vector":{vector},"payload":{{"text":""#)?;
            for _ in 0..PAYLOAD_LEN / 16 {
                write!(body, "{:016x}", rng.next_u64())?;
            }
            body.push_str(r#""}}"#);
        }
        body.push_str("]}");
        client.send("PUT", &format!("/collections/{collection}/points?wait=true"), &body)?;
    }
    Ok(())
}

/// A vector as JSON.
pub(crate) fn vector(dim: usize) -> String {
    let components: Vec<String> = (0..dim).map(|component| format!("0.{component}")).collect();
    format!("[{}]", components.join(","))
}
