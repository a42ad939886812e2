//! Counts of balance reads over the whole fleet.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::DURATION_BUCKETS;
use crate::api::refusal::Refusal;

/// Reads and the answers of peers.
#[derive(Clone, Debug)]
pub(in crate::api) struct FleetMetrics {
    reads: Family<Outcome, Counter>,
    answers: Family<Outcome, Counter>,
    duration: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl FleetMetrics {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let metrics =
            Self { reads: Family::default(), answers: Family::default(), duration: Histogram::new(DURATION_BUCKETS) };
        registry.register("fleet_reads", "Balance reads over all workers", metrics.reads.clone());
        registry.register("fleet_peer_answers", "What peers answered when asked", metrics.answers.clone());
        registry.register_with_unit(
            "fleet_read_duration",
            "Time until every partition was read, or given up",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }

    /// A read has ended after `took`.
    pub(in crate::api) fn read(&self, refusal: Option<&Refusal>, took: Duration) {
        let outcome = match refusal {
            None => "complete",
            Some(Refusal::Incomplete { .. }) => "incomplete",
            Some(Refusal::Busy) => "busy",
            Some(Refusal::TooLarge) => "too_large",
            Some(_) => "failed",
        };
        self.reads.get_or_create(&Outcome { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A peer was asked; `outcome` is one of few names.
    pub(in crate::api) fn peer(&self, outcome: &'static str) {
        self.answers.get_or_create(&Outcome { outcome }).inc();
    }
}
