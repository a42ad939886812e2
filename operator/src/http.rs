//! /livez, /readyz and /metrics on one port. A probe body is a sentence, so that `kubectl describe` shows it.

use std::{net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{health::Health, metrics::Metrics};

/// What the handlers answer from.
#[derive(Clone)]
pub struct Facts {
    /// Liveness and readiness.
    pub health: Health,
    /// Everything that is counted.
    pub metrics: Metrics,
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the address cannot be bound or the listener breaks.
pub async fn serve(address: SocketAddr, facts: Facts, stop: CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving probes and metrics");
    axum::serve(listener, router(facts)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(facts: Facts) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(facts)
}

async fn livez(State(facts): State<Facts>) -> Response {
    probe(facts.health.live(Instant::now()))
}

async fn readyz(State(facts): State<Facts>) -> Response {
    probe(facts.health.ready())
}

fn probe(answer: Result<(), String>) -> Response {
    match answer {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(facts): State<Facts>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match facts.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::STUCK_AFTER;
    use axum::{body::Body, http::Request};
    use std::time::Duration;
    use tower::ServiceExt;

    async fn status_of(facts: &Facts, path: &str) -> StatusCode {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router(facts.clone()).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_stuck_loop_fails_liveness_only() {
        let facts = Facts { health: Health::default(), metrics: Metrics::default() };
        facts.health.set_ready();
        let long_ago = Instant::now().checked_sub(STUCK_AFTER + Duration::from_secs(1)).unwrap();
        facts.health.beat("all namespaces", long_ago);
        assert_eq!(status_of(&facts, "/livez").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status_of(&facts, "/readyz").await, StatusCode::OK);
        assert_eq!(status_of(&facts, "/metrics").await, StatusCode::OK);
    }
}
