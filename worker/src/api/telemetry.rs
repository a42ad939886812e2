//! Metrics for Prometheus, all with the prefix `balancefleet_`.
//!
//! What the consumer counts is read from the view at every scrape; what this API counts is kept here.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::errors::ApiError;
use crate::view::{Counts, PartitionInfo, Phase, View};

/// Media type of the exposition.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds; from a read in memory to a whole list.
const DURATION_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

const PHASES: [(Phase, &str); 4] = [
    (Phase::Restoring, "restoring"),
    (Phase::Active, "active"),
    (Phase::Draining, "draining"),
    (Phase::Failed, "failed"),
];

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
        registry.register_collector(Box::new(WorkerCollector { view }));
        Self { registry, fleet, requests }
    }

    /// The exposition's text.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Reads and the answers of peers.
#[derive(Clone, Debug)]
pub(super) struct FleetMetrics {
    reads: Family<OutcomeLabel, Counter>,
    answers: Family<OutcomeLabel, Counter>,
    duration: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl FleetMetrics {
    fn registered(registry: &mut Registry) -> Self {
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
    pub(super) fn read(&self, error: Option<&ApiError>, took: Duration) {
        let outcome = match error {
            None => "complete",
            Some(ApiError::Incomplete { .. }) => "incomplete",
            Some(ApiError::Busy) => "busy",
            Some(ApiError::TooLarge) => "too_large",
            Some(_) => "failed",
        };
        self.reads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A peer was asked; `outcome` is one of few names.
    pub(super) fn peer(&self, outcome: &'static str) {
        self.answers.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

/// Requests and their durations.
#[derive(Clone, Debug)]
pub(super) struct RequestMetrics {
    requests: Family<Request, Counter>,
    duration: Family<Path, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    path: Arc<str>,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Path {
    path: Arc<str>,
}

impl RequestMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
        };
        registry.register("http_requests", "HTTP requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time until the head of the answer was ready",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        metrics
    }

    /// A request was answered. `path` is the documented one, so that callers cannot make new series.
    pub(super) fn answered(&self, method: &Method, path: Arc<str>, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            _ => "other",
        };
        self.duration.get_or_create(&Path { path: path.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { method, path, status: status.as_u16() }).inc();
    }
}

/// The consumer's own figures.
struct WorkerCollector {
    view: Arc<View>,
}

impl fmt::Debug for WorkerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerCollector").finish_non_exhaustive()
    }
}

impl Collector for WorkerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let partitions = self.view.partitions();
        worker_info(&mut encoder, &self.view)?;
        counters(&mut encoder, &self.view.counters())?;
        state(&mut encoder, &self.view, partitions.len())?;
        positions(&mut encoder, &partitions)?;
        phases(&mut encoder, &partitions)
    }
}

fn worker_info(encoder: &mut DescriptorEncoder<'_>, view: &View) -> fmt::Result {
    let worker_info = view.worker_info();
    let info = Info::new(vec![
        ("consumer_id", worker_info.consumer_id.clone()),
        ("group", worker_info.group_id.clone()),
        ("topic", worker_info.topic.clone()),
        ("ledger", worker_info.ledger.to_string()),
        ("store", worker_info.store.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    info.encode(encoder.encode_descriptor("worker", "Who this worker is", None, MetricType::Info)?)
}

fn counters(encoder: &mut DescriptorEncoder<'_>, counts: &Counts) -> fmt::Result {
    let counters = [
        ("messages_consumed", "Records processed, bad ones included, restored ones not", counts.messages_consumed),
        ("balance_updates", "Records applied to a balance", counts.balance_updates),
        ("processing_errors", "Records that could not be applied", counts.processing_errors),
        ("duplicate_records", "Records that arrived again and were skipped", counts.duplicates),
        ("offset_gaps", "Jumps of the offset between two records", counts.gaps),
        ("rebalance_events", "Assigned, revoked and lost events", counts.rebalances),
        ("commits", "Offset commits the group coordinator accepted", counts.commits),
        ("commit_failures", "Offset commits refused or of unknown outcome", counts.commit_failures),
    ];
    for (name, help, value) in counters {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(metric)?;
    }
    let metric = encoder.encode_descriptor(
        "processing",
        "Time spent on records, simulated work included",
        Some(&Unit::Seconds),
        MetricType::Counter,
    )?;
    ConstCounter::new(counts.busy_micros as f64 / 1e6).encode(metric)
}

fn state(encoder: &mut DescriptorEncoder<'_>, view: &View, assigned: usize) -> fmt::Result {
    let counts = view.counters();
    let seconds = |timestamp: jiff::Timestamp| timestamp.as_millisecond() as f64 / 1e3;
    gauge(encoder, "assigned_partitions", "Partitions this worker has", assigned)?;
    gauge(encoder, "answerable_partitions", "Partitions this worker answers for", view.answerable().len())?;
    gauge(encoder, "ready", "1 while the worker is ready for traffic", i64::from(view.readiness().ready))?;
    if let Some(is_compacted) = view.is_input_compacted() {
        let help = "1 if the topic is compacted and does not keep every record";
        gauge(encoder, "input_compacted", help, i64::from(is_compacted))?;
    }
    gauge(encoder, "start_time_seconds", "When the process started", seconds(view.worker_info().started_at))?;
    if let Some(last) = counts.last_message_at {
        gauge(encoder, "last_message_timestamp_seconds", "When the last record was processed", seconds(last))?;
    }
    let metric = encoder.encode_descriptor("status", "1 for the present status", None, MetricType::Gauge)?;
    labelled(metric, [([("status", view.status().as_str())], 1)])
}

fn positions(encoder: &mut DescriptorEncoder<'_>, partitions: &[PartitionInfo]) -> fmt::Result {
    let left = |info: &PartitionInfo| info.restore.map(|restore| restore.target.saturating_sub(restore.current).max(0));
    let customers = |info: &PartitionInfo| i64::try_from(info.customers).ok();
    type Figure<'a> = &'a dyn Fn(&PartitionInfo) -> Option<i64>;
    let figures: [(&str, &str, Figure<'_>); 5] = [
        ("partition_next_offset", "The next offset to process", &|info| info.next_offset),
        ("partition_committed_offset", "The offset the group has committed", &|info| info.committed_offset),
        ("partition_generation", "The group's generation at the assignment", &|info| Some(info.generation.into())),
        ("partition_customers", "Customers in the partition's ledger", &customers),
        ("partition_restore_remaining_records", "Records to read until the partition is active", &left),
    ];
    for (name, help, figure) in figures {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let values = partitions.iter().filter_map(|info| Some(([("partition", info.partition)], figure(info)?)));
        labelled(metric, values)?;
    }
    Ok(())
}

fn phases(encoder: &mut DescriptorEncoder<'_>, partitions: &[PartitionInfo]) -> fmt::Result {
    let metric = encoder.encode_descriptor("partitions", "Assigned partitions by phase", None, MetricType::Gauge)?;
    let values = PHASES.map(|(phase, name)| {
        let count = partitions.iter().filter(|info| info.phase == phase).count();
        ([("phase", name)], i64::try_from(count).unwrap_or(i64::MAX))
    });
    labelled(metric, values)
}

fn gauge<V>(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: V) -> fmt::Result
where
    V: EncodeGaugeValue,
    ConstGauge<V>: EncodeMetric,
{
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

fn labelled<L: EncodeLabelSet>(
    mut metric: MetricEncoder<'_>,
    values: impl IntoIterator<Item = (L, i64)>,
) -> fmt::Result {
    for (labels, value) in values {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}
