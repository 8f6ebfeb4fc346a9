//! What the server counts of itself, for `GET /metrics`.
//!
//! What happens is counted where it happens, in [`Metrics`]; what is so (points, archives, memory) is looked up when somebody asks,
//! in [`facts`]. The number of series is bounded by the routes and the collections that exist, never by what clients send. There is
//! nothing global: every server, and every test, has its own. All of it is described in `docs/metrics.md`.

mod downloads;
mod facts;
mod labels;
mod managed;
pub(crate) mod process;
mod requests;
mod snapshots;
mod text;
mod verifications;
mod waits;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use icecore_io::Clock;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

use self::downloads::Downloads;
use self::managed::Managed;
use self::requests::Requests;
use self::snapshots::Snapshots;
use self::verifications::Verifications;
use crate::app::App;

pub(crate) use self::downloads::Download;
pub(crate) use self::snapshots::{Kind, SnapshotCounts};
pub(crate) use self::verifications::Verification;

/// The counters of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    clock: Arc<dyn Clock>,
    started: SystemTime,
    registry: Registry,
    requests: Requests,
    snapshots: Snapshots,
    downloads: Downloads,
    verifications: Verifications,
    managed: Managed,
}

impl Metrics {
    /// Counters that begin at zero, of a server that starts now.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let mut registry = Registry::default();
        let requests = Requests::new(&mut registry);
        let snapshots = Snapshots::new(&mut registry);
        let downloads = Downloads::new(&mut registry);
        let verifications = Verifications::new(&mut registry);
        let managed = Managed::new(&mut registry);
        Self { started: clock.now(), clock, registry, requests, snapshots, downloads, verifications, managed }
    }

    /// When the server was started.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// Time since some fixed instant, for durations.
    fn now(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// Everything as text in the format of Prometheus. Looks at the storage and lists the archives, so it belongs on a blocking thread.
pub(crate) fn render(app: &App) -> Result<String, fmt::Error> {
    let mut text = String::new();
    encode_registry(&mut text, &app.metrics.registry)?;
    encode_registry(&mut text, &facts::gather(app))?;
    Ok(text::classic(&text))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use icecore_io::MemFs;

    use super::*;
    use crate::testing;
    use crate::usecases::create;
    use crate::usecases::naming::Place;

    const DOCUMENT: &str = include_str!("../../../../docs/metrics.md");

    /// Type, names of labels, help.
    type Described = BTreeMap<String, (String, BTreeSet<String>, String)>;

    /// The rows `| name | type | labels | help |` of the document.
    fn documented() -> Described {
        let mut found = Described::new();
        for line in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
            let [name, kind, labels, help] = cells[..] else { panic!("{line}") };
            let labels = labels.split(", ").map(|label| label.trim_matches('`')).filter(|label| *label != "–").map(str::to_owned);
            let row = (kind.to_owned(), labels.collect(), help.to_owned());
            assert!(found.insert(name.to_owned(), row).is_none(), "{name} stands twice");
        }
        found
    }

    fn exposed(text: &str) -> Described {
        let mut found = Described::new();
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                found.insert(name.to_owned(), (String::new(), BTreeSet::new(), help.to_owned()));
            } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                found.get_mut(name).unwrap().0 = kind.to_owned();
            } else {
                let (series, _) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let family = found.keys().rfind(|family| name.starts_with(*family)).unwrap_or_else(|| panic!("{line}")).clone();
                let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
                let names = labels.map(|(name, _)| name.to_owned()).filter(|name| name != "le");
                found.get_mut(&family).unwrap().1.extend(names);
            }
        }
        found
    }

    #[test]
    fn the_document_describes_what_is_exposed() {
        let app = testing::app(&MemFs::new());
        testing::fill(&app, "c", 1, "a");
        app.metrics.response("GET", "/", 200, Duration::ZERO);
        let place = Place::Collection("c".to_owned());
        for kind in [Kind::Create, Kind::Recover, Kind::Upload, Kind::Delete] {
            app.metrics.snapshot(kind, &place).finish(1);
        }
        assert_eq!(exposed(&render(&app).unwrap()), documented());
    }

    #[test]
    fn facts_are_those_of_the_moment() {
        let app = testing::app(&MemFs::new());
        testing::fill(&app, "c", 2, "a");
        let scope = icecore_storage::Scope::Collection("c".to_owned());
        let archive = create::create(&app, &scope, create::Options::default(), &(), |_| Ok(())).unwrap();
        let text = render(&app).unwrap();
        for line in [
            "collections_total 1",
            "collection_points{id=\"c\"} 10",
            "collection_dead_replicas 0",
            "storage_flush_problem 0",
            "storage_compaction_problem 0",
            "snapshot_created_total{id=\"c\"} 1",
            "snapshot_creation_running{id=\"c\"} 0",
            "snapshot_recovery_running{id=\"c\"} 0",
            "snapshot_failed_total{kind=\"create\"} 0",
            "store_archives{scope=\"collection\"} 1",
            "store_archives{scope=\"storage\"} 0",
            &format!("store_archive_bytes{{scope=\"collection\"}} {}", archive.size),
            &format!("snapshot_bytes_total{{kind=\"create\"}} {}", archive.size),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        app.storage.delete_collection("c").unwrap();
        let text = render(&app).unwrap();
        assert!(text.contains("collections_total 0\n") && !text.contains("id=\"c\""), "{text}");
    }
}
