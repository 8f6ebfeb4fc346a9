//! Downloads: how many run, how they end, how many bytes go out.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;
use super::labels::Ending;

const COMPLETE: Ending = Ending { result: "complete" };
const ABORTED: Ending = Ending { result: "aborted" };

#[derive(Debug)]
pub(super) struct Downloads {
    running: Gauge,
    ended: Family<Ending, Counter>,
    bytes: Counter,
}

impl Downloads {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let found = Self { running: Gauge::default(), ended: Family::default(), bytes: Counter::default() };
        for ending in [COMPLETE, ABORTED] {
            drop(found.ended.get_or_create(&ending));
        }
        registry.register("snapshot_downloads_running", "Downloads that are being sent", found.running.clone());
        registry.register("snapshot_downloads", "Downloads that ended, by whether all was sent", found.ended.clone());
        registry.register("snapshot_downloaded_bytes", "Bytes of archives that were sent", found.bytes.clone());
        found
    }
}

/// A download that is being sent, until this is dropped.
#[derive(Debug)]
pub(crate) struct Download {
    metrics: Arc<Metrics>,
    complete: bool,
}

impl Metrics {
    /// Counts a download that begins.
    pub(crate) fn download(self: &Arc<Self>) -> Download {
        self.downloads.running.inc();
        Download { metrics: Arc::clone(self), complete: false }
    }
}

impl Download {
    /// Counts bytes that were handed to the connection.
    pub(crate) fn sent(&self, bytes: u64) {
        self.metrics.downloads.bytes.inc_by(bytes);
    }

    /// Notes that these were all.
    pub(crate) fn complete(&mut self) {
        self.complete = true;
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let downloads = &self.metrics.downloads;
        downloads.running.dec();
        downloads.ended.get_or_create(if self.complete { &COMPLETE } else { &ABORTED }).inc();
    }
}

#[cfg(test)]
mod tests {
    use icecore_io::OsClock;

    use super::*;

    #[test]
    fn a_download_counts_until_it_is_dropped() {
        let metrics = Arc::new(Metrics::new(Arc::new(OsClock::new())));
        let (mut first, second) = (metrics.download(), metrics.download());
        first.sent(3);
        assert_eq!(metrics.downloads.running.get(), 2);
        first.complete();
        drop((first, second));
        let ended = |ending: &Ending| metrics.downloads.ended.get_or_create(ending).get();
        assert_eq!((metrics.downloads.running.get(), metrics.downloads.bytes.get()), (0, 3));
        assert_eq!((ended(&COMPLETE), ended(&ABORTED)), (1, 1));
    }
}
