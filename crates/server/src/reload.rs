//! New settings for a running server: at SIGHUP it reads its files and its environment again, as at its start.
//!
//! Either all of them can be used, or nothing changes. Of those that differ, the ones that a running server can take are applied; the
//! others are named, and wait for a restart. What was asked for and what came of it stands in the log, because nobody else is told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use crate::app::App;
use crate::bandwidth::Bandwidth;
use crate::config::{self, Config, ConfigError, Difference};
use crate::error::one_line;
use crate::verifier::Verifier;

/// Waits for signals. Without it a SIGHUP ends the process, so it is made before anything else.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

/// The settings of a server that runs, and where they come from.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The file of `--config-path`.
    named: Option<PathBuf>,
    /// As they were loaded, those that were applied since included.
    current: Config,
}

impl Hangups {
    /// Notes signals from now on. Must be called inside a runtime.
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Reads the settings again at each signal, for ever.
    pub(crate) async fn obey(mut self, app: Arc<App>, mut settings: Settings) {
        while self.0.recv().await.is_some() {
            let app = Arc::clone(&app);
            let reading = spawn_blocking(move || {
                settings.reload(&app.bandwidth, &app.verifier);
                settings
            });
            match reading.await {
                Ok(read) => settings = read,
                // The runtime ends, or the thread has panicked and said so.
                Err(_) => return,
            }
        }
    }
}

impl Settings {
    /// The settings that were loaded with the file `named`.
    pub(crate) fn new(named: Option<PathBuf>, current: Config) -> Self {
        Self { named, current }
    }

    fn reload(&mut self, bandwidth: &Bandwidth, verifier: &Verifier) {
        match self.read() {
            Ok(loaded) => {
                let difference = config::difference(&self.current, &loaded);
                self.apply(&loaded, bandwidth, verifier);
                report(&difference);
            }
            Err(error) => tracing::error!("the settings were not changed, for they cannot be read: {}", one_line(&error)),
        }
    }

    fn read(&self) -> Result<Config, ConfigError> {
        let loaded = config::load(Path::new(config::DEFAULT_FILE), self.named.as_deref(), std::env::vars_os())?;
        Ok(loaded.config)
    }

    /// Applies the settings that are marked as live in the table of keys.
    fn apply(&mut self, loaded: &Config, bandwidth: &Bandwidth, verifier: &Verifier) {
        let megabytes = loaded.snapshots.bandwidth_mb_s;
        self.current.snapshots.bandwidth_mb_s = megabytes;
        bandwidth.set(megabytes);
        self.current.snapshots.verify_new = loaded.snapshots.verify_new;
        verifier.switch(loaded.snapshots.verify_new.0);
    }
}

/// Never says a value: there are secrets among them.
fn report(difference: &Difference) {
    let Difference { live, fixed } = difference;
    if live.is_empty() && fixed.is_empty() {
        tracing::info!("the settings were read again: nothing has changed");
    }
    if !live.is_empty() {
        tracing::info!("the settings were read again, and applied: {}", live.join(", "));
    }
    if !fixed.is_empty() {
        tracing::warn!("the settings were read again; these have changed and need a restart: {}", fixed.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use icecore_io::{Clock, ManualClock};

    use super::*;

    /// A live key that nobody applies would be reported as applied: after a reload only those that need a restart may differ.
    #[test]
    fn all_that_is_live_is_applied_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my.yaml");
        let clock = Arc::new(ManualClock::new(Duration::ZERO));
        let (bandwidth, verifier) = (Bandwidth::new(clock.clone(), 0), Verifier::new(true));
        let mut settings = Settings::new(Some(path.clone()), Config::default());

        std::fs::write(&path, "snapshots: {bandwidth_mb_s: 10, verify_new: false}\njobs: {concurrency: 9}\n").unwrap();
        let read = settings.read().unwrap();
        assert_eq!(config::difference(&settings.current, &read).live, ["snapshots.bandwidth_mb_s", "snapshots.verify_new"]);
        settings.reload(&bandwidth, &verifier);
        let left = Difference { live: vec![], fixed: vec!["jobs.concurrency"] };
        assert_eq!(config::difference(&settings.current, &read), left);
        assert!(!verifier.is_on());
        assert!(icecore_archive::Progress::advance(&bandwidth.limit(&()), 10_000_000).is_continue());
        assert_eq!(clock.monotonic(), Duration::from_secs(1));
    }

    #[test]
    fn settings_that_cannot_be_used_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my.yaml");
        let bandwidth = Bandwidth::new(Arc::new(ManualClock::new(Duration::ZERO)), 0);
        let verifier = Verifier::new(true);
        let mut settings = Settings::new(Some(path.clone()), Config::default());
        for wrong in ["snapshots: {bandwidth_mb_s: 10}\nno_such_key: 1\n", "snapshots: [", "snapshots: {bandwidth_mb_s: fast}"] {
            std::fs::write(&path, wrong).unwrap();
            settings.reload(&bandwidth, &verifier);
            assert_eq!(settings.current, Config::default(), "{wrong}");
        }
        std::fs::remove_file(&path).unwrap();
        settings.reload(&bandwidth, &verifier);
        assert_eq!(settings.current, Config::default(), "the file is gone");
    }
}
