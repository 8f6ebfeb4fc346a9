//! Runs many jobs on a few threads, each thread with something of its own, such as a buffer.
//!
//! Jobs are begun in order of their numbers. The first error stops the others at their next job and is the one returned; what jobs
//! have done by then is the caller's to undo.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::Error;
use crate::writer::buffer::BUFFER_LEN;

/// A buffer for each thread.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; BUFFER_LEN]
}

/// Runs `work` for every job, on at most `threads` threads, one of which is the caller's. Each thread makes one `own`.
pub(crate) fn run<J: Sync, T>(
    jobs: &[J],
    threads: NonZeroUsize,
    own: impl Fn() -> T + Sync,
    work: impl Fn(&J, &mut T) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let first_error = Mutex::new(None);
    let worker = || {
        let mut own = own();
        while !stop.load(Ordering::Relaxed) {
            let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            if let Err(error) = work(job, &mut own) {
                stop.store(true, Ordering::Relaxed);
                first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.get().min(jobs.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    first_error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}
