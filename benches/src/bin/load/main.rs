//! Latencies of a running server under a steady load, while archives are made beside it: `load SERVER DIR [MB] [ROUNDS] [SECONDS]`.
//!
//! The real server, over HTTP on the loopback interface, gets single-point upserts (`wait=true`) and reads of resident points at fixed
//! rates. Latencies count from the instant at which a request was due, so that a server which stops for a while has to answer for all
//! the requests of that while. Phases with different work beside the load take turns, and take them again in each round; what counts are
//! the ratios between phases of one run. README.md says how to read them.

mod beside;
mod client;
mod open_loop;
mod process;
mod summary;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use beside::Beside;
use client::Client;
use process::Server;
use summary::{Phases, Waits};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Lets what a phase has left to the disk reach it before the next begins.
const BETWEEN_PHASES: Duration = Duration::from_secs(2);

/// What to measure.
struct Arguments {
    server: PathBuf,
    dir: PathBuf,
    /// Data in the storage, in 10^6 bytes.
    megabytes: u64,
    rounds: usize,
    /// The shortest time of a phase; work that has begun is finished.
    phase: Duration,
}

fn main() -> Outcome<()> {
    let arguments = arguments()?;
    let home = icecore_benches::scratch(&arguments.dir.to_string_lossy());
    let mut server = Server::start(&arguments.server, home.path())?;
    let outcome = measure(&arguments, &server, home.path());
    let ended = server.stop();
    outcome.and(ended)
}

fn arguments() -> Outcome<Arguments> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: u64| given.get(index).map_or(Ok(default), |text| text.parse());
    match given.as_slice() {
        [server, dir, ..] if given.len() <= 5 => Ok(Arguments {
            server: std::path::absolute(server)?,
            dir: dir.into(),
            megabytes: number(2, 1000)?,
            rounds: usize::try_from(number(3, 3)?)?,
            phase: Duration::from_secs(number(4, 10)?),
        }),
        _ => Err("usage: load SERVER DIR [MB] [ROUNDS] [SECONDS]; SERVER is an optimised build of icecore".into()),
    }
}

fn measure(arguments: &Arguments, server: &Server, home: &Path) -> Outcome<()> {
    eprintln!("filling the storage with {} MB", arguments.megabytes);
    beside::fill(&mut server.client()?, beside::POINTS, arguments.megabytes)?;
    let files = server.settled_files()?;

    let mut phases = Phases::default();
    let mut copies = Vec::new();
    for round in 1..=arguments.rounds {
        for work in [Beside::Nothing, Beside::Copy, Beside::Snapshot, Beside::SlowSnapshot, Beside::Flushes] {
            if matches!(work, Beside::SlowSnapshot) {
                // A quarter of what the copy did, at the median of the rounds so far.
                copies.sort_by(f64::total_cmp);
                server.limit(copies.get(copies.len() / 2).map_or(1.0, |rate| (rate / 4.0).max(1.0)))?;
            }
            eprintln!("round {round} of {}: beside {}", arguments.rounds, work.name());
            let before = Waits::scrape(&mut server.client()?)?;
            let (load, rates) = open_loop::beside(server, |pauses| work.run(server, pauses, home, &files, arguments.phase))?;
            let waits = Waits::scrape(&mut server.client()?)?.since(&before);
            if matches!(work, Beside::Copy) {
                copies.extend(&rates);
            }
            phases.add(work.name(), load, &rates, waits);
            server.limit(0.0)?;
            thread::sleep(BETWEEN_PHASES);
        }
    }
    phases.print();
    Ok(())
}

/// Waits until `done` holds, for a minute at most.
fn wait_for<T>(what: &str, mut done: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        match done()? {
            Some(value) => return Ok(value),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
    Err(format!("not within a minute: {what}").into())
}

/// A connection for whoever has none.
impl Server {
    fn client(&self) -> Outcome<Client> {
        Client::connect(self.address())
    }
}
