//! The load: requests that are due at fixed instants, whether or not those before them were answered.
//!
//! Several connections take the requests in turn. A latency begins when its request was due, so it holds whatever it had to wait for a
//! connection. That makes the load honest as long as connections are free most of the time, which they are while an answer takes less
//! than [`CONNECTIONS`] times the time between two requests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use icecore_benches::payload;
use icecore_io::Rng;

use crate::Outcome;
use crate::beside::{DIM, POINTS, vector};
use crate::client::Client;
use crate::process::Server;

/// Requests a second, of each kind.
const RATE: u64 = 200;
/// Connections, of each kind.
const CONNECTIONS: usize = 8;
/// Points that are read: few enough to stay in memory whatever else goes on.
const RESIDENT: u64 = 1000;
/// How long the disk may be busy with something that is over.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// Where the ids of points begin that are written: nobody reads them.
const WRITTEN_FROM: u64 = 1 << 40;

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) writes: Vec<Duration>,
    pub(crate) reads: Vec<Duration>,
}

/// Instants that are handed out one after the other.
struct Schedule {
    begun: Instant,
    next: AtomicU64,
}

impl Schedule {
    /// The next request's number, and when it is due.
    fn take(&self) -> (u64, Instant) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number, self.begun + Duration::from_nanos(number * 1_000_000_000 / RATE))
    }
}

/// When requests were due that do not count.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Mutex<Vec<(Instant, Instant)>>);

impl Pauses {
    /// Does what is no part of what is measured, and lets the disk get over it.
    pub(crate) fn beside<T>(&self, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let begun = Instant::now();
        let done = work();
        thread::sleep(AFTERWARDS);
        self.lock().push((begun, Instant::now()));
        done
    }

    /// The latencies of the requests that count.
    fn counted(&self, latencies: Vec<(Instant, Duration)>) -> impl Iterator<Item = Duration> {
        let pauses = self.lock().clone();
        let counts = move |due: Instant| !pauses.iter().any(|(begun, ended)| (*begun..*ended).contains(&due));
        latencies.into_iter().filter_map(move |(due, latency)| counts(due).then_some(latency))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Instant, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads the server while `work` is done, and gives what was measured beside the result of the work.
pub(crate) fn beside<T>(server: &Server, work: impl FnOnce(&Pauses) -> Outcome<T>) -> Outcome<(Load, T)> {
    let (stop, pauses) = (AtomicBool::new(false), Pauses::default());
    let schedule = || Schedule { begun: Instant::now(), next: AtomicU64::new(0) };
    let (writes, reads) = (schedule(), schedule());
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..CONNECTIONS {
            let (mut writer, mut reader) = (server.client()?, server.client()?);
            threads.push((
                scope.spawn(|| run(&stop, &writes, move |number| write(&mut writer, number))),
                scope.spawn(|| run(&stop, &reads, move |number| read(&mut reader, number))),
            ));
        }
        let worked = work(&pauses);
        stop.store(true, Ordering::Relaxed);
        let mut load = Load::default();
        for (writer, reader) in threads {
            load.writes.extend(pauses.counted(writer.join().map_err(|_| "a writing thread has panicked")??));
            load.reads.extend(pauses.counted(reader.join().map_err(|_| "a reading thread has panicked")??));
        }
        Ok((load, worked?))
    })
}

/// Sends what is due, until it is told to stop.
fn run(stop: &AtomicBool, schedule: &Schedule, mut send: impl FnMut(u64) -> Outcome<()>) -> Outcome<Vec<(Instant, Duration)>> {
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (number, due) = schedule.take();
        thread::sleep(due.saturating_duration_since(Instant::now()));
        send(number)?;
        latencies.push((due, due.elapsed()));
    }
    Ok(latencies)
}

fn write(client: &mut Client, number: u64) -> Outcome<()> {
    let id = WRITTEN_FROM + number;
    let body = format!(r#"{{"points":[{{"id":{id},"vector":{},"payload":{}}}]}}"#, vector(DIM), payload(id));
    client.send("PUT", &format!("/collections/{POINTS}/points?wait=true"), &body).map(drop)
}

fn read(client: &mut Client, number: u64) -> Outcome<()> {
    let id = Rng::new(number).below(RESIDENT);
    client.send("GET", &format!("/collections/{POINTS}/points/{id}"), "").map(drop)
}
