//! Work in the background that leaves the processor to whoever answers requests.
//!
//! A thread can give up priority and, without privileges, never get it back. So such work gets a thread of its own, which ends with it, and
//! whoever asked for it waits and keeps its priority: what is done under a lock that others wait for is done there, or a busy machine
//! would make them wait for a thread that does not get its turn. Threads that the work starts are as low as its own.
//!
//! Low priority is two things on Linux. *Nice* says how much of a busy processor a thread gets. The *slice* says how soon it wants its share: a
//! thread that wakes up takes the processor at once from one with a longer slice, and may have to wait for the end of the slice of another, however
//! nice that is. A request wakes a few threads, one after the other. Both are inherited by threads that a thread starts.

use std::panic::resume_unwind;
use std::thread;

/// What is left of a busy processor to work in the background, beside each thread that answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// About a tenth: for work that requests may have to wait for, such as a flush that makes room in memory.
    Small,
    /// About a seventieth, the least that is not nothing: for archives, which nobody waits for but who has asked for them. The smaller the share, the
    /// sooner a thread that wakes up has the processor: one that has just had more than its own share of it may have to wait for the difference.
    Least,
}

#[cfg(target_os = "linux")]
impl Share {
    /// Steps down from the usual priority; each is a factor of 1.25 (Linux, `sched(7)`), and there are 19.
    fn niceness(self) -> i32 {
        match self {
            Self::Small => 10,
            Self::Least => 19,
        }
    }
}

/// The longest slice that there is, in nanoseconds: whoever wakes up has a shorter one (Linux 6.12 and later, EEVDF; earlier kernels know no slices
/// of threads, and go on as they do).
#[cfg(target_os = "linux")]
const SLICE_NS: u64 = 100_000_000;

/// Bytes of the first version of the structure that the scheduler is told by (`sched_setattr(2)`).
#[cfg(target_os = "linux")]
const SCHED_ATTR_LEN: u32 = 48;
#[cfg(target_os = "linux")]
const _: () = assert!(size_of::<libc::sched_attr>() == SCHED_ATTR_LEN as usize);

/// Does `work` at low priority, with this share, and waits for its end. Where there is no thread for it, or no low priority, it is done all the same.
pub fn in_background<T: Send>(share: Share, work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let mut take = || work.take().map(|work| work());
    let done = thread::scope(|scope| {
        let low = thread::Builder::new().name("icecore-low".into()).spawn_scoped(scope, || {
            lower_this_thread(share);
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
pub fn lower_this_thread(share: Share) {
    // On Linux no process means the calling thread (`nice(2)`, `setpriority(2)`: "C library/kernel differences"). A thread that cannot be lowered is
    // one that runs as others do.
    let Ok(nice) = rustix::process::nice(share.niceness()) else { return };
    lengthen_slice(nice);
}

/// Gives the calling thread, which is as nice as this, a long slice. A system that knows none goes on as it is.
#[cfg(target_os = "linux")]
fn lengthen_slice(nice: i32) {
    let attributes = libc::sched_attr {
        size: SCHED_ATTR_LEN,
        sched_policy: 0,
        // Whoever has started the server may have chosen another than the usual one.
        sched_flags: u64::from(libc::SCHED_FLAG_KEEP_POLICY.unsigned_abs()),
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    let (this_thread, flags) = (0, 0);
    #[expect(
        unsafe_code,
        reason = "the kernel reads `size` bytes of a structure that lives until the call returns, and keeps nothing of it"
    )]
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, &raw const attributes, flags) };
}

/// Does nothing: elsewhere than on Linux a priority is the whole process's.
#[cfg(not(target_os = "linux"))]
pub fn lower_this_thread(_: Share) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_comes_back_and_a_panic_too() {
        let borrowed = [1, 2];
        assert_eq!(in_background(Share::Small, || borrowed.len()), 2);
        let panicked = std::panic::catch_unwind(|| in_background(Share::Small, || panic!("here")));
        assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"here"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_the_work_is_low_and_what_it_starts() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        for (share, steps) in [(Share::Small, 10), (Share::Least, 19)] {
            let (work, started) = in_background(share, || (own(), thread::spawn(own).join().unwrap()));
            let low = (before + steps).min(19);
            assert_eq!((work, started, own()), (low, low, before), "{share:?}");
        }
    }

    /// The slice of the calling thread; 0 if the kernel does not say.
    #[cfg(target_os = "linux")]
    fn slice() -> u64 {
        let mut attributes = libc::sched_attr {
            size: 0,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        let (this_thread, flags) = (0, 0);
        #[expect(unsafe_code, reason = "the kernel writes at most that many bytes to a structure of that length")]
        let done = unsafe { libc::syscall(libc::SYS_sched_getattr, this_thread, &raw mut attributes, SCHED_ATTR_LEN, flags) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        attributes.sched_runtime
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_work_has_a_long_slice_and_so_has_what_it_starts() {
        let usual = slice();
        let (work, started) = in_background(Share::Least, || (slice(), thread::spawn(slice).join().unwrap()));
        // Where the kernel knows no slices of threads it says 0 of all.
        let long = if usual == 0 { 0 } else { SLICE_NS };
        assert_eq!((work, started, slice()), (long, long, usual));
    }
}
