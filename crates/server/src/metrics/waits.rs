//! How long writes have waited inside the storage: its histograms as they stand, for each scrape.

use std::collections::HashMap;

use icecore_storage::{WaitHistogram, WaitStats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

/// Which wait.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct For {
    r#for: &'static str,
}

/// The waits of this moment.
#[derive(Debug)]
pub(super) struct Waits(pub(super) WaitStats);

impl Collector for Waits {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Waits of writes inside the storage, apart from their own syncs.";
        let mut family = encoder.encode_descriptor("storage_write_wait_seconds", help, None, MetricType::Histogram)?;
        let WaitStats { barrier, log, memory } = &self.0;
        for (name, histogram) in [("barrier", barrier), ("log", log), ("memory", memory)] {
            let buckets = buckets(histogram);
            let none: Option<&HashMap<usize, Exemplar<For, f64>>> = None;
            let label = For { r#for: name };
            let mut encoder = family.encode_family(&label)?;
            encoder.encode_histogram(histogram.sum.as_secs_f64(), histogram.count(), &buckets, none)?;
        }
        Ok(())
    }
}

/// Upper bounds in seconds with their counts; the last bucket has no bound.
fn buckets(histogram: &WaitHistogram) -> Vec<(f64, u64)> {
    let last = histogram.buckets.len() - 1;
    let bound =
        |number: usize| if number == last { f64::MAX } else { 1e-6 * f64::powi(2.0, i32::try_from(number).unwrap_or(i32::MAX)) };
    histogram.buckets.iter().enumerate().map(|(number, count)| (bound(number), *count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers_of_two_of_microseconds() {
        let mut histogram = WaitHistogram { buckets: Default::default(), sum: Default::default(), max: Default::default() };
        histogram.buckets[3] = 7;
        let buckets = buckets(&histogram);
        assert!((buckets[3].0 - 8e-6).abs() < 1e-12 && buckets[3].1 == 7);
        assert_eq!(buckets.last().unwrap().0, f64::MAX);
    }
}
