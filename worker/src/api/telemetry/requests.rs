//! Counts of HTTP requests by documented path.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::DURATION_BUCKETS;

/// Requests and their durations.
#[derive(Clone, Debug)]
pub(in crate::api) struct RequestMetrics {
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
    pub(super) fn registered(registry: &mut Registry) -> Self {
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
    pub(in crate::api) fn answered(&self, method: &Method, path: Arc<str>, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            _ => "other",
        };
        self.duration.get_or_create(&Path { path: path.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { method, path, status: status.as_u16() }).inc();
    }
}
