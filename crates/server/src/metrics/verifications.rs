//! Archives that were read back after they were made, by what came of it.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::Ending;

/// What came of an archive's verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Every byte is as it was meant.
    Sound,
    /// Not so.
    Damaged,
    /// The system did not let it be read.
    Failed,
    /// Too many others were waiting, so it was not begun.
    Skipped,
}

impl Verification {
    const ALL: [Self; 4] = [Self::Sound, Self::Damaged, Self::Failed, Self::Skipped];

    fn label(self) -> Ending {
        let result = match self {
            Self::Sound => "sound",
            Self::Damaged => "damaged",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        };
        Ending { result }
    }
}

#[derive(Debug)]
pub(super) struct Verifications(Family<Ending, Counter>);

impl Verifications {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let ended = Family::default();
        for result in Verification::ALL {
            drop(Family::<Ending, Counter>::get_or_create(&ended, &result.label()));
        }
        registry.register("snapshot_verifications", "New archives, by what came of reading them back", ended.clone());
        Self(ended)
    }
}

impl Metrics {
    /// Counts what came of an archive's verification.
    pub(crate) fn verified(&self, result: Verification) {
        self.verifications.0.get_or_create(&result.label()).inc();
    }

    /// How many had this result.
    #[cfg(test)]
    pub(crate) fn verifications(&self, result: Verification) -> u64 {
        self.verifications.0.get_or_create(&result.label()).get()
    }
}
