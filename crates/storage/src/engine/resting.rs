//! Shards whose compaction has failed in the background: why, and when it is tried again.
//!
//! Each failure makes the next rest of the shard longer, up to a limit, because each trial reads, and perhaps writes, a lot. Who rests
//! keeps no other shard from its compactions. Nothing is lost meanwhile: the segments stay in use as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::ids::ShardDirId;

/// The rest after a failure.
const REST_MIN: Duration = Duration::from_secs(1);
/// The longest rest of a shard that fails again and again.
const REST_MAX: Duration = Duration::from_secs(300);

/// The shards that rest.
#[derive(Debug, Default)]
pub(super) struct Resting(Mutex<BTreeMap<ShardDirId, Failed>>);

#[derive(Debug)]
struct Failed {
    reason: String,
    rest: Duration,
    /// When the rest is over, by the monotonic clock.
    until: Duration,
}

impl Resting {
    /// Whether the shard may be compacted at the time `now` of the monotonic clock.
    pub(super) fn is_due(&self, shard: ShardDirId, now: Duration) -> bool {
        self.lock().get(&shard).is_none_or(|failed| failed.until <= now)
    }

    /// Lets the shard rest from now on, for twice as long as the last time unless it has succeeded since.
    pub(super) fn failed(&self, shard: ShardDirId, error: &Error, now: Duration) {
        let mut resting = self.lock();
        let rest = resting.get(&shard).map_or(REST_MIN, |before| REST_MAX.min(2 * before.rest));
        resting.insert(shard, Failed { reason: error.with_causes(), rest, until: now + rest });
    }

    /// The shard has no more compactions to do.
    pub(super) fn succeeded(&self, shard: ShardDirId) {
        self.lock().remove(&shard);
    }

    /// Forgets the shards that are not there any more.
    pub(super) fn forget_all_but(&self, shards: &BTreeSet<ShardDirId>) {
        self.lock().retain(|shard, _| shards.contains(shard));
    }

    /// Why a compaction has failed that has not succeeded since, if there is one.
    pub(super) fn problem(&self) -> Option<String> {
        self.lock().values().next().map(|failed| failed.reason.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ShardDirId, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardDirId = ShardDirId(1);
    const B: ShardDirId = ShardDirId(2);

    /// The rests of a shard that fails whenever it may, in seconds.
    fn rests(resting: &Resting, now: &mut u64, count: usize) -> Vec<u64> {
        let one = || {
            resting.failed(A, &Error::Closed, Duration::from_secs(*now));
            let begin = *now;
            while !resting.is_due(A, Duration::from_secs(*now)) {
                *now += 1;
            }
            *now - begin
        };
        std::iter::repeat_with(one).take(count).collect()
    }

    #[test]
    fn rests_grow_up_to_a_limit_and_are_short_again_after_a_success() {
        let (resting, mut now) = (Resting::default(), 7);
        assert_eq!(rests(&resting, &mut now, 11), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(resting.problem().is_some());
        resting.succeeded(A);
        assert_eq!(resting.problem(), None);
        assert_eq!(rests(&resting, &mut now, 2), [1, 2]);
    }

    #[test]
    fn a_shard_that_rests_keeps_no_other_waiting() {
        let resting = Resting::default();
        resting.failed(A, &Error::Closed, Duration::ZERO);
        assert!(!resting.is_due(A, Duration::ZERO) && resting.is_due(B, Duration::ZERO));
    }

    #[test]
    fn what_is_gone_is_no_problem_any_more() {
        let resting = Resting::default();
        resting.failed(A, &Error::Closed, Duration::ZERO);
        resting.forget_all_but(&BTreeSet::from([A, B]));
        assert!(resting.problem().is_some());
        resting.forget_all_but(&BTreeSet::from([B]));
        assert_eq!(resting.problem(), None);
    }
}
