//! How long operations of the command line and of the start show how far they are: a bar on a terminal, log lines otherwise.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use icecore_archive::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::shutdown::Shutdown;

/// Without a terminal, a line is logged after each such part of the whole.
const LOGGED_PARTS: u64 = 10;
/// Less than that is done before anyone could read a line, in bytes.
const LOGGED_LEN_MIN: u64 = 64 << 20;

/// A bar on a terminal or lines in the log.
#[derive(Debug)]
pub(crate) struct Reporter {
    what: &'static str,
    bar: Option<ProgressBar>,
    shutdown: Option<Shutdown>,
    total: AtomicU64,
    done: AtomicU64,
}

impl Reporter {
    /// Shows the progress of `what`. With `shutdown`, the operation is cancelled as soon as the end of the server is asked for.
    pub(crate) fn new(what: &'static str, shutdown: Option<Shutdown>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
            // A template that does not parse is a bar without a template, not a reason to fail.
            if let Ok(style) = ProgressStyle::with_template(
                "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
            ) {
                bar.set_style(style);
            }
            bar.set_prefix(what);
            bar
        });
        Self { what, bar, shutdown, total: AtomicU64::new(0), done: AtomicU64::new(0) }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Progress for Reporter {
    fn start(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_position(0);
            bar.set_length(total);
        }
    }

    fn advance(&self, bytes: u64) -> ControlFlow<()> {
        let before = self.done.fetch_add(bytes, Ordering::Relaxed);
        match &self.bar {
            Some(bar) => bar.inc(bytes),
            None => {
                let total = self.total.load(Ordering::Relaxed);
                let part = |done: u64| done.saturating_mul(LOGGED_PARTS).checked_div(total).unwrap_or(0);
                if total >= LOGGED_LEN_MIN && part(before + bytes) > part(before) {
                    tracing::info!("{}: {} of {} MiB", self.what, (before + bytes) >> 20, total >> 20);
                }
            }
        }
        match &self.shutdown {
            Some(shutdown) if shutdown.is_requested() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Bytes and time as people read them: `12.3 MB in 0.50 s, 24.6 MB/s`.
pub(crate) fn throughput(bytes: u64, time: Duration) -> String {
    let megabytes = bytes as f64 / 1e6;
    let seconds = time.as_secs_f64();
    match seconds > 0.0 {
        true => format!("{megabytes:.1} MB in {seconds:.2} s, {:.1} MB/s", megabytes / seconds),
        false => format!("{megabytes:.1} MB in no time"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throughput_is_for_people() {
        assert_eq!(throughput(12_340_000, Duration::from_millis(500)), "12.3 MB in 0.50 s, 24.7 MB/s");
        assert_eq!(throughput(0, Duration::ZERO), "0.0 MB in no time");
    }

    #[test]
    fn bytes_are_counted_and_the_end_of_the_server_cancels() {
        let shutdown = Shutdown::new();
        let reporter = Reporter::new("test", Some(shutdown.clone()));
        reporter.start(10);
        assert!(reporter.advance(4).is_continue());
        shutdown.force();
        assert!(reporter.advance(6).is_break());
        assert_eq!(reporter.done.load(Ordering::Relaxed), 10);
    }
}
