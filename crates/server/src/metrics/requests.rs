//! Requests: how many, how they were answered, how long that took.
//!
//! A route is known by its pattern. Names of collections and whatever else clients put into paths are no labels.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Metrics;

/// Upper bounds of the histogram's buckets, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    endpoint: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    endpoint: String,
}

#[derive(Debug)]
pub(super) struct Requests {
    responses: Family<Answered, Counter>,
    seconds: Family<Route, Histogram>,
}

impl Requests {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let responses = Family::default();
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register("rest_responses", "Responses by route and status", responses.clone());
        let help = "Time until a response began, which is before a download is sent";
        registry.register("rest_responses_duration_seconds", help, seconds.clone());
        Self { responses, seconds }
    }
}

impl Metrics {
    /// Counts a response. Method and endpoint have to come from sets that clients cannot enlarge.
    pub(crate) fn response(&self, method: &'static str, endpoint: &str, status: u16, time: Duration) {
        let endpoint = endpoint.to_owned();
        self.requests.responses.get_or_create(&Answered { method, endpoint: endpoint.clone(), status }).inc();
        self.requests.seconds.get_or_create(&Route { method, endpoint }).observe(time.as_secs_f64());
    }
}

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}
