//! The queue as its callers see it, on real threads. What has to happen is waited for, up to [`LIMIT`]; nothing sleeps.

mod failures;
mod managed;
mod restart;
mod running;
mod stopping;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use icecore_archive::Progress;
use icecore_io::ManualClock;
use serde_json::{Value, json};

use super::*;
use crate::error::{AppError, Kind};

/// A test that waits for longer has failed.
const LIMIT: Duration = Duration::from_secs(60);
/// Milliseconds since 1970 at which all tests begin.
const START: u64 = 1_721_637_115_000;

/// A queue with its surroundings.
struct Bench {
    jobs: Jobs,
    clock: Arc<ManualClock>,
    shutdown: Shutdown,
}

impl Bench {
    /// In memory, with threads.
    fn started(concurrency: usize) -> Self {
        let bench = Self::open(None, concurrency);
        bench.jobs.start().unwrap();
        bench
    }

    fn open(path: Option<&Path>, concurrency: usize) -> Self {
        let clock = Arc::new(ManualClock::new(Duration::from_millis(START)));
        let shutdown = Shutdown::new();
        let options = Options { concurrency, keep: Duration::from_secs(30 * 86_400) };
        let jobs = Jobs::open(path, Arc::clone(&clock) as Arc<dyn Clock>, shutdown.clone(), options).unwrap();
        Self { jobs, clock, shutdown }
    }

    fn submit(&self, target: &str, work: impl FnOnce(&Running) -> Result<Value> + Send + 'static) -> Submitted {
        self.jobs.submit(new(target, OnRestart::Again), Box::new(work)).unwrap()
    }

    /// Submits a job that tells when it has begun and ends when it is let go.
    fn gated(&self, target: &str, on_restart: OnRestart) -> Gated {
        let (begun, began) = channel();
        let (go, gone) = channel::<()>();
        let work = move |_: &Running| {
            begun.send(()).unwrap();
            // An error is the end of the test.
            let _ = gone.recv_timeout(LIMIT);
            Ok(json!("gone"))
        };
        let submitted = self.jobs.submit(new(target, on_restart), Box::new(work)).unwrap();
        Gated { submitted, began, go }
    }

    fn column(&self, expression: &str) -> Vec<String> {
        self.jobs.shared.queue.column(expression)
    }

    fn states(&self) -> Vec<String> {
        self.column("state")
    }
}

/// A job that waits for the test.
struct Gated {
    submitted: Submitted,
    began: Receiver<()>,
    go: Sender<()>,
}

impl Gated {
    fn wait_for_begin(&self) {
        self.began.recv_timeout(LIMIT).unwrap();
    }
}

fn new(target: &str, on_restart: OnRestart) -> NewJob {
    let kind = JobKind::SnapshotCreate;
    NewJob { kind, target: target.to_owned(), request: json!({"of": target}), on_restart, waits_for_others: false }
}

/// What becomes of the job.
fn outcome(submitted: Submitted) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, submitted.outcome()).await }).unwrap()
}

fn kind(submitted: Submitted) -> Kind {
    outcome(submitted).unwrap_err().kind()
}

/// Goes on until it is told to stop.
fn until_stopped(running: &Running) -> Result<Value> {
    let start = Instant::now();
    while running.advance(1).is_continue() {
        assert!(start.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    Err(icecore_archive::Error::Cancelled.into())
}
