//! `/health`, `/api/v1/stats` and `/api/v1/partitions`, in the shapes of the .NET consumer that only counts
//! records and that this worker replaces.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::state::Api;
use crate::view::View;

/// Whether the process answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Up {
    #[schema(example = "UP")]
    status: &'static str,
}

/// Counts since the start.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats {
    messages_processed: u64,
    /// `topic-partition` names.
    #[schema(example = json!(["orders-0", "orders-1"]))]
    partitions_assigned: Vec<String>,
    rebalance_count: u64,
    /// RFC 3339, or `N/A` before the first.
    #[schema(example = "2026-02-08T22:00:00Z")]
    last_rebalance_time: String,
}

/// The assigned partitions.
#[derive(Serialize, ToSchema)]
pub(super) struct Partitions {
    /// `topic-partition` names.
    #[schema(example = json!(["orders-0", "orders-1"]))]
    partitions: Vec<String>,
    count: usize,
}

#[utoipa::path(
    get, path = "/health", operation_id = "isUp", tag = "monitoring", summary = "Whether the process answers",
    responses((status = 200, description = "It answers", body = Up))
)]
pub(super) async fn health() -> Json<Up> {
    Json(Up { status: "UP" })
}

#[utoipa::path(
    get, path = "/api/v1/stats", operation_id = "getStats", tag = "consumer", summary = "Counts since the start",
    responses((status = 200, description = "Counts and partitions", body = Stats))
)]
pub(super) async fn stats(State(api): State<Api>) -> Json<Stats> {
    let counts = api.view.counters();
    Json(Stats {
        messages_processed: counts.messages_consumed,
        partitions_assigned: partition_names(&api.view),
        rebalance_count: counts.rebalances,
        last_rebalance_time: counts.last_rebalance_at.map_or_else(|| "N/A".to_owned(), |at| at.to_string()),
    })
}

#[utoipa::path(
    get, path = "/api/v1/partitions", operation_id = "listPartitions", tag = "consumer", summary = "The partitions assigned to this worker",
    responses((status = 200, description = "Their names", body = Partitions))
)]
pub(super) async fn partitions(State(api): State<Api>) -> Json<Partitions> {
    let partitions = partition_names(&api.view);
    Json(Partitions { count: partitions.len(), partitions })
}

fn partition_names(view: &View) -> Vec<String> {
    let topic = &view.worker_info().topic;
    view.partitions().iter().map(|info| format!("{topic}-{}", info.partition)).collect()
}
