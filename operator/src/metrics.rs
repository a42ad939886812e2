//! The one place that names the operator's metrics. Labels are bounded: outcomes, categories, verbs,
//! kinds. The lag per group is added by its own collector, from the poller's newest snapshots.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64},
    },
    time::Instant,
};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Reconciles by outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    outcome: &'static str,
}

/// Failed reconciles by [`crate::error::Error::category`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CategoryLabels {
    category: &'static str,
}

/// Write requests by verb and resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteLabels {
    verb: &'static str,
    resource: &'static str,
}

/// Writes by kind and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteOutcomeLabels {
    kind: &'static str,
    outcome: &'static str,
}

/// Handles to all metrics; cloning shares them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    reconciles: Family<OutcomeLabels, Counter>,
    errors: Family<CategoryLabels, Counter>,
    duration: Histogram,
    writes: Family<WriteLabels, Counter>,
    write_outcomes: Family<WriteOutcomeLabels, Counter>,
    watch_errors: Counter,
    in_backoff: Gauge<i64, AtomicI64>,
    groups: Gauge<i64, AtomicI64>,
    total_writes: Arc<AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::default())),
            reconciles: Family::default(),
            errors: Family::default(),
            // 1 ms (nothing to do) to 8 s (several calls near their time limit).
            duration: Histogram::new([0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 8.0]),
            writes: Family::default(),
            write_outcomes: Family::default(),
            watch_errors: Counter::default(),
            in_backoff: Gauge::default(),
            groups: Gauge::default(),
            total_writes: Arc::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&self) {
        let mut root = self.registry.lock();
        let registry = root.sub_registry_with_prefix("balancefleet_operator");
        registry.register("reconciles", "Reconciles of one object by outcome", self.reconciles.clone());
        registry.register("reconcile_errors", "Failed reconciles by category", self.errors.clone());
        registry.register("reconcile_duration_seconds", "Duration of one reconcile", self.duration.clone());
        registry.register("api_writes", "Requests that write, by verb and resource", self.writes.clone());
        registry.register("write_outcomes", "Writes by kind and outcome", self.write_outcomes.clone());
        registry.register("watch_errors", "Watches that broke and were started again", self.watch_errors.clone());
        registry.register(
            "objects_in_backoff",
            "Objects whose last reconcile failed or waits",
            self.in_backoff.clone(),
        );
        registry.register("groups", "Objects of this kind that are watched", self.groups.clone());
    }

    /// Adds metrics that another component computes when they are scraped.
    pub fn add_collector(&self, collector: Box<dyn prometheus_client::collector::Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// Starts to measure a reconcile; the timer records it when it is dropped.
    pub fn start_reconcile(&self) -> ReconcileTimer {
        ReconcileTimer { metrics: self.clone(), started: Instant::now(), outcome: "cancelled" }
    }

    /// Counts a write request that was sent.
    pub fn api_write(&self, verb: &'static str, resource: &'static str) {
        self.writes.get_or_create(&WriteLabels { verb, resource }).inc();
        self.total_writes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Counts the outcome of a write.
    pub fn write_outcome(&self, kind: &'static str, outcome: &'static str) {
        self.write_outcomes.get_or_create(&WriteOutcomeLabels { kind, outcome }).inc();
    }

    /// All write requests so far; at rest this number does not change.
    pub fn total_api_writes(&self) -> u64 {
        self.total_writes.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Counts a watch that failed and will be restarted.
    pub fn watch_error(&self) {
        self.watch_errors.inc();
    }

    /// How many objects wait because their last reconcile failed.
    pub fn set_in_backoff(&self, objects: usize) {
        self.in_backoff.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// How many objects are watched.
    pub fn set_groups(&self, objects: usize) {
        self.groups.set(i64::try_from(objects).unwrap_or(i64::MAX));
    }

    /// The OpenMetrics text of everything.
    ///
    /// # Errors
    /// Only when formatting into a string fails, which a collector may cause.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

/// Records one reconcile, however it ends.
pub struct ReconcileTimer {
    metrics: Metrics,
    started: Instant,
    outcome: &'static str,
}

impl ReconcileTimer {
    /// The reconcile ended without an error.
    pub fn succeeded(&mut self) {
        self.outcome = "success";
    }

    /// The reconcile ended with an error of this category.
    pub fn failed(&mut self, category: &'static str) {
        self.outcome = "error";
        self.metrics.errors.get_or_create(&CategoryLabels { category }).inc();
    }
}

impl Drop for ReconcileTimer {
    fn drop(&mut self) {
        self.metrics.duration.observe(self.started.elapsed().as_secs_f64());
        self.metrics.reconciles.get_or_create(&OutcomeLabels { outcome: self.outcome }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reconcile_is_counted_however_it_ends() {
        let metrics = Metrics::default();
        drop(metrics.start_reconcile());
        metrics.start_reconcile().succeeded();
        metrics.start_reconcile().failed("timeout");
        let text = metrics.text().unwrap();
        for line in [
            r#"balancefleet_operator_reconciles_total{outcome="cancelled"} 1"#,
            r#"balancefleet_operator_reconciles_total{outcome="success"} 1"#,
            r#"balancefleet_operator_reconciles_total{outcome="error"} 1"#,
            r#"balancefleet_operator_reconcile_errors_total{category="timeout"} 1"#,
            "balancefleet_operator_reconcile_duration_seconds_count 3",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
