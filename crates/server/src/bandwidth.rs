//! The limit of all making and restoring of archives together, in bytes a second (`snapshots.bandwidth_mb_s`).
//!
//! Work is done first and paid for after: whoever has handled a buffer charges its bytes to one account, and pauses until time has paid
//! for all that was charged up to then. So the bytes of any time are at most the limit times that time, and [`CREDIT`] or one buffer more. Pauses
//! are taken on the thread that has handled the buffer, with no lock held, and in pieces of [`PAUSE_MAX`], after each of which a cancel
//! and a new limit are looked at.
//!
//! What nobody waits for ([`Bandwidth::limit_behind`]) counts too, and leaves most of its turns to the others while there are any.
//!
//! What is not counted here is not slowed down: downloads of finished archives, writes of points, flushes.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use icecore_archive::Progress;
use icecore_io::Clock;

/// Bytes of one MB.
const MEGABYTE: u64 = 1_000_000;
/// Time that is paid in advance at most: without any, work that takes time itself would stay below the limit. A buffer that costs more may
/// be paid in advance too, or bytes that arrive slowly would be waited for twice.
const CREDIT: Duration = Duration::from_millis(100);
/// The longest pause in one piece.
const PAUSE_MAX: Duration = Duration::from_millis(10);
/// How long work that nobody waits for lets the others go first, for each of its buffers: so it goes on even if they never end, and hears
/// soon enough that it is of no use any more.
const WAY: Duration = Duration::from_secs(1);
/// What one byte costs at a rate of one byte a second, in nanoseconds.
const BYTE: u128 = 1_000_000_000;

/// The account of the process.
#[derive(Debug)]
pub(crate) struct Bandwidth {
    clock: Arc<dyn Clock>,
    account: Mutex<Account>,
    /// How much work is under way that somebody waits for.
    waited_for: AtomicUsize,
}

/// Counted in bytes times [`BYTE`], so that nothing is lost in rounding.
#[derive(Debug)]
struct Account {
    /// Bytes a second; 0 is no limit.
    rate: u64,
    charged: u128,
    /// What time has paid for, up to `at`; may be ahead of `charged` by the credit.
    paid: u128,
    at: Duration,
}

/// What was charged when somebody had handled a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Charge(u128);

/// A [`Progress`] that pauses.
pub(crate) struct Limited<'a> {
    progress: &'a dyn Progress,
    bandwidth: &'a Bandwidth,
    is_behind: bool,
}

impl Bandwidth {
    /// An account without debts. 0 MB (of 10^6 bytes) a second is no limit.
    pub(crate) fn new(clock: Arc<dyn Clock>, megabytes_per_second: u32) -> Self {
        let at = clock.monotonic();
        let rate = u64::from(megabytes_per_second) * MEGABYTE;
        Self { clock, account: Mutex::new(Account { rate, charged: 0, paid: 0, at }), waited_for: AtomicUsize::new(0) }
    }

    /// Sets another limit, which holds for all that is not paid for yet.
    pub(crate) fn set(&self, megabytes_per_second: u32) {
        let now = self.clock.monotonic();
        let mut account = self.lock();
        account.settle(now, 0);
        account.rate = u64::from(megabytes_per_second) * MEGABYTE;
    }

    /// Reports to `progress`, and keeps to the limit.
    pub(crate) fn limit<'a>(&'a self, progress: &'a dyn Progress) -> Limited<'a> {
        self.waited_for.fetch_add(1, Ordering::Relaxed);
        Limited { progress, bandwidth: self, is_behind: false }
    }

    /// The same for work that nobody waits for: it lets the others go first.
    pub(crate) fn limit_behind<'a>(&'a self, progress: &'a dyn Progress) -> Limited<'a> {
        Limited { progress, bandwidth: self, is_behind: true }
    }

    /// Charges bytes that were handled.
    fn charge(&self, bytes: u64) -> Charge {
        let now = self.clock.monotonic();
        let mut account = self.lock();
        let cost = u128::from(bytes) * BYTE;
        account.settle(now, cost);
        account.charged += cost;
        Charge(account.charged)
    }

    /// How long it takes until the charge is paid for; `None` if it is.
    fn due(&self, charge: Charge) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut account = self.lock();
        account.settle(now, 0);
        let owed = charge.0.checked_sub(account.paid).filter(|owed| *owed > 0)?;
        let rate = u128::from(account.rate);
        (rate > 0).then(|| Duration::from_nanos(u64::try_from(owed.div_ceil(rate)).unwrap_or(u64::MAX)))
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    /// Pays with the time since it was called last, for what was charged, and in advance for what is about to be.
    fn settle(&mut self, now: Duration, cost: u128) {
        let rate = u128::from(self.rate);
        let time = now.saturating_sub(self.at).as_nanos();
        self.at = self.at.max(now);
        self.paid = match rate {
            0 => self.charged,
            rate => (self.paid + time * rate).min(self.charged + cost.max(CREDIT.as_nanos() * rate)),
        };
    }
}

impl Limited<'_> {
    /// Lets the others go first, if this work is behind them.
    fn give_way(&self) -> ControlFlow<()> {
        let mut left = if self.is_behind { WAY } else { Duration::ZERO };
        while !left.is_zero() && self.bandwidth.waited_for.load(Ordering::Relaxed) > 0 {
            self.bandwidth.clock.sleep(PAUSE_MAX);
            left = left.saturating_sub(PAUSE_MAX);
            self.progress.advance(0)?;
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        if !self.is_behind {
            self.bandwidth.waited_for.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Progress for Limited<'_> {
    fn start(&self, total: u64) {
        self.progress.start(total);
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        self.progress.advance(bytes)?;
        if bytes == 0 {
            return ControlFlow::Continue(());
        }
        let charge = self.bandwidth.charge(bytes);
        while let Some(due) = self.bandwidth.due(charge) {
            self.bandwidth.clock.sleep(due.min(PAUSE_MAX));
            self.progress.advance(0)?;
        }
        self.give_way()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use icecore_archive::ProgressHandle;
    use icecore_io::ManualClock;

    use super::*;

    const BUFFER: u64 = 1 << 20;

    fn account(megabytes_per_second: u32) -> (Arc<ManualClock>, Bandwidth) {
        let clock = Arc::new(ManualClock::new(Duration::from_secs(1000)));
        (clock.clone(), Bandwidth::new(clock, megabytes_per_second))
    }

    /// How long it takes to handle so many buffers, each of which takes `work` by itself.
    fn time(clock: &ManualClock, bandwidth: &Bandwidth, buffers: u64, work: Duration) -> Duration {
        let (progress, begun) = (ProgressHandle::new(), clock.monotonic());
        for _ in 0..buffers {
            clock.advance(work);
            assert!(bandwidth.limit(&progress).advance(BUFFER).is_continue());
        }
        assert_eq!(progress.done(), buffers * BUFFER);
        clock.monotonic() - begun
    }

    /// What that has to take at this rate.
    fn paid(buffers: u64, megabytes_per_second: u64) -> Duration {
        Duration::from_secs_f64((buffers * BUFFER) as f64 / (megabytes_per_second * MEGABYTE) as f64)
    }

    fn assert_near(actual: Duration, expected: Duration) {
        assert!(actual.abs_diff(expected) <= Duration::from_micros(1), "{actual:?}, not {expected:?}");
    }

    #[test]
    fn the_rate_is_kept_whatever_the_work_itself_takes() {
        for work in [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(90)] {
            let (clock, bandwidth) = account(10);
            assert_near(time(&clock, &bandwidth, 500, work), paid(500, 10));
        }
        let (clock, bandwidth) = account(10);
        let slow = Duration::from_secs(1);
        assert_eq!(time(&clock, &bandwidth, 10, slow), 10 * slow, "slower than the limit");
    }

    #[test]
    fn without_a_limit_nobody_pauses() {
        let (clock, bandwidth) = account(0);
        assert_eq!(time(&clock, &bandwidth, 500, Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn idle_time_pays_for_a_tenth_of_a_second_or_one_buffer_and_no_more() {
        for (rate, credit) in [(100, CREDIT), (1, paid(1, 1))] {
            let (clock, bandwidth) = account(rate);
            clock.advance(Duration::from_secs(3600));
            let expected = paid(100, u64::from(rate));
            assert_near(time(&clock, &bandwidth, 100, Duration::ZERO), expected - credit);
            // Nothing was left of it.
            assert_near(time(&clock, &bandwidth, 100, Duration::ZERO), expected);
        }
    }

    #[test]
    fn all_that_works_at_once_shares_one_limit() {
        let (clock, bandwidth) = account(10);
        let begun = clock.monotonic();
        let charges: Vec<Charge> = (0..10).map(|_| bandwidth.charge(BUFFER)).collect();
        let due: Vec<Duration> = charges.iter().map(|charge| bandwidth.due(*charge).unwrap()).collect();
        assert!(due.is_sorted() && due[0] < due[1], "{due:?}");
        clock.advance(due[4]);
        assert_eq!(charges.iter().filter(|charge| bandwidth.due(**charge).is_none()).count(), 5);
        clock.advance(due[9] - due[4]);
        assert_eq!(bandwidth.due(charges[9]), None);
        assert_near(clock.monotonic() - begun, paid(10, 10));
    }

    #[test]
    fn another_limit_takes_effect_at_once() {
        let (clock, bandwidth) = account(1);
        let charge = bandwidth.charge(100 * MEGABYTE);
        assert_eq!(bandwidth.due(charge), Some(Duration::from_secs(100)));
        clock.advance(Duration::from_secs(50));
        bandwidth.set(10);
        assert_eq!(bandwidth.due(charge), Some(Duration::from_secs(5)));
        bandwidth.set(0);
        assert_eq!(bandwidth.due(charge), None);
        bandwidth.set(1);
        assert_eq!(bandwidth.due(charge), None, "what was let go is not owed again");
        assert_near(time(&clock, &bandwidth, 10, Duration::ZERO), paid(10, 1));
    }

    /// Counts the looks, and cancels at one of them.
    struct CancelAt(AtomicU64, u64);

    impl Progress for CancelAt {
        fn start(&self, _total: u64) {}

        fn advance(&self, _bytes: u64) -> ControlFlow<()> {
            match self.0.fetch_add(1, Ordering::Relaxed) + 1 == self.1 {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }

    #[test]
    fn what_nobody_waits_for_lets_the_others_go_first_and_still_goes_on() {
        let (clock, bandwidth) = account(0);
        let took = |progress: &dyn Progress| {
            let begun = clock.monotonic();
            let done = bandwidth.limit_behind(progress).advance(BUFFER);
            (done.is_continue(), clock.monotonic() - begun)
        };
        assert_eq!(took(&()), (true, Duration::ZERO), "nobody else is there");
        let other = bandwidth.limit(&());
        let second = bandwidth.limit(&());
        drop(second);
        assert_eq!(took(&()), (true, WAY));
        assert_eq!(took(&CancelAt(AtomicU64::new(0), 4)), (false, 3 * PAUSE_MAX));
        assert!(other.advance(BUFFER).is_continue());
        drop(other);
        assert_eq!(took(&()), (true, Duration::ZERO), "nobody else is left");
    }

    #[test]
    fn a_cancel_ends_a_pause_within_ten_milliseconds() {
        let (clock, bandwidth) = account(1);
        let begun = clock.monotonic();
        // The first look is that of the buffer itself, the others are made in the pause of an hour.
        let progress = CancelAt(AtomicU64::new(0), 4);
        assert!(bandwidth.limit(&progress).advance(3600 * MEGABYTE).is_break());
        assert_eq!(clock.monotonic() - begun, 3 * PAUSE_MAX);
    }
}
