//! Work in the background that leaves the processor to whoever answers requests.
//!
//! A thread can give up priority and, without privileges, never get it back. So such work gets a thread of its own, which ends with it, and
//! whoever asked for it waits and keeps its priority: what is done under a lock that others wait for is done there, or a busy machine
//! would make them wait for a thread that does not get its turn. Threads that the work starts are as low as its own.

use std::panic::resume_unwind;
use std::thread;

/// How much more the others get: about ten times the share of the processor (Linux, `sched(7)`: a factor of 1.25 a step).
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Does `work` at low priority, and waits for its end. Where there is no thread for it, or no low priority, it is done all the same.
pub fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let mut take = || work.take().map(|work| work());
    let done = thread::scope(|scope| {
        let low = thread::Builder::new().name("icecore-low".into()).spawn_scoped(scope, || {
            lower_this_thread();
            take()
        });
        match low {
            Ok(low) => low.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => None,
        }
    });
    match done.or_else(take) {
        Some(done) => done,
        None => unreachable!("the work is done on one thread or the other"),
    }
}

/// Lowers the priority of the calling thread, and of those that it starts from now on, for ever: only for a thread that does nothing else. Lower
/// than it is already, so that a process that was started at low priority does not get a higher one.
#[cfg(target_os = "linux")]
pub fn lower_this_thread() {
    // On Linux no process means the calling thread (`nice(2)`, `setpriority(2)`: "C library/kernel differences"). A thread that cannot be lowered is
    // one that runs as others do.
    let _ = rustix::process::nice(NICENESS);
}

/// Does nothing: elsewhere than on Linux a priority is the whole process's.
#[cfg(not(target_os = "linux"))]
pub fn lower_this_thread() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_comes_back_and_a_panic_too() {
        let borrowed = [1, 2];
        assert_eq!(in_background(|| borrowed.len()), 2);
        let panicked = std::panic::catch_unwind(|| in_background(|| panic!("here")));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"here"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_work_is_low_and_what_it_starts() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        let (work, started) = in_background(|| (own(), thread::spawn(own).join().unwrap()));
        let low = (before + NICENESS).min(19);
        assert_eq!((work, started, own()), (low, low, before));
    }
}
