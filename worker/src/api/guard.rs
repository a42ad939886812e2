//! What every request passes: a time limit, headers for browsers, and a count.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::paths::{MatchedPath, SWAGGER};
use super::refusal::Refusal;
use super::server::Overload;

/// Longer than the longest read of the whole list waits for its turn and its peers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Scripts and styles only from here; the UI's own script sets inline styles and uses images in `data:`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                                       base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Request bodies need no limit: nothing here reads one, and the server closes a connection that keeps sending.
pub(super) async fn guard(State(api): State<Api>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = match request.extensions().get::<MatchedPath>() {
        Some(MatchedPath(path)) => path.clone(),
        None => "unknown".into(),
    };
    let mut response = if request.extensions().get::<Overload>().is_some() {
        // The connection is given up too: others wait for its place.
        let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
        (close, Refusal::Overloaded).into_response()
    } else {
        within_limit(request, next).await
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    if &*path != SWAGGER {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    api.telemetry.requests.answered(&method, path, response.status(), started.elapsed());
    response
}

async fn within_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::TooSlow.into_response(),
    }
}
