//! Metrics for Prometheus, all named here and in the rooms below, all with the prefix `balancefleet_`.
//!
//! What the consumer counts is read from the view at every scrape; what this API counts is kept here.

mod fleet;
mod requests;
mod worker;

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::worker::WorkerCollector;
use crate::view::View;

pub(super) use self::fleet::FleetMetrics;
pub(super) use self::requests::RequestMetrics;

/// Media type of the exposition.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds; from a read in memory to a whole list.
const DURATION_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Everything that is exposed at `/metrics`.
pub(super) struct Telemetry {
    registry: Registry,
    pub(super) fleet: FleetMetrics,
    pub(super) requests: RequestMetrics,
}

impl Telemetry {
    pub(super) fn new(view: Arc<View>) -> Self {
        let mut registry = Registry::with_prefix("balancefleet");
        let fleet = FleetMetrics::registered(&mut registry);
        let requests = RequestMetrics::registered(&mut registry);
        registry.register_collector(Box::new(WorkerCollector::new(view)));
        Self { registry, fleet, requests }
    }

    /// The exposition's text.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
