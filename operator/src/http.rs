//! /livez, /readyz and /metrics on one port, and PUT /log-level from the pod itself. A probe that fails answers with a
//! sentence, which `kubectl describe` shows.

use std::{net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{health::Health, logging::LogLevel, metrics::Metrics};

/// What the handlers answer from.
#[derive(Clone)]
pub struct AppState {
    /// Liveness and readiness.
    pub health: Health,
    /// Everything that is counted.
    pub metrics: Metrics,
    /// The log filter; `None` if this process does not own it.
    pub log_level: Option<LogLevel>,
}

/// Serves until `stop` is cancelled.
///
/// # Errors
/// When the address cannot be bound or the listener breaks.
pub async fn serve(address: SocketAddr, state: AppState, stop: CancellationToken) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(address = %listener.local_addr()?, "serving probes and metrics");
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(state: AppState) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/log-level", put(log_level))
        .with_state(state)
}

async fn livez(State(state): State<AppState>) -> Response {
    probe(state.health.live(Instant::now()))
}

async fn readyz(State(state): State<AppState>) -> Response {
    probe(state.health.ready())
}

fn probe(answer: Result<(), String>) -> Response {
    match answer {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(state): State<AppState>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match state.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The body is the new filter. Only requests from the pod's own address are accepted, which takes the right to
/// `kubectl port-forward` or `exec`; the port itself is open to everybody who scrapes metrics.
async fn log_level(
    State(state): State<AppState>,
    ConnectInfo(caller): ConnectInfo<SocketAddr>,
    directive: String,
) -> Response {
    if !caller.ip().is_loopback() {
        return (StatusCode::FORBIDDEN, "only from the pod itself: use kubectl port-forward\n").into_response();
    }
    match state.log_level.map(|level| level.set(directive.trim())) {
        Some(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Some(Err(error)) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::STUCK_AFTER;
    use axum::{body::Body, http::Request};
    use std::time::Duration;
    use tower::ServiceExt;

    async fn status_of(state: &AppState, path: &str) -> StatusCode {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router(state.clone()).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_stuck_loop_fails_liveness_only() {
        let state = AppState { health: Health::default(), metrics: Metrics::default(), log_level: None };
        state.health.set_ready("all namespaces");
        let long_ago = Instant::now().checked_sub(STUCK_AFTER + Duration::from_secs(1)).unwrap();
        state.health.beat("all namespaces", long_ago);
        assert_eq!(status_of(&state, "/livez").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status_of(&state, "/readyz").await, StatusCode::OK);
        assert_eq!(status_of(&state, "/metrics").await, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_log_level_is_changed_from_the_pod_alone() {
        let state = AppState { health: Health::default(), metrics: Metrics::default(), log_level: None };
        for (caller, status) in [("10.0.0.1:5", StatusCode::FORBIDDEN), ("127.0.0.1:5", StatusCode::NOT_FOUND)] {
            let caller: SocketAddr = caller.parse().unwrap();
            let mut request = Request::put("/log-level").body(Body::from("debug")).unwrap();
            request.extensions_mut().insert(ConnectInfo(caller));
            assert_eq!(router(state.clone()).oneshot(request).await.unwrap().status(), status);
        }
    }
}
