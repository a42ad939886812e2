//! `/livez` and `/readyz` for Kubernetes, `/metrics` for Prometheus.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::errors::{ApiError, ErrorBody};
use super::state::Api;
use super::telemetry;
use crate::view::PartitionInfo;

/// Whether a restart would help.
#[derive(Serialize, ToSchema)]
pub(super) struct Liveness {
    /// False when the consumer's thread is stuck.
    alive: bool,
}

/// Whether the worker should get traffic, and what it is working on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadinessBody {
    /// Stays true during later restores, which are listed below.
    ready: bool,
    #[schema(example = "Consuming")]
    consumer_status: &'static str,
    /// Why it is not ready, or what it waits for.
    reason: Option<String>,
    /// Whether the topic is compacted, so that it does not keep every record (InputCompacted); null while that is not known.
    input_compacted: Option<bool>,
    assigned_partitions: usize,
    restoring: Vec<Restoring>,
    failed: Vec<FailedPartition>,
}

/// A partition whose balances are being read again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restoring {
    partition: i32,
    start_offset: Option<i64>,
    current_offset: Option<i64>,
    target_offset: Option<i64>,
    /// Estimated time left.
    eta_millis: Option<u64>,
    /// Why it makes no progress, for example OpenTransaction (a transaction was left open) or ValidatingPosition (the
    /// leader has not confirmed yet that its log is still the one that was read; balances are served meanwhile).
    #[serde(rename = "heldUpBy")]
    blocked_by: Option<String>,
}

/// A partition that stays stopped until a user or a new assignment helps.
#[derive(Serialize, ToSchema)]
pub(super) struct FailedPartition {
    partition: i32,
    reason: Option<String>,
}

#[utoipa::path(
    get, path = "/livez", operation_id = "isAlive", tag = "monitoring", summary = "Liveness probe",
    responses(
        (status = 200, description = "The consumer's thread is running", body = Liveness),
        (status = 503, description = "Only a restart helps", body = Liveness)
    )
)]
pub(super) async fn livez(State(api): State<Api>) -> (StatusCode, Json<Liveness>) {
    let alive = api.view.liveness();
    (status(alive), Json(Liveness { alive }))
}

#[utoipa::path(
    get, path = "/readyz", operation_id = "isReady", tag = "monitoring", summary = "Readiness probe",
    responses(
        (status = 200, description = "Ready", body = ReadinessBody),
        (status = 503, description = "Not ready", body = ReadinessBody)
    )
)]
pub(super) async fn readyz(State(api): State<Api>) -> (StatusCode, Json<ReadinessBody>) {
    let readiness = api.view.readiness();
    let body = ReadinessBody {
        ready: readiness.ready,
        consumer_status: api.view.status().as_str(),
        reason: readiness.reason,
        input_compacted: api.view.is_input_compacted(),
        assigned_partitions: api.view.partitions().len(),
        restoring: readiness.restoring.iter().map(Restoring::of).collect(),
        failed: readiness
            .failed
            .into_iter()
            .map(|info| FailedPartition { partition: info.partition, reason: info.failure })
            .collect(),
    };
    (status(body.ready), Json(body))
}

#[utoipa::path(
    get, path = "/metrics", operation_id = "scrape", tag = "monitoring", summary = "Metrics for Prometheus",
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
        (status = 500, description = "See the worker's log", body = ErrorBody)
    )
)]
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    match api.telemetry.text() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, telemetry::CONTENT_TYPE)], text).into_response()),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be rendered");
            Err(ApiError::Internal)
        }
    }
}

impl Restoring {
    fn of(info: &PartitionInfo) -> Self {
        let progress = info.restore;
        let eta = progress.and_then(|progress| progress.eta);
        Self {
            partition: info.partition,
            start_offset: progress.map(|progress| progress.start),
            current_offset: progress.map(|progress| progress.current),
            target_offset: progress.map(|progress| progress.target),
            eta_millis: eta.map(|eta| u64::try_from(eta.as_millis()).unwrap_or(u64::MAX)),
            blocked_by: info.blocked_by.clone(),
        }
    }
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
