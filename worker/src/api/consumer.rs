//! `/api/Balance/metrics`, `…/rebalancing-history` and `…/health`, in the shapes of the .NET consumer that keeps
//! balances and that this worker replaces.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::Api;
use crate::status::Status;
use crate::view::{RebalanceEvent, View};

/// The consumer's state and counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metrics {
    #[schema(example = "balance-worker-host-0a1b2c3d")]
    consumer_id: String,
    group_id: String,
    #[schema(example = "Consuming")]
    status: &'static str,
    assigned_partitions: Vec<i32>,
    messages_consumed: u64,
    balance_updates: u64,
    processing_errors: u64,
    /// Partition → offset of the last record processed.
    #[schema(value_type = BTreeMap<String, i64>, example = json!({"0": 41}))]
    partition_offsets: BTreeMap<i32, i64>,
    /// Newest first.
    rebalancing_history: Vec<HistoryEvent>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_message_at: Option<Timestamp>,
}

/// The consumer's rebalance events.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RebalancingHistory {
    consumer_id: String,
    current_partitions: Vec<i32>,
    /// All since the start; the list may have forgotten the oldest.
    total_rebalancing_events: u64,
    /// Newest first.
    history: Vec<HistoryEvent>,
}

/// Partitions came or went.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct HistoryEvent {
    #[schema(value_type = String, format = DateTime)]
    timestamp: Timestamp,
    #[schema(value_type = String, example = "Assigned")]
    event_type: crate::view::EventType,
    partitions: Vec<i32>,
    details: String,
    /// The group's generation, -1 outside of it.
    generation: i32,
    /// Revoked: the commit before the partitions went.
    commit_millis: Option<u64>,
    /// Assigned: until the last of the partitions was active.
    restore_millis: Option<u64>,
    /// Assigned: read to restore the partitions. Revoked: processed since they came.
    records: Option<u64>,
}

/// Whether the consumer works, in the shape of the replaced .NET consumer; Kubernetes asks `/livez` and `/readyz`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConsumerHealth {
    #[schema(example = "Healthy")]
    status: &'static str,
    consumer_id: String,
    #[schema(example = "Consuming")]
    consumer_status: &'static str,
    assigned_partitions: Vec<i32>,
    messages_consumed: u64,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_message_at: Option<Timestamp>,
    /// `[days.]hours:minutes:seconds`
    #[schema(example = "1.02:03:04")]
    uptime: String,
}

#[utoipa::path(
    get, path = "/api/Balance/metrics", operation_id = "getConsumerMetrics", tag = "consumer", summary = "State, counts and offsets of this worker",
    responses((status = 200, description = "As of now", body = Metrics))
)]
pub(super) async fn metrics(State(api): State<Api>) -> Json<Metrics> {
    let (worker_info, counts, partitions) = (api.view.worker_info(), api.view.counters(), api.view.partitions());
    Json(Metrics {
        consumer_id: worker_info.consumer_id.clone(),
        group_id: worker_info.group_id.clone(),
        status: api.view.status().as_str(),
        assigned_partitions: partitions.iter().map(|info| info.partition).collect(),
        messages_consumed: counts.messages_consumed,
        balance_updates: counts.balance_updates,
        processing_errors: counts.processing_errors,
        partition_offsets: partitions.iter().filter_map(|info| Some((info.partition, info.last_offset?))).collect(),
        rebalancing_history: history(&api.view),
        started_at: worker_info.started_at,
        last_message_at: counts.last_message_at,
    })
}

#[utoipa::path(
    get, path = "/api/Balance/rebalancing-history", operation_id = "listRebalanceEvents", tag = "consumer",
    summary = "How partitions came and went",
    responses((status = 200, description = "Newest first", body = RebalancingHistory))
)]
pub(super) async fn rebalancing_history(State(api): State<Api>) -> Json<RebalancingHistory> {
    Json(RebalancingHistory {
        consumer_id: api.view.worker_info().consumer_id.clone(),
        current_partitions: assigned(&api.view),
        total_rebalancing_events: api.view.counters().rebalances,
        history: history(&api.view),
    })
}

#[utoipa::path(
    get, path = "/api/Balance/health", operation_id = "getConsumerHealth", tag = "monitoring",
    summary = "Whether this worker's consumer works",
    responses(
        (status = 200, description = "Healthy", body = ConsumerHealth),
        (status = 503, description = "Degraded", body = ConsumerHealth)
    )
)]
pub(super) async fn health(State(api): State<Api>) -> (StatusCode, Json<ConsumerHealth>) {
    let (worker_info, counts, consumer_status) = (api.view.worker_info(), api.view.counters(), api.view.status());
    let (code, status) = match consumer_status {
        Status::Consuming | Status::Running => (StatusCode::OK, "Healthy"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "Degraded"),
    };
    let body = ConsumerHealth {
        status,
        consumer_id: worker_info.consumer_id.clone(),
        consumer_status: consumer_status.as_str(),
        assigned_partitions: assigned(&api.view),
        messages_consumed: counts.messages_consumed,
        last_message_at: counts.last_message_at,
        uptime: uptime(Timestamp::now().as_second().saturating_sub(worker_info.started_at.as_second())),
    };
    (code, Json(body))
}

fn assigned(view: &View) -> Vec<i32> {
    view.partitions().iter().map(|info| info.partition).collect()
}

fn history(view: &View) -> Vec<HistoryEvent> {
    let event = |event: RebalanceEvent| HistoryEvent {
        timestamp: event.timestamp,
        event_type: event.event_type,
        partitions: event.partitions,
        details: event.details,
        generation: event.generation,
        commit_millis: event.commit.map(millis),
        restore_millis: event.restore.map(millis),
        records: event.records,
    };
    view.history().into_iter().map(event).collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As .NET prints a `TimeSpan`, the days only when there are any.
fn uptime(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let days = if days > 0 { format!("{days}.") } else { String::new() };
    format!("{days}{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::uptime;

    #[test]
    fn uptime_reads_as_a_dotnet_time_span() {
        assert_eq!(uptime(0), "00:00:00");
        assert_eq!(uptime(3_723), "01:02:03");
        assert_eq!(uptime(93_784), "1.02:03:04");
        assert_eq!(uptime(-5), "00:00:00", "the clock may be set back");
    }
}
