//! The lag of every group, read from the poller's newest snapshots at each scrape: exact, and gone with the object. An
//! unknown lag is an absent series, never 0.

use std::{fmt, sync::Arc, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::{shared::Shared, validate::key_of};
use crate::poller::Snapshot;

/// Gauges per group.
pub struct GroupMetrics {
    shared: Arc<Shared>,
}

impl GroupMetrics {
    /// Reads the snapshots of this controller's poller.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl fmt::Debug for GroupMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GroupMetrics")
    }
}

type Labels = [(&'static str, String); 2];

impl Collector for GroupMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let objects = self.shared.all_groups();
        let keys = objects.iter().filter_map(|object| object.0.as_ref().ok()).map(key_of);
        let groups: Vec<(Labels, Arc<Snapshot>)> = keys
            .filter_map(|key| {
                let snapshot = self.shared.lag.snapshot(&key)?;
                Some(([("namespace", key.namespace), ("name", key.name)], snapshot))
            })
            .collect();
        let now = Instant::now();
        family(&mut encoder, "group_lag_records", "Unread records", &groups, |snapshot| snapshot.lag.records())?;
        family(&mut encoder, "group_lag_age_seconds", "Age of the oldest unread record", &groups, |snapshot| {
            snapshot.lag.age().map(|age| age.lower_bound().as_secs_f64())
        })?;
        family(&mut encoder, "group_desired_replicas", "Workers the last decision asks for", &groups, |snapshot| {
            Some(f64::from(snapshot.decision.replicas))
        })?;
        family(&mut encoder, "group_poll_age_seconds", "Time since the group was last read", &groups, |snapshot| {
            Some(now.saturating_duration_since(snapshot.taken_at).as_secs_f64())
        })
    }
}

fn family<V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    groups: &[(Labels, Arc<Snapshot>)],
    value: impl Fn(&Snapshot) -> Option<V>,
) -> Result<(), fmt::Error> {
    let name = format!("balancefleet_{name}");
    let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
    for (labels, snapshot) in groups {
        if let Some(value) = value(snapshot) {
            ConstGauge::new(value).encode(metric.encode_family(labels)?)?;
        }
    }
    Ok(())
}
